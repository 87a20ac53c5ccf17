"""Which trials train together."""

import json
from collections.abc import Collection, Sequence
from itertools import pairwise

from src.config import Config
from src.groups import TARGETS
from src.laws import needs_processes
from src.naming import canonical
from src.sweep.jobs import Job

_STACKABLE = {
    "optimizer": ("lr", "betas", "eps", "weight_decay", "momentum"),
    "scheduler": ("max_lr",),  # follows optimizer.lr
}
_STACKED_OPTIMIZERS = ("torch.optim.Adam", "torch.optim.AdamW", "torch.optim.SGD")


def why_alone(cfg: Config) -> str | None:
    """Why a config is trained by itself, as far as the config tells; None where it can be stacked."""
    trainer = cfg.trainer
    settings = {
        f"optimizer {cfg.optimizer._target_}": cfg.optimizer._target_ not in _STACKED_OPTIMIZERS,
        f"scheduler {cfg.scheduler._target_}": cfg.scheduler._target_ not in TARGETS["scheduler"],
        f"trainer.devices={trainer.devices}": needs_processes(cfg),
        f"trainer.precision={trainer.precision}": trainer.precision.startswith("16")
        or trainer.precision == "bf16-true",
        f"trainer.max_time={trainer.max_time}": trainer.max_time is not None,
        "trainer.detect_anomaly": trainer.detect_anomaly,
        f"trainer.profiler={trainer.profiler}": trainer.profiler is not None,
        "trainer.fast_dev_run": bool(trainer.fast_dev_run),
        f"callbacks ({', '.join(cfg.callbacks)})": bool(cfg.callbacks),
    }
    return next((f"a stack does not honour {name}" for name, holds in settings.items() if holds), None)


def groups_of(jobs: Sequence[Job]) -> list[list[Job]]:
    """Jobs that differ in stackable fields only, in the order in which each group begins."""
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(_shared(job), []).append(job)
    return list(groups.values())


def stacks_of(jobs: Sequence[Job], size: int) -> list[list[Job]]:
    """Cuts a group into stacks of nearly equal size, none larger than `size`."""
    count = -(-len(jobs) // size)
    cuts = [round(i * len(jobs) / count) for i in range(count + 1)]
    return [list(jobs[start:end]) for start, end in pairwise(cuts)]


def interrupted_stacks(
    folder_keys: Sequence[Sequence[str]], jobs: Sequence[Job], ended: Collection[str]
) -> list[list[Job]]:
    """Stacks that were under way in an earlier launch and whose trials are all asked for again."""
    by_key = {job.key: job for job in jobs}
    going_on: list[list[Job]] = []
    taken: set[str] = set()
    for keys in folder_keys:
        if set(keys) <= by_key.keys() and not set(keys) <= set(ended) and not taken & set(keys):
            going_on.append([by_key[key] for key in keys])
            taken |= set(keys)
    return going_on


def _shared(job: Job) -> str:
    """What trials of one stack have in common."""
    values = {name: value for name, value in job.values.items() if name not in ("seed", "tracking", "sweep", "resume")}
    for group, names in _STACKABLE.items():
        values[group] = {name: value for name, value in values[group].items() if name not in names}
    return json.dumps(canonical(values), sort_keys=True, default=str)
