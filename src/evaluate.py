"""Scores a finished run's best checkpoint on a split or on a new file: `python -m src.evaluate run=<run folder>`."""

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import hydra
from omegaconf import MISSING, DictConfig, OmegaConf

from src.bounded import check_checkpoint
from src.check import into_schema, resolved
from src.commands import command, in_shell
from src.config import Tracking
from src.consistency import opened
from src.entry import reported
from src.errors import Carried, ConfigError
from src.groups import TARGETS, choice
from src.overrides import written
from src.places import check_place, from_here, place, run_folder
from src.tracking_laws import check_tracking
from src.trust import check_trusted, names_in


@dataclass
class NewData:
    """A file to score instead of a split."""

    path: str | None = None


@dataclass
class EvaluateConfig:
    """What to score."""

    run: str = MISSING
    split: str = choice("train", "val", "test")
    data: NewData = field(default_factory=NewData)
    output: str | None = None
    trust: Any = None
    """What a run that is not this user's own may name: see `src.trust`."""


@hydra.main(version_base="1.3", config_path="../conf", config_name="evaluate")
def evaluate(cfg: DictConfig) -> None:
    """Prints the scores and writes `predictions.csv` in the user's units."""
    try:
        values = OmegaConf.create({name: resolved(cfg, name) for name in map(str, cfg)})
        settings = into_schema(EvaluateConfig, values, "")
        folder = run_folder(settings.run, "run", _scoring)
        check_trusted(folder, names_in(settings.trust), ["python", "-m", "src.evaluate", *sys.argv[1:]])
        record, config = opened(folder)
        if record.checkpoint is None or not os.path.isfile(folder / record.checkpoint):
            law = f"{place(folder)} has no best checkpoint" + ("" if record.has_ended else " yet")
            going_on = command("train", written("resume", place(folder)))
            raise ConfigError(law, record.status, "ls outputs/runs" if record.has_ended else going_on)
        check_checkpoint(folder, record.checkpoint)
        tracking = OmegaConf.to_object(OmegaConf.merge(Tracking, config.tracking))
        assert isinstance(tracking, Tracking)
        check_tracking(tracking, record.wandb.get("group"))
        _check_data(settings.data.path, str(config.data.get("_target_")))
        _check_output(settings.output, folder)
        from src.scoring import score  # torch is imported here

        score(folder, record, settings.split, settings.data.path, settings.output)
    except ConfigError as error:
        raise Carried(error) from error  # Hydra would print the overrides first


def _check_data(path: str | None, target: str) -> None:
    """Whether the file is there and its run was trained on a table: an empty word is no wish for the test split."""
    if path is None:
        return
    if not path:
        raise ConfigError("data.path must be a file, or left out", path, "data.path=null")
    if target == "src.data.table.Table":
        from src.data.frame import read_rows  # polars is imported for a file only

        read_rows(path)
    elif target in TARGETS["data"]:
        law = "only a run that was trained on a table can score a file"
        raise ConfigError(law, target, command("train", "data=table", "data.path=…", "data.target=…"))


def _check_output(output: str | None, folder: Path) -> None:
    """Whether the predictions can be written there, over nothing but predictions."""
    file = folder / "predictions.csv" if output is None else from_here(output)
    if output == "" or os.path.isdir(file):
        remedy = in_shell(written("output", os.path.join(output or "", "predictions.csv")))
        raise ConfigError("output must be a file", f"a folder: {output}" if output else "", remedy)
    if os.path.islink(file) and not os.path.exists(file):
        got = f"a link that leads nowhere: {output} -> {os.readlink(file)}"
        raise ConfigError("output must be a file", got, in_shell(written("output", "predictions.csv")))
    if not os.path.lexists(file):
        check_place("output", file)
    elif not os.access(file.parent, os.W_OK | os.X_OK) or (os.path.exists(file) and not os.access(file, os.W_OK)):
        law = "output must be a file that you may write"
        raise ConfigError(law, place(file), in_shell(written("output", f"{gettempdir()}/predictions.csv")))
    elif os.path.isfile(file) and not _holds_predictions(file):
        law = "output must be a new file, or one of predictions: nothing else is written over"
        other = in_shell(written("output", place(file.with_name(f"{file.stem}_predicted.csv"))))
        raise ConfigError(law, place(file), other)


def _holds_predictions(file: Path) -> bool:
    """Whether its first line is what we write."""
    with file.open("rb") as opened_file:
        return b"_predicted" in opened_file.readline(100_000)


def _scoring(folder: str) -> str:
    return command("evaluate", written("run", folder))


if __name__ == "__main__":
    with reported():
        evaluate()
