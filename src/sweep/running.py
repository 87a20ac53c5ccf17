"""Trains the jobs of a sweep: stack after stack, then those that go alone."""

import logging
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from omegaconf import OmegaConf
from rich.console import Console

from src import record as records
from src.errors import Interrupted
from src.fit_stack import Trial, fit_stack, room
from src.progress import SweepProgress
from src.record import Record
from src.run import fit, resume
from src.summary import short, sweep_summary
from src.sweep.folder import earlier_record, stack_checkpoint, stack_ended, stacks_under_way
from src.sweep.jobs import Job, write_hydra_files
from src.sweep.plan import groups_of, interrupted_stacks, needs_processes, stacks_of, why_alone

log = logging.getLogger(__name__)


def run_jobs(sweep: Path, jobs: Sequence[Job], ended: set[str], stack_size: int | None) -> None:
    """Trains every job that has not ended; each leaves its record.

    Args:
        sweep: the sweep folder.
        jobs: all of the sweep's.
        ended: keys of those that ended in an earlier launch.
        stack_size: the most trials of a stack, None for as many as memory takes.

    Raises:
        Interrupted: where a signal stopped the sweep.
    """
    wanted = list({job.key: job for job in jobs}.values())  # the same config twice is one trial
    progress = SweepProgress(wanted[0].cfg.objective.metric, len(wanted), len(ended), Console())
    try:
        going_on = interrupted_stacks(stacks_under_way(sweep), wanted)
        for stack in going_on:
            _train_stack(sweep, stack, progress)
        busy = ended | {job.key for stack in going_on for job in stack}
        for group in groups_of([job for job in wanted if job.key not in busy]):
            for stack in _planned(group, stack_size):
                _train_stack(sweep, stack, progress)
    except Interrupted as stop:
        stop.resume = f"python -m src.resume {short(sweep)}"
        raise
    finally:
        progress.end()
    sweep_summary([record for job in wanted if (record := earlier_record(job))], wanted[0].cfg.objective, sweep, Console())


def _planned(group: list[Job], stack_size: int | None) -> list[list[Job]]:
    """A group's stacks; one that cannot be stacked goes trial by trial, and a line says why."""
    if len(group) == 1 or stack_size == 1:
        return [[job] for job in group]
    reason = why_alone(group[0].cfg)
    fits, reason = (1, reason) if reason else room(_trial(group[0]))
    if reason:
        log.warning(f"{len(group)} trials train one at a time: {reason}")
    return stacks_of(group, min(stack_size or fits, fits))


def _train_stack(sweep: Path, stack: list[Job], progress: SweepProgress) -> None:
    """Trains a stack; should it fail as a whole, its trials are trained alone, so that only the culprit fails."""
    if len(stack) == 1:
        _train_alone(stack[0], progress)
        return
    checkpoint = stack_checkpoint(sweep, [job.key for job in stack])
    for job in stack:
        write_hydra_files(job)
    try:
        fit_stack([_trial(job) for job in stack], checkpoint, progress)
    except Exception:
        log.exception("a stack failed; its trials are trained one at a time")
        for job in stack:
            if not _has_ended(job):
                _train_alone(job, progress)
    stack_ended(checkpoint)


def _train_alone(job: Job, progress: SweepProgress) -> None:
    try:
        record = _fit_alone(job)
    except Exception as error:  # one failing trial fails alone; its record says why
        log.exception(f"trial {job.key} failed")
        record = _failed(job, error)
    progress.trial_ended(record, job.overrides)


def _fit_alone(job: Job) -> Record:
    """One trial by itself: on from its checkpoint if it was begun, in a process of its own if it needs several."""
    write_hydra_files(job)
    if needs_processes(job.cfg):
        # Under DDP every further process starts with this one's command line: it must name this run alone.
        words = [*job.overrides, f"hydra.run.dir={job.folder}", f"sweep.name={job.folder.parent.name}", "hydra.mode=RUN"]
        if (job.folder / "record.json").is_file():
            words = [f"resume={job.folder}"]
        subprocess.run([sys.executable, "-m", "src.train", *words], check=False)
        return records.read(job.folder)
    earlier = earlier_record(job)
    if earlier is not None and earlier.stack is None:
        return resume(job.folder, quiet=True)
    return fit(job.cfg, job.folder, OmegaConf.create(job.values), job.overrides, quiet=True)


def _failed(job: Job, error: Exception) -> Record:
    record = earlier_record(job) or Record(job.key, job.overrides)
    record.status, record.error = "failed", f"{type(error).__name__}: {error}"
    records.write(job.folder, record)
    return record


def _has_ended(job: Job) -> bool:
    record = earlier_record(job)
    return record is not None and record.has_ended


def _trial(job: Job) -> Trial:
    return Trial(job.cfg, job.values, job.folder, job.key, job.overrides)
