"""Who works in a folder: one process at a time, by a lock that goes with the process, however that ends.

What is promised: of the processes that reach one disk, one holds a folder. The lock is POSIX's (`fcntl.lockf`), which
NFS knows too: its lock service frees what a dead machine held once that is back, or an administrator says so. A process
that was forked from the owner holds nothing. A file system without locks is told, and there a file that names the
owner stands in for them: a dead owner is then noticed on its own machine only.

Closing any descriptor of a locked file frees it: `.lock` is opened here alone, and once in a process.
"""

import errno
import fcntl
import logging
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path

from src import ranks
from src.errors import ConfigError
from src.provenance import is_alive, started

log = logging.getLogger(__name__)
_BUSY = (errno.EACCES, errno.EAGAIN)  # POSIX leaves the choice
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
_NAMED = re.compile(r"process (\d+) on ([^\s,]+)(?:, started (\S+))?")


@dataclass
class _Claim:
    """A folder that this process holds.

    Attributes:
        file: the locked one.
        pid: who claimed it; a process forked from that one has this object too, and holds nothing.
        depth: blocks of `owned` that are open.
        stands_in: the file that takes the lock's place, where there are no locks.
    """

    file: TextIOWrapper
    pid: int
    depth: int = 0
    stands_in: Path | None = None


_held: dict[Path, _Claim] = {}


@contextmanager
def owned(folder: Path, elsewhere: str = "hydra.run.dir") -> Iterator[None]:
    """Holds a folder for this process while the block lasts, or for longer where it was claimed outside.

    Args:
        folder: a run's or a sweep's; it is made where it is missing.
        elsewhere: the key that chooses another folder.

    Raises:
        ConfigError: where another process holds it.
    """
    claim(folder, elsewhere)
    mine = _held.get(folder.resolve())
    if mine is None:
        yield
        return
    mine.depth += 1
    try:
        yield
    finally:
        mine.depth -= 1
        if not mine.depth:
            release(folder)


def claim(folder: Path, elsewhere: str = "hydra.run.dir") -> None:
    """Holds a folder until `release`, the end of `owned` or the end of this process.

    Raises:
        ConfigError: where another process holds it, or nothing can be written there.
    """
    place = folder.resolve()
    if place in _held or _is_one_of_several():
        return
    try:
        place.mkdir(parents=True, exist_ok=True)
        _held[place] = _locked(place, folder, elsewhere)
    except OSError as error:
        law = f"{elsewhere} must be a folder that can be written"
        remedy = f"hydra.{'sweep' if elsewhere.startswith('sweep') else 'run'}.dir=/tmp/another"
        raise ConfigError(law, f"{folder}: {error.strerror}", remedy) from error


def claim_run(folder: Path) -> None:
    """Claims a run's folder, and where it lies in a sweep's, that one as well: no sweep may train it meanwhile.

    Raises:
        ConfigError: where another process holds one of them.
    """
    place = folder.resolve()
    if (place.parent / "sweep.json").exists() and not _is_held_by(place.parent, os.getppid()):
        claim(place.parent)
    claim(folder)


def release(folder: Path) -> None:
    """Lets go of a folder, and leaves nothing of the claim in it."""
    mine = _held.get(folder.resolve())
    if mine is None or mine.pid != os.getpid():
        return
    del _held[folder.resolve()]
    for path in (mine.stands_in, folder / ".lock"):
        if path is not None:
            path.unlink(missing_ok=True)  # before the lock is free: who has opened it meanwhile sees that it is gone
    mine.file.close()


def release_all() -> None:
    """Lets go of every folder."""
    for place in list(_held):
        release(place)


def _is_one_of_several() -> bool:
    """Whether this is a further process of a run on several devices, whose first one holds the folder."""
    return ranks.RANK > 0


def _locked(place: Path, folder: Path, elsewhere: str) -> _Claim:
    while True:
        file = (place / ".lock").open("a+", errors="replace")
        try:
            stands_in = _take(file, place, folder, elsewhere)
            if _is_still(place / ".lock", file):
                file.truncate(0)
                file.write(_me())
                file.flush()
                return _Claim(file, os.getpid(), stands_in=stands_in)
        except BaseException:
            file.close()
            raise
        file.close()  # its owner has ended in between, and removed it


def _take(file: TextIOWrapper, place: Path, folder: Path, elsewhere: str) -> Path | None:
    """Locks the file; returns another one that stands in for the lock, where nothing can be locked."""
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _BUSY:
            raise _refusal(folder, _told(file), elsewhere) from None
        if error.errno not in _NO_LOCKS:
            raise
        return _stand_in(place, folder, elsewhere)
    return None


def _is_still(path: Path, file: TextIOWrapper) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _stand_in(place: Path, folder: Path, elsewhere: str) -> Path:
    """Claims a folder where nothing can be locked: only one process can make a file of a name."""
    path = place / ".owner"
    while True:
        try:
            with path.open("x") as file:
                file.write(_me())
        except FileExistsError:
            told = path.read_text(errors="replace")
            found = _NAMED.match(told)
            if not found or found[2] != socket.gethostname() or is_alive(int(found[1]), found[3]):
                raise _refusal(folder, told, elsewhere, f"rm {path}   # once it has ended") from None
            path.unlink(missing_ok=True)
        else:
            log.warning(f"{folder} lies on a file system without locks: other machines' dead processes are not noticed")
            return path


def _me() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}, started {started(os.getpid())}\n"


def _told(file: TextIOWrapper) -> str:
    """What the owner wrote; one that took the lock this moment is given time to write it."""
    for _ in range(20):
        file.seek(0)
        told = file.read(300)
        found = _NAMED.match(told)
        if found and (found[2] != socket.gethostname() or is_alive(int(found[1]), found[3])):
            break
        time.sleep(0.01)
    return told


def _is_held_by(place: Path, pid: int) -> bool:
    """Whether a process of this machine says in a folder's lock that it holds it, and is there."""
    if place in _held:
        return True
    try:
        found = _NAMED.match((place / ".lock").read_text(errors="replace"))
    except OSError:
        return False
    return bool(found and int(found[1]) == pid and found[3] and is_alive(pid, found[3]))


def _refusal(folder: Path, told: str, elsewhere: str, remedy: str = "") -> ConfigError:
    """Names the owner; a process of this machine only if it is the very one that took the lock."""
    found, remedies = _NAMED.match(told), [remedy] if remedy else [f"wait for it, or choose another {elsewhere}"]
    if found is None:
        who = "which one, it does not say"
    elif found[2] != socket.gethostname() or found[3] is None:
        who = found[0]
    elif is_alive(int(found[1]), found[3]):
        who = f"process {found[1]} on {found[2]}"
        remedies.append(f"or end it: kill {found[1]}")
    else:
        who = f"a process on {found[2]} that cannot be seen from here"
    return ConfigError(f"{folder} is worked on by another process", who, ", ".join(remedies))
