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


def _stop(signum: int, frame: FrameType | None) -> None:
    raise Interrupted(signum)
