"""What a power cut may not undo: files and folders are flushed to the disk, one by one or all at once."""

import ctypes
import os
import sys
from collections.abc import Iterable
from pathlib import Path


def flush(paths: Iterable[Path]) -> None:
    """Flushes files, those that are there, and the folders that hold them."""
    there = [path for path in paths if path.is_file()]
    for path in [*there, *dict.fromkeys(path.parent for path in there)]:
        _flush(path)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:  # some network file systems flush no folders
        if not path.is_dir():
            raise
    finally:
        os.close(descriptor)


def flush_all(folder: Path) -> None:
    """Flushes all that was written to the disk that a folder lies on: a thousand files in the time of fifty."""
    if sys.platform != "linux":
        os.sync()
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(folder))
    finally:
        os.close(descriptor)
