"""What Hydra calls first: a wrong config ends the process before a folder is made or torch is imported."""

import os
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from src.check import check, unresolved
from src.errors import ConfigError
from src.overrides import for_shell

_LONGEST_NAME = 255  # bytes, on every common file system


class CheckBeforeRun(Callback):
    """Hydra callback: a wrong config ends the process before a folder is made or torch is imported."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Checks the config of a single run, and that its folder is free."""
        check(config)
        folder = _folder(config, "hydra.run.dir")
        # A run is never written over; the further processes of a DDP run share the folder of the first.
        if (folder / "record.json").exists() and "LOCAL_RANK" not in os.environ:
            remedy = f"python -m src.train {for_shell('resume', str(folder))}"
            raise ConfigError("hydra.run.dir holds a run already", str(folder), remedy)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Checks that a sweep has a folder; its trials are checked by the launcher."""
        _folder(config, "hydra.sweep.dir")


def _folder(config: DictConfig, key: str) -> Path:
    """A folder that can be made, or is there.

    Raises:
        ConfigError: where it cannot.
    """
    try:
        given = str(OmegaConf.select(config, key, throw_on_missing=True))
    except OmegaConfBaseException as error:
        raise unresolved(key, error, f"{key}=outputs/…") from error
    folder = Path(given)
    if not given.strip():
        raise ConfigError(f"{key} must be a folder", given, f"{key}=outputs/…")
    for path in (folder, *folder.parents):
        if len(os.fsencode(path.name)) > _LONGEST_NAME:
            law = f"{key}: a folder's name has at most {_LONGEST_NAME} bytes"
            raise ConfigError(law, path.name, f"{key}=outputs/…")
        if path.exists() and not path.is_dir():
            raise ConfigError(f"{key} must be a folder", f"{path} is a file", f"{key}=outputs/…")
        if path.is_dir() and not os.access(path, os.W_OK | os.X_OK):
            raise ConfigError(f"{key} must be a folder that can be written", str(path), f"{key}=…")
        if path.is_dir():
            break
    return folder
