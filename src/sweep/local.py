"""The launcher of this machine: trials that can be stacked train together, the others one after another."""

import logging
import math
import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.utils import JobReturn, JobStatus, configure_log, env_override, setup_globals
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import OmegaConf

from src.commands import command
from src.errors import ConfigError, disk_problem
from src.imports import heavy_imports
from src.lean_wandb import prepare
from src.places import place, short
from src.record import Record
from src.sweep.folder import check_folders, earlier_record, ended_record, forget_sweep, write_sweep
from src.sweep.jobs import Job, compose_jobs, hydra_part
from src.sweep.pruning import Pruning
from src.sweep.session import end_sweep, session
from src.sweep.stacks import forget_ended_stacks
from src.tracking import run_name

log = logging.getLogger(__name__)


class LocalLauncher(BasicLauncher):
    """Hydra launcher: stacks, resume, and a failing trial that fails alone.

    Args:
        stack_size: the most trials of a stack; `auto` goes by memory, 1 trains them one by one.
        workers: how many processes train at the same time; `auto` as `src.sweep.workers.how_many` says.

    Attributes:
        part_of: where a sweeper launches in rounds and sums up by itself, the trials of its rounds before and of all.
    """

    skips_ended = True

    def __init__(self, stack_size: int | str = "auto", workers: int | str = "auto") -> None:
        super().__init__()
        self.stack_size, self.workers = stack_size, workers
        self.part_of: tuple[int, int] | None = None

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Trains every job that has not ended in an earlier launch, and returns what came out in their order."""
        if not getattr(self.task_function, "stackable", False):
            return super().launch(job_overrides, initial_job_idx)
        assert self.config is not None
        assert self.hydra_context is not None
        setup_globals()
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        sweep = Path(str(self.config.hydra.sweep.dir))
        resume = command("resume", place(sweep))
        try:
            if not job_overrides:
                raise ConfigError(
                    "a sweep needs a trial: its values leave none",
                    shlex.join(sys.argv[1:]),
                    "python -m src.train -m seed=0,1",
                )
            _check("stack_size", self.stack_size, "trials")
            _check("workers", self.workers, "processes")
            _check_subdir(OmegaConf.to_container(self.config.hydra.sweep)["subdir"])  # type: ignore[index,call-overload]
            jobs = compose_jobs(self.hydra_context.config_loader, self.config, sweep, job_overrides, initial_job_idx)
            with session(sweep, resume), env_override(self.config.hydra.job.env_set):
                return self._launch(sweep, jobs, resume, is_first=initial_job_idx == 0)
        except (ConfigError, HydraException):
            forget_sweep(sweep)
            raise
        except OSError as error:
            if (problem := disk_problem(error)) is None:
                raise
            raise SystemExit(f"{problem}, then go on with: {resume}") from None

    def _launch(self, sweep: Path, jobs: list[Job], resume: str, is_first: bool) -> list[JobReturn]:
        assert self.config is not None
        check_folders(jobs)
        changes = write_sweep(sweep, jobs, is_whole=self.part_of is None)
        if self.config.hydra.job.chdir:
            changes.append("hydra.job.chdir: trials share processes, and train where the sweep was typed")
        for change in changes if is_first else []:
            log.warning(change)
        trials = list({job.key: job for job in reversed(jobs)}.values())[::-1]  # the same config twice is one trial
        ended = {job.key for job in trials if ended_record(job)}
        pruning = Pruning(self.config.hydra.sweeper.get("pruner"), sweep, trials[0].cfg)
        if self.part_of is None:
            earlier = f", {len(ended)} of them ended before" if ended else ""
            log.info(f"{short(sweep)}: {len(trials)} trials{earlier}")
        waiting = [job for job in trials if job.key not in ended]
        self._call_back("on_job_start", waiting, lambda job: {"task_function": self.task_function})
        if waiting:
            self._train(sweep, trials, ended, pruning)
        records = {job.key: record for job in trials if (record := earlier_record(job))}
        forget_ended_stacks(sweep, [key for key, record in records.items() if record.has_ended])
        if self.part_of is None:
            failed = any(record.status == "failed" for record in records.values())
            end_sweep(sweep, trials[0].cfg, records, more=[resume] if failed else [])
        failure = _failure(sweep, list(records.values()))
        results = [_returned(job, records[job.key], failure) for job in jobs]
        by_key = {job.key: result for job, result in zip(jobs, results, strict=True)}
        self._call_back("on_job_end", waiting, lambda job: {"job_return": by_key[job.key]})
        return results

    def _train(self, sweep: Path, trials: list[Job], ended: set[str], pruning: Pruning) -> None:
        with heavy_imports():  # torch is imported here, once every config is known to be right
            if trials[0].cfg.tracking.mode != "disabled":
                with suppress(ImportError):  # the tracking says it, and the training goes on
                    prepare()  # once, and not in every worker that is forked
            from src.sweep.running import run_jobs

        size, workers = (None if asked == "auto" else int(asked) for asked in (self.stack_size, self.workers))
        run_jobs(sweep, trials, ended, size, workers, pruning, self.part_of)

    def _call_back(self, hook: str, jobs: Sequence[Job], about: Callable[[Job], dict[str, Any]]) -> None:
        """Tells callbacks that wait for it of each job; here all start, and end, together."""
        assert self.hydra_context is not None
        callbacks = self.hydra_context.callbacks
        if any(getattr(type(each), hook, None) not in (None, getattr(Callback, hook)) for each in callbacks.callbacks):
            for job in jobs:
                config = OmegaConf.create({**job.values, "hydra": hydra_part(job)})
                getattr(callbacks, hook)(config=config, **about(job))


def _check(name: str, value: int | str, what: str) -> None:
    if value != "auto" and not (isinstance(value, int) and value >= 1):
        key = f"hydra.launcher.{name}"
        raise ConfigError(f"{key} is auto or a number of {what}", value, f"{key}=auto")


def _check_subdir(given: str) -> None:
    if given != "${key:}":
        law = "a trial's folder is named by its key (hydra.sweep.subdir): it is found again by that"
        raise ConfigError(law, given, "hydra.sweep.dir=outputs/…   # puts the whole sweep elsewhere")


def _failure(sweep: Path, records: Sequence[Record]) -> str:
    """What the command says last where trials failed: which, where and why."""
    failed = [record for record in records if not record.has_ended]
    if not failed:
        return ""
    first = failed[0]
    more = f", and {len(failed) - 1} more (`failed` in their record.json)" if len(failed) > 1 else ""
    name = run_name(first.overrides, first.key)
    return f"{len(failed)} of {len(records)} trials failed: {short(sweep)}/{first.key} ({name}): {first.error}{more}"


def _returned(job: Job, record: Record, failure: str) -> JobReturn:
    """A trial's result as Hydra's sweepers want it: raising where the trial failed."""
    out = JobReturn(overrides=job.overrides, working_dir=str(job.folder), task_name=job.hydra["job"]["name"])
    out.status = JobStatus.COMPLETED if record.has_ended else JobStatus.FAILED
    objective = math.nan if record.objective is None else record.objective
    out.return_value = objective if record.has_ended else SystemExit(failure)
    return out
