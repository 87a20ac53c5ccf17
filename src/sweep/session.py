"""What frames a sweep, however often its sweeper launches: one owner, signals, and a common end."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf
from rich.console import Console

from src.commands import command
from src.config import Config
from src.ownership import owned
from src.places import place
from src.ranking import Setting, ranked
from src.record import Record, read_config
from src.signals import stoppable
from src.summary import sweep_summary
from src.sweep.folder import say_sweep_ended, sweep_ended
from src.sweep_tracking import settle, track_sweep
from src.tracking import called_as_stored
from src.upload import Upload, shared_upload

if TYPE_CHECKING:
    from src.report.write import Report

log = logging.getLogger(__name__)
_open: dict[Path, Upload] = {}


@contextmanager
def session(sweep: Path, resume: str) -> Iterator[None]:
    """Holds the sweep folder, listens to signals and uploads; a launch within a sweeper's session is part of it.

    Args:
        sweep: the sweep folder.
        resume: the command that goes on with the sweep.

    Raises:
        ConfigError: where another process works in the folder.
        Interrupted: where a signal stopped the sweep.
    """
    if sweep in _open:
        yield
        return
    with owned(sweep, "sweep.name"), stoppable(resume), shared_upload(sweep) as upload:
        _open[sweep] = upload
        try:
            yield
        finally:
            del _open[sweep]


def end_sweep(
    sweep: Path,
    cfg: Config,
    records: Mapping[str, Record],
    more: Sequence[str] = (),
    keep_best: Callable[[Setting], str] | None = None,
) -> None:
    """Writes the report, says what came out, and ends the tracking; within a session.

    It is done again, by the command that goes on with the sweep, until `sweep.json` says that all of it is done: the
    report is written anew, and the sweep's run in W&B is the same one.

    Args:
        sweep: the sweep folder.
        cfg: the config of any trial.
        records: of the trials that were asked for, by their keys.
        more: commands to type next.
        keep_best: writes the best setting down, if all its trials finished, and returns a command to type next.
    """
    report = _report(sweep)
    told = report.sweeps[0].records if report else list(records.values())  # all that lie in the folder
    settings = ranked(told, cfg.objective)
    if keep_best is not None and settings and settings[0].is_whole:
        more = [*more, keep_best(settings[0])]
    importances = report.sweeps[0].importances if report else None
    sweep_summary(told, cfg.objective, sweep, Console(), report.page if report else None, more, importances)
    files = [report.page, report.table_files[0]] if report else []
    try:
        is_new, mode = not sweep_ended(sweep, told), cfg.tracking.mode
        if is_new and mode != "disabled":
            columns, rows = _table(settings, cfg.objective.metric)
            best = dict(zip(columns, rows[0], strict=True)) if rows else {}
            tracking = called_as_stored(cfg.tracking, OmegaConf.to_container(read_config(sweep / next(iter(records)))))
            told_to = track_sweep(sweep, tracking, cfg.sweep.name or sweep.name, best, columns, rows, files)
            mode = "failed" if told_to["mode"] == "disabled" else mode
        settle(sweep, cfg.tracking, {sweep / key: record for key, record in records.items()}, _open[sweep])
        if is_new and report and mode != "failed":
            say_sweep_ended(sweep, told)
    except Exception as error:  # the trials have come out, whatever goes wrong here
        log.warning(f"W&B: {error}; the sweep's records have everything")


def _table(settings: Sequence[Setting], metric: str) -> tuple[list[str], list[list[Any]]]:
    """What W&B is told of the settings: the same numbers as the report's."""
    columns = ["setting", "trials", *(f"{metric} {name}" for name in ("mean", "std", "low", "high"))]
    scores = [(setting, setting.score) for setting in settings]
    return columns, [[setting.name, s.num, s.mean, s.std, s.low, s.high] for setting, s in scores]


def _report(sweep: Path) -> "Report | None":
    """Writes the sweep's report; None where that fails, since the trials are worth more."""
    try:
        from src.report.write import write_report  # plotly is slow to import

        return write_report([sweep])
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        log.warning(f"the report was not written: {reason}; {command('report', place(sweep))}")
        return None
