"""The config's schema: which keys there are, their types and their ranges, checked once before torch is imported.

YAML chooses the values and Hydra composes them; `check` turns the result into a typed `Config` or raises a
`ConfigError`. A group whose `_target_` is not listed in `TARGETS` (a user's own class) keeps its own keys.
"""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

PRECISIONS = ("64", "32", "16", "bf16", "64-true", "32-true", "16-true", "bf16-true", "16-mixed", "bf16-mixed")


def number(**bounds: float) -> Any:
    """Declares a numeric field with bounds: `at_least`, `above`, `at_most`, `below`."""
    return field(default=MISSING, metadata={"bounds": bounds})


def choice(*options: str | None) -> Any:
    """Declares a field that takes one of `options`."""
    return field(default=MISSING, metadata={"options": options})


@dataclass
class Objective:
    """What a run is judged by: it picks the best checkpoint and is what a sweep compares."""

    metric: str = MISSING
    """A training or validation metric, such as `val/loss`."""
    direction: str = choice("minimize", "maximize")


@dataclass
class HiddenLayer:
    """A net with one hidden layer; its input and output sizes come from the data."""

    _target_: str = MISSING
    hidden_dim: int = number(at_least=1)


@dataclass
class Data:
    """What every dataset has."""

    _target_: str = MISSING
    seed: int = number(at_least=0, below=2**32)
    """Draws the splits and the order of the batches."""
    batch_size: int = number(at_least=1)
    val_fraction: float = number(at_least=0, below=1)
    """Share of all rows; 0 leaves the split out."""
    test_fraction: float = number(at_least=0, below=1)
    standardize: bool = MISSING
    """Scale features and targets to mean 0, standard deviation 1, as measured on the train split."""


@dataclass
class Synthetic(Data):
    """Random features, and targets that are random too or made by a teacher network."""

    num_rows: int = number(at_least=1)
    input_dim: int = number(at_least=1)
    output_dim: int = number(at_least=1)
    teacher_dim: int | None = number(at_least=1)
    """Hidden units of the network that makes the targets; null draws the targets at random, as the notes do."""
    noise: float = number(at_least=0)
    """Standard deviation of the noise on a teacher's targets, in units of their own standard deviation."""


@dataclass
class Table(Data):
    """The user's own table."""

    path: str = MISSING
    """A CSV or Parquet file with a header."""
    target: Any = MISSING
    """The column to predict, or a list of columns."""
    features: list[str] | None = MISSING
    """The columns to predict from; null takes every column but the targets."""


@dataclass
class Loss:
    """What training minimises."""

    _target_: str = MISSING
    reduction: str = choice("mean", "sum")


@dataclass
class Optimizer:
    """What every optimizer has."""

    _target_: str = MISSING
    lr: float = number(at_least=0)
    weight_decay: float = number(at_least=0)
    fused: bool | None = MISSING


@dataclass
class Adam(Optimizer):
    """Adam and AdamW."""

    betas: tuple[float, float] = field(default=MISSING, metadata={"bounds": {"at_least": 0, "below": 1}})
    eps: float = number(at_least=0)


@dataclass
class SGD(Optimizer):
    """Gradient descent, with momentum if it is above 0."""

    momentum: float = number(at_least=0)
    nesterov: bool = MISSING


@dataclass
class NoScheduler:
    """A learning rate that stays as it is."""

    _target_: str | None = None


@dataclass
class Cosine:
    """Half a cosine, from the first learning rate down."""

    _target_: str = MISSING
    T_max: int = number(at_least=1)
    """Epochs from the first learning rate down to `eta_min`."""
    eta_min: float = number(at_least=0)


@dataclass
class Plateau:
    """Lowers the learning rate where the objective stops getting better."""

    _target_: str = MISSING
    mode: str = choice("min", "max")
    factor: float = number(above=0, below=1)
    patience: int = number(at_least=0)
    """Epochs without a better objective before the learning rate is multiplied by `factor`."""


@dataclass
class OneCycle:
    """Up to `max_lr` and down again, once, over all steps."""

    _target_: str = MISSING
    max_lr: float = number(above=0)
    pct_start: float = number(above=0, below=1)
    """Share of all steps spent raising the learning rate."""


@dataclass
class Trainer:
    """Arguments of Lightning's Trainer."""

    accelerator: str = choice("auto", "cpu", "gpu", "cuda", "mps", "tpu")
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
    """Least time between two writes of `last.ckpt`: what a killed run can lose."""


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
    """The sweep's folder under `outputs/sweeps`; the same name again resumes it. Null takes the time and a key."""


@dataclass
class Config:
    """A checked config. The groups that name a class by `_target_` stay as they are, for `instantiate`."""

    seed: int = number(at_least=0, below=2**32)
    """Draws the initial weights."""
    num_threads: int = number(at_least=1)
    """CPU threads of one run; kept the same on every machine, so that a run comes out the same bit for bit."""
    objective: Objective = field(default_factory=Objective)
    model: Any = None
    data: Any = None
    loss: Any = None
    optimizer: Any = None
    scheduler: Any = None
    trainer: Trainer = field(default_factory=Trainer)
    early_stopping: EarlyStopping = field(default_factory=EarlyStopping)
    checkpoint: Checkpoint = field(default_factory=Checkpoint)
    tracking: Tracking = field(default_factory=Tracking)
    sweep: Sweep = field(default_factory=Sweep)
    resume: str | None = None
    """A run folder to go on with; its own config is used."""


TARGETS: dict[str, dict[str | None, type]] = {
    "model": {"src.models.TwoLayerNet": HiddenLayer, "src.models.Sequential": HiddenLayer},
    "data": {
        "src.data.bundled.Diabetes": Data,
        "src.data.bundled.Linnerud": Data,
        "src.data.synthetic.Synthetic": Synthetic,
        "src.data.table.Table": Table,
    },
    "loss": {"torch.nn.MSELoss": Loss},
    "optimizer": {"torch.optim.Adam": Adam, "torch.optim.AdamW": Adam, "torch.optim.SGD": SGD},
    "scheduler": {
        None: NoScheduler,
        "torch.optim.lr_scheduler.CosineAnnealingLR": Cosine,
        "torch.optim.lr_scheduler.ReduceLROnPlateau": Plateau,
        "torch.optim.lr_scheduler.OneCycleLR": OneCycle,
    },
}
"""The classes whose keys are known, by config group; any other `_target_` brings its own."""
