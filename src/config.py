"""The config's schema: which keys there are, their types and their ranges, checked once before torch is imported.

YAML chooses the values and Hydra composes them; `check` turns the result into a typed `Config` or raises a
`ConfigError`. A group whose `_target_` is not listed in `src.groups.TARGETS` (a user's own class) keeps its own keys.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from src.groups import choice, number

PRECISIONS = ("64", "32", "16", "bf16", "64-true", "32-true", "16-true", "bf16-true", "16-mixed", "bf16-mixed")


@dataclass
class Objective:
    """What a run is judged by: it picks the best checkpoint and is what a sweep compares."""

    metric: str = MISSING
    """A training or validation metric, such as `val/loss`."""
    direction: str = choice("minimize", "maximize")

    @property
    def sign(self) -> int:
        """What the objective is multiplied by for less to be better."""
        return 1 if self.direction == "minimize" else -1

    @property
    def loss(self) -> str:
        """The loss of the objective's split."""
        return f"{self.metric.split('/')[0]}/loss"

    def costs(self, metrics: Mapping[str, float | None]) -> tuple[float, float]:
        """What epochs, trials and settings are ordered by, the less the better: the one place that says which is best.

        The objective comes first, then, where two have the same, the loss of its split; of two that have the same of
        both, the earlier one stays the best. A value that is missing or not finite counts as infinitely bad.
        """
        value, loss = metrics.get(self.metric), metrics.get(self.loss)
        return (
            self.sign * value if value is not None and math.isfinite(value) else math.inf,
            loss if loss is not None and math.isfinite(loss) else math.inf,
        )


@dataclass
class Trainer:
    """Arguments of Lightning's Trainer."""

    accelerator: str = choice("auto", "cpu", "gpu")
    devices: Any = MISSING
    num_nodes: int = number(at_least=1)
    strategy: str = choice("auto", "ddp", "ddp_find_unused_parameters_true", "fsdp")
    precision: str = choice(*PRECISIONS)
    max_epochs: int | None = number(at_least=-1)
    max_steps: int = number(at_least=-1)
    max_time: str | None = MISSING
    """Days, hours, minutes and seconds, such as `00:01:30:00`."""
    gradient_clip_val: float | None = number(above=0)
    gradient_clip_algorithm: str = choice("norm", "value")
    accumulate_grad_batches: int = number(at_least=1)
    check_val_every_n_epoch: int = number(at_least=1)
    limit_train_batches: Any = number(at_least=0)
    limit_val_batches: Any = number(at_least=0)
    limit_test_batches: Any = number(at_least=0)
    overfit_batches: Any = number(at_least=0)
    fast_dev_run: Any = number(at_least=0)
    deterministic: bool = MISSING
    detect_anomaly: bool = MISSING
    profiler: str | None = choice(None, "simple", "advanced", "pytorch")


@dataclass
class EarlyStopping:
    """When a run may stop before its end."""

    patience: int | None = number(at_least=1)
    """Validations without a better objective before a run stops; null never stops early."""
    min_delta: float = number(at_least=0)
    """How much better counts as better."""


@dataclass
class Checkpoint:
    """How often a run saves where it stands."""

    interval_seconds: float = number(at_least=0)
    """Time between two writes of `last.ckpt`, what a killed run can lose; 0 writes one after each epoch.

    A run on several devices writes them at the end of an epoch only."""


@dataclass
class Tracking:
    """Weights & Biases."""

    mode: str = choice("offline", "online", "disabled")
    project: str = MISSING
    entity: str | None = None
    tags: list[str] = MISSING
    name: str | None = None
    """The run's name; null says what the run changed."""
    log_model: bool = False
    """Keep the best checkpoint in W&B too, as an artifact of type `model`."""


@dataclass
class Sweep:
    """Where a sweep lies."""

    name: str | None = None
    """The sweep's folder under `outputs/sweeps`; the same name again resumes it. Null takes the time."""


@dataclass
class Config:
    """A checked config. The groups that name a class by `_target_` stay as they are, for `instantiate`."""

    seed: int = number(at_least=0, below=2**32)
    """Draws the initial weights."""
    num_threads: int = number(at_least=1, at_most=1024)
    """CPU threads of one run; kept the same on every machine, so that a run comes out the same bit for bit."""
    objective: Objective = field(default_factory=Objective)
    model: Any = None
    data: Any = None
    loss: Any = None
    optimizer: Any = None
    scheduler: Any = None
    trainer: Trainer = field(default_factory=Trainer)
    callbacks: dict[str, Any] = field(default_factory=dict)
    """Lightning callbacks by names of one's own, each a class (`_target_`) with what it takes."""
    early_stopping: EarlyStopping = field(default_factory=EarlyStopping)
    checkpoint: Checkpoint = field(default_factory=Checkpoint)
    tracking: Tracking = field(default_factory=Tracking)
    sweep: Sweep = field(default_factory=Sweep)
    resume: str | None = None
    """A run folder to go on with; its own config is used."""
