"""What a page says beside its plots: cards, the settings' table, the trials' rows."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import polars as pl

from src.metric_names import split_of
from src.ranking import Setting, best_trial, leaves, shown, spread
from src.report.folders import Sweep
from src.summary import SHOWN, duration, time_taken

HOW_IT_COUNTS = (
    "Trials that differ in their seed alone are one setting: mean ± standard deviation over them, and the mean's 95 % "
    "interval by Student's t. Every trial with an objective counts, by its best epoch, also one that diverged or "
    "was pruned later. Settings of which any trial did not finish stand after those of which all did. The best of "
    "many settings looks better than it is: the test split, which chose nothing, says how good it is. The trials of a "
    "stack take the stack's time."
)


@dataclass(frozen=True)
class Card:
    """A number and what it is."""

    label: str
    value: str
    detail: str = ""


def state_counts(sweeps: Sequence[Sweep]) -> list[tuple[str, int]]:
    """How many trials are in each state; `waiting` are those without a record yet."""
    counts = Counter(record.status for sweep in sweeps for record in sweep.records)
    waiting = sum(sweep.num_waiting for sweep in sweeps)
    return [*counts.most_common(), *([("waiting", waiting)] if waiting else [])]


def sweep_cards(sweep: Sweep) -> list[Card]:
    """What came out of a sweep, in a few numbers."""
    best = next((setting for setting in sweep.settings if setting.score.num), None)
    metric = sweep.objective.metric
    if best is None:
        first = [Card("Best setting", "none yet", "no trial has an objective")]
    else:
        trial = best_trial(best, sweep.objective)
        detail = f"best trial {trial.key}: {shown(trial.objective)}" if trial and trial.objective is not None else ""
        interval = f"95 % interval {best.score.interval}" if best.score.interval else "one trial"
        first = [
            Card("Best setting", best.short, detail),
            Card(f"{metric} ({sweep.objective.direction})", str(best.score), interval),
        ]
        if r2 := str(spread(record.metrics.get("test/r2") for record in best.trials)):
            first.append(Card("test/r2", r2, "of the best setting"))
    size = f"{len(sweep.settings)} settings" if len(sweep.settings) != 1 else "one setting"
    return [*first, Card("Trials", str(len(sweep.records)), size), Card("Time", duration(time_taken(sweep.records)))]


def run_cards(run: Sweep) -> list[Card]:
    """What came out of a run."""
    record = run.records[0]
    value = "none" if record.objective is None else shown(record.objective)
    epoch = record.timing.get("best_epoch")
    steps = record.timing.get("steps")
    rate = f"{record.timing['steps_per_second']:g} a second" if "steps_per_second" in record.timing else ""
    return [
        Card(
            f"{run.objective.metric} ({run.objective.direction})", value, "" if epoch is None else f"in epoch {epoch}"
        ),
        Card("Status", record.status, record.error or ""),
        Card("Time", duration(time_taken([record]) or None)),
        *([Card("Steps", str(steps), rate)] if steps is not None else []),
    ]


def setting_rows(sweeps: Sequence[Sweep]) -> tuple[list[str], list[list[str]]]:
    """The settings' table: its columns and rows, of several sweeps with a column that names the sweep."""
    metric = sweeps[0].objective.metric
    columns = ["sweep" if len(sweeps) > 1 else "#", "setting", "trials", metric, "95 % interval", "test/r2", "time"]
    rows = [
        [sweep.name if len(sweeps) > 1 else str(place), *_setting_row(setting)]
        for sweep in sweeps
        for place, setting in enumerate(sweep.settings[: max(1, SHOWN // len(sweeps))], start=1)
    ]
    return columns, rows


def _setting_row(setting: Setting) -> list[str]:
    counts = Counter(record.status for record in setting.trials)
    num = str(len(setting.trials))
    broken = "" if setting.is_whole else f" ({', '.join(f'{count} {state}' for state, count in counts.most_common())})"
    r2 = spread(record.metrics.get("test/r2") for record in setting.trials)
    seconds = duration(time_taken(setting.trials))
    return [setting.short, num + broken, str(setting.score), setting.score.interval, str(r2), seconds]


def left_out(sweep: Sweep) -> str:
    """How many trials have another objective than most and are not shown, and why; empty where none has."""
    if not sweep.left_out:
        return ""
    own, others = f"{sweep.objective.direction} {sweep.objective.metric}", ", ".join(sorted({*sweep.left_out}))
    num = f"{len(sweep.left_out)} of {len(sweep.left_out) + len(sweep.records)} trials"
    return f"Left out of {sweep.name}: {num}, whose objective ({others}) cannot be compared with {own}"


def trial_rows(table: pl.DataFrame, metric: str) -> dict[str, Any]:
    """The trials as the page's script reads them: `columns` (name and kind) and `rows`.

    The folder and the W&B run are links; only web addresses are followed.
    """
    own = [name for name in table.columns[: table.columns.index("objective")] if name != "key"]
    measured = [name for name in table.columns if split_of(name) in ("val", "test") and name not in own]
    tested = [name for name in measured if name != metric]
    tested.sort(key=lambda name: split_of(name) != "test")
    shown = [*own, "objective", *tested[:5], "seconds"]
    kinds = {name: "number" if table[name].dtype.is_numeric() else "text" for name in shown} | {"status": "status"}
    others = ["folder", "W&B", metric, *(name for name in shown if name not in own)]
    names = leaves(own, others) | {"objective": metric}
    columns = [{"name": names.get(name, name), "kind": kinds[name]} for name in shown]
    columns.insert(0, {"name": "folder", "kind": "link"})
    folders = table.select("key", "folder").iter_rows()
    values = table.select(shown).with_columns(pl.col(pl.Float64).round_sig_figs(6)).iter_rows()
    rows = [[_folder(*folder), *row] for folder, row in zip(folders, values, strict=True)]
    if any(table["wandb_url"].drop_nulls()):
        columns.append({"name": "W&B", "kind": "link"})
        links = zip(table["wandb_id"], table["wandb_url"], strict=True)
        rows = [[*row, _web(*link)] for row, link in zip(rows, links, strict=True)]
    return {"columns": columns, "rows": rows}


def _folder(key: str, folder: str) -> dict[str, str]:
    return {"text": key, "href": f"./{quote(folder)}/"}


def _web(text: str | None, url: str | None) -> dict[str, str] | None:
    if url is None:
        return None
    return {"text": text or url, "href": url if url.startswith(("https://", "http://")) else ""}
