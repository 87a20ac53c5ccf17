"""Which mark is the decimal mark of a text file, which stands between thousands, what sign belongs to numbers.

A file has one decimal mark. It is decided by the cells that can be read in one way only, such as `2,41`, `1.234,5` or
`1,234,567`. Where all are like `3,168` or `3.168`, which can be two numbers, `data.decimal` has to say it; but points
in every cell of a column, where commas separate the cells, stand before decimals.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import polars as pl

from src.data.dates import may_be_dates
from src.data.numerals import (
    PLAIN,
    SIGN,
    THOUSANDS,
    Style,
    cast_numbers,
    has_words,
    numbers_of,
    pattern,
    stripped,
)
from src.errors import ConfigError

DECIMAL = (".", ",")
_HEAD = 100  # cells that mostly suffice to tell how a column is written


class Marks(NamedTuple):
    """`data.decimal` and `data.thousands`; None finds them out."""

    decimal: str | None = None
    thousands: str | None = None


@dataclass(frozen=True)
class Reading:
    """A column of text as numbers.

    Attributes:
        style: in which most of its cells are numbers.
        numbers: Float64, null where a cell is missing or is no number in this style.
        share: of the cells that are there, how many are numbers.
        is_plain: every cell is written as Python writes numbers.
        proof: a cell that no other decimal mark can read, where one was met.
    """

    style: Style
    numbers: pl.Series
    share: float
    is_plain: bool = False
    proof: str | None = None


def read_numbers(
    columns: Sequence[pl.Series], decimal: str | None, thousands: str | None, separator: str = ""
) -> list[Reading]:
    """Reads columns of text as numbers, all with the same decimal mark.

    Args:
        columns: stripped text, null where a cell is missing; or Float64, of a text with decimal points for sure.
        decimal: `data.decimal`; None decides by the cells.
        thousands: `data.thousands`; None takes any.
        separator: between the cells of the file.

    Raises:
        ConfigError: where columns have different decimal marks, or where it takes the user to say which is meant.
    """
    if thousands in DECIMAL:
        decimal = "," if thousands == "." else "."
    marks = (decimal,) if decimal else DECIMAL
    found = [_readings(column, marks, thousands) for column in columns]
    proofs: dict[str, str] = {}
    for column, readings in zip(columns, found, strict=True):
        for mark, cell in ({} if decimal else _proof(column, readings)).items():
            proofs.setdefault(mark, f"{column.name} holds {cell!r}")
    if len(proofs) > 1:
        law = "data.path must write all its numbers with the same decimal mark"
        remedy = "write them alike, or leave one of the columns out (data.features=…)"
        raise ConfigError(law, ", ".join(proofs.values()), remedy)
    decided = decimal or next(iter(proofs), None)
    pairs = zip(columns, found, strict=True)
    return [_decided(column, readings, decided, thousands, separator == ",") for column, readings in pairs]


def shows_point(head: pl.Series) -> bool:
    """Whether a column whose first cells are these, and which holds plain numbers, has decimal points for sure.

    Of such a column nothing is to be told, of dates or of whole numbers: it need not be kept as text.
    """
    cells = stripped(head).drop_nulls()
    numbers = cast_numbers(cells, PLAIN)
    are_plain = bool(len(cells)) and not numbers.null_count() and bool((numbers % 1 != 0).any())
    return are_plain and _proves_point(cells) is not None and not may_be_dates(cells)


def has_other_marks(column: pl.Series, style: Style) -> pl.Series:
    """Which points in a later file may stand between thousands: nothing shows that they stand before decimals.

    The training may have shown it, but `950` among `1.234` says otherwise.
    """
    bare = column.str.replace_all(style["sign"], "", literal=True).str.strip_chars() if style["sign"] else column
    has_point = bare.str.contains(".", literal=True)
    is_open = style["decimal"] == "" or (style == PLAIN and has_point.any() and not has_point.all())
    return has_point & (is_open and _proves_point(bare) is None)


def _readings(column: pl.Series, marks: Sequence[str], thousands: str | None) -> dict[str, Reading]:
    """The best reading by each decimal mark; plain numbers, and true and false, have no other."""
    if column.dtype == pl.Float64:  # read as numbers at once, see `shows_point`
        return {".": Reading(PLAIN, column, 1.0, is_plain=True, proof=str(column.filter(column % 1 != 0).first()))}
    plain = cast_numbers(column, PLAIN)
    if "." in marks and plain.null_count() == column.null_count():
        return {".": Reading(PLAIN, plain, 1.0, is_plain=True)}
    if has_words(column):
        return dict.fromkeys(marks, _reading(column, {**PLAIN, "words": True}))
    head = column.drop_nulls().head(_HEAD)
    best = {mark: _best(head, mark, thousands) for mark in marks}
    for mark, other in zip(marks, reversed(marks), strict=True):
        if best[mark].share == 1 and best[other].share < 1:  # the head tells the mark: is the rest written so?
            reading = _reading(column, best[mark].style)
            if reading.share == 1:
                return {mark: replace(reading, proof=head.filter(best[other].numbers.is_null())[0])}
    return {mark: _best(column, mark, thousands) for mark in marks}


def _best(column: pl.Series, mark: str, thousands: str | None) -> Reading:
    readings = [_reading(column, style) for style in _styles(column, mark, thousands)]
    return max(readings, key=lambda reading: reading.share)


def _reading(column: pl.Series, style: Style) -> Reading:
    numbers = numbers_of(column, style)
    return Reading(style, numbers, numbers.count() / max(1, column.count()))


def _styles(column: pl.Series, decimal: str, thousands: str | None) -> list[Style]:
    """Those that a column may be written in, with this decimal mark."""
    signs = column.str.extract(SIGN).drop_nulls().mode().sort().to_list()
    sign: str = signs[0] if signs else ""
    bare = column.str.replace_all(sign, "", literal=True).str.strip_chars() if sign else column
    marks = [mark for mark in ([thousands] if thousands else THOUSANDS) if mark != decimal]
    present = [mark for mark in marks if bare.str.contains(THOUSANDS[mark]).any()]
    return [{**PLAIN, "decimal": decimal, "thousands": mark, "sign": sign} for mark in present or [""]]


def _proof(column: pl.Series, readings: dict[str, Reading]) -> dict[str, str]:
    """A cell that can be read with this decimal mark only, for each mark that has one."""
    if len(readings) == 1:
        ((mark, reading),) = readings.items()
        cell = _proves_point(column) if reading.is_plain and not reading.proof else reading.proof
        return {mark: cell} if cell else {}
    is_number = {mark: reading.numbers.is_not_null() for mark, reading in readings.items()}
    if (is_number["."] | is_number[","]).sum() < 0.9 * column.count():
        return {}
    only = {".": is_number["."] & ~is_number[","], ",": is_number[","] & ~is_number["."]}
    return {mark: column.filter(cells)[0] for mark, cells in only.items() if cells.any()}


def _proves_point(column: pl.Series) -> str | None:
    """The first cell of a column of plain numbers whose point cannot stand between thousands."""
    for cells in (column.head(_HEAD), column):
        is_proof = cells.str.contains(".", literal=True) & ~cells.str.contains(pattern(",", "."))
        if is_proof.any():
            return str(cells.filter(is_proof)[0])
    return None


def _decided(
    column: pl.Series, readings: dict[str, Reading], decimal: str | None, thousands: str | None, by_commas: bool
) -> Reading:
    """The reading by the decimal mark of the file, None where nothing in it tells the mark.

    Where commas separate the cells, a point in every one of them stands before three decimals (`%.3f`).
    """
    if decimal in readings:
        return readings[decimal]
    point = readings["."]
    if len(readings) == 1 and not column.str.contains(".", literal=True).any():
        return replace(point, style={**PLAIN, "decimal": decimal or ""})
    comma = readings.get(",") or _readings(column, (",",), thousands)[","]
    if decimal == ",":
        return comma
    if point.share >= 0.9 and not point.numbers.equals(comma.numbers, check_names=False):
        if by_commas and point.is_plain and column.drop_nulls().str.contains(".", literal=True).all():
            return point
        raise _undecided(column, comma, point)
    return replace(point, style={**point.style, "decimal": ""})


def _undecided(column: pl.Series, comma: Reading, point: Reading) -> ConfigError:
    row = (comma.numbers != point.numbers).arg_true()[0]
    cell, as_point, as_comma = column[row], point.numbers[row], comma.numbers[row]
    law = f"data.decimal must say which mark is the decimal mark in column {column.name}: the file does not show it"
    remedy = f"""'data.decimal="."'   # {cell} is then {as_point:.10g}; with "," it is {as_comma:.10g}"""
    return ConfigError(law, f"{column.name} holds {cell!r}", remedy)
