"""What a sweep varies: its parameters, their values, and which of them are best seen on a log axis."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from src.ranking import BOOKKEEPING
from src.record import Record

Value = float | str | None
_DECADES = 2  # that values must span for a log axis
_FEW = 12  # numbers that can stand beside each other as categories


@dataclass(frozen=True)
class Parameter:
    """A config key that the trials of a sweep set to different values.

    Attributes:
        key: such as `optimizer.lr`.
        values: each trial's, None where it does not set the key.
        is_number: whether all of them are numbers that belong on an axis.
        is_log: whether that axis is logarithmic.
    """

    key: str
    values: list[Value]
    is_number: bool
    is_log: bool

    @property
    def levels(self) -> list[str]:
        """Its different values as text, numbers in their order."""
        return [as_text(value) for value in sorted(set(self.values), key=_order)]


def parameters(records: Sequence[Record], argv: Sequence[str] = ()) -> list[Parameter]:
    """What differs between trials, the seed aside.

    Args:
        records: of the trials.
        argv: what was typed; a search over `tag(log, …)` is shown on a log axis.
    """
    settings = [chosen(record) for record in records]
    keys = dict.fromkeys(key for setting in settings for key in setting if key != "seed")
    columns = {key: [setting.get(key) for setting in settings] for key in keys if not BOOKKEEPING.match(key)}
    return [_parameter(key, values, argv) for key, values in columns.items() if len(set(values)) > 1]


def _parameter(key: str, values: list[Value], argv: Sequence[str]) -> Parameter:
    known = sorted({value for value in values if isinstance(value, float)})
    is_number = all(isinstance(value, float) for value in values)
    searched_log = any(re.match(rf"\+*{re.escape(key)}=.*\blog\b", word) for word in argv)
    if is_number and known[0] == 0 and len(known) <= _FEW and is_log_spaced(known[1:]):
        return Parameter(key, values, False, False)  # 0, 1e-5, 1e-3: no axis shows both the zero and the rest
    is_log = is_number and known[0] > 0 and (searched_log or is_log_spaced(known))
    return Parameter(key, values, is_number, is_log)


def is_log_spaced(values: Sequence[float]) -> bool:
    """Whether sorted positive values span decades and lie more evenly by their logarithms."""
    if len(values) < 2 or values[0] <= 0 or math.log10(values[-1] / values[0]) < _DECADES - 1e-9:
        return False
    middle = (
        values[len(values) // 2]
        if len(values) % 2
        else (values[len(values) // 2 - 1] * values[len(values) // 2]) ** 0.5
    )
    share = (middle - values[0]) / (values[-1] - values[0])
    log_share = math.log(middle / values[0]) / math.log(values[-1] / values[0])
    return abs(log_share - 0.5) < abs(share - 0.5)


def chosen(record: Record) -> dict[str, Value]:
    """A trial's overrides by their keys; numbers as numbers, all else as it was typed."""
    pairs = (text.lstrip("+").partition("=") for text in record.overrides)
    return {key: _number(value) if equals else "(left out)" for key, equals, value in pairs}


def as_text(value: Value) -> str:
    """A value as one types it."""
    if value is None:
        return "(default)"
    return value if isinstance(value, str) else f"{value:.6g}"


def _number(text: str) -> Value:
    try:
        number = float(text)
    except ValueError:
        return text
    return number if math.isfinite(number) else text


def _order(value: Value) -> tuple[int, float, str]:
    return (0, 0.0, "") if value is None else (1, value, "") if isinstance(value, float) else (2, 0.0, value)
