"""What a person sees when a run or a sweep has ended: what came out, where it lies, what to type next."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from src.again import score, sweep_around, train_again
from src.commands import command, which_python
from src.config import Objective
from src.data.split import SPLITS
from src.metric_names import MetricName, measured
from src.places import place, short
from src.ranking import Setting, best_trial, ranked, shown, spread
from src.record import Record
from src.secrecy import UNSEEN

if TYPE_CHECKING:
    import polars as pl

SHOWN = 10  # settings of a sweep
_LEAST_WANTED = ("95 % interval", "time", "test/r2")  # of the columns of a table that does not fit


def metric_rows(metrics: Mapping[str, float | None]) -> list[list[str]]:
    """Metrics as cells, the first row names the columns: splits down, or where there are several the targets."""
    names = {MetricName.parse(name): value for name, value in metrics.items()}
    heads = list(dict.fromkeys((name.split, name.target) for name in names))
    heads.sort(key=lambda head: " ".join(SPLITS).find(head[0]))
    columns = list(dict.fromkeys(name.metric for name in names))
    of_targets = any(target for _, target in heads)
    rows = [[heads[0][0] if of_targets else "split", *columns]] if heads else []
    for split, target in heads:
        values = [names.get(MetricName(split, column, target)) for column in columns]
        label = (target or "all targets") if of_targets else split
        rows.append([label, *("" if value is None else shown(value) for value in values)])
    return rows


def metrics_table(metrics: Mapping[str, float | None], title: str, width: int) -> Table:
    """The same as a table of so many columns of a terminal."""
    return fitted(title, metric_rows(metrics) or [["split"]], width)


def run_summary(record: Record, folder: Path, console: Console) -> None:
    """The end of a run."""
    title = f"{record.status} in {duration(time_taken([record]))}{best_epoch(record)}"
    console.print(metrics_table(measured(record.metrics), title, console.width))
    last = record.wandb.get("url") or command("train", "--help")
    next_commands = [
        *([score(folder, record)] if record.checkpoint else []),
        sweep_around(folder, record),
        command("sync", place(folder)) if record.wandb.get("mode") == "offline" else last,
    ]
    next_steps(folder, next_commands, console)


def best_epoch(record: Record) -> str:
    """Such as `, best epoch 14`, counted from 1 as while it trained; nothing where no epoch is best."""
    epoch = record.timing.get("best_epoch")
    return "" if epoch is None else f", best epoch {epoch + 1}"


def sweep_summary(
    records: Sequence[Record],
    objective: Objective,
    folder: Path,
    console: Console,
    page: Path | None = None,
    more: Sequence[str] = (),
    importances: "pl.DataFrame | None" = None,
) -> None:
    """The end of a sweep: its best settings, each with its mean and standard deviation over seeds.

    Args:
        records: of every trial.
        objective: what they are compared by.
        folder: the sweep folder.
        console: where it is shown.
        page: the sweep's report, if it was written.
        more: commands to type next, before those that every sweep has.
        importances: of its parameters, as the report has them.
    """
    settings = ranked(records, objective)
    console.print(settings_table(settings, objective.metric, states(records), console.width))
    if len(settings) > SHOWN:
        console.print(f"and {len(settings) - SHOWN} more settings", highlight=False)
    if importances is not None:
        console.print(importances_table(importances, objective.metric, console.width))
    commands = []
    if best := best_trial(settings[0], objective) if settings else None:
        commands = [train_again(folder / best.key, best), score(folder / best.key, best)]
    next_steps(folder, [*more, *commands], console, page)


def settings_table(settings: Sequence[Setting], metric: str, title: str, width: int) -> Table:
    """The best settings: their trials, objective (mean ± deviation, 95 % interval of the mean) and mean test R²."""
    tested = any("test/r2" in trial.metrics for setting in settings for trial in setting.trials)
    scores = [metric, "95 % interval", *(["test/r2"] if tested else [])]
    rows = [["setting", "trials", *scores]]
    for setting in settings[:SHOWN]:
        r2 = spread(trial.metrics.get("test/r2") for trial in setting.trials)
        cells = [_count(setting), str(setting.score), setting.score.interval]
        cells += ["" if r2.mean is None else shown(r2.mean)] if tested else []
        rows.append([setting.short, *cells])
    return fitted(title, rows, width)


def importances_table(importances: "pl.DataFrame", metric: str, width: int) -> Table:
    """The parameters that matter most, and how much of the objective they explain together."""
    explained = max(float(importances["explained"][0]), 0)
    rows = [["parameter", "importance"]]
    for key, share, _ in importances.head(SHOWN).iter_rows():
        rows.append([key, f"{share:.2f}"])
    return fitted(f"what matters for {metric}: {explained:.0%} of its ranks explained", rows, width)


def states(records: Sequence[Record]) -> str:
    """How many trials there are and what became of them."""
    return f"{len(records)} trials: {_states(records)}"


def _states(records: Sequence[Record]) -> str:
    counts = Counter(record.status for record in records)
    return ", ".join(f"{count} {state}" for state, count in counts.most_common())


def _count(setting: Setting) -> str:
    """How many trials have an objective; below it, what became of those that did not finish."""
    num_trials = len(setting.trials)
    count = str(num_trials) if setting.score.num == num_trials else f"{setting.score.num} of {num_trials}"
    others = [trial for trial in setting.trials if trial.status != "finished"]
    return f"{count}\n{_states(others)}" if others else count


def time_taken(records: Sequence[Record]) -> float | None:
    """Seconds from the first start to the last end; None where no trial says when it started."""
    spans = [span for record in records if (span := record.span)]
    return (max(end for _, end in spans) - min(start for start, _ in spans)).total_seconds() if spans else None


def duration(seconds: float | None) -> str:
    """Such as `0.3 s`, `4 min 10 s` or `2 h 5 min`."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def printable(text: str, keep: str = "") -> str:
    """Text without what a terminal would take for a command."""
    return "".join(letter if letter.isprintable() or letter in keep else "�" for letter in text)


def fitted(title: str, rows: Sequence[Sequence[str]], width: int, num_texts: int = 1) -> Table:
    """Rows as a table that fits a terminal: no number is cut.

    Where room is short it has no lines, then folds cells between words, then lacks what matters least.

    Args:
        title: of the table.
        rows: cells; the first row names the columns.
        width: of the terminal.
        num_texts: how many columns, the first ones, are text that may be folded anywhere.
    """
    for name in _LEAST_WANTED:
        if name in rows[0] and sum(_widths(rows, num_texts, words=True)) + len(rows[0]) > width:
            at = rows[0].index(name)
            rows = [[*row[:at], *row[at + 1 :]] for row in rows]
    is_wide = sum(_widths(rows, num_texts, words=False)) + 3 * len(rows[0]) + 1 <= width
    table = Table(title=Text(title, style="bold"), title_justify="left", title_style="bold")  # a name is no markup
    if not is_wide:
        table.box, table.padding, table.pad_edge = None, (0, 1, 0, 0), False
    least = _widths(rows, num_texts, words=not is_wide)
    for number, name in enumerate(rows[0]):
        is_text = number < num_texts
        table.add_column(
            Text(printable(name)),
            justify="left" if is_text else "right",
            overflow="fold",
            no_wrap=is_wide and not is_text,
            min_width=least[number],
        )
    for row in rows[1:]:
        cells = [printable(cell, keep="" if number < num_texts else "\n") for number, cell in enumerate(row)]
        table.add_row(*map(Text, cells))
    return table


def _widths(rows: Sequence[Sequence[str]], num_texts: int, words: bool) -> list[int]:
    """What each column takes at least: a text a few letters, numbers their longest word or line."""
    found = []
    for number, column in enumerate(zip(*rows, strict=True)):
        parts = [part for cell in column for part in (cell.split() if words else cell.split("\n"))]
        found.append((6 if words else 12) if number < num_texts else max(map(len, parts), default=0))
    return found


def next_steps(folder: Path, commands: Sequence[str], console: Console, page: Path | None = None) -> None:
    """Where a run or a sweep lies, and what to type next."""
    lines = ["", str(short(folder))]
    if folder.resolve() != folder.absolute():
        lines.append(f"which is {folder.resolve()}: a link leads there")
    if page is not None:
        lines.append(f"report: {short(page)}")
    if commands and (python := which_python()):
        lines.append(f"python is {python}")
    if commands:
        lines += ["next:", *(f"  {text}" for text in commands)]
    for line in lines:
        console.print(
            Text(line.translate(UNSEEN)), soft_wrap=True
        )  # what is markup or an emoji to rich is a folder's name
