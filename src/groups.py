"""The config groups that name a class by `_target_`: the keys that each of the known classes takes."""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING


def number(**bounds: float) -> Any:
    """Declares a numeric field with bounds: `at_least`, `above`, `at_most`, `below`."""
    return field(default=MISSING, metadata={"bounds": bounds})


def choice(*options: str | None) -> Any:
    """Declares a field that takes one of `options`."""
    return field(default=MISSING, metadata={"options": options})


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
    decimal: str | None = choice(None, ".", ",")
    """The decimal mark of a text file; null finds it out."""
    thousands: str | None = choice(None, ",", ".", "'", " ", "_")
    """The mark between thousands in a text file; null takes any."""


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
