"""Reads a user's table (CSV or Parquet) and checks it. Never imports torch.

Reading
- `.csv`, `.tsv` and `.txt`, also with `.gz` after it, are text whose first line names the columns (`text.py`).
  `.parquet` and `.pq` are Parquet.
- Missing are: an empty cell, NaN, and the words in `numerals.MISSING`. Spaces around names and text do not count.
- A column of a text file holds numbers if every value reads as one, in the way of writing of that file
  (`numerals.py`), or if every value is `true` or `false`, which are 1 and 0.
- Columns without a name (an index that pandas wrote) and empty lines are not read.
- Rows are numbered from 0 below the header, as `polars.read_csv` numbers them: empty lines count too, and a row that
  takes several lines, because a cell does, counts once.

Targets
- Numbers. Rows where a target is missing are left out, and their number is logged.

Features
- Numbers, or text that stands for groups of rows; `encoding.py` tells how both become numbers.
- Text that hardly repeats (more levels than half of its values, or than `columns.MAX_LEVELS`), such as an id or a
  name, is left out with a line in the log; it is an error if `data.features` asks for it.
- Dates and times (`dates.py`), nested values, infinite numbers (or beyond float32), a column with no value at all, and
  text among numbers (nine values in ten are numbers) are errors.
"""

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from unicodedata import normalize

import polars as pl

from src.commands import in_shell
from src.data.marks import Marks
from src.data.meaning import read_columns
from src.data.numerals import Style, stripped
from src.data.parquet import read_parquet
from src.data.text import read_text
from src.errors import ConfigError
from src.overrides import written
from src.places import from_here, place
from src.suggest import closest, setting

TEXT_FILES = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
PARQUET_FILES = (".parquet", ".pq")
_INDEX = r"(__index_level_\d+__)?"
_REFILL = "write a header and rows into it, or choose another file with data.path=…"


@dataclass(frozen=True)
class Frame:
    """A table that passed every check.

    Attributes:
        rows: one Float64 or String column for each feature and target; no target is missing.
        features: names of the feature columns.
        targets: names of the target columns.
        notes: what was left out and why, and what is written in another way than usual, a line each, for the log.
        numbers: of the rows, in the file.
        styles: how each column of numbers is written.
        digest: see `digest_of`.
    """

    rows: pl.DataFrame
    features: tuple[str, ...]
    targets: tuple[str, ...]
    notes: tuple[str, ...]
    numbers: pl.Series
    styles: dict[str, Style]
    digest: str

    @property
    def num_rows(self) -> int:
        """Rows whose targets are all there."""
        return self.rows.height


def read_table(
    path: str,
    target: str | Sequence[str],
    features: Sequence[str] | None = None,
    decimal: str | None = None,
    thousands: str | None = None,
) -> Frame:
    """Reads a table to train on; the same file is read once as long as it does not change.

    Args:
        path: a CSV or Parquet file; `~` is the home folder.
        target: the column to predict, or several.
        features: the columns to predict from; None takes every column but the targets.
        decimal: the decimal mark of a text file; None finds it out.
        thousands: the mark between thousands; None takes any.

    Raises:
        ConfigError: for every mistake in the file or in the names, see the rules at the top.
    """
    state = _state(_file(path))
    targets = _names("data.target", target)
    chosen = None if features is None else _names("data.features", features)
    return _read(state, targets, chosen, Marks(decimal, thousands))


def read_rows(path: str) -> tuple[pl.DataFrame, pl.Series]:
    """Reads a file to predict from: its rows, as `encode` takes them, and their numbers in the file.

    Raises:
        ConfigError: for a file that is missing, unreadable or without rows.
    """
    return _rows(_state(_file(path)))


def digest_of(path: str) -> str:
    """SHA-256 of a file's bytes: the same file in another place has the same.

    Raises:
        ConfigError: for a file that is missing or cannot be a table.
    """
    file = _file(path)
    state = _state(file)
    if state not in _digests:  # each round of a sweep asks for it
        with file.open("rb") as opened:
            _digests[state] = hashlib.file_digest(opened, "sha256").hexdigest()
    return _digests[state]


_State = tuple[Path, int, int]
_digests: dict[_State, str] = {}


def _state(file: Path) -> _State:
    """A file, when it was changed and how long it is: what was read of it is known by that."""
    about = file.stat()
    return file, about.st_mtime_ns, about.st_size


def absent(law: str, name: str, columns: list[str], remedy: str) -> ConfigError:
    """The error for a column that a table lacks; it shows the columns that are there."""
    if any(re.fullmatch(r"[-+]?\d+\.\d+(e[-+]?\d+)?", column) for column in columns) or all(
        re.fullmatch(r"[-+]?\d[\d.]*(e[-+]?\d+)?", column) for column in columns
    ):
        law += " (does the first line of the file name them?)"
    if len(columns) == 1:
        law += " (are its cells separated by commas, semicolons, tabs or bars?)"
    shown = ", ".join(columns[:8]) + (", …" if len(columns) > 8 else "")
    return ConfigError(law, name, f"{remedy}   # one of: {shown}")


def _file(path: str) -> Path:
    file = Path(os.path.abspath(from_here(path)))
    kinds = TEXT_FILES + PARQUET_FILES
    if not os.path.isfile(file):
        is_folder = os.path.isdir(file)
        folder = file if is_folder else file.parent
        tables = [found.name for kind in kinds for found in sorted(folder.glob(f"*{kind}"))]
        tables = [name for name in tables if os.path.isfile(folder / name) and os.path.getsize(folder / name)]
        near = tables[:1] if is_folder else get_close_matches(file.name, tables, n=1)
        law = "data.path must be a file, not a folder" if is_folder else "data.path must be a file that exists"
        remedy = in_shell(written("data.path", str(folder / near[0]))) if near else "data.path=…   # a .csv or .parquet"
        raise ConfigError(law, path, remedy)
    if not file.name.lower().endswith(kinds):
        raise ConfigError(f"data.path must end in {', '.join(kinds)}", path, "save the table as CSV or Parquet")
    if not os.access(file, os.R_OK):
        raise ConfigError("data.path must be a file that you may read", path, in_shell("chmod", "u+r", place(file)))
    if file.stat().st_size == 0:
        raise ConfigError("data.path must hold a table: the file is empty", path, _REFILL)
    return file


def _names(key: str, value: object) -> tuple[str, ...]:
    """One name or a list of names; a column can be called 3."""
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    given = tuple(str(name) for name in value) if is_list else (str(value),)  # type: ignore[attr-defined]
    names = tuple(normalize("NFC", name) for name in given)
    if value is None or not names or not all(names):
        raise ConfigError(f"{key} must name a column, or a list of columns", value, f"{key}=…")
    if twice := [name for name in names if names.count(name) > 1]:
        raise ConfigError(f"{key} must name each column once", list(names), f"take out one {twice[0]}")
    return names


@lru_cache(maxsize=2)  # the check of the config and the training both read
def _read(state: _State, targets: tuple[str, ...], chosen: tuple[str, ...] | None, marks: Marks) -> Frame:
    has_points = marks.decimal in (None, ".") and marks.thousands != "."
    table, numbers, _digests[state], separator = _load(state[0], as_numbers=has_points)
    try:
        return _checked(state, table, numbers, targets, chosen, marks, separator)
    except ConfigError:
        if not (_is_text(state[0]) and pl.Float64 in table.dtypes):
            raise
    # What is told quotes cells as they are written.
    table, numbers, _digests[state], separator = _load(state[0], as_numbers=False)
    return _checked(state, table, numbers, targets, chosen, marks, separator)


def _checked(
    state: _State,
    table: pl.DataFrame,
    numbers: pl.Series,
    targets: tuple[str, ...],
    chosen: tuple[str, ...] | None,
    marks: Marks,
    separator: str,
) -> Frame:
    _check_names(table.columns, targets, chosen)
    has_targets = table.select(pl.all_horizontal(pl.col(targets).is_not_null())).to_series()
    rows = table if has_targets.all() else table.filter(has_targets)
    numbers = numbers.filter(has_targets)
    if rows.is_empty():
        raise ConfigError("data.target must have a value in some row", ", ".join(targets), "another data.target")
    num_left_out = table.height - rows.height
    notes = [f"{num_left_out} of {table.height} rows are left out: no {' or '.join(targets)}"] * (num_left_out > 0)
    columns = read_columns(rows, numbers, targets, chosen, marks, separator)
    return Frame(
        columns.rows,
        columns.features,
        targets,
        (*notes, *columns.notes),
        numbers,
        columns.styles,
        _digests[state],
    )


@lru_cache(maxsize=1)  # looked at before torch is imported, and read after that
def _rows(state: _State) -> tuple[pl.DataFrame, pl.Series]:
    return _load(state[0], as_numbers=False)[:2]


def _load(file: Path, as_numbers: bool) -> tuple[pl.DataFrame, pl.Series, str, str]:
    """The named columns and the rows that are not blank, their numbers, the digest of what was read, the separator.

    Text is stripped, and missing is null. The separator of a Parquet file is empty.
    """
    digest, separator = hashlib.sha256(), ""
    if _is_text(file):
        table, separator = read_text(file, as_numbers, digest.update)
    else:
        table = read_parquet(file, digest.update)
    table = table.select(_clean(column) for column in table if not re.fullmatch(_INDEX, column.name))
    is_blank = table.select(pl.all_horizontal(pl.all().is_null())).to_series()
    numbers = (~is_blank).arg_true()
    if numbers.is_empty():
        raise ConfigError("data.path must hold rows below its header", str(file), _REFILL)
    return (table if len(numbers) == table.height else table[numbers]), numbers, digest.hexdigest(), separator


def _clean(column: pl.Series) -> pl.Series:
    column = column.alias(normalize("NFC", column.name))
    if column.dtype in (pl.String, pl.Categorical, pl.Enum):
        return stripped(column.cast(pl.String))
    return column.fill_nan(None) if column.dtype.is_float() and column.is_nan().any() else column


def _is_text(file: Path) -> bool:
    return file.name.lower().endswith(TEXT_FILES)


def _check_names(columns: list[str], targets: tuple[str, ...], chosen: tuple[str, ...] | None) -> None:
    for key, names in {"data.target": targets, "data.features": chosen or ()}.items():
        for name in names:
            if name not in columns:
                remedy = _renamed(key, names, name, closest(name, columns) or "…")
                raise absent(f"{key} must name columns of the table", name, columns, remedy)
    if both := [name for name in chosen or () if name in targets]:
        raise ConfigError("data.features must not hold data.target", both[0], f"take {both[0]} out of one of them")


def _renamed(key: str, names: tuple[str, ...], wrong: str, right: str) -> str:
    """The setting with the right name in place of the wrong one; a name that is no plain word is quoted."""
    listed = [right if name == wrong else name for name in names]
    is_word = re.fullmatch(r"[A-Za-z_]\w*|…", right, re.ASCII)
    return setting(key, right if key == "data.target" and len(listed) == 1 and is_word else listed)
