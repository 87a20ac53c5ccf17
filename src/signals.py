"""Signals that stop a run or a sweep."""

import ctypes
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from src.errors import Interrupted

_PR_SET_PDEATHSIG = 1  # Linux's prctl.h


@contextmanager
def stoppable(resume: str) -> Iterator[None]:
    """Ctrl-C and SIGTERM end the block as `Interrupted` at any moment, not only while a training listens to them.

    Args:
        resume: the command that goes on with what is stopped.
    """
    signums = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    handlers = {signum: signal.signal(signum, _stop) for signum in signums}
    try:
        yield
    except (Interrupted, KeyboardInterrupt) as error:
        stopped = error if isinstance(error, Interrupted) else Interrupted(signal.SIGINT)
        stopped.resume = resume
        raise stopped from None
    finally:
        for signum, handler in handlers.items():
            signal.signal(signum, handler)


@contextmanager
def undisturbed() -> Iterator[None]:
    """A signal that `stoppable` listens to waits until the block has ended."""
    _held.append([])
    try:
        yield
    finally:
        if waiting := _held.pop():
            raise Interrupted(waiting[0])


def end_undisturbed() -> None:
    """In a process that was forked within `undisturbed`: that block ends here."""
    waiting = [signum for held in _held for signum in held]
    _held.clear()
    if waiting:
        raise Interrupted(waiting[0])


def die_with_parent() -> None:
    """Lets the system kill this process once the thread that started it has ended, however that ends (on Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


_held: list[list[int]] = []


def _stop(signum: int, frame: FrameType | None) -> None:
    if not _held:
        raise Interrupted(signum)
    _held[-1].append(signum)
