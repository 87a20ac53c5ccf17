"""What a person sees while a run trains and when it has ended."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress as Bar, TextColumn, TimeRemainingColumn
from rich.table import Table

from src.record import Record, Row

_LINES = 10  # about as many lines for a run where there is no terminal
_REFRESH_SECONDS = 0.1
_SPLIT_ORDER = "train val test"


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


def metrics_table(metrics: Mapping[str, float | None], title: str) -> Table:
    """Splits as rows, their metrics as columns, from names such as `val/loss`."""
    splits = sorted({name.split("/")[0] for name in metrics if "/" in name}, key=_SPLIT_ORDER.find)
    names = list(dict.fromkeys(name.split("/")[1] for name in metrics if "/" in name))
    table = Table("split", title=title, title_justify="left", title_style="bold")
    for name in names:
        table.add_column(name, justify="right")
    for split in splits:
        values = [metrics.get(f"{split}/{name}") for name in names]
        table.add_row(split, *("" if value is None else f"{value:.4f}" for value in values))
    return table


def short(folder: Path) -> Path:
    """The folder as a user would type it: relative to where they stand, if it lies below."""
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder


def summary(record: Record, folder: Path, console: Console) -> None:
    """The end of a run: what came out, where it lies, and what to type next."""
    shown = {name: value for name, value in record.metrics.items() if name.split("/")[0] in ("train", "val", "test")}
    seconds, folder = record.timing["seconds"], short(folder)
    console.print(metrics_table(shown, f"{record.status} in {seconds:.1f} s, best epoch {record.timing['best_epoch']}"))
    console.print(f"\n{folder}", soft_wrap=True, highlight=False)
    commands = [
        f"python -m src.evaluate run={folder}",
        "python -m src.train -m optimizer.lr=1e-3,1e-2 model.hidden_dim=32,128",
    ]
    if record.wandb.get("mode") == "offline":
        commands.append(f"wandb sync {folder}/wandb/offline-run-*")
    else:
        commands.append("python -m src.train --help")
    console.print("next:", *commands, sep="\n  ", soft_wrap=True, highlight=False, markup=False)
