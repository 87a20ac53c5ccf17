"""One trial by itself, in this process or, where it needs several, in processes of its own."""

import logging
import os
import subprocess
import sys
from functools import partial

from omegaconf import OmegaConf

from src import record as records
from src.consistency import set_aside
from src.errors import ConfigError, Interrupted
from src.laws import needs_processes
from src.record import Prune, Record
from src.record_check import Damaged
from src.run import fit, resume
from src.secrecy import hidden
from src.signals import die_with_parent
from src.sweep.folder import earlier_record
from src.sweep.jobs import Job, write_hydra_files

log = logging.getLogger(__name__)
_TAIL = 30  # lines of a failed process that are shown


def fit_alone(job: Job, prune: Prune | None) -> Record:
    """One trial by itself: on from its checkpoint if it was begun, in a process of its own if it needs several."""
    write_hydra_files(job)
    earlier = earlier_record(job)
    if needs_processes(job.cfg):
        return _fit_in_processes(job)
    if earlier is None:
        return fit(job.cfg, job.folder, OmegaConf.create(job.stored), job.overrides, quiet=True, prune=prune)
    if earlier.stack is not None:  # there is no state in it that a trial alone can go on from
        (job.folder / "checkpoints" / "last.ckpt").unlink(missing_ok=True)
    earlier.stack = None
    records.write(job.folder, earlier)
    try:
        return resume(job.folder, quiet=True, prune=prune)
    except Damaged as error:
        law = str(error).splitlines()[0].removeprefix("error: ")
        log.warning(f"trial {job.key} is trained from its start, and its checkpoints are kept as they are: {law}")
        set_aside(job.folder / "checkpoints")
        return resume(job.folder, quiet=True, prune=prune)


def _fit_in_processes(job: Job) -> Record:
    """A trial that needs several processes: under DDP each starts with the first one's command line, so it has its own.

    Raises:
        RuntimeError: where the process ended before the trial did.
    """
    if not (job.folder / "record.json").is_file():
        records.write(job.folder, Record(job.key, job.overrides))
    command = [sys.executable, "-m", "src.train", f"resume={job.folder}"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={name: value for name, value in os.environ.items() if name != "WANDB_MODE"},  # as we have set it
        start_new_session=True,  # Ctrl-C reaches it once, through us
        preexec_fn=partial(die_with_parent, os.getpid()),
    )
    try:
        output, _ = process.communicate()
    except Interrupted:
        process.terminate()  # it saves where it stands
        process.communicate()
        raise
    record = records.read(job.folder)
    if not record.has_ended:
        log.warning("\n".join(output.splitlines()[-_TAIL:]))
    if record.status == "running":
        raise RuntimeError(f"its process ended with exit code {process.returncode}")
    return record


def failed(job: Job, error: Exception) -> Record:
    """Writes down that a trial failed, and why."""
    record = earlier_record(job) or Record(job.key, job.overrides)
    record.status, record.error, record.timing["ended"] = "failed", one_line(error), records.now()
    records.write(job.folder, record)
    return record


def one_line(error: Exception) -> str:
    """What went wrong, in a line."""
    told = hidden(" ".join(str(error).split()))
    return told.removeprefix("error: ") if isinstance(error, ConfigError) else f"{type(error).__name__}: {told}"
