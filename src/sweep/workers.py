"""Trains stacks beside each other, each in a process of its own."""

import logging
import multiprocessing
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain, count, repeat
from multiprocessing.connection import wait
from typing import Any, Self

import joblib  # type: ignore[import-untyped]

from src.config import Config
from src.errors import Interrupted
from src.laws import needs_processes
from src.memory import memory_limit
from src.signals import undisturbed
from src.sweep.worker import Stack, TrainsStacks, work

_WORKER = 2**31  # bytes: a stack takes up to a quarter of it, the rest are libraries and the data
_IS_LINUX = sys.platform == "linux"
_has_computed = False


def how_many(asked: int | None, cfgs: Sequence[Config], on_gpu: bool, drops: bool) -> tuple[int, str | None]:
    """How many workers train a sweep's trials.

    Args:
        asked: by the user; None for one on each CPU core, as far as memory goes round. Where a trial takes several
            threads it is one in all, and on other systems than Linux too: there each takes the seconds of a new start.
        cfgs: of the trials.
        on_gpu: whether any of them trains on one.
        drops: whether a pruner drops trials.

    Returns:
        The number, and why it is one, if it is one whatever is asked for.
    """
    reasons = {
        "a GPU is kept busy by one stack": on_gpu,
        "a trial takes several processes itself": any(needs_processes(cfg) for cfg in cfgs),
        "a pruner compares trials in the order in which they train": drops,
    }
    if reason := next((reason for reason, holds in reasons.items() if holds), None):
        return 1, reason
    alike = _IS_LINUX and all(cfg.num_threads == 1 for cfg in cfgs)
    return asked or (max(1, min(joblib.cpu_count(), memory_limit() // _WORKER)) if alike else 1), None


class Worker:
    """A process that trains stacks.

    Args:
        number: of the worker.
        make_trainer: as for `src.sweep.worker.work`.
        forks: whether it starts from this process, and not from a clean one.
    """

    def __init__(self, number: int, make_trainer: Callable[[Any], TrainsStacks], forks: bool = False) -> None:
        processes: Any = multiprocessing.get_context("fork" if forks else "forkserver" if _IS_LINUX else "spawn")
        processes.set_forkserver_preload(["src.sweep.running"])
        self.number = number
        self.stack: Stack | None = None
        self.connection, far = processes.Pipe()
        self.process = processes.Process(target=work, args=(far, make_trainer, logging.root.level))
        self.process.start()
        far.close()  # the worker's alone: the pipe ends with it

    def give(self, stack: Stack | None) -> None:
        """Hands it the stack that it trains next; None ends it."""
        self.stack = stack
        with suppress(ConnectionError):  # it has died, which `Workers` notices by itself
            self.connection.send(stack)


class Workers:
    """A sweep's workers; as a context manager it ends them.

    Args:
        number: at most.
        make_trainer: as for `src.sweep.worker.work`.
        objects: what workers call by name; `progress` is told which worker calls.
        died: given the stack of a worker that died, and its exit code, says what there is still to train.
    """

    def __init__(
        self,
        number: int,
        make_trainer: Callable[[Any], TrainsStacks],
        objects: Mapping[str, Any],
        died: Callable[[Stack, int | None], list[Stack]],
    ) -> None:
        self.number, self._objects, self._died = number, objects, died
        self._new_worker = partial(Worker, make_trainer=make_trainer)
        self._numbers = count()
        self._workers: list[Worker] = []
        self._waiting: deque[Stack] = deque()
        self._problem: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def start(self, number: int) -> None:
        """Forks some of them from this process, which has imported all that they need.

        That it does but once, before it has computed anything or read a table: autograd, OpenMP and polars start
        threads, which a process forked after them would miss. Workers that are needed later are forked from a clean
        process, which takes the seconds of its imports.
        """
        global _has_computed
        if _IS_LINUX and number > 1 and not _has_computed and "polars" not in sys.modules:
            for _ in range(number):
                self._add(forks=True)
        _has_computed = True

    def _add(self, forks: bool = False) -> Worker:
        with undisturbed():  # a worker that has started is known, whatever comes: `end` ends it
            worker = self._new_worker(next(self._numbers), forks=forks)
            self._workers.append(worker)
        return worker

    def train(self, stacks: Sequence[Stack]) -> None:
        """Trains them all.

        Raises:
            Interrupted: where a signal stopped this process or a worker; what was under way is saved.
            OSError: where the disk is full.
        """
        self._waiting.extend(stacks)
        try:
            while self._is_busy():
                self._listen()
                if self._problem:
                    raise self._problem
        except BaseException:
            self._stop()
            raise

    def _is_busy(self) -> bool:
        """Hands out what waits; false once there is nothing more to wait for."""
        while self._waiting:
            idle = next((worker for worker in self._workers if worker.stack is None), None)
            if idle is None:
                if len(self._workers) == self.number:
                    return True
                idle = self._add()
            idle.give(self._waiting.popleft())
        return any(worker.stack for worker in self._workers)

    def _listen(self) -> None:
        """Waits until a worker says something, and does it."""
        workers = {worker.connection: worker for worker in self._workers}
        for connection in wait(list(workers)):
            with undisturbed():  # half a message read would leave the pipe out of step
                self._hear(workers[connection])

    def _hear(self, worker: Worker) -> None:
        try:
            what, *values = worker.connection.recv()
        except (EOFError, OSError):
            self._bury(worker)
        else:
            getattr(self, f"_on_{what}")(worker, *values)

    def _on_call(self, worker: Worker, name: str, method: str, args: tuple[Any, ...]) -> None:
        if name == "progress":
            self._objects[name].turn_to(worker.number)
        getattr(self._objects[name], method)(*args)

    def _on_logged(self, worker: Worker, record: logging.LogRecord) -> None:
        logging.getLogger(record.name).handle(record)

    def _on_done(self, worker: Worker) -> None:
        worker.stack = None

    def _on_stopped(self, worker: Worker, signum: int) -> None:
        worker.stack, self._problem = None, Interrupted(signum)

    def _on_failed(self, worker: Worker, error: Exception) -> None:
        worker.stack, self._problem = None, error

    def _bury(self, worker: Worker) -> None:
        self._workers.remove(worker)
        worker.connection.close()
        worker.process.join()
        if worker.stack:
            self._objects["progress"].turn_to(worker.number)
            self._objects["progress"].give_up()
            self._waiting.extend(self._died(worker.stack, worker.process.exitcode))

    def _stop(self) -> None:
        """Lets every worker save its stack, and waits for it; a second signal meanwhile kills them."""
        self._died = lambda stack, code: []
        is_first = isinstance(self._problem, Interrupted)  # where all got the signal, a worker may tell of it before us
        steps = chain([self._terminate], repeat(self._let_end))
        while self._workers:
            try:
                next(steps)()
            except Interrupted:
                if not is_first:
                    self._kill()
                    raise
                is_first = False

    def _terminate(self) -> None:
        with undisturbed():
            for worker in self._workers:
                worker.process.terminate()

    def _let_end(self) -> None:
        for worker in self._workers:
            if worker.stack is None:  # it ended its stack before the signal came, and waits for the next one
                worker.give(None)
        self._listen()

    def end(self) -> None:
        """Ends them, once they have nothing to do."""
        try:
            for worker in self._workers:
                worker.give(None)
            for worker in self._workers:
                worker.process.join()
        except BaseException:
            self._kill()
            raise
        self._workers = []

    def _kill(self) -> None:
        for worker in self._workers:
            worker.process.kill()
