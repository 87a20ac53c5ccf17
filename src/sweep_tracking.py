"""A sweep in W&B: a summary run beside its trials, and at the end a look at what has arrived."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from src import record as records
from src.config import Tracking
from src.record import Record, replace_file
from src.tracking import WandbTracker, new_id, placed, say_what_is_left, track
from src.upload import Outcome, Upload
from src.uploader import is_uploaded
from src.valid import problem

log = logging.getLogger(__name__)


def track_sweep(
    folder: Path,
    settings: Tracking,
    name: str,
    summary: Mapping[str, Any],
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    files: Sequence[Path],
) -> dict[str, str | None]:
    """Writes the sweep's own W&B run, of job type `sweep`; a sweep that goes on updates the same run.

    Args:
        folder: the sweep folder; the run's id is kept in its `wandb.json`.
        settings: as the trials are tracked.
        name: the sweep's name, the group of its trials.
        summary: single values, such as the best setting's mean and interval.
        columns: of the sweep's table.
        rows: the table's.
        files: the report, kept as an artifact.

    Returns:
        What a record keeps: mode, id, group, url.
    """
    kept = _read(folder)
    about = {"sweep": name, "trials": len(rows)}
    identity = {"name": f"{name} summary", "group": name, "job_type": "sweep", "run_id": kept.get("id") or new_id()}
    if not kept:  # killed at any moment, the sweep goes on with this id
        kept = {"mode": settings.mode, "id": identity["run_id"], "group": name, "url": None}
        replace_file(folder / "wandb.json", json.dumps(kept, indent=2) + "\n")
    tracker = track(folder, settings, about, **identity)
    if isinstance(tracker, WandbTracker):
        tracker.keep(f"sweep-{tracker.info['id']}", columns, rows, [file for file in files if file.is_file()])
        tracker.finish(summary, exit_code=0)
        replace_file(folder / "wandb.json", json.dumps(tracker.info, indent=2) + "\n")
    return tracker.info


def settle(folder: Path, settings: Tracking, trials: Mapping[Path, Record], upload: Upload) -> None:
    """At a sweep's end: waits for the upload, says once what is left, and lets the records say where their runs are."""
    if settings.mode != "online":
        return
    waiting = {path: record for path, record in trials.items() if record.wandb.get("url") is None}
    for path in [*waiting, folder]:
        upload.add(*(run for run in _logs(path) if not is_uploaded(run)))
    outcome = upload.end()
    say_what_is_left(outcome, folder)
    for path, record in waiting.items():
        if record.wandb.get("id") and record.wandb != (told := _told(path, record.wandb, settings, outcome)):
            record.wandb = told
            records.write(path, record)
    if (kept := _read(folder)) and kept.get("url") is None:
        told = _told(folder, kept, settings, outcome)
        replace_file(folder / "wandb.json", json.dumps(told, indent=2) + "\n")
        if told["url"]:
            log.info(f"{told['url']}   (the sweep's run in W&B)")


def _told(path: Path, info: dict[str, str | None], settings: Tracking, outcome: Outcome) -> dict[str, str | None]:
    runs = [run for run in _logs(path) if run.name.endswith(f"-{info['id']}")]
    return info | (placed(info, settings, outcome, runs[-1]) if runs else {})


def _logs(folder: Path) -> list[Path]:
    return sorted((folder / "wandb").glob("offline-run-*"))


def _read(folder: Path) -> dict[str, str | None]:
    """What is known of the sweep's W&B run; of a file that is torn its log knows the id."""
    path = folder / "wandb.json"
    try:
        values = json.loads(path.read_bytes()) if path.is_file() else {}
        if problem(values, dict[str, str | None], "it") is None:
            return cast(dict[str, str | None], values)
    except ValueError:
        pass
    runs = _logs(folder)
    return {"id": runs[-1].name.rpartition("-")[2]} if runs else {}
