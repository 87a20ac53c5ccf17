"""The laws of a sweep's words: each key once, something to try, and no more than a machine can list."""

import shlex
from math import ceil, prod

from hydra.core.override_parser.types import ChoiceSweep, Override, RangeSweep

from src import overrides, suggest
from src.errors import ConfigError
from src.overrides import Line
from src.suggest import right

_MOST = 10_000_000
"""More trials than any sweep: the list of them would not fit in memory."""


def check_sweep(line: Line) -> None:
    """Checks the values of a sweep.

    Raises:
        ConfigError: at the first that cannot be tried, or where there are too many.
    """
    counts, largest = [1], ""
    for override in line.overrides:
        word, key = str(override.input_line), override.key_or_group
        if not override.is_sweep_override():
            continue
        if override.is_hydra_override():
            first = next(iter(overrides.values(override)), None)
            raise ConfigError(f"{key} is the same for a whole sweep", word, suggest.setting(key, first))
        if len(line.all_of(key)) > 1:
            both = " ".join(str(other.input_line) for other in line.all_of(key))
            raise ConfigError(f"a sweep over {key} sets it once", both, shlex.quote(word))
        counts.append(_count(override))
        largest = key if counts[-1] == max(counts) else largest
        if counts[-1] > _MOST:
            law = f"{key}: a range has at most {_MOST:,} values; a search takes an interval"
            raise ConfigError(law, word, suggest.example(key))
        if counts[-1] == 0:
            law = f"{key}: a range's stop lies beyond its start, or there is nothing in it to try"
            raise ConfigError(law, word, _turned(override))
    searched = "optuna" in [override.value() for override in line.all_of("hydra/sweeper")]
    if prod(counts) > _MOST and not searched:
        law = f"a sweep has at most {_MOST:,} trials; hydra/sweeper=optuna tries some of more"
        raise ConfigError(law, f"{prod(counts):,} trials", suggest.example(largest))


def _turned(override: Override) -> str:
    """A range from its lower to its higher end."""
    value, key = override.value(), override.key_or_group
    if (
        isinstance(value, RangeSweep)
        and value.start is not None
        and value.stop is not None
        and value.stop < value.start
    ):
        return right(key, f"range({value.stop},{value.start})")
    return suggest.example(key)


def _count(override: Override) -> int:
    """How many values a sweep has; 1 where that is known later."""
    value = override.value()
    if isinstance(value, RangeSweep):
        assert value.start is not None
        assert value.stop is not None
        if not value.step:
            return 0
        return max(0, ceil((value.stop - value.start) / value.step))
    return len(value.list) if isinstance(value, ChoiceSweep) else 1
