"""Builds a run from its config and trains it: `fit` for one run, `resume` for one that was stopped."""

import logging
import os
import time
import warnings
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import lightning as L
import torch
from hydra.utils import instantiate
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, EarlyStopping
from lightning.pytorch.profilers import PassThroughProfiler
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from src import naming
from src import record as records
from src.check import check
from src.config import Config
from src.data.base import TabularData
from src.errors import ConfigError, Interrupted
from src.journal import RunJournal
from src.module import MakeScheduler, Regressor
from src.progress import Progress
from src.provenance import provenance
from src.record import Record
from src.summary import run_summary, short
from src.tracking import NullTracker, Tracker, run_name, track

# Lightning 2.6 makes a torch LeafSpec, which torch 2.13 deprecates: a user can do nothing about it.
warnings.filterwarnings("ignore", message=r".*LeafSpec.* is deprecated", category=FutureWarning, module="lightning")
for name in ("lightning.pytorch", "lightning.fabric"):
    logging.getLogger(name).setLevel(logging.WARNING)  # its news are devices found and tips; set at import, so here


@dataclass
class Run:
    """What a config builds.

    Attributes:
        data: splits and scale, set up.
        module: the net with its loss and optimizer.
        trainer: Lightning's Trainer.
    """

    data: TabularData
    module: Regressor
    trainer: L.Trainer


def build(cfg: Config, callbacks: list[Callback] | None = None) -> Run:
    """Builds the data, the net with weights drawn by `cfg.seed`, and the Trainer.

    Raises:
        ConfigError: where this machine lacks what the Trainer is asked for.
        InstantiationException: where a class of the config is not there or does not take its arguments.
    """
    trainer = build_trainer(cfg, callbacks or [])
    data = build_data(cfg)
    L.seed_everything(cfg.seed, verbose=False)
    net = instantiate(cfg.model, input_dim=data.input_dim, output_dim=data.output_dim)
    optimizer = instantiate(cfg.optimizer, _partial_=True)
    module = Regressor(net, instantiate(cfg.loss), optimizer, _scheduler(cfg), data.scale, cfg.objective.metric)
    return Run(data, module, trainer)


def build_data(cfg: Config) -> TabularData:
    """The dataset, loaded, split and standardised in the precision that is trained in."""
    data = instantiate(cfg.data)
    data.dtype = torch.float64 if cfg.trainer.precision.startswith("64") else torch.float32
    data.setup()
    return data


def build_trainer(cfg: Config, callbacks: list[Callback]) -> L.Trainer:
    """Lightning's Trainer, without the parts that the journal does with less work at every step.

    Raises:
        ConfigError: where this machine lacks what the Trainer is asked for.
    """
    torch.set_num_threads(cfg.num_threads)
    settings = vars(cfg.trainer) | {"profiler": cfg.trainer.profiler or _NoProfiler()}
    if cfg.data.get("val_fraction") == 0:
        settings["limit_val_batches"] = 0
    try:
        return L.Trainer(
            **settings,
            callbacks=callbacks,
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=bool(callbacks),
            num_sanity_val_steps=0,
        )
    except MisconfigurationException as error:
        raise ConfigError(f"Lightning's Trainer refuses this: {' '.join(str(error).split())}") from error


def fit(cfg: Config, folder: Path, config: DictConfig, overrides: list[str], quiet: bool = False) -> Record:
    """Trains one run in its folder.

    Args:
        cfg: the checked config.
        folder: the run folder.
        config: the same config as Hydra composed it, for the tracker.
        overrides: what the user typed.
        quiet: print nothing, as one of many.

    Returns:
        The record, as it is on disk.

    Raises:
        ConfigError: where the config cannot be built.
        Interrupted: where a signal stopped the run; its checkpoint is written.
    """
    record = Record(naming.key(cfg), overrides)
    return _fit(cfg, folder, config, record, None, quiet)


def resume(folder: Path, quiet: bool = False) -> Record:
    """Goes on with a run that was stopped, from its last checkpoint, under its W&B id.

    Raises:
        ConfigError: where the folder holds no run, or one that is still going on.
    """
    config = records.read_config(folder)
    cfg = check(config)
    record = records.read(folder)
    if record.has_ended:
        run_summary(record, folder, Console(quiet=quiet))
        return record
    if record.stack is not None:
        law = f"{folder.name} is a trial of a sweep and goes on with it"
        raise ConfigError(law, remedy=f"python -m src.resume {folder.parent}")
    _refuse_if_alive(record, folder)
    last = folder / "checkpoints" / "last.ckpt"
    record.status, record.error = "running", None
    return _fit(cfg, folder, config, record, last if last.is_file() else None, quiet)


def _fit(cfg: Config, folder: Path, config: DictConfig, record: Record, checkpoint: Path | None, quiet: bool) -> Record:
    started = time.perf_counter()
    main = rank_zero_only.rank == 0  # type: ignore[attr-defined]  # only one of several processes writes
    record.timing = {"started": datetime.now(UTC).isoformat(timespec="seconds")} | record.timing
    record.provenance = provenance({"seed": cfg.seed, "data.seed": cfg.data.seed}, device_name(cfg))
    tracker: Tracker = NullTracker()
    try:
        if main:
            records.write(folder, record)
            tracker = _tracker(cfg, folder, config, record)
            records.write(folder, record)
        _train(cfg, folder, record, tracker, checkpoint, Console(quiet=quiet or not main))
    except BaseException as error:
        _ended_badly(folder, record, error, main)
        tracker.finish({}, exit_code=1)
        if isinstance(error, Interrupted):
            error.resume = f"python -m src.train resume={short(folder)}"
        raise
    record.timing["seconds"] = round(time.perf_counter() - started, 3)
    if main:
        records.write(folder, record)
        tracker.finish(told(record), exit_code=int(record.status != "finished"))
        run_summary(record, folder, Console(quiet=quiet))
    return record


def _train(
    cfg: Config, folder: Path, record: Record, tracker: Tracker, checkpoint: Path | None, console: Console
) -> None:
    """Fits, tests the best checkpoint, and puts what came out into the record."""
    journal = RunJournal(folder, cfg, tracker, Progress(cfg.objective.metric, cfg.trainer.max_epochs, console))
    run = build(cfg, [journal, *_early_stopping(cfg)])
    run.trainer.fit(run.module, datamodule=run.data, ckpt_path=checkpoint, weights_only=True)
    record.timing |= journal.timing() | {"best_epoch": journal.best.get("epoch")}
    record.metrics = dict(journal.best)
    record.objective = journal.best.get(cfg.objective.metric)
    record.status = "finished" if journal.diverged_at is None else "diverged"
    if journal.diverged_at is not None:
        record.error = f"train/loss is not finite in epoch {journal.diverged_at}"
    if journal.best_checkpoint.is_file():
        record.checkpoint = str(journal.best_checkpoint.relative_to(folder))
        if len(run.data.split("test")[0]):
            record.metrics |= _test(run, journal.best_checkpoint)


def _test(run: Run, checkpoint: Path) -> dict[str, float]:
    run.trainer.test(run.module, run.data, ckpt_path=checkpoint, verbose=False, weights_only=True)
    return run.module.metrics


class _NoProfiler(PassThroughProfiler):
    """Profiles nothing, at a tenth of what it costs Lightning's own to profile nothing 25 times a step."""

    def profile(self, action_name: str) -> AbstractContextManager[None]:  # type: ignore[override]
        return _NOTHING


_NOTHING = nullcontext()


def _early_stopping(cfg: Config) -> list[Callback]:
    stop, metric = cfg.early_stopping, cfg.objective.metric
    if stop.patience is None:
        return []
    return [
        EarlyStopping(
            metric,
            stop.min_delta,
            stop.patience,
            mode=cfg.objective.direction[:3],
            check_on_train_epoch_end=metric.startswith("train/"),
        )
    ]


def _scheduler(cfg: Config) -> MakeScheduler:
    """How Lightning steps the scheduler: one-cycle at every step, the others at every epoch."""

    def make(optimizer: torch.optim.Optimizer, trainer: L.Trainer) -> dict[str, Any] | None:
        if cfg.scheduler._target_ is None:
            return None
        if cfg.scheduler._target_.endswith(".OneCycleLR"):
            steps = int(trainer.estimated_stepping_batches)
            return {"scheduler": instantiate(cfg.scheduler, optimizer, total_steps=steps), "interval": "step"}
        return {"scheduler": instantiate(cfg.scheduler, optimizer), "monitor": cfg.objective.metric}

    return make


def device_name(cfg: Config) -> str:
    """What a run is trained on: `cpu`, or a GPU's name."""
    wanted = cfg.trainer.accelerator in ("auto", "gpu", "cuda")
    return torch.cuda.get_device_name() if wanted and torch.cuda.is_available() else "cpu"


def wandb_config(values: Any, record: Record) -> dict[str, Any]:
    """A W&B run's config: the resolved values, the key, and where the run comes from."""
    git = record.provenance["git"] or {}
    source = record.provenance | {"git": {name: git.get(name) for name in ("sha", "dirty")}}
    return {**values, "key": record.key, "provenance": source}


def _tracker(cfg: Config, folder: Path, config: DictConfig, record: Record) -> Tracker:
    values = wandb_config(OmegaConf.to_container(config, resolve=True), record)
    name, run_id = run_name(record.overrides, record.key), record.wandb.get("id")
    tracker = track(folder, cfg.tracking, values, name=name, group=cfg.sweep.name, run_id=run_id)
    record.wandb = dict(tracker.info)
    return tracker


def told(record: Record) -> dict[str, Any]:
    """What W&B's summary cannot know from the history: it keeps each metric's own best value by itself."""
    tested = {name: value for name, value in record.metrics.items() if name.startswith("test/")}
    return tested | {"objective": record.objective, "best_epoch": record.timing["best_epoch"]}


def _ended_badly(folder: Path, record: Record, error: BaseException, main: bool) -> None:
    """A run that raises ends as failed; one that was interrupted can go on, so it is running still."""
    if not isinstance(error, Interrupted | KeyboardInterrupt):
        record.status = "failed"
    record.error = f"{type(error).__name__}: {error}"
    if main:
        records.write(folder, record)


def _refuse_if_alive(record: Record, folder: Path) -> None:
    """Two processes in one folder would write over each other; those of one DDP run share it."""
    source, pid = record.provenance, int(record.provenance.get("pid", 0))
    if record.error is not None or source.get("host") != os.uname().nodename or "LOCAL_RANK" in os.environ:
        return
    if pid != os.getpid() and _alive(pid):
        law = f"{folder} is still being trained"
        raise ConfigError(law, f"process {pid} on {source['host']}", f"kill {pid}, then resume")


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid > 0
