"""A sweep's folder: who works in it, what was asked for, and which stacks were under way."""

import fcntl
import hashlib
import json
import os
import socket
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from src import record as records
from src.bounded import read_yaml
from src.check import check_values
from src.errors import ConfigError
from src.naming import check_same
from src.provenance import diff_of, provenance
from src.record import Record, replace_file
from src.secrecy import typed_words
from src.sweep.jobs import Job
from src.sweep_words import signed_command


@contextmanager
def sole_owner(folder: Path) -> Iterator[None]:
    """Holds the folder for this process; the operating system lets go of it however the process ends.

    Raises:
        ConfigError: where another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a+") as lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # unlike flock, no process forked from this one holds it
        except (BlockingIOError, PermissionError):  # POSIX leaves the choice
            lock.seek(0)
            law = f"{folder} is worked on by another process"
            raise ConfigError(law, lock.read().strip(), "wait for it, or choose another sweep.name") from None
        lock.truncate(0)
        lock.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        lock.flush()
        yield


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
    earlier = json.loads(path.read_text()) if path.is_file() else {}
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
    replace_file(path, json.dumps(values, indent=2) + "\n")
    told = [
        f"{file} has changed since this sweep's earlier launch: its ended trials learnt from what it held before"
        for file in changed
    ]
    return told + _changes(earlier, asked if is_whole else earlier["keys"], now["git"]) if earlier else []


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
    """The record of a job that was begun in an earlier launch."""
    return records.read(job.folder) if (job.folder / "record.json").is_file() else None


def check_folders(jobs: Sequence[Job]) -> None:
    """Makes sure that the trials that were begun in an earlier launch are those that are asked for.

    Raises:
        ConfigError: where a trial's folder has another config.
    """
    for job in jobs:
        values = _config_in(job.folder)
        if values is not None and values != job.stored:
            try:
                other = check_values(values)
            except ConfigError:  # cut off by a kill, or an older version's: it is written anew
                continue
            check_same(job.cfg, other, job.folder)


def _config_in(folder: Path) -> dict[str, Any] | None:
    """The config that an earlier launch left in a trial's folder; it is resolved, and YAML alone is fast."""
    path = folder / ".hydra" / "config.yaml"
    try:
        values = read_yaml(path) if path.is_file() else None
    except (yaml.YAMLError, ValueError):
        return None
    return values if isinstance(values, dict) else None


def stack_checkpoint(folder: Path, keys: Sequence[str]) -> Path:
    """Where the stack of these trials keeps its state, with a list of the trials beside it.

    Raises:
        RuntimeError: where it is the state of other trials.
    """
    name = hashlib.sha256(" ".join(keys).encode()).hexdigest()[:20]
    checkpoint = folder / "stacks" / f"{name}.ckpt"
    listed = checkpoint.with_suffix(".json")
    if not listed.is_file():
        replace_file(listed, json.dumps(list(keys)))
    elif json.loads(listed.read_text()) != list(keys):
        raise RuntimeError(f"{listed} names other trials than {' '.join(keys)}")
    return checkpoint


def stacks_under_way(folder: Path) -> list[list[str]]:
    """The trials of each stack that left a checkpoint and did not end."""
    lists = sorted((folder / "stacks").glob("*.json"))
    return [json.loads(path.read_text()) for path in lists if path.with_suffix(".ckpt").is_file()]


def stack_ended(checkpoint: Path) -> None:
    """Removes the state of a stack whose trials all have their own records."""
    for suffix in (".ckpt", ".half", ".json"):  # a process that was killed may have left half a checkpoint
        checkpoint.with_suffix(suffix).unlink(missing_ok=True)


def forget_ended_stacks(folder: Path, ended: Collection[str]) -> None:
    """Removes what a process left that was killed once its trials had ended, and not yet their stack."""
    for path in (folder / "stacks").glob("*.json"):
        if set(json.loads(path.read_text())) <= set(ended):
            stack_ended(path.with_suffix(".ckpt"))
