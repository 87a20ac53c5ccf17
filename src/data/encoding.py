"""How a table becomes numbers, measured on its train rows. Never imports torch.

- Numbers: a missing value becomes the median of the train rows; if any train row misses the column, a 0/1 column
  `<name>_missing` is added.
- Text: one 0/1 column `<name>=<level>` for each level in the train rows. Missing is a level of its own,
  `<name>_missing`. A level that no train row has is 0 in all of them.
- A level has one text, whatever type a file stores it in: a whole number has no decimals (1.0 is `1`; 007 and 1.10 stay
  as they are), true and false are `true` and `false` in any case, spaces of any kind and number count as one, and
  Unicode is composed (NFC). Upper and lower case are different levels.

A later file is read by `new_file.py` and turned into numbers by the same encoding: its extra columns are ignored, its
targets may be absent.

Shapes: N rows, D encoded features, O targets.
"""

from collections.abc import Iterator
from typing import TypedDict, final

import numpy as np
import polars as pl

from src.data.frame import Frame
from src.data.numerals import Style
from src.errors import ConfigError


@final
class NumberColumn(TypedDict):
    """How a column of numbers is encoded."""

    name: str
    median: float
    has_missing: bool
    is_binary: bool
    """The train rows hold nothing but 0 and 1, so that true and false in a later file can stand for them."""


@final
class TextColumn(TypedDict):
    """How a column of text is encoded; the level None stands for a missing value."""

    name: str
    levels: list[str | None]


class Encoding(TypedDict):
    """How a table becomes numbers, in plain Python: a checkpoint that holds it loads with weights_only=True."""

    features: list[NumberColumn | TextColumn]
    targets: list[str]
    styles: dict[str, Style]
    """How the columns of numbers are written, by name."""


def measure(frame: Frame, train_rows: np.ndarray) -> Encoding:
    """Measures medians and levels on some rows of a table.

    Raises:
        ConfigError: for a column of numbers that has none in these rows.
    """
    columns = [_measured(frame.rows[name].gather(train_rows)) for name in frame.features]
    return {"features": columns, "targets": list(frame.targets), "styles": frame.styles}


def encode(rows: pl.DataFrame, encoding: Encoding) -> tuple[np.ndarray, np.ndarray]:
    """Turns N rows into numbers.

    Args:
        rows: of a `Frame` or of `read_as_trained`.
        encoding: measured on the train rows, perhaps of another file.

    Returns:
        Features N x D, finite, and targets N x O, NaN where a target is missing or its column absent.
    """
    features = np.empty((rows.height, len(feature_names(encoding))))
    end = 0
    for column in encoding["features"]:
        for values in _encoded(rows[column["name"]], column):
            features[:, end] = values.to_numpy()
            end += 1
    nothing = pl.Series([None] * rows.height, dtype=pl.Float64)
    targets = [rows[name] if name in rows.columns else nothing for name in encoding["targets"]]
    return features, np.column_stack([target.fill_null(np.nan).to_numpy() for target in targets])


def is_unknown(column: pl.Series, how: NumberColumn | TextColumn) -> pl.Series:
    """Whether the encoding has no place for a value: an unseen level, or a missing value where none was missing."""
    if "levels" not in how:
        return column.is_null() & (not how["has_missing"])
    return ~column.is_in(pl.Series(how["levels"], dtype=pl.String).drop_nulls().implode()).fill_null(
        None in how["levels"]
    )


def feature_names(encoding: Encoding) -> list[str]:
    """Names of the D encoded features, such as `age`, `age_missing`, `city=Oslo`."""
    names: list[str] = []
    for column in encoding["features"]:
        name = column["name"]
        if "levels" in column:
            names += [f"{name}_missing" if level is None else f"{name}={level}" for level in column["levels"]]
        else:
            names += [name, f"{name}_missing"] if column["has_missing"] else [name]
    return names


def _measured(column: pl.Series) -> NumberColumn | TextColumn:
    if column.dtype == pl.String:
        levels = sorted(column.drop_nulls().unique().to_list())
        return {"name": column.name, "levels": [*levels, None] if column.has_nulls() else levels}
    median = column.median()
    if not isinstance(median, float):
        law = "every feature needs a value in the train split"
        raise ConfigError(law, f"{column.name} has none", "another data.seed, or data.features=… without it")
    is_binary = bool(column.drop_nulls().is_in([0.0, 1.0]).all())
    return {"name": column.name, "median": median, "has_missing": column.has_nulls(), "is_binary": is_binary}


def _encoded(column: pl.Series, how: NumberColumn | TextColumn) -> Iterator[pl.Series]:
    """One or more columns of numbers, or of true and false."""
    if "levels" in how:
        for level in how["levels"]:
            yield column.eq_missing(pl.Series([level], dtype=pl.String))
        return
    yield column.fill_null(how["median"])
    if how["has_missing"]:
        yield column.is_null()
