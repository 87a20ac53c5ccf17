"""What a person sees while a run or a sweep trains."""

import logging
import math
import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from src.record import Record, Row

_LINES = 10  # about as many lines for a run where there is no terminal
_REFRESH_SECONDS = 0.1
_SAVING = 0.1  # share of the bar that stands for writing a trained trial down


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
        if console.is_terminal and not console.quiet:  # a bar of rich's, even a quiet one, takes stdout
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


@dataclass
class _Stack:
    """How far a stack is: its trials, its epochs, and how many trials its training so far counts for."""

    size: int = 0
    max_epochs: int = 1
    unsaved: float = 0.0


class SweepProgress:
    """One bar for a whole sweep in a terminal; elsewhere a line for every trial that has ended.

    Args:
        metric: the objective's metric.
        num_trials: of the sweep.
        num_ended: how many of them ended in an earlier launch.
        console: where to show it.
        direction: of the objective.
        hidden: overrides that are not told of a trial, since all trials have them.
        stays: whether the bar is left standing at the end; that of a round makes room for the next one's.
    """

    def __init__(
        self,
        metric: str,
        num_trials: int,
        num_ended: int,
        console: Console,
        direction: str = "minimize",
        hidden: Collection[str] = (),
        stays: bool = True,
    ) -> None:
        self._metric, self._num_trials, self._num_ended = metric, num_trials, num_ended
        self._console, self._hidden = console, hidden
        self._better = min if direction == "minimize" else max
        self._best: float | None = None
        self._next = 0.0
        self._stacks: dict[int, _Stack] = {0: _Stack()}  # by worker
        self._told = self._stacks[0]
        self._bar: Bar | None = None
        if console.is_terminal:
            self._bar = self._started(console, stays)
            self._show("")

    def turn_to(self, worker: int) -> None:
        """What is told from now on is told of this worker's stack."""
        self._told = self._stacks.setdefault(worker, _Stack())

    def start_stack(self, size: int, max_epochs: int | None) -> None:
        """Tells of a stack that begins to train."""
        self._told.size, self._told.max_epochs, self._told.unsaved = size, max(max_epochs or 1, 1), 0.0
        if self._bar is None:
            self._console.print(f"training {size} trials as one stack", highlight=False)
        self._show(f"a stack of {size}")

    def show_epoch(self, epoch: int, best: float) -> None:
        """Tells of an epoch of a stack: the share of its epochs counts as a share of its trials."""
        if math.isfinite(best):
            self._best = best if self._best is None else self._better(self._best, best)
        if self._bar is not None and time.perf_counter() >= self._next:
            stack = self._told
            stack.unsaved = stack.size * (1 - _SAVING) * min((epoch + 1) / stack.max_epochs, 1)
            self._show(f"epoch {epoch + 1}/{stack.max_epochs}")

    def trial_ended(self, record: Record, overrides: Sequence[str]) -> None:
        """Tells of a trial that has ended."""
        self._num_ended += record.has_ended or record.status == "failed"
        if record.objective is not None:
            self._best = record.objective if self._best is None else self._better(self._best, record.objective)
        if self._bar is not None:
            if self._told.size:  # the trials of a stack that has trained are written down one after another
                self._told.unsaved = max(self._told.unsaved - (1 - _SAVING), 0)
            if time.perf_counter() >= self._next or self._num_ended == self._num_trials:
                self._show("saving" if self._told.unsaved else "")
            return
        came_out = record.error if record.objective is None else f"{self._metric} {record.objective:.4g}"
        name = " ".join(text for text in overrides if text not in self._hidden) or record.key
        self._console.print(
            f"{self._num_ended:>{len(str(self._num_trials))}}/{self._num_trials} {record.status}  {name}  {came_out}",
            highlight=False, soft_wrap=True, markup=False,
        )  # fmt: skip

    def stack_trained(self) -> None:
        """A stack has trained, and its trials are about to be written down."""
        self._told.unsaved = self._told.size * (1 - _SAVING)

    def give_up(self) -> None:
        """A stack will not go on as it is."""
        self._told.unsaved = 0.0

    def end(self) -> None:
        """Leaves the bar as it stands."""
        if self._bar is not None:
            self._show("")
            self._bar.stop()
            for handler in self._handlers:
                handler.setStream(self._stream)

    def _started(self, console: Console, stays: bool) -> Bar:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(None),
            TextColumn("{task.fields[told]}"),
            TimeRemainingColumn(),
        )
        bar = Bar(*columns, console=console, auto_refresh=False, expand=True, transient=not stays)
        self._task = bar.add_task("", total=self._num_trials, completed=self._num_ended, told="")
        # Lines that are logged meanwhile go above the bar, as rich's own stand-in for stdout puts them.
        self._stream = sys.stdout
        streams = [handler for handler in logging.root.handlers if isinstance(handler, logging.StreamHandler)]
        self._handlers = [handler for handler in streams if handler.stream is sys.stdout]
        bar.start()
        for handler in self._handlers:
            handler.setStream(sys.stdout)
        return bar

    def _show(self, doing: str) -> None:
        if self._bar is None:
            return
        best = "" if self._best is None else f"best {self._metric} {self._best:.4g}"
        self._bar.update(
            self._task,
            completed=self._num_ended + sum(stack.unsaved for stack in self._stacks.values()),
            description=f"{self._num_ended}/{self._num_trials} trials",
            told="  ".join(part for part in (doing, best) if part),
            refresh=True,
        )
        self._next = time.perf_counter() + _REFRESH_SECONDS
