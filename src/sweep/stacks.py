"""Stacks that are under way: where each keeps its state, and which trials it has."""

import hashlib
import json
import logging
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import cast

from src.record import replace_file
from src.valid import problem

log = logging.getLogger(__name__)


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
    return [keys for path in lists if path.with_suffix(".ckpt").is_file() and (keys := _keys_in(path))]


def _keys_in(path: Path) -> list[str]:
    """The trials in a stack's list; one that is torn goes, and its trials train from their start."""
    try:
        keys = json.loads(path.read_bytes())
        if problem(keys, list[str], "it") is None:
            return cast(list[str], keys)
    except ValueError:
        pass
    log.warning(f"{path} is damaged: what its stack has trained is lost")
    stack_ended(path.with_suffix(".ckpt"))
    return []


def stack_ended(checkpoint: Path) -> None:
    """Removes the state of a stack whose trials all have their own records."""
    for suffix in (".ckpt", ".half", ".json"):  # a process that was killed may have left half a checkpoint
        checkpoint.with_suffix(suffix).unlink(missing_ok=True)


def forget_ended_stacks(folder: Path, ended: Collection[str]) -> None:
    """Removes what a process left that was killed once its trials had ended, and not yet their stack."""
    for path in (folder / "stacks").glob("*.json"):
        if set(_keys_in(path)) <= set(ended):
            stack_ended(path.with_suffix(".ckpt"))
