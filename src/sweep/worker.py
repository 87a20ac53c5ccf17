"""What happens in a process of its own that trains stacks for a sweep, one after another.

It has no screen and no upload: what it says and reports is sent over a pipe to the sweep's process.
"""

import logging
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from logging.handlers import QueueHandler
from multiprocessing.connection import Connection
from typing import Any, Protocol

from src.errors import Interrupted
from src.signals import end_undisturbed, stoppable
from src.sweep.jobs import Job
from src.upload import share_upload

Stack = list[Job]


class TrainsStacks(Protocol):
    """What trains stacks."""

    def train(self, stack: Stack) -> None:
        """Trains a stack; each of its trials leaves its record."""


class Line:
    """A worker's end of the pipe, for all of its threads.

    Args:
        connection: the end.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def send(self, what: str, *values: Any) -> None:
        """Sends a message."""
        with self._lock:
            self._connection.send((what, *values))


class Far:
    """Stands in a worker for an object of the sweep's process: its methods are called there, and return nothing here.

    Args:
        name: of the object.
        line: to the sweep's process.
    """

    def __init__(self, name: str, line: Line) -> None:
        self._name, self._line = name, line

    def __getattr__(self, method: str) -> Callable[..., None]:
        return lambda *args: self._line.send("call", self._name, method, args)


def work(connection: Connection, make_trainer: Callable[[Any], TrainsStacks], log_level: int) -> None:
    """Trains the stacks that come over the pipe, until None comes.

    Args:
        connection: the worker's end of the pipe.
        make_trainer: makes what trains, given what stands for the sweep's progress.
        log_level: what is logged below it goes no further.
    """
    os.setsid()  # Ctrl-C is for the sweep's process, which then stops this one
    threading.Thread(target=_die_with_the_sweep, daemon=True).start()
    line = Line(connection)
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__  # a forked one has the progress bar's
    logging.root.handlers = [_Sent(line)]
    logging.root.setLevel(log_level)
    try:
        with stoppable(""):
            end_undisturbed()
            _train(connection, line, make_trainer)
    except Interrupted as stop:
        line.send("stopped", stop.signum)
    except EOFError:  # the sweep's process has died, and this one is about to
        pass
    except Exception as error:  # a full disk is told as it is; a bug by its traceback, since not every error travels
        line.send("failed", error if isinstance(error, OSError) else RuntimeError(traceback.format_exc()))


def _train(connection: Connection, line: Line, make_trainer: Callable[[Any], TrainsStacks]) -> None:
    from src.journal import Journal

    Journal.stops_at_second_signal = False  # it may come from the system and from the sweep's process
    share_upload(Far("upload", line))
    trainer = make_trainer(Far("progress", line))
    while stack := connection.recv():
        trainer.train(stack)
        line.send("done")


class _Sent(QueueHandler):
    """Sends what is logged."""

    def __init__(self, line: Line) -> None:
        super().__init__(line)  # type: ignore[arg-type]  # it is asked for nothing but `enqueue`
        self._line = line

    def enqueue(self, record: logging.LogRecord) -> None:
        self._line.send("logged", record)


def _die_with_the_sweep() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGKILL)
