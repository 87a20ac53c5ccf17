"""A search space in Hydra's own words: from `key=interval(...)` to Optuna's distributions, and back to overrides."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from optuna.distributions import (
    BaseDistribution,
    CategoricalChoiceType,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import create_trial

from src.errors import ConfigError

Values = dict[str, CategoricalChoiceType]


@dataclass
class Space:
    """What is searched, and what is the same for every suggestion.

    Attributes:
        distributions: Optuna's, by the key as it is typed (`optimizer.lr`, `+model.width`).
        fixed: the overrides that search nothing.
    """

    distributions: dict[str, BaseDistribution]
    fixed: list[str]

    def overrides(self, values: Mapping[str, Any]) -> list[str]:
        """A suggestion as one types it."""
        return [f"{key}={_text(values[key])}" for key in self.distributions]

    def values(self, overrides: Sequence[str]) -> Values | None:
        """The suggestion that overrides set; None where they leave one of the keys out or are outside the space."""
        texts = dict(text.split("=", 1) for text in overrides if "=" in text)
        if not self.distributions.keys() <= texts.keys():
            return None
        try:
            values = {key: _value(distribution, texts[key]) for key, distribution in self.distributions.items()}
            create_trial(value=0, params=values, distributions=self.distributions)  # refuses what lies outside
        except ValueError:
            return None
        return values

    def grid(self) -> list[Values]:
        """Every combination.

        Raises:
            ConfigError: where a key's values cannot be counted.
        """
        columns = [_counted(key, distribution) for key, distribution in self.distributions.items()]
        return [dict(zip(self.distributions, row, strict=True)) for row in itertools.product(*columns)]

    @property
    def is_finite(self) -> bool:
        """Whether a suggestion may come twice."""
        return not any(isinstance(d, FloatDistribution) and d.step is None for d in self.distributions.values())

    def corners(self) -> list[list[str]]:
        """Overrides that set each key once to each of its ends or choices: if these are right, the others are."""
        ends = {key: _ends(distribution) for key, distribution in self.distributions.items()}
        first = {key: values[0] for key, values in ends.items()}
        return [self.overrides(first | {key: value}) for key, values in ends.items() for value in values]


def parse(overrides: Sequence[Override]) -> Space:
    """Splits what was typed into what is searched and what is fixed.

    Raises:
        ConfigError: where nothing is searched, or an interval or a range holds nothing.
    """
    searched = [override for override in overrides if override.is_sweep_override()]
    if not searched:
        law = "a search needs a key to search: an interval, a range or several values"
        raise ConfigError(law, remedy="optimizer.lr='tag(log,interval(1e-5,1e-1))'")
    fixed = [str(override.input_line) for override in overrides if not override.is_sweep_override()]
    return Space({override.get_key_element(): _distribution(override) for override in searched}, fixed)


def _distribution(override: Override) -> BaseDistribution:
    value = override.value()
    tags: set[str] = getattr(value, "tags", set())
    if tags - {"log"} or (tags and not isinstance(value, IntervalSweep)):
        law = f"{override.get_key_element()}: the one tag is log, and an interval has it"
        raise ConfigError(law, override.input_line, f"{override.get_key_element()}='tag(log,interval(1e-5,1e-1))'")
    if isinstance(value, IntervalSweep):
        return _interval(override, value, "log" in tags)
    if isinstance(value, RangeSweep):
        return _range(override, value)
    choices = list(override.sweep_string_iterator())
    if not choices:
        raise ConfigError(f"{override.get_key_element()} needs values to choose from", override.input_line)
    return CategoricalDistribution(choices)


def _interval(override: Override, interval: IntervalSweep, log: bool) -> BaseDistribution:
    key, low, high = override.get_key_element(), interval.start, interval.end
    assert low is not None
    assert high is not None
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        remedy = f"{key}='interval({high},{low})'" if high < low else f"{key}={low}"
        raise ConfigError(f"{key}: an interval's end lies above its start", override.input_line, remedy)
    if log and low <= 0:
        law = f"{key}: the logarithm is there above 0 alone, so an interval tagged log starts above 0"
        start = "1" if isinstance(low, int) else "1e-5"
        kind = "int(interval" if isinstance(low, int) else "interval"
        raise ConfigError(law, override.input_line, f"{key}='tag(log,{kind}({start},{high}{')' * kind.count('(')}))'")
    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high, log=log)
    return FloatDistribution(low, high, log=log)


def _range(override: Override, given: RangeSweep) -> BaseDistribution:
    """Hydra's ranges leave their stop out, Optuna's distributions have it in."""
    if not given.step:
        raise ConfigError(f"{override.get_key_element()}: a range steps by more than 0", override.input_line)
    values = sorted(given.range())
    if not values:
        law = f"{override.get_key_element()}: a range's stop lies beyond its start"
        raise ConfigError(law, override.input_line, f"{override.get_key_element()}='range(1,10)'")
    step = abs(given.step)
    if all(isinstance(value, int) for value in values):
        return IntDistribution(int(values[0]), int(values[-1]), step=int(step))
    return FloatDistribution(values[0], values[-1], step=step)


def _text(value: Any) -> str:
    """A categorical choice is the text that was typed; `repr` gives a number back to the last bit."""
    return value if isinstance(value, str) else repr(value)


def _value(distribution: BaseDistribution, text: str) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return text
    return int(text) if isinstance(distribution, IntDistribution) else float(text)


def _ends(distribution: BaseDistribution) -> list[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return [distribution.low, distribution.high]


def _counted(key: str, distribution: BaseDistribution) -> list[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    if distribution.step is None:
        law = f"hydra/sweeper/sampler=grid takes values that can be counted, and {key} has an interval"
        raise ConfigError(law, f"interval({distribution.low},{distribution.high})", f"{key}='range(…)', or sampler=qmc")
    steps = round((distribution.high - distribution.low) / distribution.step)
    return [distribution.low + i * distribution.step for i in range(steps + 1)]
