"""What a column of a table may hold, and reading it as numbers or groups; `frame.py` tells the rules. No torch."""

import numpy as np
import polars as pl

from src.data.dates import date_in
from src.data.numerals import Style
from src.errors import ConfigError

MAX_LEVELS = 1000
MAX_NUMBER = float(np.finfo(np.float32).max)  # what a network computes in
EXACT = 2**53  # whole numbers above are rounded in float64
_LIKE_NUMBER = (
    r"^0x[0-9A-Fa-f]+$|^(?:[A-Z]{0,3}\p{Sc})?[^\p{L}\p{N}]{0,3}\p{N}[\p{N}.,'’_\s]*(?:[eE][-+]?[0-9]+)?[^\p{N}]{0,6}$"
)


def unfit(column: pl.Series, rows: pl.Series, key: str, is_number: bool = False) -> tuple[str, str] | None:
    """Why a column can be neither numbers nor groups of rows: the law, in words of `key`, and what it holds.

    Args:
        column: as it was read, null where it is missing.
        rows: the numbers of its rows in the file.
        key: the config key to blame.
        is_number: every cell of this text reads as a number.
    """
    if column.null_count() == len(column):
        return f"every feature in {key} needs a value in some row", f"{column.name} is empty"
    if column.dtype == pl.String or column.dtype.is_numeric():
        cell = date_in(column, is_number or column.dtype.is_numeric())
        return _date(column, cell, rows.filter(column.cast(pl.String) == cell)[0], key) if cell else None
    return wrong_type(column, rows, key)


def wrong_type(column: pl.Series, rows: pl.Series, key: str) -> tuple[str, str] | None:
    """As `unfit`, by the column's type alone, which Parquet has."""
    kind = column.dtype
    if kind.is_temporal():
        return _date(column, str(column.drop_nulls()[0]), rows.filter(column.is_not_null())[0], key)
    if kind.is_numeric() or kind in (pl.String, pl.Boolean, pl.Null):
        return None
    return f"{key} must hold numbers, true and false, or text", f"{column.name} holds {kind}"


def _date(column: pl.Series, cell: str, row: int, key: str) -> tuple[str, str]:
    law = f"{key} must hold numbers instead of dates and times, such as days since some day"
    return law, f"{column.name} holds {cell!r} in row {row}"


def finite(numbers: pl.Series, column: pl.Series, rows: pl.Series, key: str, law: str = "") -> pl.Series:
    """The numbers that a column was read as, if it holds nothing else.

    Args:
        numbers: Float64, null where a cell is missing or did not read as a number.
        column: as it was in the file.
        rows: the numbers of its rows in the file.
        key: the config key to blame.
        law: how else the numbers must be.

    Raises:
        ConfigError: for what is no number, or not a finite float32.
    """
    laws = {
        f"{key} must hold numbers in column {column.name}{law}": numbers.is_null() & column.is_not_null(),
        f"{key} must hold finite numbers that fit in float32": numbers.abs() > MAX_NUMBER,
    }
    for told, is_wrong in laws.items():
        if count := is_wrong.sum():
            cell, row = str(first(column.filter(is_wrong))), rows.filter(is_wrong)[0]
            got = f"{column.name} holds {cell!r} in row {row}" + f" and {count - 1} more" * (count > 1)
            raise ConfigError(told, got, "correct it, or leave the cell empty where the value is missing")
    return numbers


def levels(column: pl.Series) -> pl.Series:
    """The canonical text of each level, whatever type a file stores it in: see `encoding.py`."""
    if column.dtype.is_decimal():
        column = column.cast(pl.Float64)
    text = column.cast(pl.String).str.normalize("NFC").str.replace_all(r"\s+", " ")
    text = text.str.replace(r"^(-?(?:0|[1-9][0-9]*))\.0*$", "$1").str.replace(r"^-0$", "0")
    return text.str.replace(r"^(?i:true)$", "true").str.replace(r"^(?i:false)$", "false")


def hardly_repeats(column: pl.Series) -> str:
    """Why a text column tells rows apart rather than groups of rows; empty where it does not."""
    if column.dtype != pl.String:
        return ""
    num_levels, num_values = column.drop_nulls().n_unique(), column.count()
    if num_levels <= MAX_LEVELS and 2 * num_levels <= num_values:
        return ""
    like = ", most of them like numbers" * is_like_numbers(column)
    return f"{num_levels} different texts in {num_values} rows, such as {first(column)!r}{like}"


def is_like_numbers(column: pl.Series) -> bool:
    """Whether more than half of the cells of a text look like numbers, perhaps with a unit."""
    return bool(column.str.contains(_LIKE_NUMBER).sum() > column.count() / 2)


def text_note(column: pl.Series, numbers: pl.Series | None, rows: pl.Series) -> str:
    """For the log: text that looks like numbers is not taken for numbers, and by which cell; else empty.

    Args:
        column: as it was in the file.
        numbers: the best that it reads as, null where it does not; None where the file says that it is text.
        rows: the numbers of its rows in the file.
    """
    if not is_like_numbers(column):
        return ""
    why = "the file says that it is text"
    if numbers is not None:
        is_other = numbers.is_null() & column.is_not_null()
        why = f"but {first(column.filter(is_other))!r} in row {rows.filter(is_other)[0]} is none"
    return f"column {column.name} becomes a 0/1 column for each text: most look like numbers, {why}"


def number_note(column: pl.Series, numbers: pl.Series, style: Style, is_plain: bool = False) -> str:
    """For the log: a cell that is not written as Python would, and the number it is read as; else empty."""
    is_odd = pl.repeat(False, len(column), eager=True)
    if column.dtype == pl.String and not style["words"]:
        if not is_plain:
            is_odd = column.cast(pl.Float64, strict=False).is_null() & column.is_not_null()
        if (numbers == numbers.round()).all():  # a code may lose its zeros, and an id its last digits
            is_odd |= column.str.contains("^[-+]?0[0-9]|^[-+]?[0-9]{16,}$").fill_null(False)
    elif column.dtype.is_integer():
        is_odd = (numbers.abs() > EXACT).fill_null(False)
    if not is_odd.any():
        return ""
    number = repr(numbers.filter(is_odd).drop_nulls().first()).removesuffix(".0")
    return f"column {column.name}: {first(column.filter(is_odd))!r} is read as {number}"


def first(column: pl.Series) -> object:
    """The first value that is there, as text."""
    return column.drop_nulls().cast(pl.String).first()
