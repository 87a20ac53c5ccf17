"""Whether what lies in a run's folder is one state: config, record, history and checkpoints of the same run.

A record holds digests of the files beside it, a checkpoint its run's key and the digest of the history below it (see
`src.checkpoints`), and a config gives the key again. A folder that was moved or renamed is what it was.
"""

import hashlib
import os
import shutil
from pathlib import Path

from omegaconf import DictConfig

from src import naming
from src.check import typed
from src.errors import ConfigError
from src.record import Record, read, read_config
from src.record_check import Damaged

FILES = {
    "config": ".hydra/config.yaml",
    "history": "metrics.csv",
    "best": "checkpoints/best.ckpt",
    "last": "checkpoints/last.ckpt",
}
"""What a record holds digests of."""
_ONCE = 10  # letters of a key in earlier versions


def file_digest(path: Path) -> str | None:
    """As `src.record.digest_of` what is in a file, of any size; None where there is no file."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError:
        return None


def seal(folder: Path, record: Record, *names: str) -> None:
    """Puts the digests of files into a record, of those that are there."""
    for name in names:
        record.digests.pop(name, None)
        if digest := file_digest(folder / FILES[name]):
            record.digests[name] = digest


def changed(folder: Path, record: Record, *names: str) -> list[str]:
    """Which files of a run that has ended are not what its record says; all are, in a record without digests."""
    told = [name for name in names if name in record.digests and (record.has_ended or name == "config")]
    return [FILES[name] for name in told if record.digests[name] != file_digest(folder / FILES[name])]


def check_files(folder: Path, record: Record, *names: str) -> None:
    """Refuses files that are not what the record says.

    Raises:
        Damaged: at the first of them.
    """
    for file in changed(folder, record, *names):
        what = "was changed" if (folder / file).is_file() else "is missing"
        raise Damaged(f"{folder} is not in the state in which its run ended", f"{file} {what}", anew(folder, record))


def opened(folder: Path) -> tuple[Record, DictConfig]:
    """A run's record and its config, which belong together.

    Raises:
        Damaged: where they do not, or one of them cannot be read.
        ConfigError: where there is no run.
    """
    record, config = read(folder), read_config(folder)
    try:
        key = naming.key(typed(config))
    except ConfigError as error:
        raise Damaged(f"{folder}/.hydra/config.yaml is no config of a run", str(error).splitlines()[0]) from error
    if key != record.key and key[:_ONCE] != record.key:
        law = f"{folder} holds a record and a config of two runs, or its config was changed"
        raise Damaged(law, f"record.json says {record.key}, .hydra/config.yaml gives {key}", anew(folder, record))
    return record, config


def anew(folder: Path, record: Record) -> str:
    """The command that trains a run again, in a folder of its own."""
    from src.again import once_more  # for a mistake alone

    return f"{once_more(folder, record)}   # trains it anew"


def set_aside(path: Path) -> Path:
    """Renames what is damaged, so that it is in nobody's way and not lost."""
    aside = path.with_name(f"{path.name}.damaged")
    if aside.is_dir() and not aside.is_symlink():
        shutil.rmtree(aside)
    elif os.path.lexists(aside):
        aside.unlink()
    os.replace(path, aside)
    return aside
