"""Which of the processes of one run this is.

Only processes that a run of ours has started are ranks of it, and it tells them so itself. What else the environment
says (RANK, LOCAL_RANK, SLURM_PROCID, ...) was said by others: four runs under `srun -n 4` are four runs.
"""

import os

_LAUNCHER = "TANDEM_LAUNCHER"  # the number of the process that started this one as a rank of its run
_READ_AS_NUMBERS = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")
_SIZES = {
    "WORLD_SIZE": "torchrun",
    "SLURM_STEP_NUM_TASKS": "srun",
    "OMPI_COMM_WORLD_SIZE": "mpirun",
    "PMI_SIZE": "mpirun",
    "JSM_NAMESPACE_SIZE": "jsrun",
}


def announce() -> None:
    """Lets the processes that Lightning starts from now on know that they are ranks of this one's run."""
    os.environ[_LAUNCHER] = str(os.getpid())
    os.environ.pop("TORCHELASTIC_USE_AGENT_STORE", None)  # torch would wait for torchrun's store


def _rank() -> int:
    """This process's rank; one above 0 dies with the process that started it, however early or late that is killed."""
    launcher = int(os.environ.pop(_LAUNCHER, 0))  # what a rank starts is none
    if launcher != os.getppid() and _is_alive(launcher):
        return 0
    rank = int(os.environ.get("LOCAL_RANK", 0)) if launcher else 0
    if rank:
        from src.signals import die_with_parent  # of no use to the others

        die_with_parent(launcher)
    return rank


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def _started_by() -> tuple[str, str, str] | None:
    sizes = ((name, os.environ.get(name, ""), by) for name, by in _SIZES.items())
    several = (found for found in sizes if found[1].isdecimal() and int(found[1]) > 1)
    return None if RANK else next(several, None)


RANK = _rank()
"""0 for the process that writes, prints and starts the others."""
STARTED_BY = _started_by()
"""Where others started several processes like this one: the variable that says so, its value, and what set it."""

for _name in _READ_AS_NUMBERS:  # Lightning and torchmetrics take any text there for a number when they are imported
    if not os.environ.get(_name, "0").lstrip("-").isdecimal():
        del os.environ[_name]
