"""Names: a run's key, its folder, and the experiments that can be chosen."""

import hashlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from src import experiments, secrecy
from src.check import check
from src.commands import as_hydra_reads, command, in_shell
from src.config import Config
from src.errors import ConfigError, carrying
from src.overrides import written
from src.places import from_here, place, run_folder

_LETTERS = 20
_NOT_IN_KEY = ("tracking", "sweep", "resume", "checkpoint")


def key(cfg: Config) -> str:
    """A short hash of a task config: the same values have the same key.

    Where and how a run is tracked is no part of it. The key is written in the letters a to p, so that no key
    reads as a number when it is typed in an override.

    Args:
        cfg: the checked config, whose values have their types: 1 and 1.0 are the same learning rate.

    Returns:
        Twenty letters: with their 80 bits, two of a million configs have the same key once in 10^12 times.
    """
    digits = hashlib.sha256(identity(cfg).encode()).hexdigest()[:_LETTERS]
    return "".join(chr(ord("a") + int(digit, 16)) for digit in digits)


def identity(cfg: Config) -> str:
    """The values that a key stands for, as text.

    A class that the schema does not know may tell 1 from 1.0 and null from nothing, as scikit-learn does a number of
    rows from a share of them: there they are different values. 0.0 and -0.0 never are.
    """
    return json.dumps(
        {name: _plain(value) for name, value in vars(cfg).items() if name not in _NOT_IN_KEY}, sort_keys=True
    )


def check_same(cfg: Config, other: Config, where: Any) -> None:
    """Makes sure that two configs of one key are the same.

    Args:
        cfg: what is asked for.
        other: what was there before.
        where: it lies, or will.

    Raises:
        ConfigError: where they are not: one would be taken for the other.
    """
    one, two = (_leaves(json.loads(identity(each))) for each in (cfg, other))
    if differing := sorted(name for name in {*one, *two} if one.get(name, "nothing") != two.get(name, "nothing")):
        name = differing[0]
        got = f"{name} is {two.get(name, 'nothing')} there, and {one.get(name, 'nothing')} is asked for"
        raise ConfigError(f"{where} must have one config, and has another under the same key", got, "sweep.name=…")


def _leaves(value: Any, name: str = "") -> dict[str, str]:
    """Each value of a nested config, as text, by its dotted key."""
    if not isinstance(value, dict) or not value:
        return {name: json.dumps(value)}
    parts = (_leaves(part, f"{name}.{key}" if name else key) for key, part in value.items())
    return {leaf: text for part in parts for leaf, text in part.items()}


def without_seed(overrides: Sequence[str]) -> tuple[str, ...]:
    """What a trial sets besides its seed: trials of one setting are repeats of one another."""
    return tuple(text for text in overrides if not re.match(r"\+*seed=", text))


def _plain(value: Any) -> Any:
    if isinstance(value, DictConfig):
        value = OmegaConf.to_container(value)
    elif is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    return canonical(value)


def canonical(value: Any) -> Any:
    """A nested value for JSON, which has no keys but text, and two zeros."""
    if isinstance(value, dict):
        return {name if isinstance(name, str) else f"({name!r})": canonical(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [canonical(part) for part in value]
    return 0.0 if isinstance(value, float) and value == 0 else value


def register() -> None:
    """Makes `${key:}`, `${time:}`, `${mode:}` and `experiment=<slug>` known to Hydra."""
    secrecy.register()
    OmegaConf.register_new_resolver("key", _key, replace=True)
    OmegaConf.register_new_resolver("time", _time, use_cache=True, replace=True)
    OmegaConf.register_new_resolver("sweep_folder", lambda name: name or _time(), use_cache=True, replace=True)
    OmegaConf.register_new_resolver("mode", lambda direction: str(direction)[:3], replace=True)
    experiments.register()


@carrying
def _key(*, _root_: DictConfig) -> str:
    return key(check(_root_))


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
    folder = run_folder(typed if os.path.exists(from_here(typed)) else as_hydra_reads(typed), "resume", _resuming)
    if others := [text for text in argv if text not in words[-1:]]:
        law = "resume= goes on with a run as it was configured: nothing else can be set beside it"
        raise ConfigError(law, in_shell(*others), _resuming(place(folder)))
    return folder


def _resuming(folder: str) -> str:
    return command("train", written("resume", folder))
