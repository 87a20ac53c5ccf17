"""The laws of a sweep's words: each key once, something to try, and no more than a machine can list."""

import re
import shlex
import sys
from math import ceil, prod

from hydra.core.override_parser.types import ChoiceSweep, Override, RangeSweep

from src import overrides, suggest
from src.errors import ConfigError
from src.overrides import Line
from src.suggest import COMMAND, right

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


def check_scoring(line: Line, is_sweep: bool) -> None:
    """`src.evaluate` scores one run in one way, and has no groups and no folder of its own.

    Args:
        line: what was typed behind it.
        is_sweep: whether that asks for a sweep.

    Raises:
        ConfigError: at the first word that is wrong.
    """
    if line.flags.shell_completion:  # its words are a query
        return
    kept = [word for word in line.words if not re.match(r"\+*hydra\.mode=", word)]
    if is_sweep:
        law = "evaluate scores one run on one split or file, and takes no -m"
        raise ConfigError(law, shlex.join(sys.argv[1:]), f"{COMMAND} {shlex.join(map(_first, kept))}".rstrip())
    known = [key for key in suggest.settable_keys() if key.partition(".")[0] != "hydra"]
    for override in line.overrides:
        key, word = override.key_or_group, str(override.input_line)
        if inside := [name for name in known if name.startswith(f"{key}.")]:
            remedy = right(inside[0], word.partition("=")[2])
            raise ConfigError(f"{key} is not a value: it holds {', '.join(inside)}", word, remedy)
        if key not in known and not re.match(r"hydra([./]|$)", key):
            raise suggest.unknown_key(key)
        if len(line.all_of(key)) > 1 and key == "run":
            raise ConfigError("run is given once: a command scores one run", shlex.join(line.words), shlex.quote(word))
        if key.startswith(("hydra.run.", "hydra.sweep.")):
            rest = shlex.join(other for other in line.words if other != word)
            law = "evaluate has no folder of its own: output= says where the predictions go"
            raise ConfigError(law, word, f"{COMMAND} {rest}".rstrip())


def _first(word: str) -> str:
    """A setting with the first of its values."""
    override = overrides.parsed(word)
    if override is None or not override.is_sweep_override():
        return word
    return overrides.written(override.key_or_group, overrides.values(override)[0])
