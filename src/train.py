"""Trains one run, or a sweep with `-m`: `python -m src.train optimizer.lr=1e-2`."""

import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from src import naming, sweep
from src.check import check
from src.commands import command
from src.consistency import opened
from src.entry import reported
from src.errors import Carried, ConfigError, disk_problem
from src.imports import heavy_imports
from src.overrides import written
from src.ownership import claim_run, release_all
from src.places import place
from src.secrecy import listed
from src.sweep.pruning import Pruning
from src.trust import check_trusted, sign_config, without_trust


def train(cfg: DictConfig) -> float | None:
    """Trains one run in the folder that Hydra made for it and returns its objective."""
    checked = check(cfg)
    with heavy_imports():  # torch is imported here, once the config is known to be right
        from src.lean_wandb import agents_run
        from src.run import fit, resume

    hydra_cfg = HydraConfig.get()
    overrides = listed(hydra_cfg.overrides.task)
    folder, one_of_many = Path(hydra_cfg.runtime.output_dir), hydra_cfg.mode == RunMode.MULTIRUN
    try:
        sign_config(folder, OmegaConf.to_container(cfg))
        if not one_of_many:
            record = fit(checked, folder, cfg, overrides, wandb_id=agents_run())
        else:  # a trial under a launcher that knows nothing of records
            prune = Pruning(hydra_cfg.sweeper.get("pruner"), folder.parent, checked).of_trial()
            if (folder / "record.json").is_file():
                record = resume(folder, quiet=True, prune=prune)
            else:
                record = fit(checked, folder, cfg, overrides, quiet=True, prune=prune)
    except ConfigError as error:
        if one_of_many:
            raise
        raise Carried(error) from error  # Hydra would print the overrides first
    except Exception as error:
        problem = None if one_of_many else disk_problem(error)
        if problem and (folder / "record.json").is_file():
            again = command("train", written("resume", place(folder)))
            raise SystemExit(f"{problem}, then go on with: {again}") from None
        if problem:
            raise Carried(error) from error
        raise
    if record.status == "diverged" and not one_of_many:
        raise SystemExit(f"diverged: {record.error}; try a smaller optimizer.lr")
    return record.objective


train.stackable = True  # type: ignore[attr-defined]


def main() -> None:
    """The command line: `resume=<run folder>` goes on with a run as it was configured, all else is Hydra's."""
    try:
        with reported():
            naming.register()
            sweep.register()
            words, trusted = without_trust(sys.argv[1:])
            folder = naming.resumed(words)
            if folder is None:
                hydra.main(version_base="1.3", config_path="../conf", config_name="train")(train)()
                return
            check_trusted(folder, trusted, ["python", "-m", "src.train", *sys.argv[1:]])
            record, _ = opened(folder)
            if not record.has_ended:
                claim_run(folder)
            with heavy_imports():
                from src.run import resume
            resume(folder)
    finally:
        release_all()


if __name__ == "__main__":
    main()
