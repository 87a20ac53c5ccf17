"""Signals that stop a run or a sweep."""

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from src.errors import Interrupted

_PR_SET_PDEATHSIG = 1  # Linux's prctl.h
_STOPPING = tuple(
    getattr(signal, name)
    # Ctrl-C, `kill`, a terminal that closes, and what batch systems send before a job's time is over.
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU")
    if hasattr(signal, name)
)
_FREE = (signal.SIG_DFL, signal.default_int_handler)
_OTHERS = {signum: handler for signum in _STOPPING if (handler := signal.getsignal(signum)) not in _FREE}
"""Signals that were not free when this program started: ignored, as under `nohup`, or another's, such as submitit's."""


@contextmanager
def stoppable(resume: str) -> Iterator[None]:
    """Ctrl-C, SIGTERM and their like end the block as `Interrupted` at any moment, also where no training listens.

    Args:
        resume: the command that goes on with what is stopped.
    """
    before = listen(_stop)
    try:
        yield
    except (Interrupted, KeyboardInterrupt) as error:
        stopped = error if isinstance(error, Interrupted) else Interrupted(signal.SIGINT)
        stopped.resume = resume
        raise stopped from None
    finally:
        _set(before)


def listen(handler: Callable[[int, FrameType | None], None]) -> dict[int, Any]:
    """Lets a handler hear of the signals that stop a program; those that were not free at its start stay as they were.

    Returns:
        The handlers before.
    """
    if threading.current_thread() is not threading.main_thread():  # Python allows signal handlers in it alone
        return {}
    before = {signum: signal.getsignal(signum) for signum in _STOPPING}
    _set(dict.fromkeys(_STOPPING, handler) | _OTHERS)
    return before


def _set(handlers: dict[int, Any]) -> None:
    for signum, handler in handlers.items():
        if handler is not None:  # else it was not set by Python
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


def die_with_parent(parent: int) -> None:
    """Lets the system kill this process once the thread that started it has ended, however that ends (on Linux).

    Args:
        parent: the number of the process that started this one; where it has ended already, this one ends too.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


_held: list[list[int]] = []


def _stop(signum: int, frame: FrameType | None) -> None:
    if not _held:
        raise Interrupted(signum)
    _held[-1].append(signum)
