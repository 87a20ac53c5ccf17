"""What a metric is called: `<split>/<metric>`, and `<split>/<metric> <target>` for one target of several.

The one place that puts such a name together or takes it apart: a target may be called anything, `glucose mg/dL` too.
Never imports torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from src.data.split import SPLITS

Value = TypeVar("Value")


@dataclass(frozen=True)
class MetricName:
    """A name in its parts.

    Attributes:
        split: one of `SPLITS`, or the name of the file that was scored; empty for what belongs to no split, such as
            `epoch`. It holds no slash.
        metric: such as `mae`. It holds no space.
        target: whose it is, as the user calls it; empty for that of all targets.
    """

    split: str
    metric: str
    target: str = ""

    @classmethod
    def parse(cls, text: str) -> "MetricName":
        """Takes a name apart, at its first slash and the first space after it."""
        split, slash, rest = text.partition("/")
        metric, _, target = (rest if slash else text).partition(" ")
        return cls(split if slash else "", metric, target)

    def __str__(self) -> str:
        split = f"{self.split}/" if self.split else ""
        return split + self.metric + (f" {self.target}" if self.target else "")


def split_of(name: str) -> str:
    """The split that a metric was measured on; empty for what belongs to none."""
    return MetricName.parse(name).split


def measured(metrics: Mapping[str, Value]) -> dict[str, Value]:
    """Those that were measured on a split: a record's metrics also say where the best epoch stood."""
    return {name: value for name, value in metrics.items() if split_of(name) in SPLITS}


def free_name(name: str, taken: set[str]) -> str:
    """A column's name, with as many underscores behind it as set it apart from all others, whatever their case."""
    others = {other.casefold() for other in taken}
    while name.casefold() in others:
        name += "_"
    return name
