"""What a person sees when a run or a sweep has ended: what came out, where it lies, what to type next."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from src.again import score, sweep_around, train_again
from src.commands import command, which_python
from src.config import Objective
from src.places import place, short
from src.ranking import Setting, best_trial, ranked, shown, spread
from src.record import Record

SPLITS = ("train", "val", "test")
SHOWN = 10  # settings of a sweep


def metrics_table(metrics: Mapping[str, float | None], title: str) -> Table:
    """Splits as rows, their metrics as columns, from names such as `val/loss`."""
    splits = sorted({name.split("/")[0] for name in metrics if "/" in name}, key=" ".join(SPLITS).find)
    names = list(dict.fromkeys(name.split("/")[1] for name in metrics if "/" in name))
    table = _table(title, "split", *names)
    for split in splits:
        values = [metrics.get(f"{split}/{name}") for name in names]
        table.add_row(split, *("" if value is None else f"{value:.4f}" for value in values))
    return table


def run_summary(record: Record, folder: Path, console: Console) -> None:
    """The end of a run."""
    measured = {name: value for name, value in record.metrics.items() if name.split("/")[0] in SPLITS}
    seconds = record.timing["seconds"]
    title = f"{record.status} in {seconds:.1f} s, best epoch {record.timing['best_epoch']}"
    console.print(metrics_table(measured, title))
    last = record.wandb.get("url") or command("train", "--help")
    next_commands = [
        *([score(folder, record)] if record.checkpoint else []),
        sweep_around(folder, record),
        command("sync", place(folder)) if record.wandb.get("mode") == "offline" else last,
    ]
    next_steps(folder, next_commands, console)


def sweep_summary(
    records: Sequence[Record],
    objective: Objective,
    folder: Path,
    console: Console,
    page: Path | None = None,
    more: Sequence[str] = (),
) -> None:
    """The end of a sweep: its best settings, each with its mean and standard deviation over seeds.

    Args:
        records: of every trial.
        objective: what they are compared by.
        folder: the sweep folder.
        console: where it is shown.
        page: the sweep's report, if it was written.
        more: commands to type next, before those that every sweep has.
    """
    settings = ranked(records, objective)
    console.print(settings_table(settings, objective.metric, states(records)))
    if len(settings) > SHOWN:
        console.print(f"and {len(settings) - SHOWN} more settings", highlight=False)
    commands = []
    if best := best_trial(settings[0], objective) if settings else None:
        commands = [train_again(folder / best.key, best), score(folder / best.key, best)]
    next_steps(folder, [*more, *commands], console, page)


def settings_table(settings: Sequence[Setting], metric: str, title: str) -> Table:
    """The best settings: their trials, objective (mean ± deviation, 95 % interval of the mean) and mean test R²."""
    tested = any("test/r2" in trial.metrics for setting in settings for trial in setting.trials)
    scores = [metric, "95 % interval", *(["test/r2"] if tested else [])]
    table = _table(title, "setting", "trials", *scores)
    for setting in settings[:SHOWN]:
        r2 = spread(trial.metrics.get("test/r2") for trial in setting.trials)
        cells = [_count(setting), str(setting.score), setting.score.interval]
        cells += ["" if r2.mean is None else shown(r2.mean)] if tested else []
        table.add_row(Text(printable(setting.short)), *cells)
    return table


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


def printable(text: str) -> str:
    """Text without what a terminal would take for a command."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=Text(title, style="bold"), title_justify="left", title_style="bold")  # a name is no markup
    table.add_column(columns[0], overflow="fold", min_width=12)
    for name in columns[1:]:
        table.add_column(Text(name), justify="right", no_wrap=True)
    return table


def next_steps(folder: Path, commands: Sequence[str], console: Console, page: Path | None = None) -> None:
    """Where a run or a sweep lies, and what to type next."""
    lines = ["", str(short(folder))]
    if page is not None:
        lines.append(f"report: {short(page)}")
    if commands and (python := which_python()):
        lines.append(f"python is {python}")
    if commands:
        lines += ["next:", *(f"  {text}" for text in commands)]
    for line in lines:
        console.print(Text(line), soft_wrap=True)  # what is markup or an emoji to rich is a folder's name
