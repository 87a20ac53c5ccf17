"""What a record may hold, field by field, and whether it is what was written when its run ended."""

import hashlib
import json
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypedDict, get_args

from src.errors import ConfigError
from src.valid import problem

SCHEMA = 1
Status = Literal["running", "finished", "failed", "diverged", "pruned"]
STATUSES: tuple[Status, ...] = get_args(Status)
ANEW = "train it anew; in a sweep the same command again does so"


class Damaged(ConfigError):
    """A part of a folder that is not what was written, or does not belong to the rest of it."""


class Timing(TypedDict, total=False):
    """When a run was trained, and how fast."""

    started: str
    ended: str
    seconds: float
    fit_seconds: float
    steps: int
    steps_per_second: float
    outside_steps: float
    best_epoch: int | None


class Git(TypedDict, total=False):
    """The code that trained a run."""

    sha: str | None
    dirty: bool | None
    changed: list[str]
    diff: str
    untracked: dict[str, str]


class Provenance(TypedDict, total=False):
    """Where a run comes from."""

    command: str
    host: str
    pid: int
    process_started: str | None
    seeds: dict[str, int]
    device: str
    git: Git | None
    packages: dict[str, str]
    python: str
    platform: str
    cpu: str
    cores: int | None


class Place(TypedDict, total=False):
    """A trial's place in its stack."""

    size: int
    position: int
    keys: list[str]


_FIELDS: dict[str, Any] = {
    "schema": int,
    "key": str,
    "overrides": list[str],
    "status": Status,
    "objective": float | None,
    "metrics": dict[str, float | None],
    "checkpoint": str | None,
    "wandb": dict[str, str | None],
    "stack": Place | None,
    "timing": Timing,
    "provenance": Provenance,
    "error": str | None,
    "digests": dict[str, str],
}
_NOT_SEALED = ("wandb", "stack", "provenance", "digests")  # no results; an upload changes where the run is in W&B


def wrong(values: Any) -> str | None:
    """What is wrong with a record's values, None where nothing is."""
    if not isinstance(values, dict):
        return "it is no mapping"
    if values.get("schema") != SCHEMA:
        return f"schema {values.get('schema')}: it was written by another version of Tandem"
    if missing := [name for name in ("key", "overrides", "status") if name not in values]:
        return f"{missing[0]} is missing"
    for name, value in values.items():
        if name in _FIELDS and (found := problem(value, _FIELDS[name], name)):
            return found
    return _out_of_range(values) or _broken_seal(values)


def _out_of_range(values: dict[str, Any]) -> str | None:
    timing, checkpoint = values.get("timing") or {}, Path(values.get("checkpoint") or "")
    for name in ("started", "ended"):
        if name in timing and not _is_moment(timing[name]):
            return f"timing.{name} is no moment"
    numbers = {**timing, **(values.get("stack") or {})}
    if negative := [name for name, value in numbers.items() if isinstance(value, int | float) and value < 0]:
        return f"{negative[0]} is negative"
    if checkpoint.is_absolute() or ".." in checkpoint.parts:
        return "checkpoint lies outside the folder"
    return None


def _is_moment(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _broken_seal(values: dict[str, Any]) -> str | None:
    """Whether what came out of a run was changed; a record of an earlier version has no seal."""
    told = values.get("digests", {}).get("record")
    if told is None or values["status"] == "running" or told == seal(values):
        return None
    return "it was changed after its run had ended"


def seal(values: dict[str, Any]) -> str:
    """The digest of all that does not change any more once a run has ended."""
    files = {name: digest for name, digest in values["digests"].items() if name != "record"}
    sealed = {name: value for name, value in values.items() if name in _FIELDS and name not in _NOT_SEALED}
    return digest_of(json.dumps([sealed, files], sort_keys=True).encode())


def digest_of(content: bytes) -> str:
    """A name for what is in a file."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def no_number(text: str) -> Any:
    """JSON has no NaN and no Infinity."""
    raise ValueError(f"{text} is no number")


def one_line(error: Exception) -> str:
    """What an exception says, as one line."""
    return " ".join(str(error).split())[:200]
