"""What a person sees when a run or a sweep has ended: what came out, where it lies, what to type next."""

import math
import re
import shlex
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from src.config import Objective
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
    upload = f"python -m src.sync {folder}"
    next_commands = [
        f"python -m src.evaluate run={folder}",
        "python -m src.train -m optimizer.lr=1e-4,1e-3,1e-2 seed='range(16)'",
        upload if record.wandb.get("mode") == "offline" else record.wandb.get("url") or "python -m src.train --help",
    ]
    _end(folder, next_commands, console)


def sweep_summary(records: Sequence[Record], objective: Objective, folder: Path, console: Console) -> None:
    """The end of a sweep: its best settings, each with its mean and standard deviation over seeds."""
    states = Counter(record.status for record in records)
    title = f"{len(records)} trials: " + ", ".join(f"{count} {state}" for state, count in states.most_common())
    scores = [objective.metric, *(["test/r2"] if any("test/r2" in record.metrics for record in records) else [])]
    table = _table(title, "setting", "seeds", *scores)
    settings = ranked(records, objective)
    for name, trials in settings[:_SHOWN]:
        values = [[trial.objective for trial in trials], [trial.metrics.get("test/r2") for trial in trials]]
        table.add_row(Text(name), _count(trials), *map(_spread, values[: len(scores)]))
    console.print(table)
    if len(settings) > _SHOWN:
        console.print(f"and {len(settings) - _SHOWN} more settings", highlight=False)
    commands = [f"python -m src.resume {shlex.quote(str(short(folder)))}"] if states["failed"] else []
    if best := _best_trial(settings, objective):
        run = shlex.quote(f"run={short(folder)}/{best.key}")
        commands = [_train_again(best.overrides), f"python -m src.evaluate {run}", *commands]
    _end(short(folder), commands, console)


def _best_trial(settings: Sequence[tuple[str, list[Record]]], objective: Objective) -> Record | None:
    """The best trial of the best setting."""
    known = [trial for trial in (settings[0][1] if settings else []) if trial.objective is not None]
    sign = 1 if objective.direction == "minimize" else -1
    return min(known, key=lambda trial: sign * (trial.objective or 0), default=None)


def ranked(records: Sequence[Record], objective: Objective) -> list[tuple[str, list[Record]]]:
    """Trials that differ in their seed alone, under what sets them apart from the others, the best mean first.

    Settings of which a trial has no objective, as one that failed, come after those of which all have.
    """
    hidden = same_for_all([record.overrides for record in records])
    settings: dict[tuple[str, ...], list[Record]] = {}
    for record in records:
        settings.setdefault(tuple(text for text in record.overrides if not _SEED.match(text)), []).append(record)
    sign = 1 if objective.direction == "minimize" else -1

    def rank(trials: list[Record]) -> tuple[bool, float]:
        values = [trial.objective for trial in trials if trial.objective is not None]
        return len(values) < len(trials), sign * mean(values) if values else math.inf

    named = [(" ".join(text for text in texts if text not in hidden), trials) for texts, trials in settings.items()]
    return sorted(((name or "all", trials) for name, trials in named), key=lambda setting: rank(setting[1]))


def settings_table(records: Sequence[Record], objective: Objective) -> tuple[list[str], list[list[Any]]]:
    """The settings of `ranked` as a table's columns and rows: what is told to W&B."""
    columns = ["setting", "seeds", f"{objective.metric} mean", f"{objective.metric} std"]
    rows = []
    for name, trials in ranked(records, objective):
        known = [trial.objective for trial in trials if trial.objective is not None]
        spread = stdev(known) if len(known) > 1 else None
        rows.append([name, len(known), mean(known) if known else None, spread])
    return columns, rows


def _count(trials: Sequence[Record]) -> str:
    known = sum(trial.objective is not None for trial in trials)
    return str(known) if known == len(trials) else f"{known} of {len(trials)}"


def same_for_all(overrides: Sequence[Sequence[str]]) -> set[str]:
    """Overrides that do not tell one trial of a sweep from another, or are no part of what is trained."""
    every = {text for texts in overrides for text in texts}
    shared = set(overrides[0]).intersection(*overrides) if len(overrides) > 1 else set()
    return shared | {text for text in every if _BOOKKEEPING.match(text)}


_SEED = re.compile(r"\+*seed=")
_BOOKKEEPING = re.compile(r"\+*(tracking|sweep|resume|hydra|checkpoint)\b")


def _train_again(overrides: Sequence[str]) -> str:
    """The command for one run with a setting, as it can be pasted into a shell."""
    found = [word for word in sys.argv[1:] if word.startswith(("hydra.searchpath=", "--config-dir="))]
    chosen = [text for text in overrides if not _SEED.match(text) and not _BOOKKEEPING.match(text)]
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


def _end(folder: Path, commands: Sequence[str], console: Console) -> None:
    console.print(f"\n{folder}", soft_wrap=True, highlight=False)
    console.print("next:", *commands, sep="\n  ", soft_wrap=True, highlight=False, markup=False)
