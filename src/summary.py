"""What a person sees when a run or a sweep has ended: what came out, where it lies, what to type next."""

import math
import re
import shlex
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev

from rich.console import Console
from rich.table import Table
from rich.text import Text

from src.config import Objective
from src.naming import setting
from src.record import Record

_SPLITS = "train val test"
_SHOWN = 10  # settings of a sweep


def short(folder: Path) -> Path:
    """The folder as a user would type it: relative to where they stand, if it lies below."""
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder


def metrics_table(metrics: Mapping[str, float | None], title: str) -> Table:
    """Splits as rows, their metrics as columns, from names such as `val/loss`."""
    splits = sorted({name.split("/")[0] for name in metrics if "/" in name}, key=_SPLITS.find)
    names = list(dict.fromkeys(name.split("/")[1] for name in metrics if "/" in name))
    table = _table(title, "split", *names)
    for split in splits:
        values = [metrics.get(f"{split}/{name}") for name in names]
        table.add_row(split, *("" if value is None else f"{value:.4f}" for value in values))
    return table


def run_summary(record: Record, folder: Path, console: Console) -> None:
    """The end of a run."""
    shown = {name: value for name, value in record.metrics.items() if name.split("/")[0] in _SPLITS.split()}
    seconds, folder = record.timing["seconds"], short(folder)
    title = f"{record.status} in {seconds:.1f} s, best epoch {record.timing['best_epoch']}"
    console.print(metrics_table(shown, title))
    upload = f"wandb sync {folder}/wandb/offline-run-*"
    next_commands = [
        *([f"python -m src.evaluate run={folder}"] if record.checkpoint else []),
        "python -m src.train -m optimizer.lr=1e-4,1e-3,1e-2 seed='range(16)'",
        upload if record.wandb.get("mode") == "offline" else "python -m src.train --help",
    ]
    next_steps(folder, next_commands, console)


def sweep_summary(
    records: Sequence[Record], objective: Objective, folder: Path, console: Console, more: Sequence[str] = ()
) -> None:
    """The end of a sweep: its best settings, each with its mean and standard deviation over seeds.

    Args:
        records: of its trials.
        objective: what they are judged by.
        folder: the sweep folder.
        console: where to say it.
        more: commands to type next, before those that every sweep has.
    """
    states = Counter(record.status for record in records)
    title = f"{len(records)} trials: " + ", ".join(f"{count} {state}" for state, count in states.most_common())
    scores = [objective.metric, *(["test/r2"] if any("test/r2" in record.metrics for record in records) else [])]
    table = _table(title, "setting", "seeds", *scores)
    settings = ranked(records, objective)
    for name, trials in settings[:_SHOWN]:
        values = [[trial.objective for trial in trials], [trial.metrics.get("test/r2") for trial in trials]]
        table.add_row(Text(rounded(name)), _count(trials), *map(_spread, values[: len(scores)]))
    console.print(table)
    if len(settings) > _SHOWN:
        console.print(f"and {len(settings) - _SHOWN} more settings", highlight=False)
    commands = [f"python -m src.resume {shlex.quote(str(short(folder)))}"] if states["failed"] else []
    if best := _best_trial(settings, objective):
        run = shlex.quote(f"run={short(folder)}/{best.key}")
        commands = [train_again(best.overrides), f"python -m src.evaluate {run}", *commands]
    next_steps(folder, [*more, *commands], console)


def _best_trial(settings: Sequence[tuple[str, list[Record]]], objective: Objective) -> Record | None:
    """The best trial of the best setting."""
    known = [trial for trial in (settings[0][1] if settings else []) if trial.objective is not None]
    sign = 1 if objective.direction == "minimize" else -1
    return min(known, key=lambda trial: sign * (trial.objective or 0), default=None)


def ranked(records: Sequence[Record], objective: Objective) -> list[tuple[str, list[Record]]]:
    """Trials that differ in their seed alone, under what sets them apart from the others, the best mean first.

    Settings of which a trial failed, diverged or was pruned come after those of which all finished.
    """
    hidden = same_for_all([record.overrides for record in records])
    settings: dict[tuple[str, ...], list[Record]] = {}
    for record in records:
        settings.setdefault(setting(record.overrides), []).append(record)
    sign = 1 if objective.direction == "minimize" else -1

    def rank(trials: list[Record]) -> tuple[bool, float]:
        values = [trial.objective for trial in trials if trial.objective is not None]
        unfinished = any(trial.status != "finished" for trial in trials)
        return unfinished, sign * mean(values) if values else math.inf

    named = [(" ".join(text for text in texts if text not in hidden), trials) for texts, trials in settings.items()]
    return sorted(((name or "all", trials) for name, trials in named), key=lambda setting: rank(setting[1]))


def _count(trials: Sequence[Record]) -> str:
    known = sum(trial.objective is not None for trial in trials)
    return str(known) if known == len(trials) else f"{known} of {len(trials)}"


def same_for_all(overrides: Sequence[Sequence[str]]) -> set[str]:
    """Overrides that do not tell one trial of a sweep from another, or are no part of what is trained."""
    every = {text for texts in overrides for text in texts}
    shared = set(overrides[0]).intersection(*overrides) if len(overrides) > 1 else set()
    return shared | {text for text in every if BOOKKEEPING.match(text)}


BOOKKEEPING = re.compile(r"\+*(tracking|sweep|resume|hydra|checkpoint)\b")


def rounded(name: str) -> str:
    """A setting's name with long numbers cut to four digits, as a search draws them."""
    return re.sub(
        r"(?<![\w.])-?\d*\.?\d+(e-?\d+)?(?![\w.])", lambda n: f"{float(n[0]):.4g}" if len(n[0]) > 8 else n[0], name
    )


def train_again(overrides: Sequence[str]) -> str:
    """The command for one run with a setting, as it can be pasted into a shell."""
    found = [word for word in sys.argv[1:] if word.startswith(("hydra.searchpath=", "--config-dir="))]
    chosen = [text for text in setting(overrides) if not BOOKKEEPING.match(text)]
    return shlex.join(["python", "-m", "src.train", *found, *chosen])


def _spread(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return ""
    return f"{mean(known):.4f}" + (f" ± {stdev(known):.4f}" if len(known) > 1 else "")


def _table(title: str, *columns: str) -> Table:
    table = Table(columns[0], title=title, title_justify="left", title_style="bold")
    for name in columns[1:]:
        table.add_column(name, justify="right")
    return table


def next_steps(folder: Path, commands: Sequence[str], console: Console) -> None:
    """Where a run or a sweep lies, and what to type next."""
    folder = short(folder)
    console.print(f"\n{folder}", soft_wrap=True, highlight=False)
    console.print("next:", *commands, sep="\n  ", soft_wrap=True, highlight=False, markup=False)
