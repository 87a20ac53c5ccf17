"""Names: a run's key, its folder, and the experiments that can be chosen."""

import hashlib
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from src.check import check
from src.config import Config
from src.errors import ConfigError, carrying

_NOT_IN_KEY = ("tracking", "sweep", "resume", "checkpoint")
EXPERIMENTS = Path(__file__).parent.parent / "experiments"


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
    OmegaConf.register_new_resolver("key", _key, replace=True)
    OmegaConf.register_new_resolver("time", _time, use_cache=True, replace=True)
    OmegaConf.register_new_resolver("sweep_folder", lambda name: name or _time(), use_cache=True, replace=True)
    OmegaConf.register_new_resolver("mode", lambda direction: str(direction)[:3], replace=True)
    for path in sorted(EXPERIMENTS.glob("*/config.yaml")):
        _know_experiment(path.parent.name, path)
    for word in sys.argv[1:]:  # a file anywhere else, such as a search's best.yaml
        path = Path(word.removeprefix("experiment=")).with_suffix(".yaml")
        if word.startswith("experiment=") and path.is_file():
            _know_experiment(word.removeprefix("experiment="), path)


@carrying
def _key(*, _root_: DictConfig) -> str:
    return key(check(_root_))


def _know_experiment(name: str, path: Path) -> None:
    group, _, option = f"experiment/{name}".rpartition("/")
    ConfigStore.instance().store(group=group, name=option, node=OmegaConf.load(path), package="_global_")


def _time() -> str:
    # Microseconds: two launches of one config in the same second do not meet in one folder.
    return datetime.now().strftime("%Y%m%d-%H%M%S-%f")


def resumed(argv: list[str]) -> Path | None:
    """The run folder that `resume=<run folder>` names, or None.

    Raises:
        ConfigError: where other settings stand beside it: a run goes on with the config that it has.
    """
    folders = [word.removeprefix("resume=") for word in argv if word.startswith("resume=")]
    if not folders or folders[-1] in ("", "null"):
        return None
    others = [word for word in argv if not word.startswith("resume=")]
    if others:
        law = "resume= goes on with a run as it was configured: nothing else can be set beside it"
        raise ConfigError(law, " ".join(others), f"python -m src.train resume={folders[-1]}")
    return Path(folders[-1])
