"""Trains a run and leaves its record: `fit` for one that begins, `resume` for one that was stopped."""

import logging
import time
from contextlib import closing, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from src import naming, ranks
from src import record as records
from src.again import as_it_stood
from src.build import Run, build, device_name, early_stopping, num_parameters
from src.callbacks import callbacks_in, own_callbacks, score_anew
from src.check import check
from src.checkpoints import history_in, settle
from src.commands import command
from src.config import Config
from src.consistency import FILES, changed, check_files, opened, seal
from src.durable import flush
from src.errors import ConfigError, Interrupted, disk_problem
from src.groups import TARGETS
from src.metric_names import split_of
from src.overrides import written
from src.ownership import owned
from src.places import here, place, rebased
from src.progress import Progress
from src.provenance import provenance
from src.record import Prune, Record
from src.record_check import digest_of
from src.run_journal import RunJournal
from src.secrecy import hidden, stored
from src.signals import stoppable
from src.summary import run_summary
from src.tracking import NullTracker, Tracker, called_as_stored, new_id, run_name, track

log = logging.getLogger(__name__)


def fit(
    cfg: Config,
    folder: Path,
    config: DictConfig,
    overrides: list[str],
    quiet: bool = False,
    prune: Prune | None = None,
    wandb_id: str | None = None,
) -> Record:
    """Trains one run in its folder.

    Args:
        cfg: the checked config.
        folder: the run folder.
        config: the same config as Hydra composed it, for the tracker.
        overrides: what the user typed.
        quiet: print nothing, as one of many.
        prune: drops a trial that falls behind.
        wandb_id: the W&B run's; None makes a new one.

    Returns:
        The record, as it is on disk.

    Raises:
        ConfigError: where the config cannot be built.
        Interrupted: where a signal stopped the run.
    """
    record = Record(naming.key(cfg), overrides, wandb={"id": wandb_id})
    with owned(folder):
        return _fit(cfg, folder, config, record, None, quiet, prune)


def resume(folder: Path, quiet: bool = False, prune: Prune | None = None) -> Record:
    """Goes on with a run that was stopped, from its last checkpoint, under its W&B id.

    Raises:
        ConfigError: where the folder holds no run, one that is still going on, or not one state of one run.
    """
    record, config = opened(folder)
    if record.has_ended:
        _mend_history(folder, record)
        check_files(folder, record, "history", "best", "last")
        run_summary(record, folder, Console(quiet=quiet))
        return record
    if record.stack is not None:
        law = f"{folder.name} is a trial of a sweep and goes on with it"
        raise ConfigError(law, remedy=command("resume", place(folder.parent)))
    config = as_it_stood(config, folder)
    cfg = check(config)
    with owned(folder):
        record = records.read(folder)  # it may have ended before it was ours
        checkpoint = settle(folder, record.key)
        record.status, record.error = "running", None
        return _fit(cfg, folder, config, record, checkpoint, quiet, prune)


def _mend_history(folder: Path, record: Record) -> None:
    """Writes the history of a run that has ended again, where its last checkpoint has what the record says of it."""
    if "metrics.csv" not in changed(folder, record, "history", "last"):
        return
    text = history_in(folder / "checkpoints" / "last.ckpt")
    if text is not None and digest_of(text.encode()) == record.digests["history"]:
        records.replace_file(folder / "metrics.csv", text)
        log.warning(f"{folder}/metrics.csv was not what the run left: it is written again from last.ckpt")


def _fit(
    cfg: Config,
    folder: Path,
    config: DictConfig,
    record: Record,
    checkpoint: Path | None,
    quiet: bool,
    prune: Prune | None,
) -> Record:
    started = time.perf_counter()
    main = ranks.RANK == 0  # only one of several processes writes
    record.timing = {"started": record.timing.get("started") or records.now()}
    record.provenance = provenance({"seed": cfg.seed, "data.seed": cfg.data.seed}, device_name(cfg))
    tracker: Tracker = NullTracker()
    with stoppable(command("train", written("resume", place(folder)))):
        try:
            if main:
                record.wandb = wandb_identity(cfg, record)
                seal(folder, record, "config")
                records.write(folder, record)
                tracker = _tracker(cfg, folder, config, record)
                records.write(folder, record)
            console = Console(quiet=quiet or not main)
            with closing(Progress(cfg.objective.metric, cfg.trainer.max_epochs, console)) as progress:
                journal = RunJournal(folder, record.key, cfg, tracker, progress, prune)
                _train(cfg, folder, record, journal, checkpoint)
        except BaseException as error:
            with suppress(OSError) if disk_problem(error) else nullcontext():
                _ended_badly(folder, record, error, main)
            with suppress(OSError) if disk_problem(error) else nullcontext():
                _end_tracking(folder, record, tracker, {})
            raise
        record.timing |= {"seconds": round(time.perf_counter() - started, 3), "ended": records.now()}
        if main:
            seal(folder, record, *FILES)
            flush(folder / name for name in FILES.values())
            records.write(folder, record)
    if main:
        with stoppable(command("sync", place(folder))):  # an upload is waited for
            _end_tracking(folder, record, tracker, told(record))
        run_summary(record, folder, Console(quiet=quiet))
    return record


def _train(cfg: Config, folder: Path, record: Record, journal: RunJournal, checkpoint: Path | None) -> None:
    """Fits, tests the best checkpoint, and puts what came out into the record."""
    trained = _where_it_trains(cfg)
    run = build(trained, [*own_callbacks(trained), journal, *early_stopping(cfg)], folder)
    run.module.watched = journal.is_watched = bool(cfg.callbacks)
    with journal.stoppable(), callbacks_in(cfg):
        run.trainer.fit(run.module, datamodule=run.data, ckpt_path=checkpoint, weights_only=True)
    record.timing |= journal.timing() | {"best_epoch": journal.best.get("epoch")}
    record.metrics = {**journal.best, "num_parameters": num_parameters(run.module.net)}
    record.objective = journal.best.get(cfg.objective.metric)
    record.status = "pruned" if journal.pruned else "finished" if journal.diverged_at is None else "diverged"
    if journal.diverged_at is not None:
        record.error = f"train/loss is not finite in epoch {journal.diverged_at}"
    if journal.best_checkpoint.is_file():
        record.checkpoint = str(journal.best_checkpoint.relative_to(folder))
        if cfg.callbacks:
            record.metrics |= score_anew(cfg, run, str(journal.best_checkpoint), journal.best)
        elif len(run.data.split("test")[0]):
            record.metrics |= _test(run, journal.best_checkpoint)


def _where_it_trains(cfg: Config) -> Config:
    """The config whose files are found in the run folder too, where `hydra.job.chdir` trains it."""
    if here() == Path.cwd():
        return cfg
    groups: dict[str, Any] = {name: OmegaConf.to_container(getattr(cfg, name)) for name in TARGETS}
    for name, group in groups.items():
        groups[name] = DictConfig(rebased(group, here()))
    return replace(cfg, **groups)


def _test(run: Run, checkpoint: Path) -> dict[str, float]:
    run.trainer.test(run.module, run.data, ckpt_path=checkpoint, verbose=False, weights_only=True)
    return run.module.metrics


def wandb_config(values: Any, record: Record) -> dict[str, Any]:
    """A W&B run's config: the resolved values, the key, and where the run comes from."""
    git = record.provenance["git"] or {}
    source = record.provenance | {"git": {name: git.get(name) for name in ("sha", "dirty")}}
    return {**values, "key": record.key, "provenance": source}


def wandb_identity(cfg: Config, record: Record) -> dict[str, str | None]:
    """What the record keeps of a W&B run before there is one: killed at any moment, it goes on under the same id."""
    mode = cfg.tracking.mode
    run_id = record.wandb.get("id") or (new_id() if mode != "disabled" else None)
    return {"mode": mode, "id": run_id, "group": cfg.sweep.name, "url": None}


def _tracker(cfg: Config, folder: Path, config: DictConfig, record: Record) -> Tracker:
    kept = stored(config)
    values, settings = wandb_config(kept, record), called_as_stored(cfg.tracking, kept)
    name, run_id = run_name(record.overrides, record.key), record.wandb.get("id")
    identity = {"name": name, "group": cfg.sweep.name, "run_id": run_id, "notes": record.provenance["command"]}
    tracker = track(folder, settings, values, **identity)
    record.wandb = dict(tracker.info)
    return tracker


def _end_tracking(folder: Path, record: Record, tracker: Tracker, summary: dict[str, Any]) -> None:
    """Ends the W&B run; the record then says whether it has arrived."""
    model = folder / record.checkpoint if record.checkpoint else None
    tracker.finish(summary, exit_code=int(record.status not in ("finished", "pruned")), model=model)
    if isinstance(tracker, NullTracker) or record.wandb == tracker.info:
        return
    record.wandb = dict(tracker.info)
    records.write(folder, record)


def told(record: Record) -> dict[str, Any]:
    """What W&B's summary cannot know from the history: it keeps each metric's own best value by itself."""
    tested = {name: value for name, value in record.metrics.items() if split_of(name) == "test"}
    return tested | {"objective": record.objective, "best_epoch": record.timing["best_epoch"]}


def _ended_badly(folder: Path, record: Record, error: BaseException, main: bool) -> None:
    """A run that raises ends as failed; one that was interrupted, or has no room, can go on: it is running still."""
    if not isinstance(error, Interrupted) and not disk_problem(error):
        record.status, record.timing["ended"] = "failed", records.now()
    record.error = hidden(f"{type(error).__name__}: {error}")
    if main:
        records.write(folder, record)
