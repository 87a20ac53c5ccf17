"""A user's table (CSV or Parquet) in numbers, by rules measured on the train rows. Never imports torch.

Reading
- `.csv`, `.tsv` and `.txt` are UTF-8 text whose first line names the columns; the separator is the most frequent of
  comma, semicolon, tab and bar in that line. `.parquet` and `.pq` are Parquet.
- Missing are: an empty cell, NaN, and the words in `MISSING`. Spaces around names and text do not count.
- A column of a CSV holds numbers if every value reads as one. `true` and `false` are 1 and 0.
- Columns without a name (an index that pandas wrote) and empty lines are not read.

Targets
- Numbers. Rows where a target is missing are left out, and their number is logged.

Features
- Numbers: a missing value becomes the median of the train rows; if any train row misses the column, a 0/1 column
  `<name>_missing` is added.
- Text: one 0/1 column `<name>=<level>` for each level in the train rows. Missing is a level of its own,
  `<name>_missing`. A level that no train row has is 0 in all of them.
- Text that hardly repeats (more levels than half of its values, or than `MAX_LEVELS`), such as an id or a name, is
  left out with a line in the log; it is an error if `data.features` asks for it.
- Dates, nested values, infinite numbers (or beyond float32), a column with no value at all, and text among numbers
  (nine values in ten are numbers) are errors.

A later file is turned into numbers by the same encoding: its extra columns are ignored, its targets may be absent.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypedDict, final

import numpy as np
import polars as pl

from src.errors import ConfigError, closest

TEXT_FILES, PARQUET_FILES = (".csv", ".tsv", ".txt"), (".parquet", ".pq")
MISSING = ("", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NULL", "null", "None", "none", "?")
MAX_LEVELS = 1000
MAX_NUMBER = float(np.finfo(np.float32).max)  # what a network computes in
_DATE = r"^(\d{4}-\d{1,2}-\d{1,2}|\d{4}/\d{1,2}/\d{1,2}|\d{1,2}[/.]\d{1,2}[/.]\d{4})([T ]\d{1,2}:.*)?$"
_INDEX = r"(__index_level_\d+__)?"
_LEAVE_OUT = "list the other columns in data.features, or take it out of the file"


@dataclass(frozen=True)
class Frame:
    """A table that passed every check.

    Attributes:
        rows: one Float64 or String column for each feature and target; no target is missing.
        features: names of the feature columns.
        targets: names of the target columns.
        notes: what was left out and why, a line each, for the log.
    """

    rows: pl.DataFrame
    features: tuple[str, ...]
    targets: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def num_rows(self) -> int:
        """Rows whose targets are all there."""
        return self.rows.height


@final
class NumberColumn(TypedDict):
    """How a column of numbers is encoded."""

    name: str
    median: float
    has_missing: bool


@final
class TextColumn(TypedDict):
    """How a column of text is encoded; the level None stands for a missing value."""

    name: str
    levels: list[str | None]


class Encoding(TypedDict):
    """How a table becomes numbers, in plain Python: a checkpoint that holds it loads with weights_only=True."""

    features: list[NumberColumn | TextColumn]
    targets: list[str]


def read_table(path: str, target: str | Sequence[str], features: Sequence[str] | None = None) -> Frame:
    """Reads a table to train on; the same file is read once as long as it does not change.

    Args:
        path: a CSV or Parquet file; `~` is the home folder.
        target: the column to predict, or several.
        features: the columns to predict from; None takes every column but the targets.

    Raises:
        ConfigError: for every mistake in the file or in the names, see the rules at the top.
    """
    file = _file(path)
    targets = _names("data.target", target)
    chosen = None if features is None else _names("data.features", features)
    return _read(file, file.stat().st_mtime_ns, file.stat().st_size, targets, chosen)


def read_rows(path: str) -> pl.DataFrame:
    """Reads a file to predict from, as `encode` takes it.

    Raises:
        ConfigError: for a file that is missing, unreadable or without rows.
    """
    return _load(_file(path))


def measure(frame: Frame, train_rows: np.ndarray) -> Encoding:
    """Measures medians and levels on some rows of a table.

    Raises:
        ConfigError: for a column of numbers that has none in these rows.
    """
    train = frame.rows[train_rows]
    columns = [_measured(train[name]) for name in frame.features]
    return {"features": columns, "targets": list(frame.targets)}


def encode(rows: pl.DataFrame, encoding: Encoding) -> tuple[np.ndarray, np.ndarray]:
    """Turns N rows into numbers.

    Args:
        rows: of a `Frame` or of `read_rows`.
        encoding: measured on the train rows, perhaps of another file.

    Returns:
        Features N x D, finite, and targets N x O, NaN where a target is missing or its column absent.

    Raises:
        ConfigError: for a feature column that is absent, or that holds other things than at training.
    """
    features = []
    for column in encoding["features"]:
        if column["name"] not in rows.columns:
            raise _absent("data.path must hold the columns that the run was trained on", column["name"], rows.columns)
        features.append(_encoded(rows[column["name"]], column))
    nothing = pl.Series([None] * rows.height, dtype=pl.Float64)
    targets = [_finite(rows[name]) if name in rows.columns else nothing for name in encoding["targets"]]
    return np.hstack(features), np.column_stack([target.fill_null(np.nan).to_numpy() for target in targets])


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
        raise ConfigError(law, f"{column.name} has none", f"another data.seed, or {_LEAVE_OUT}")
    return {"name": column.name, "median": median, "has_missing": column.has_nulls()}


def _encoded(column: pl.Series, how: NumberColumn | TextColumn) -> np.ndarray:
    """One or more columns, N x 1 to N x levels."""
    if "levels" in how:
        _check_type(column)
        text = column.cast(pl.String)
        return np.column_stack([text.eq_missing(pl.Series([level], dtype=pl.String)) for level in how["levels"]]) * 1.0
    numbers = _finite(column)
    parts = [numbers.fill_null(how["median"]), numbers.is_null()]
    return np.column_stack(parts if how["has_missing"] else parts[:1]).astype(np.float64)


def _file(path: str) -> Path:
    file = Path(os.path.abspath(os.path.expanduser(path)))
    kinds = TEXT_FILES + PARQUET_FILES
    if not os.path.isfile(file):
        is_folder = os.path.isdir(file)
        folder = file if is_folder else file.parent
        tables = [found.name for kind in kinds for found in sorted(folder.glob(f"*{kind}"))]
        near = next(iter(tables), None) if is_folder else closest(file.name, tables)
        law = "data.path must be a file, not a folder" if is_folder else "data.path must be a file that exists"
        raise ConfigError(law, path, f"data.path={folder / near}" if near else "data.path=…   (a .csv or .parquet)")
    if file.suffix.lower() not in kinds:
        raise ConfigError(f"data.path must end in {', '.join(kinds)}", path, "save the table as CSV or Parquet")
    if not os.access(file, os.R_OK):
        raise ConfigError("data.path must be a file that you may read", path, f"chmod u+r {path}")
    if file.stat().st_size == 0:
        raise ConfigError("data.path must hold a table: the file is empty", path)
    return file


def _names(key: str, value: object) -> tuple[str, ...]:
    """One name or a list of names; a column can be called 3."""
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    names = tuple(str(name) for name in value) if is_list else (str(value),)  # type: ignore[attr-defined]
    if value is None or not names or not all(names):
        raise ConfigError(f"{key} must name a column, or a list of columns", value, f"{key}=…")
    if twice := [name for name in names if names.count(name) > 1]:
        raise ConfigError(f"{key} must name each column once", list(names), f"take out one {twice[0]}")
    return names


@lru_cache(maxsize=2)  # the check of the config and the training both read
def _read(file: Path, _mtime: int, _size: int, targets: tuple[str, ...], chosen: tuple[str, ...] | None) -> Frame:
    table = _load(file)
    _check_names(table.columns, targets, chosen)
    table = table.with_columns(_finite(table[name], "data.target") for name in targets)
    rows = table.drop_nulls(targets)
    if rows.is_empty():
        raise ConfigError("data.target must have a value in some row", ", ".join(targets), "another data.target")
    num_left_out = table.height - rows.height
    notes = [f"{num_left_out} of {table.height} rows are left out: no {' or '.join(targets)}"] * (num_left_out > 0)
    columns = [_feature(rows[name], file) for name in chosen or rows.columns if name not in targets]
    ids = {column.name: note for column in columns if (note := _hardly_repeats(column))}
    if chosen and ids:
        law = "data.features must not hold text that hardly repeats"
        name, note = next(iter(ids.items()))
        raise ConfigError(law, f"{name}: {note}", f"take {name} out of data.features")
    features = [column for column in columns if column.name not in ids]
    if not features:
        raise ConfigError("a column must be left to predict from, besides data.target", ", ".join(rows.columns))
    notes += [f"column {name} is left out: {note}" for name, note in ids.items()]
    kept = pl.DataFrame([*rows.select(targets), *features])
    return Frame(kept, tuple(column.name for column in features), targets, tuple(notes))


def _load(file: Path) -> pl.DataFrame:
    """The named columns and the rows that are not blank; text is stripped, and missing is null."""
    is_text = file.suffix.lower() in TEXT_FILES
    try:
        table = _load_text(file) if is_text else pl.read_parquet(file, glob=False)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        law = f"data.path must be a whole {'text table in UTF-8' if is_text else 'Parquet file'}"
        raise ConfigError(law, f"{file.name}: {error}", "write the file again, and look at it in a viewer") from error
    table = table.select(_clean(column) for column in table if not re.fullmatch(_INDEX, column.name))
    table = table.filter(~pl.all_horizontal(pl.all().is_null()))
    if table.is_empty():
        raise ConfigError("data.path must hold rows below its header", str(file))
    return table


def _load_text(file: Path) -> pl.DataFrame:
    with file.open("rb") as opened:
        head = opened.read(65_536)
    if b"\0" in head:
        raise pl.exceptions.ComputeError("not UTF-8 text")
    lines = head.decode(errors="replace").split("\n")
    num_blank = next((number for number, line in enumerate(lines) if line.strip()), 0)
    header = re.sub(r'"[^"]*"', "", lines[num_blank])
    separator = max(",;\t|", key=header.count)
    table = pl.read_csv(
        file, has_header=False, infer_schema=False, separator=separator, skip_lines=num_blank, glob=False
    )
    names = [" ".join((name or "").split()) for name in table.row(0)]
    if twice := [name for name in names if name and names.count(name) > 1]:
        raise ConfigError("data.path must name each column once", twice[0], "rename one of them in the first line")
    named = [column.alias(name) for column, name in zip(table[1:], names, strict=True) if name]
    return pl.DataFrame(named)


def _clean(column: pl.Series) -> pl.Series:
    if column.dtype in (pl.String, pl.Categorical, pl.Enum):
        text = column.cast(pl.String).str.strip_chars()
        return text.set(text.is_in(MISSING), None)
    return column.fill_nan(None) if column.dtype.is_float() else column


def _check_names(columns: list[str], targets: tuple[str, ...], chosen: tuple[str, ...] | None) -> None:
    for key, names in {"data.target": targets, "data.features": chosen or ()}.items():
        for name in names:
            if name not in columns:
                raise _absent(f"{key} must name columns of the table", name, columns)
    if both := [name for name in chosen or () if name in targets]:
        raise ConfigError("data.features must not hold data.target", both[0], f"take {both[0]} out of one of them")


def _absent(law: str, name: str, columns: list[str]) -> ConfigError:
    if all(re.fullmatch(r"[-+]?\d[\d.]*(e[-+]?\d+)?", column) for column in columns):
        law += " (does the first line of the file name them?)"
    shown = ", ".join(columns[:8]) + (", …" if len(columns) > 8 else "")
    near = closest(name, columns)
    return ConfigError(law, name, f"{near}   (of: {shown})" if near else f"one of: {shown}")


def _feature(column: pl.Series, file: Path) -> pl.Series:
    """A feature column as Float64 or String."""
    if column.null_count() == len(column):
        raise ConfigError("every feature in data.path needs a value in some row", f"{column.name} is empty", _LEAVE_OUT)
    _check_type(column)
    if column.dtype != pl.String:
        return _finite(column)
    share = _numbers(column).count() / column.count()
    # Parquet says which columns are text; a CSV does not, so nine numbers in ten mean numbers.
    return _finite(column) if file.suffix.lower() in TEXT_FILES and share >= 0.9 else column


def _check_type(column: pl.Series, key: str = "data.path") -> None:
    """Numbers, booleans and text are what the rules can turn into numbers."""
    is_text = column.dtype == pl.String
    remedy = _LEAVE_OUT if key == "data.path" else f"another {key}"
    if column.dtype.is_temporal() or (is_text and column.count() and column.str.contains(_DATE).all()):
        law = f"{key} must hold numbers instead of dates, such as days since some day"
        raise ConfigError(law, f"{column.name} holds {_first(column)}", remedy)
    if not (is_text or column.dtype.is_numeric() or column.dtype in (pl.Boolean, pl.Null)):
        law = f"{key} must hold numbers, true and false, or text"
        raise ConfigError(law, f"{column.name} holds {column.dtype}", remedy)


def _finite(column: pl.Series, key: str = "data.path") -> pl.Series:
    """A column as Float64, null where it is missing."""
    _check_type(column, key)
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


def _hardly_repeats(column: pl.Series) -> str:
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
