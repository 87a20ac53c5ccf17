"""What a person sees while a run or a sweep trains."""

import time
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from src.record import Record, Row

_LINES = 10  # about as many lines for a run where there is no terminal
_REFRESH_SECONDS = 0.1


class Progress:
    """A bar over the epochs in a terminal, about ten plain lines elsewhere.

    Args:
        metric: the objective's metric.
        max_epochs: None where the run ends by steps or time.
        console: where to show it.
    """

    def __init__(self, metric: str, max_epochs: int | None, console: Console) -> None:
        self._metric = metric
        self._max_epochs = max_epochs if max_epochs and max_epochs > 0 else None
        self._console = console
        self._next = 0.0
        self._bar: Bar | None = None
        if console.is_terminal:
            columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[told]}")
            self._bar = Bar(*columns, TimeRemainingColumn(), console=console, auto_refresh=False)
            self._task = self._bar.add_task("training", total=self._max_epochs, told="")
            self._bar.start()

    def show(self, row: Row, best: float | None) -> None:
        """Tells of an epoch that has ended, unless one was told of a moment ago."""
        epoch, now = int(row["epoch"]) + 1, time.perf_counter()
        if self._bar is not None:
            if now >= self._next or epoch == self._max_epochs:
                told = f"epoch {epoch}  {self._metric} {row.get(self._metric, best or 0):.4g}  best {best or 0:.4g}"
                self._bar.update(self._task, completed=epoch, told=told, refresh=True)
                self._next = now + _REFRESH_SECONDS
        elif epoch == 1 or epoch % max((self._max_epochs or 0) // _LINES, 1) == 0:
            metrics = {name: value for name, value in row.items() if name.endswith("/loss")}
            told = "  ".join(f"{name} {value:.4g}" for name, value in metrics.items())
            self._console.print(f"epoch {epoch:>{len(str(self._max_epochs))}}  {told}", highlight=False)

    def close(self) -> None:
        """Leaves the bar as it stands."""
        if self._bar is not None:
            self._bar.stop()


class SweepProgress:
    """One bar for a whole sweep in a terminal; elsewhere a line for every trial that has ended.

    Args:
        metric: the objective's metric.
        num_trials: of the sweep.
        num_ended: how many of them ended in an earlier launch.
        console: where to show it.
    """

    def __init__(self, metric: str, num_trials: int, num_ended: int, console: Console) -> None:
        self._metric, self._num_trials, self._num_ended = metric, num_trials, num_ended
        self._console = console
        self._size, self._max_epochs, self._next = 1, 1, 0.0
        self._bar: Bar | None = None
        if console.is_terminal:
            columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[told]}")
            self._bar = Bar(*columns, TimeRemainingColumn(), console=console, auto_refresh=False)
            self._task = self._bar.add_task(f"{num_trials} trials", total=num_trials, completed=num_ended, told="")
            self._bar.start()

    def start_stack(self, size: int, max_epochs: int | None) -> None:
        """Tells of a stack that begins to train."""
        self._size, self._max_epochs = size, max(max_epochs or 1, 1)
        if self._bar is None:
            self._console.print(f"training {size} trials as one stack", highlight=False)

    def show_epoch(self, epoch: int, best: float) -> None:
        """Tells of an epoch of a stack: the share of its epochs counts as a share of its trials."""
        now = time.perf_counter()
        if self._bar is not None and now >= self._next:
            share = self._size * (epoch + 1) / self._max_epochs
            told = f"epoch {epoch + 1}/{self._max_epochs} of {self._size} in a stack  best {self._metric} {best:.4g}"
            self._bar.update(self._task, completed=min(self._num_ended + share, self._num_trials), told=told)
            self._bar.refresh()
            self._next = now + _REFRESH_SECONDS

    def trial_ended(self, record: Record, overrides: Sequence[str]) -> None:
        """Tells of a trial that has ended."""
        self._num_ended += 1
        if self._bar is not None:
            self._bar.update(self._task, completed=self._num_ended, refresh=self._num_ended == self._num_trials)
            return
        came_out = record.error if record.objective is None else f"{self._metric} {record.objective:.4g}"
        name = " ".join(overrides) or record.key
        self._console.print(
            f"{self._num_ended:>{len(str(self._num_trials))}}/{self._num_trials} {record.status}  {name}  {came_out}",
            highlight=False, soft_wrap=True, markup=False,
        )  # fmt: skip

    def close(self) -> None:
        """A stack has ended; the bar stays for the next one."""

    def end(self) -> None:
        """Leaves the bar as it stands."""
        if self._bar is not None:
            self._bar.stop()
