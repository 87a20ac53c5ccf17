"""Trains one run, or a sweep with `-m`: `python -m src.train optimizer.lr=1e-2`."""

import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from src import naming
from src.check import check
from src.errors import ConfigError, die, reported


@hydra.main(version_base="1.3", config_path="../conf", config_name="train")
def train(cfg: DictConfig) -> float | None:
    """Trains one run in the folder that Hydra made for it and returns its objective."""
    checked = check(cfg)
    from src.run import fit  # torch is imported here, once the config is known to be right

    hydra_cfg = HydraConfig.get()
    folder = Path(hydra_cfg.runtime.output_dir)
    try:
        record = fit(checked, folder, cfg, list(hydra_cfg.overrides.task))
    except ConfigError as error:
        die(error)
    if record.status == "diverged":
        raise SystemExit(f"diverged: {record.error}; try a smaller optimizer.lr")
    return record.objective


def main() -> None:
    """The command line: `resume=<run folder>` goes on with a run as it was configured, all else is Hydra's."""
    naming.register()
    with reported():
        folder = naming.resumed(sys.argv[1:])
        if folder is None:
            train()
        else:
            from src.run import resume

            resume(folder)


if __name__ == "__main__":
    main()
