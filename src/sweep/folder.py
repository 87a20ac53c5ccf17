"""A sweep's folder: what was asked for, and which stacks were under way."""

import json
import logging
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict, cast

from src import record as records
from src.bounded import read_json
from src.check import check_values
from src.consistency import FILES, changed, seal, set_aside
from src.errors import ConfigError
from src.naming import check_same
from src.provenance import diff_of, provenance
from src.record import Record, replace_file
from src.record_check import Damaged, Provenance, digest_of, one_line
from src.secrecy import typed_words
from src.sweep.jobs import Job, config_in, write_hydra_files
from src.sweep.stacks import stacks_under_way
from src.sweep_words import signed_command
from src.valid import problem

log = logging.getLogger(__name__)


def write_sweep(folder: Path, jobs: Sequence[Job], is_whole: bool = True) -> list[str]:
    """Writes `sweep.json`, what is needed to go on with the sweep.

    Args:
        folder: the sweep folder.
        jobs: those of this launch.
        is_whole: whether these are all of the sweep's jobs, and not one round of them.

    Returns:
        What has changed since an earlier launch: the grid, the code, the data.

    Raises:
        ConfigError: where the data has changed under a stack that is to go on.
    """
    path = folder / "sweep.json"
    earlier = _earlier_sweep(path)
    now, data = provenance({}, ""), _digests(jobs)
    changed = [file for file, digest in earlier.get("data", {}).items() if data.get(file, digest) != digest]
    if changed and stacks_under_way(folder):
        law = "data.path must hold the file that the sweep's stacks under way were trained on"
        raise ConfigError(law, f"{changed[0]} has changed", "put it back, or choose another sweep.name")
    asked = list(dict.fromkeys(job.key for job in jobs))
    keys = list(dict.fromkeys([*earlier.get("keys", []), *asked]))  # a sweeper may launch its jobs in several batches
    diffs = earlier.get("diffs", {}) | diff_of(now["git"])
    values = {
        "schema": 1,
        "argv": typed_words(sys.argv[1:]),
        "cwd": os.getcwd(),
        "keys": keys,
        "provenance": now,
        "diffs": diffs,
    }
    values["own"] = signed_command(values["argv"], values["cwd"])
    values["data"] = earlier.get("data", {}) | data
    values["ended"] = earlier.get("ended")
    replace_file(path, json.dumps(values, indent=2) + "\n", durable=True)
    told = [
        f"{file} has changed since this sweep's earlier launch: its ended trials learnt from what it held before"
        for file in changed
    ]
    return told + _changes(earlier, asked if is_whole else earlier["keys"], now["git"]) if earlier else []


class _Sweep(TypedDict, total=False):
    """What `sweep.json` may hold."""

    argv: list[str]
    cwd: str
    keys: list[str]
    provenance: Provenance
    diffs: dict[str, str]
    data: dict[str, str]
    ended: str | None


def read_sweep(folder: Path) -> dict[str, Any]:
    """What a sweep's own file says; nothing where there is none.

    Raises:
        Damaged: where it is there and cannot be read.
    """
    path = folder / "sweep.json"
    try:
        values = read_json(path)
        wrong = problem(values, _Sweep, "it") or next((f"{name} is missing" for name in _NEEDED - values.keys()), None)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        wrong = one_line(error)
    if wrong:
        raise Damaged(f"{path} is damaged", wrong, f"python -m src.resume {shlex.quote(str(folder))}")
    return cast(dict[str, Any], values)


_NEEDED = {"argv", "cwd", "keys", "provenance"}


def _earlier_sweep(path: Path) -> dict[str, Any]:
    try:
        return read_sweep(path.parent)
    except Damaged as error:
        log.warning(
            f"{str(error).splitlines()[0].removeprefix('error: ')}: it is written anew, and kept as {path.name}.damaged"
        )
        set_aside(path)
        return {}


def sweep_ended(folder: Path, records: Sequence[Record]) -> bool:
    """Whether a sweep's end has been written down, with these trials as they are now."""
    return read_sweep(folder).get("ended") == _state(records)


def say_sweep_ended(folder: Path, records: Sequence[Record]) -> None:
    """Writes down that all of a sweep's end is done: report, table, and its run in W&B."""
    values = read_sweep(folder) | {"ended": _state(records)}
    replace_file(folder / "sweep.json", json.dumps(values, indent=2) + "\n", durable=True)


def _state(records: Sequence[Record]) -> str:
    """A digest of what came out of the trials."""
    told = sorted((record.key, record.status, record.objective) for record in records)
    return digest_of(json.dumps(told).encode())


def forget_sweep(folder: Path) -> None:
    """Removes what Hydra's sweeper has written of a sweep that cannot begin, and leaves one that has begun."""
    if folder.is_dir() and not {path.name for path in folder.iterdir()} - {"multirun.yaml"}:
        (folder / "multirun.yaml").unlink(missing_ok=True)
        os.removedirs(folder)


def _digests(jobs: Sequence[Job]) -> dict[str, str]:
    """Of the tables that the jobs train on, by their paths."""
    paths = {str(job.cfg.data.path) for job in jobs if job.cfg.data._target_ == "src.data.table.Table"}
    if not paths:
        return {}
    from src.data.frame import digest_of  # polars is imported for a table only

    return {path: digest_of(path) for path in sorted(paths)}


def _changes(earlier: dict[str, Any], asked: list[str], git: dict[str, Any] | None) -> list[str]:
    new, left_out = set(asked) - set(earlier["keys"]), set(earlier["keys"]) - set(asked)
    told = [f"the grid has changed: {len(new)} new, {len(left_out)} of the earlier trials left out"]
    told = told if new or left_out else []
    before = earlier["provenance"]["git"]
    if any((before or {}).get(name) != (git or {}).get(name) for name in ("sha", "diff", "untracked")):
        told.append(
            "the code has changed since this sweep's earlier launch: its ended trials were trained by other code"
        )
    return told


def earlier_record(job: Job) -> Record | None:
    """The record of a job that was begun in an earlier launch.

    One that is damaged is set aside, with a line: the job trains again.
    """
    path = job.folder / "record.json"
    if not os.path.lexists(path):
        return None
    try:
        record = records.read(job.folder)
        if record.key != job.key:
            raise Damaged(f"{path} is another trial's", record.key)
    except Damaged as error:
        return _begun_again(job, error)
    return record


def ended_record(job: Job) -> Record | None:
    """The record of a job that ended in an earlier launch, and left what its record says.

    One that left something else is set aside, with a line. A checkpoint may be missing: whoever makes room on a disk
    does not want trials trained again.
    """
    record = earlier_record(job)
    if record is None or not record.has_ended:
        return None
    wrong = changed(job.folder, record, "history")
    wrong += [file for file in changed(job.folder, record, "best", "last") if (job.folder / file).exists()]
    if wrong:
        _begun_again(job, Damaged(f"{job.folder / wrong[0]} is not what the trial left"))
        return None
    if changed(job.folder, record, "config"):
        log.warning(f"the config in {job.folder} is not what the trial left: it is written again")
        write_hydra_files(job)
        seal(job.folder, record, "config")
        records.write(job.folder, record)
    return record


def _begun_again(job: Job, error: Damaged) -> Record | None:
    """Sets a trial's record aside, with a line; what is left is its W&B id, in a record of a trial that was begun."""
    law, *more = (line.strip() for line in str(error).removeprefix("error: ").splitlines())
    why = "".join(f" ({line.removeprefix('got: ')})" for line in more if line.startswith("got: "))
    log.warning(f"{law}{why}: it is kept as record.json.damaged, and trial {job.key} is trained again")
    set_aside(job.folder / "record.json")
    for name in ("best", "last"):
        (job.folder / FILES[name]).unlink(missing_ok=True)
    ids = {run.name.rpartition("-")[2] for run in (job.folder / "wandb").glob("offline-run-*")}
    if len(ids) != 1:
        return None
    record = Record(job.key, job.overrides, wandb={"id": ids.pop()})
    records.write(job.folder, record)
    return record


def check_folders(jobs: Sequence[Job]) -> None:
    """Makes sure that the trials that were begun in an earlier launch are those that are asked for.

    Raises:
        ConfigError: where a trial's folder has another config.
    """
    for job in jobs:
        values = config_in(job.folder)
        if values is not None and values != job.stored:
            try:
                other = check_values(values)
            except ConfigError:  # cut off by a kill, or an older version's: it is written anew
                continue
            check_same(job.cfg, other, job.folder)
