"""Checkpoints that are read again: whole, of the run whose folder they lie in, and of the epoch that is asked for.

Each holds, as its `run`, the key of its run, the number of epochs behind it and the digest of the history so far.
`last.ckpt` holds that history too: `metrics.csv` can be written again from it.

`earlier.ckpt` is the best checkpoint as `last.ckpt` knows it, while `best.ckpt` is ahead of that: a run that goes on
from `last.ckpt` goes on with it.
"""

import io
import logging
import pickle
import shlex
import zipfile
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor

from src.consistency import FILES, anew, check_files, set_aside
from src.data.base import Scale, TabularData
from src.record import Record, read_history, replace_file
from src.record_check import Damaged, digest_of
from src.rows import Row, history_text, parse_history

log = logging.getLogger(__name__)
STATE = "RunJournal"
"""Under this name Lightning keeps what the journal of a run restores."""
_NEEDED = set(Scale.__annotations__)


def origin(key: str, epochs: int, digest: str) -> dict[str, Any]:
    """What a checkpoint says of itself.

    Args:
        key: its run's.
        epochs: how many are behind it.
        digest: of the history so far.
    """
    return {"key": key, "epochs": epochs, "history": digest}


def write_weights(
    folder: Path, name: str, state: dict[str, Tensor], row: Row, data: TabularData, about: dict[str, Any]
) -> str:
    """A checkpoint of weights only, with the names inside that one of a run alone has; returns its digest.

    Args:
        folder: the run folder.
        name: `best` or `last`.
        state: the weights.
        row: the epoch's.
        data: the dataset, whose own state is kept too.
        about: what a checkpoint says of its run and of its splits.
    """
    path = folder / FILES[name]
    path.parent.mkdir(exist_ok=True)
    own = data.state_dict()
    about = about | {
        "epoch": row["epoch"],
        "global_step": row["trainer/global_step"],
        "pytorch-lightning_version": L.__version__,
    }
    buffer = io.BytesIO()
    torch.save(about | ({type(data).__qualname__: own} if own else {}) | {"state_dict": state}, buffer)
    replace_file(path, buffer.getvalue())
    return digest_of(buffer.getvalue())


def open_checkpoint(path: Path) -> dict[str, Any]:
    """Reads a checkpoint onto the CPU.

    Raises:
        Damaged: where it is no checkpoint, or not whole.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if torn := archive.testzip():  # torch itself does not compare the sums
                raise Damaged(f"{path} is damaged", f"{torn} in it is not what was written", "")
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, KeyError, ValueError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise Damaged(f"{path} is no checkpoint that can be read", _line(error)) from error
    if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get("state_dict"), dict):
        raise Damaged(f"{path} is no checkpoint of a run", "it has no state_dict")
    return checkpoint


def open_best(folder: Path, record: Record) -> dict[str, Any]:
    """The best checkpoint of a run that has ended.

    Raises:
        Damaged: where it is missing, cannot be read, or is not the one that the run's record tells of.
    """
    path = folder / str(record.checkpoint)
    checkpoint = open_checkpoint(path)
    check_files(folder, record, "best")
    told, best_epoch = checkpoint.get("run"), record.timing.get("best_epoch")
    if told is not None and (told.get("key"), told.get("epochs")) != (record.key, (best_epoch or 0) + 1):
        raise Damaged(f"{path} is not the best checkpoint of this run", _told(told), anew(folder, record))
    if not checkpoint["state_dict"].keys() >= _NEEDED:
        raise Damaged(f"{path} is no checkpoint of a run", "it lacks the scale of the data", anew(folder, record))
    return checkpoint


def settle(folder: Path, key: str) -> Path | None:
    """Brings a folder whose run was stopped into the state of its `last.ckpt`.

    A history that is missing, short or changed is written again from there, with a line.

    Args:
        folder: the run folder.
        key: the run's.

    Returns:
        The checkpoint to go on from; None where the run was stopped before its first one, and begins anew.

    Raises:
        Damaged: where the checkpoints are not this run's, or cannot be read.
    """
    last = folder / "checkpoints" / "last.ckpt"
    if not last.is_file():
        if (folder / "metrics.csv").is_file() and read_whole(folder):
            log.warning(f"{folder} has no last.ckpt: it is trained from its start")
        return None
    try:
        state = _own_state(open_checkpoint(last), key)
        rows = parse_history(state["history"])
        _settle_best(folder, key, rows[: state["best_epochs"]])
    except Damaged as error:
        law, *got = str(error).removeprefix("error: ").splitlines()
        raise Damaged(law, got[0].partition("got: ")[2] if got else "", _from_start(folder)) from error
    if read_whole(folder)[: len(rows)] != rows:
        log.warning(f"{folder}/metrics.csv was not what last.ckpt knows of it: it is written again from there")
    return last


def history_in(path: Path) -> str | None:
    """The history that a last checkpoint holds, as it stands in `metrics.csv`; None where it cannot be read."""
    try:
        checkpoint = open_checkpoint(path)
    except Damaged:
        return None
    text = checkpoint.get("callbacks", {}).get(STATE, {}).get("history")
    return text if isinstance(text, str) else None


def read_whole(folder: Path) -> list[Row]:
    """The history as far as it can be read at all."""
    try:
        return read_history(folder)
    except Damaged:
        return []


def check_origin(checkpoint: dict[str, Any], key: str, rows: list[Row], path: Path) -> None:
    """Refuses a checkpoint that does not stand at the end of this history.

    Raises:
        Damaged: where it is another run's, or another epoch's.
    """
    told = checkpoint.get("run")
    if told != origin(key, len(rows), digest_of(history_text(rows).encode())):
        raise Damaged(f"{path} belongs to another state than the rest of its folder", _told(told))


def _own_state(checkpoint: dict[str, Any], key: str) -> dict[str, Any]:
    """What the run's journal left in its last checkpoint."""
    told, state = checkpoint.get("run"), checkpoint.get("callbacks", {}).get(STATE)
    if not isinstance(told, dict) or told.get("key") != key:
        raise Damaged("last.ckpt is not this run's", _told(told))
    if not isinstance(state, dict) or digest_of(str(state.get("history")).encode()) != told.get("history"):
        raise Damaged("last.ckpt is no checkpoint that a run can go on from", _told(told))
    return state


def _settle_best(folder: Path, key: str, rows: list[Row]) -> None:
    """Makes `best.ckpt` the one at the end of these rows; a kill may have left it ahead of `last.ckpt`."""
    best, earlier = (folder / "checkpoints" / f"{name}.ckpt" for name in ("best", "earlier"))
    if not rows:
        best.unlink(missing_ok=True)
        return
    for path in (best, earlier):
        try:
            check_origin(open_checkpoint(path), key, rows, path)
        except Damaged as error:
            problem = error
        else:
            path.replace(best)
            return
    raise problem


def own_stack(path: Path, keys: list[str]) -> Path | None:
    """A stack's checkpoint to go on from, None where there is none; one that is damaged or another's is set aside.

    Args:
        path: of the checkpoint.
        keys: of the stack's trials.
    """
    if not path.is_file():
        return None
    try:
        told = open_checkpoint(path).get("run", {})
        if told == {"keys": keys}:
            return path
        problem = f"{path} is not this stack's"
    except Damaged as error:
        problem = str(error).splitlines()[0].removeprefix("error: ")
    log.warning(f"{problem}: it is set aside, and the stack is trained from its start")
    set_aside(path)
    return None


def _from_start(folder: Path) -> str:
    checkpoints = shlex.quote(str(folder / "checkpoints"))
    resume = shlex.join(["python", "-m", "src.train", f"resume={folder}"])
    return f"mv {checkpoints} {checkpoints}.damaged && {resume}   # trains it from its start"


def _told(told: Any) -> str:
    return f"a checkpoint of run {told.get('key')}, epoch {told.get('epochs')}" if isinstance(told, dict) else "no run"


def _line(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:160]
