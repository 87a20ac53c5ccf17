"""What a command line says, as Hydra's own parser reads it: the one place that reads and writes overrides."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, NoReturn

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import (
    ChoiceSweep,
    Glob,
    IntervalSweep,
    Override,
    Quote,
    QuotedString,
    RangeSweep,
)
from hydra.errors import HydraException


@dataclass(frozen=True)
class Line:
    """A command line.

    Attributes:
        flags: Hydra's, such as `multirun` and `config_dir`.
        words: the settings, as they were typed.
        others: what is neither a flag of Hydra's nor among the settings that stand together.
    """

    flags: argparse.Namespace
    words: list[str]
    others: list[str]

    @property
    def overrides(self) -> list[Override]:
        """The settings that can be read; `parse` says what is wrong with another."""
        return [override for word in self.words if (override := parsed(word))]

    def all_of(self, key: str) -> list[Override]:
        """The settings of a key or a group, whatever their prefix and package; the last one counts."""
        return [override for override in self.overrides if override.key_or_group == key]


class FlagError(Exception):
    """A flag that Hydra does not have, or that lacks its argument."""


class _Flags(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise FlagError(message)


@cache
def flags() -> argparse.ArgumentParser:
    """The parser of Hydra's flags; it raises `FlagError`, and prints no page of usage."""
    return _Flags(parents=[get_args_parser()], add_help=False, allow_abbrev=False)


def read(argv: Sequence[str] | None = None) -> Line:
    """Reads a command line, by default this process's.

    Raises:
        FlagError: where a flag of Hydra's is not used as it must be.
    """
    known, others = flags().parse_known_args(sys.argv[1:] if argv is None else list(argv))
    return Line(known, known.overrides, others)


def typed(key: str) -> list[Override]:
    """The settings of a key or a group in this process's command line; none where that cannot be read."""
    try:
        return read().all_of(key)
    except FlagError:
        return []


@lru_cache(maxsize=10_000)
def parse(word: str) -> Override:
    """An override as Hydra reads it: its key or group, its package, its kind (`+`, `++`, `~`) and its value.

    Raises:
        HydraException: where it is none.
    """
    return OverridesParser.create().parse_override(word)


def parsed(word: str) -> Override | None:
    """The same; None where it is no override."""
    try:
        return parse(word)
    except HydraException:
        return None


def values(override: Override) -> list[Any]:
    """The values that an override gives: one, all of a sweep that lists them, the ends of one that does not."""
    value = override.value()
    if isinstance(value, ChoiceSweep):
        return [Override._convert_value(part) for part in value.list]
    if isinstance(value, RangeSweep):
        return [value.start]
    if isinstance(value, IntervalSweep):
        return [value.start, value.end]
    return [] if isinstance(value, Glob) else [value]


def written(key: str, value: Any) -> str:
    """The override that gives `key` this value and no other, quoted where Hydra would read it differently."""
    return f"{key}={_element(value)}"


_WORDS = {None: "null", True: "true", False: "false"}


def _element(value: Any) -> str:
    if isinstance(value, str):
        override = parsed(f"key={value}")
        is_plain = override is not None and override.value() == value and "${" not in value
        return value if is_plain else _quoted(value)
    if isinstance(value, list | tuple):
        return "[" + ",".join(_element(part) for part in value) + "]"
    if isinstance(value, dict):  # Hydra's names of a dict take no quotes
        return "{" + ",".join(f"{name}:{_element(part)}" for name, part in value.items()) + "}"
    return _WORDS[value] if value is None or isinstance(value, bool) else repr(value)


def _quoted(text: str) -> str:
    """Text in Hydra's quotes; of the two kinds the one that a shell's single quotes leave as it is, if it can be."""
    quote = Quote.single if '"' in text else Quote.double
    return QuotedString(text.replace("${", r"\${"), quote).with_quotes()
