"""What a person sees when a run or a sweep has ended: what came out, where it lies, what to type next."""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev

from rich.console import Console
from rich.table import Table

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
    upload = f"wandb sync {folder}/wandb/offline-run-*"
    next_commands = [
        f"python -m src.evaluate run={folder}",
        "python -m src.train -m optimizer.lr=1e-4,1e-3,1e-2 seed='range(16)'",
        upload if record.wandb.get("mode") == "offline" else "python -m src.train --help",
    ]
    _end(folder, next_commands, console)


def sweep_summary(records: Sequence[Record], objective: Objective, folder: Path, console: Console) -> None:
    """The end of a sweep: its best settings, each with its mean and standard deviation over seeds."""
    states = Counter(record.status for record in records)
    title = f"{len(records)} trials: " + ", ".join(f"{count} {state}" for state, count in states.most_common())
    table = _table(title, "setting", "seeds", objective.metric, "test/r2")
    sign = 1 if objective.direction == "minimize" else -1
    settings = sorted(_by_setting(records).items(), key=lambda item: sign * _mean_objective(item[1], sign))
    for name, trials in settings[:_SHOWN]:
        tested = [trial.metrics.get("test/r2") for trial in trials]
        table.add_row(name, str(len(trials)), _spread([trial.objective for trial in trials]), _spread(tested))
    console.print(table)
    if len(settings) > _SHOWN:
        console.print(f"and {len(settings) - _SHOWN} more settings", highlight=False)
    best = settings[0][0] if settings[0][0] != "default" else ""
    _end(short(folder), [f"python -m src.train {best}".strip(), f"python -m src.resume {short(folder)}"], console)


def _by_setting(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Trials that differ in their seed alone, under what else they set."""
    settings: dict[str, list[Record]] = {}
    for record in records:
        name = " ".join(text for text in record.overrides if not re.match(r"\+*seed=", text))
        settings.setdefault(name or "default", []).append(record)
    return settings


def _mean_objective(trials: Sequence[Record], sign: int) -> float:
    """The mean over seeds; a trial without an objective makes its setting the worst."""
    values = [trial.objective for trial in trials]
    return mean(value for value in values if value is not None) if None not in values else sign * math.inf


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
