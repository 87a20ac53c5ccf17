"""The launcher of this machine: trials that can be stacked train together, the others one after another."""

import logging
import math
from collections.abc import Sequence
from pathlib import Path

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus, configure_log, setup_globals

from src.errors import ConfigError, die
from src.imports import heavy_imports
from src.sweep.folder import earlier_record, sole_owner, write_sweep
from src.sweep.jobs import Job, compose_jobs

log = logging.getLogger(__name__)


class LocalLauncher(BasicLauncher):
    """Hydra launcher: stacks, resume, and a failing trial that fails alone.

    Args:
        stack_size: the most trials of a stack; `auto` goes by memory, 1 trains one at a time.
    """

    def __init__(self, stack_size: int | str = "auto") -> None:
        super().__init__()
        self.stack_size = stack_size

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Trains every job that has not ended in an earlier launch, and returns what came out in their order."""
        if not getattr(self.task_function, "stackable", False):
            return super().launch(job_overrides, initial_job_idx)
        assert self.config is not None
        assert self.hydra_context is not None
        setup_globals()
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        sweep = Path(str(self.config.hydra.sweep.dir))
        try:
            _check_stack_size(self.stack_size)
            loader = self.hydra_context.config_loader
            jobs = compose_jobs(loader, self.config, sweep, job_overrides, initial_job_idx)
            with sole_owner(sweep):
                return self._launch(sweep, jobs)
        except ConfigError as error:
            die(error)

    def _launch(self, sweep: Path, jobs: list[Job]) -> list[JobReturn]:
        for change in write_sweep(sweep, jobs):
            log.warning(change)
        ended = {job.key for job in jobs if (record := earlier_record(job)) and record.has_ended}
        log.info(f"{sweep}: {len(jobs)} trials" + (f", {len(ended)} of them ended before" if ended else ""))
        with heavy_imports():  # torch is imported here, once every config is known to be right
            from src.sweep.running import run_jobs

        size = None if self.stack_size == "auto" else int(self.stack_size)
        run_jobs(sweep, jobs, ended, size)
        return [_returned(job) for job in jobs]


def _check_stack_size(size: int | str) -> None:
    if size != "auto" and not (isinstance(size, int) and size >= 1):
        raise ConfigError("hydra.launcher.stack_size is auto or a number of trials", size, "hydra.launcher.stack_size=auto")


def _returned(job: Job) -> JobReturn:
    """A trial's result as Hydra's sweepers want it."""
    record = earlier_record(job)
    out = JobReturn(overrides=job.overrides, working_dir=str(job.folder))
    out.task_name = HydraConfig.get().job.name if HydraConfig.initialized() else "train"
    out.status = JobStatus.COMPLETED if record is not None and record.has_ended else JobStatus.FAILED
    out.return_value = (
        (math.nan if record.objective is None else record.objective)
        if record is not None and out.status is JobStatus.COMPLETED
        else SystemExit(f"a trial failed: {record.error if record else 'it has no record'}; see {job.folder}/record.json")
    )
    return out
