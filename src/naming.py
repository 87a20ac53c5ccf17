"""Names: a run's key, its folder, and the experiments that can be chosen."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from src import experiments
from src.check import check
from src.commands import as_hydra_reads, command, in_shell
from src.config import Config
from src.overrides import written
from src.places import from_here, place, run_folder
from src.suggest import ConfigError

_NOT_IN_KEY = ("tracking", "sweep", "resume", "checkpoint")


def key(cfg: Config) -> str:
    """A short hash of a task config: the same values have the same key.

    Where and how a run is tracked is no part of it. The key is written in the letters a to p, so that no key
    reads as a number when it is typed in an override.

    Args:
        cfg: the checked config, whose values have their types: 1 and 1.0 are the same learning rate.

    Returns:
        Ten letters (40 bits).
    """
    parts = {name: _plain(value) for name, value in vars(cfg).items() if name not in _NOT_IN_KEY}
    digits = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:10]
    return "".join(chr(ord("a") + int(digit, 16)) for digit in digits)


def without_seed(overrides: Sequence[str]) -> tuple[str, ...]:
    """What a trial sets besides its seed: trials of one setting are repeats of one another."""
    return tuple(text for text in overrides if not re.match(r"\+*seed=", text))


def _plain(value: Any) -> Any:
    if isinstance(value, DictConfig):
        return OmegaConf.to_container(value)
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def register() -> None:
    """Makes `${key:}`, `${time:}`, `${mode:}` and `experiment=<slug>` known to Hydra."""
    OmegaConf.register_new_resolver("key", lambda *, _root_: key(check(_root_)), replace=True)
    OmegaConf.register_new_resolver("time", _time, use_cache=True, replace=True)
    OmegaConf.register_new_resolver("sweep_folder", lambda name: name or _time(), use_cache=True, replace=True)
    OmegaConf.register_new_resolver("mode", lambda direction: direction[:3], replace=True)
    experiments.register()


def _time() -> str:
    # Microseconds: two launches of one config in the same second do not meet in one folder.
    return datetime.now().strftime("%Y%m%d-%H%M%S-%f")


def resumed(argv: list[str]) -> Path | None:
    """The run folder that `resume=<run folder>` names, or None.

    Raises:
        ConfigError: where there is no such folder, or other settings stand beside it: a run goes on with the config
            that it has.
    """
    words = [text for text in argv if re.match(r"\+*resume=", text)]
    if not words or words[-1] == "resume=null":
        return None
    typed = words[-1].partition("=")[2]
    folder = run_folder(typed if from_here(typed).exists() else as_hydra_reads(typed), "resume", _resuming)
    if others := [text for text in argv if text not in words[-1:]]:
        law = "resume= goes on with a run as it was configured: nothing else can be set beside it"
        raise ConfigError(law, in_shell(*others), _resuming(place(folder)))
    return folder


def _resuming(folder: str) -> str:
    return command("train", written("resume", folder))
