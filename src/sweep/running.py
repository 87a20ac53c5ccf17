"""Trains the jobs of a sweep: stack after stack, and one after another those that cannot be stacked."""

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.console import Console

from src.build import device_name
from src.errors import ConfigError, disk_problem
from src.fit_stack import Trial, fit_stack, room
from src.laws import needs_processes
from src.progress import SweepProgress
from src.ranking import same_for_all
from src.sweep.alone import failed, fit_alone, one_line
from src.sweep.folder import earlier_record
from src.sweep.jobs import Job, write_hydra_files
from src.sweep.plan import groups_of, interrupted_stacks, stacks_of, why_alone
from src.sweep.pruning import Pruning
from src.sweep.stacks import stack_checkpoint, stack_ended, stacks_under_way
from src.sweep.workers import Workers, how_many
from src.upload import uploads

log = logging.getLogger(__name__)
_LEAST = 32  # trials of a stack that is one of several only to keep workers busy: fewer take hardly less time


def run_jobs(
    sweep: Path,
    trials: Sequence[Job],
    ended: set[str],
    stack_size: int | None,
    workers: int | None,
    pruning: Pruning,
    part_of: tuple[int, int] | None,
) -> None:
    """Trains every trial that has not ended; each leaves its record.

    Args:
        sweep: the sweep folder.
        trials: all of the sweep's, each with a key of its own.
        ended: keys of those that ended in an earlier launch.
        stack_size: the most trials of a stack, None for as many as memory takes.
        workers: how many processes train, None for as many as `how_many` finds right.
        pruning: which trials are dropped.
        part_of: where these are one round of a sweep, the trials of the rounds before and of all.

    Raises:
        Interrupted: where a signal stopped the sweep.
        OSError: where the disk is full.
    """
    objective, hidden = trials[0].cfg.objective, same_for_all([job.overrides for job in trials])
    before, total = part_of or (0, len(trials))
    progress = SweepProgress(
        objective.metric, total, before + len(ended), Console(), objective.direction, hidden, stays=part_of is None
    )
    cfgs = [job.cfg for job in trials]
    number, reason = how_many(workers, cfgs, any(device_name(cfg) != "cpu" for cfg in cfgs), pruning.drops)
    if workers and workers > number:
        log.warning(f"trials train in one process: {reason}")
    running, once = Running(sweep, progress, pruning), _Once()
    log.addFilter(once)
    try:
        with running.workers(number) as processes:
            processes.start(min(number, len(trials) - len(ended)))
            running.train_all(running.plan(trials, ended, stack_size, number), processes)
    finally:
        progress.end()
        log.removeFilter(once)


class Running:
    """A sweep that trains.

    Args:
        sweep: the sweep folder.
        progress: the sweep's.
        pruning: which trials are dropped.
    """

    def __init__(self, sweep: Path, progress: SweepProgress, pruning: Pruning) -> None:
        self._sweep, self._progress, self._pruning = sweep, progress, pruning

    def plan(self, trials: Sequence[Job], ended: set[str], stack_size: int | None, workers: int) -> list[list[Job]]:
        """The stacks to train: first those that an earlier launch left under way."""
        going_on = interrupted_stacks(stacks_under_way(self._sweep), trials, ended)
        busy = ended | {job.key for stack in going_on for job in stack}
        groups = groups_of([job for job in trials if job.key not in busy])
        beside = -(-workers // max(len(groups), 1))  # stacks of a group that keep the workers busy
        stacks = list(going_on)
        for group in groups:
            try:
                stacks += self._planned(group, stack_size, beside)
            except ConfigError:
                if len(groups) == 1 and not going_on:  # no trial of the sweep could be trained
                    raise
                stacks += [[job] for job in group]  # each of them says it by itself
        return stacks

    def _planned(self, group: list[Job], stack_size: int | None, beside: int) -> list[list[Job]]:
        """A group's stacks; one that cannot be stacked goes trial by trial, and a line says why."""
        if len(group) == 1 or stack_size == 1:
            return [[job] for job in group]
        fits, reason = 1, why_alone(group[0].cfg) or self._pruning.why_alone
        if reason is None:
            try:
                fits, reason = room(_trial(group[0]))
            except ConfigError:  # a law that every trial of the group breaks
                raise
            except Exception as error:  # whatever a user's model or data raises; trained alone, each trial says it
                _raise_if_disk_is_full(error)
                reason = one_line(error)
        if reason is not None:
            _say_once(f"trials are not stacked: {reason}")
        beside = max(1, min(beside, len(group) // _LEAST))
        return stacks_of(group, min(stack_size or -(-len(group) // beside), fits))

    def workers(self, number: int) -> Workers:
        """Processes that train as this one would."""
        make = partial(Running, self._sweep, pruning=self._pruning)
        objects = {"progress": self._progress, "upload": uploads()}
        return Workers(number, make, objects, self._after_death)

    def train_all(self, stacks: Sequence[list[Job]], workers: Workers) -> None:
        """Trains stacks beside each other in workers, or here where there is only one of either."""
        if min(len(stacks), workers.number) > 1:
            workers.train(stacks)
            return
        workers.end()
        for stack in stacks:
            self.train(stack)

    def train(self, stack: list[Job]) -> None:
        """Trains a stack; one that fails is halved until only the trials that make it fail are left, each alone."""
        if len(stack) == 1:
            self._train_alone(stack[0])
            return
        checkpoint = stack_checkpoint(self._sweep, [job.key for job in stack])
        for job in stack:
            if not _has_ended(job):
                write_hydra_files(job)
        try:
            fit_stack([_trial(job) for job in stack], checkpoint, self._progress, self._pruning.of_stack())
        except Exception as error:  # most often one trial's fault; out of memory, halving is the remedy too
            _raise_if_disk_is_full(error)
            self._progress.give_up()
            log.debug("a stack failed", exc_info=True)
            _say_once(f"a stack failed ({one_line(error)}): it is halved to find the trials at fault")
        stack_ended(checkpoint)
        if rest := [job for job in stack if not _has_ended(job)]:
            for half in stacks_of(rest, -(-len(rest) // 2)):
                self.train(half)

    def _after_death(self, stack: list[Job], code: int | None) -> list[list[Job]]:
        """What there is still to train of a stack whose worker died: halves, down to the trial at fault."""
        stack_ended(stack_checkpoint(self._sweep, [job.key for job in stack]))
        rest = [job for job in stack if not _has_ended(job)]
        if not rest:
            return []
        died = RuntimeError(f"its process ended with exit code {code}")
        if len(stack) == 1:
            self._progress.trial_ended(failed(rest[0], died), rest[0].overrides)
            return []
        log.warning(f"a worker ended with exit code {code}: its stack is halved to find the trials at fault")
        return stacks_of(rest, -(-len(rest) // 2))

    def _train_alone(self, job: Job) -> None:
        if self._pruning.drops and needs_processes(job.cfg):
            _say_once("trials that take several processes are not dropped: the pruner cannot see them while they train")
        try:
            record = fit_alone(job, self._pruning.of_trial())
        except Exception as error:  # one failing trial fails alone; its record says why
            _raise_if_disk_is_full(error)
            record = failed(job, error)
            if isinstance(error, ConfigError):
                _say_once(str(error))
            else:
                log.exception(f"trial {job.key} failed:", extra={"once": one_line(error)})
        self._progress.trial_ended(record, job.overrides)


class _Once(logging.Filter):
    """Lets through once what is the same for many trials, whichever of the sweep's processes says it."""

    def __init__(self) -> None:
        super().__init__()
        self._said: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        text = getattr(record, "once", None)
        is_new = text is None or text not in self._said
        self._said.add(text or "")
        return is_new


def _say_once(text: str) -> None:
    log.warning(text, extra={"once": text})


def _raise_if_disk_is_full(error: Exception) -> None:
    """A full disk is no trial's fault: the sweep stops, and goes on once there is room."""
    if isinstance(error, OSError) and disk_problem(error):
        raise error


def _has_ended(job: Job) -> bool:
    record = earlier_record(job)
    return record is not None and record.has_ended


def _trial(job: Job) -> Trial:
    return Trial(job.cfg, job.stored, job.folder, job.key, job.overrides)
