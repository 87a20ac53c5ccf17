"""Trains one run, or a sweep with `-m`: `python -m src.train optimizer.lr=1e-2`."""

from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from src import naming
from src.check import check
from src.errors import reported


@hydra.main(version_base="1.3", config_path="../conf", config_name="train")
def train(cfg: DictConfig) -> float:
    """Trains one run in the folder that Hydra made for it and returns its objective."""
    checked = check(cfg)

    return 0


def main() -> None:
    """The command line."""
    naming.register()
    with reported():
        train()


if __name__ == "__main__":
    main()
