"""Scores a finished run's best checkpoint on a split or on a new file: `python -m src.evaluate run=<run folder>`."""

from dataclasses import dataclass, field

import hydra
from omegaconf import MISSING, DictConfig, OmegaConf

from src.check import into_schema
from src.commands import command
from src.config import Tracking
from src.entry import reported
from src.errors import Carried, ConfigError
from src.groups import choice
from src.overrides import written
from src.places import place, run_folder
from src.record import read, read_config
from src.tracking_laws import check_tracking


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


@hydra.main(version_base="1.3", config_path="../conf", config_name="evaluate")
def evaluate(cfg: DictConfig) -> None:
    """Prints the scores and writes `predictions.csv` in the user's units."""
    try:
        settings = into_schema(EvaluateConfig, cfg, "")
        folder = run_folder(settings.run, "run", _scoring)
        record = read(folder)
        if record.checkpoint is None or not (folder / record.checkpoint).is_file():
            law = f"{place(folder)} has no best checkpoint" + ("" if record.has_ended else " yet")
            going_on = command("train", written("resume", place(folder)))
            raise ConfigError(law, record.status, "ls outputs/runs" if record.has_ended else going_on)
        tracking = OmegaConf.to_object(OmegaConf.merge(Tracking, read_config(folder).tracking))
        assert isinstance(tracking, Tracking)
        check_tracking(tracking, record.wandb.get("group"))
        from src.scoring import score  # torch is imported here

        score(folder, record, settings.split, settings.data.path, settings.output)
    except ConfigError as error:
        raise Carried(error) from error  # Hydra would print the overrides first


def _scoring(folder: str) -> str:
    return command("evaluate", written("run", folder))


if __name__ == "__main__":
    with reported():
        evaluate()
