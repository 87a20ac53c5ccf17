"""What a column of a table may hold, and reading it as numbers; `frame.py` tells the rules. Never imports torch."""

import numpy as np
import polars as pl

from src.errors import ConfigError

MAX_LEVELS = 1000
MAX_NUMBER = float(np.finfo(np.float32).max)  # what a network computes in
LEAVE_OUT = "list the other columns in data.features, or take it out of the file"
_DATE = r"^(\d{4}-\d{1,2}-\d{1,2}|\d{4}/\d{1,2}/\d{1,2}|\d{1,2}[/.]\d{1,2}[/.]\d{4})([T ]\d{1,2}:.*)?$"


def feature(column: pl.Series, from_text: bool) -> pl.Series:
    """A feature column as Float64 or String.

    Args:
        column: as it was read, stripped, with null where it is missing.
        from_text: it was read from a text file, which does not say what is text: nine numbers in ten mean numbers.

    Raises:
        ConfigError: for a column that is neither numbers nor text, or empty.
    """
    if column.null_count() == len(column):
        raise ConfigError("every feature in data.path needs a value in some row", f"{column.name} is empty", LEAVE_OUT)
    check_type(column)
    if column.dtype != pl.String:
        return finite(column)
    share = _numbers(column).count() / column.count()
    return finite(column) if from_text and share >= 0.9 else column


def check_type(column: pl.Series, key: str = "data.path") -> None:
    """Numbers, booleans and text are what the rules can turn into numbers; `key` is to blame for anything else.

    Raises:
        ConfigError: for dates and nested values.
    """
    is_text = column.dtype == pl.String
    remedy = LEAVE_OUT if key == "data.path" else f"another {key}"
    if column.dtype.is_temporal() or (is_text and column.count() and column.str.contains(_DATE).all()):
        law = f"{key} must hold numbers instead of dates, such as days since some day"
        raise ConfigError(law, f"{column.name} holds {_first(column)}", remedy)
    if not (is_text or column.dtype.is_numeric() or column.dtype in (pl.Boolean, pl.Null)):
        law = f"{key} must hold numbers, true and false, or text"
        raise ConfigError(law, f"{column.name} holds {column.dtype}", remedy)


def finite(column: pl.Series, key: str = "data.path") -> pl.Series:
    """A column as Float64, null where it is missing; `key` is to blame for anything else.

    Raises:
        ConfigError: for what is no number, or not a finite float32.
    """
    check_type(column, key)
    numbers = _numbers(column)
    laws = {
        f"{key} must hold numbers in column {column.name}": numbers.is_null() & column.is_not_null(),
        f"{key} must hold finite numbers that fit in float32": numbers.abs() > MAX_NUMBER,
    }
    for law, is_wrong in laws.items():
        if count := is_wrong.sum():
            got = f"{column.name} holds {_first(column.filter(is_wrong))}" + f" and {count - 1} more" * (count > 1)
            raise ConfigError(law, got, "correct it, or leave the cell empty where the value is missing")
    return numbers


def hardly_repeats(column: pl.Series) -> str:
    """Why a text column tells rows apart rather than groups of rows; empty where it does not."""
    num_levels, num_values = column.drop_nulls().n_unique(), column.count()
    if column.dtype != pl.String or (num_levels <= MAX_LEVELS and 2 * num_levels <= num_values):
        return ""
    return f"{num_levels} different texts in {num_values} rows, such as {_first(column)}"


def _first(column: pl.Series) -> str:
    return repr(column.drop_nulls().cast(pl.String).first())


def _numbers(column: pl.Series) -> pl.Series:
    """A column as Float64, null where it does not read as a number."""
    if column.dtype == pl.String:
        column = column.str.replace(r"^(?i)true$", "1").str.replace(r"^(?i)false$", "0")
    return column.cast(pl.Float64, strict=False).fill_nan(None)
