"""What the columns of a table to train on mean: numbers, groups of rows, or nothing to learn from. No torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from src.data.columns import finite, hardly_repeats, levels, number_note, text_note, unfit
from src.data.marks import Marks, Reading, read_numbers
from src.data.numerals import PLAIN, Style, numbers_of
from src.errors import ConfigError
from src.suggest import setting


@dataclass(frozen=True)
class Columns:
    """The columns of a table, checked.

    Attributes:
        rows: one Float64 or String column for each target and feature, in this order.
        features: names of the feature columns.
        styles: how each column of numbers is written, by its name.
        notes: a line for the log about each column that is left out, or not read as it looks.
    """

    rows: pl.DataFrame
    features: tuple[str, ...]
    styles: dict[str, Style]
    notes: tuple[str, ...]


def read_columns(
    rows: pl.DataFrame,
    numbers: pl.Series,
    targets: tuple[str, ...],
    chosen: tuple[str, ...] | None,
    marks: Marks,
    separator: str,
) -> Columns:
    """Reads each target as numbers, and each feature as numbers or text.

    Args:
        rows: as loaded, each with all its targets.
        numbers: of the rows, in the file.
        targets: names of the columns to predict.
        chosen: `data.features`; None is every other column.
        marks: of numbers that are written as text.
        separator: between the cells of a text file; empty for Parquet, which says itself which column is text.

    Raises:
        ConfigError: for every column that cannot be what it has to be.
    """
    names = [name for name in chosen or rows.columns if name not in targets]
    kinds = (pl.String, pl.Float64) if separator else (pl.String,)
    readings = _readings(rows, [*targets, *names] if separator else list(targets), kinds, marks, separator)
    _check_fit(rows, numbers, targets, names, readings)
    read = {name: _target(rows[name], readings[name], numbers) for name in targets}
    notes: list[str] = []
    for name in names:
        column = _feature(rows[name], readings.get(name), numbers)
        if not (why := hardly_repeats(column)):
            read[name] = column
        elif chosen:
            law = "data.features must not hold text that hardly repeats"
            raise ConfigError(law, f"{name}: {why}", f"take {name} out of data.features")
        else:
            notes.append(f"column {name} is left out: {why}")
    features = tuple(name for name in read if name not in targets)
    if not features:
        law = "a column must be left to predict from, besides data.target"
        got = "; ".join(notes) or ", ".join(rows.columns)
        raise ConfigError(law, got, "add columns to the file, or choose another data.target")
    styles = {name: readings[name].style for name in read if read[name].dtype == pl.Float64}
    for name, column in read.items():
        if name in styles:
            note = number_note(rows[name], column, styles[name], readings[name].is_plain)
        else:
            note = text_note(rows[name], readings[name].numbers if name in readings else None, numbers)
        notes += [note] * bool(note)
    return Columns(pl.DataFrame(list(read.values())), features, styles, tuple(notes))


def _readings(
    rows: pl.DataFrame, read: list[str], kinds: Sequence[Any], marks: Marks, separator: str
) -> dict[str, Reading]:
    """Every column that can be numbers, as numbers; text only where it is to be `read`.

    Args:
        rows: as loaded.
        read: names of the columns that may be text.
        kinds: types of columns that were text in the file.
        marks: of numbers that are written as text.
        separator: of the file's cells.
    """
    text = [rows[name] for name in read if rows[name].dtype in kinds and rows[name].count()]
    found = dict(zip([column.name for column in text], read_numbers(text, *marks, separator), strict=True))
    typed = [column for column in rows if column.dtype.is_numeric() or column.dtype == pl.Boolean]
    typed = [column for column in typed if column.name not in found]
    for column in typed:
        style: Style = {**PLAIN, "words": column.dtype == pl.Boolean, "decimal": "." * column.dtype.is_float()}
        found[column.name] = Reading(style, numbers_of(column, style), 1.0)
    return found


def _check_fit(
    rows: pl.DataFrame, numbers: pl.Series, targets: tuple[str, ...], names: list[str], readings: dict[str, Reading]
) -> None:
    """Raises for columns that can be neither numbers nor groups; the remedy leaves all of them out."""
    whole = {name for name, reading in readings.items() if reading.share == 1}
    for name in targets:
        if misfit := unfit(rows[name], numbers, "data.target", name in whole):
            raise ConfigError(*misfit, "another data.target")
    found = {name: unfit(rows[name], numbers, "data.path", name in whole) for name in names}
    misfits = {name: misfit for name, misfit in found.items() if misfit}
    if not misfits:
        return
    others = [name for name in names if name not in misfits and (name in whole or not hardly_repeats(rows[name]))]
    remedy = "add columns of numbers or text to the file"
    if others:
        remedy = setting("data.features", others) + f"   # without {', '.join(misfits)}"
    raise ConfigError(*next(iter(misfits.values())), remedy)


def _target(column: pl.Series, reading: Reading, numbers: pl.Series) -> pl.Series:
    return finite(reading.numbers, column, numbers, "data.target")


def _feature(column: pl.Series, reading: Reading | None, numbers: pl.Series) -> pl.Series:
    """Float64 where nine values in ten are numbers (a text file does not say what is text), else canonical text."""
    if reading and reading.share >= 0.9:
        return finite(reading.numbers, column, numbers, "data.path")
    return levels(column)
