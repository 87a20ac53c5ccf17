"""What Hydra calls first: a wrong config ends the process before a folder is made or torch is imported."""

import os
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from src import ranks
from src.check import check, unresolved
from src.commands import command
from src.errors import ConfigError
from src.folder_laws import check_name
from src.overrides import written
from src.ownership import claim_run, release_all
from src.places import check_place, place
from src.secrecy import keep_by_name


class CheckBeforeRun(Callback):
    """Hydra callback: a wrong config ends the process before a folder is made or torch is imported."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Checks the config of a single run, and that its folder is free."""
        check_name(check(config).sweep.name)
        keep_by_name(config.hydra)
        folder = _folder(config, "run", foreign="sweep.json")
        # A run is never written over: its folder is held from now on, and no other process has it. The further
        # processes of a DDP run share the folder of the first.
        claim_run(folder)
        if (folder / "record.json").exists() and not ranks.RANK:
            release_all()
            remedy = command("train", written("resume", place(folder)))
            raise ConfigError("hydra.run.dir holds a run already", str(folder), remedy)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Checks that a sweep has a folder; its trials are checked by the launcher."""
        name = OmegaConf.select(config, "sweep.name")
        check_name(None if name is None else str(name))
        _folder(config, "sweep", foreign="record.json")
        keep_by_name(config.hydra)  # of what is set for the environment, nothing that a sweep writes has the value


def _folder(config: DictConfig, part: str, foreign: str) -> Path:
    """A folder that can be made, or is there.

    Raises:
        ConfigError: where it cannot.
    """
    key = f"hydra.{part}.dir"
    try:
        given = str(OmegaConf.select(config, key, throw_on_missing=True))
    except OmegaConfBaseException as error:
        raise unresolved(key, error, f"{key}=outputs/…") from error
    if not given.strip():
        raise ConfigError(f"{key} must be a folder", given, f"{key}=outputs/…")
    config.hydra[part].dir = os.path.expanduser(given)
    folder = Path(config.hydra[part].dir)
    check_place(key, folder, foreign)
    return folder
