"""What frames a sweep, however often its sweeper launches: one owner, signals, and a common end."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from src.config import Config
from src.record import Record
from src.summary import short, sweep_summary
from src.sweep.folder import sole_owner
from src.sweep.signals import stoppable

if TYPE_CHECKING:
    from src.report.write import Report

log = logging.getLogger(__name__)
_open: set[Path] = set()


@contextmanager
def session(sweep: Path, resume: str) -> Iterator[None]:
    """Holds the sweep folder and listens to signals; a launch within a sweeper's session is part of it.

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
    with sole_owner(sweep), stoppable(resume):
        _open.add(sweep)
        try:
            yield
        finally:
            _open.remove(sweep)


def end_sweep(sweep: Path, cfg: Config, records: Sequence[Record], more: Sequence[str] = ()) -> None:
    """Writes the report and says what came out.

    Args:
        sweep: the sweep folder.
        cfg: the config of any trial.
        records: of the trials that were asked for.
        more: commands to type next.
    """
    report = _report(sweep)
    told = report.sweeps[0].records if report else records  # all that lie in the folder
    sweep_summary(told, cfg.objective, sweep, Console(), report.page if report else None, more)


def _report(sweep: Path) -> "Report | None":
    """Writes the sweep's report; None where that fails, since the trials are worth more."""
    try:
        from src.report.write import write_report  # plotly is slow to import

        return write_report([sweep])
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        log.warning(f"the report was not written: {reason}; python -m src.report {short(sweep)}")
        return None
