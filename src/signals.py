"""Signals that stop a run or a sweep."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from src.errors import Interrupted


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
        waiting = _held.pop()
    if waiting:
        raise Interrupted(waiting[0])


_held: list[list[int]] = []


def _stop(signum: int, frame: FrameType | None) -> None:
    if not _held:
        raise Interrupted(signum)
    _held[-1].append(signum)
