"""The trial table: one row per trial, as `table.csv` and `table.parquet` hold it and the page shows it."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from src.metric_names import free_name
from src.ranking import Setting, Spread
from src.record import Record
from src.report.folders import Sweep
from src.report.parameters import as_text, chosen, parameters

_NO_RESULT = {"epoch", "trainer/global_step", "lr"}
"""What a record's metrics hold beside metrics: where the best epoch stood."""


def trial_table(sweeps: Sequence[Sweep], beside: Path) -> pl.DataFrame:
    """One row per trial, the best setting's first.

    `setting_rank`, `setting_trials` (how many have an objective), `setting_mean`, `setting_std`, `setting_ci_low` and
    `setting_ci_high` (the mean's 95 % interval) are those of the trial's setting, the same on each of its rows. A key
    or a metric that is called like another column has an underscore behind it.

    Args:
        sweeps: whose trials; the column `sweep` is there when they are several.
        beside: the folder of the file; `folder` is relative to it.
    """
    every = [record for sweep in sweeps for record in sweep.records]
    varied = [parameter.key for parameter in parameters(every)]
    measured = list(dict.fromkeys(name for record in every for name in record.metrics if name not in _NO_RESULT))
    fixed = {"sweep", *_of_trial(Record("", []), {}), *_of_setting(0, _NOTHING), *_of_run(Record("", []), "")}
    keys = {key: free_name(key, {*fixed, *measured} | ({*varied} - {key})) for key in varied}
    metrics = {name: free_name(name, fixed) for name in measured}
    rows = [
        ({"sweep": sweep.name} if len(sweeps) > 1 else {})
        | _of_trial(record, keys)
        | _of_setting(rank, setting)
        | {column: record.metrics.get(name) for name, column in metrics.items()}
        | _of_run(record, os.path.relpath(sweep.trial_folder(record), beside))
        for sweep in sweeps
        for rank, setting in enumerate(sweep.settings, start=1)
        for record in setting.trials
    ]
    nothing = _of_trial(Record("", []), {}) | _of_run(Record("", []), "")
    columns = {name: _column([row[name] for row in rows]) for name in (rows[0] if rows else nothing)}
    return pl.DataFrame(columns, strict=False)


def _of_trial(record: Record, keys: Mapping[str, str]) -> dict[str, Any]:
    setting = chosen(record)
    seed = setting.get("seed", record.provenance.get("seeds", {}).get("seed"))
    own = {column: setting.get(key) for key, column in keys.items()}
    return {"key": record.key, "status": record.status, **own, "seed": seed, "objective": record.objective}


_NOTHING = Setting("", "", [], Spread(0), False)


def _of_setting(rank: int, setting: Setting) -> dict[str, Any]:
    score = setting.score
    return {
        "setting": setting.name,
        "setting_rank": rank,
        "setting_trials": score.num,
        "setting_mean": score.mean,
        "setting_std": score.std,
        "setting_ci_low": score.low,
        "setting_ci_high": score.high,
    }


def _of_run(record: Record, folder: str) -> dict[str, Any]:
    return {
        "best_epoch": record.timing.get("best_epoch"),
        "started": record.timing.get("started"),
        "seconds": record.timing.get("seconds"),
        "wandb_id": record.wandb.get("id"),
        "wandb_url": record.wandb.get("url"),
        "folder": folder,
        "error": record.error,
    }


def _column(values: list[Any]) -> list[Any]:
    """Values of one type: whole numbers, numbers, or text."""
    known = [value for value in values if value is not None]
    if any(isinstance(value, str) for value in known):
        return [value if value is None or isinstance(value, str) else as_text(value) for value in values]
    if known and all(float(value).is_integer() and abs(value) < 2**53 for value in known):
        return [None if value is None else int(value) for value in values]
    return [None if value is None else float(value) for value in values]
