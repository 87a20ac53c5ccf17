"""Reading a later file as the file of the training was read. Never imports torch.

A column of numbers is read in the way of writing of the training, and nothing else is taken for a number. What the
training never saw is refused where nothing in a column is known, and told where something is not.
"""

import polars as pl

from src.data.columns import finite, levels, number_note, wrong_type
from src.data.encoding import Encoding, NumberColumn, TextColumn, is_unknown
from src.data.frame import absent
from src.data.marks import has_other_marks
from src.data.numerals import PLAIN, has_words, numbers_of, told
from src.errors import ConfigError
from src.suggest import closest

_RETRAIN = "correct the column, or train without it (data.features=…)"


def read_as_trained(rows: pl.DataFrame, numbers: pl.Series, encoding: Encoding) -> tuple[pl.DataFrame, list[str]]:
    """Reads N rows of a later file.

    Args:
        rows: as loaded.
        numbers: of the rows, in the file.
        encoding: of the training.

    Returns:
        A Float64 or String column for each feature, and a Float64 column for each target that is there; and what to
        tell of them, a line each.

    Raises:
        ConfigError: for a feature column that is absent, or a column that cannot be what it was at training.
    """
    read: list[pl.Series] = []
    notes: list[str] = []
    for how in encoding["features"]:
        name = how["name"]
        column = _column(rows, numbers, name)
        read.append(levels(column) if "levels" in how else _numbers(column, encoding, numbers))
        _check_known(read[-1], how)
        notes += unknown_note(read[-1], how)
    read += [
        _numbers(_column(rows, numbers, name), encoding, numbers)
        for name in encoding["targets"]
        if name in rows.columns
    ]
    for column in read:
        if column.null_count() == rows.height:
            notes.append(f"column {column.name} is empty")
        if style := encoding["styles"].get(column.name):
            notes += filter(None, [number_note(rows[column.name], column, style)])
    return pl.DataFrame(read), notes


def unknown_note(column: pl.Series, how: NumberColumn | TextColumn, share: float = 0.0) -> list[str]:
    """A line where more than this share of the rows hold what no train row does."""
    is_strange = is_unknown(column, how)
    count, num_rows = is_strange.sum(), len(column)
    if count <= share * num_rows:
        return []
    start = f"column {column.name}: {count} of {num_rows} rows "
    cell = column.filter(is_strange).drop_nulls().first()
    if cell is None:
        return [f"{start}miss a value, as no train row does"]
    near = closest(str(cell), [level for level in how["levels"] if level is not None]) if "levels" in how else None
    return [f"{start}hold what no train row does, such as {cell!r}" + f"; the nearest is {near!r}" * bool(near)]


def _column(rows: pl.DataFrame, numbers: pl.Series, name: str) -> pl.Series:
    if name not in rows.columns:
        near = closest(name, rows.columns) or "…"
        law = "data.path must hold the columns that the run was trained on"
        raise absent(law, name, rows.columns, f"rename {near} to {name} in the file")
    if rows[name].count() and (misfit := wrong_type(rows[name], numbers, "data.path")):
        raise ConfigError(*misfit, _RETRAIN)
    return rows[name]


def _numbers(column: pl.Series, encoding: Encoding, numbers: pl.Series) -> pl.Series:
    """A column of numbers in the style of the training, in which alone it can be read."""
    style = encoding["styles"][column.name]
    is_boolean = column.dtype == pl.Boolean or has_words(column)
    if is_boolean and any(how.get("is_binary") for how in encoding["features"] if how["name"] == column.name):
        style = {**PLAIN, "words": True}
    read, law = numbers_of(column, style), told(style)
    if style["words"]:
        is_other = ~read.is_in([0.0, 1.0])
    elif column.dtype == pl.String:
        is_other = has_other_marks(column, style)
        law += ", and no point that may stand between thousands" * is_other.any()
    else:  # a spreadsheet stores 12 % as 0.12
        is_other = pl.repeat(is_boolean or style["sign"] in ("%", "‰"), len(column), eager=True)
    return finite(read.set(is_other.fill_null(False), None), column, numbers, "data.path", law)


def _check_known(column: pl.Series, how: NumberColumn | TextColumn) -> None:
    """Raises where the encoding has no place for any value; a single level may be new."""
    if not is_unknown(column, how).all():
        return
    if column.null_count() == len(column):
        law = "data.path must have values in the columns that no train row misses"
        raise ConfigError(law, f"{column.name} is empty", _RETRAIN)
    if column.n_unique() > 1 and "levels" in how:
        seen = [repr(level) for level in how["levels"][:8]]
        law = f"data.path must hold levels in column {column.name} that the run was trained on"
        remedy = f"write them as in the file trained on: {', '.join(seen)}{', …' * (len(how['levels']) > 8)}"
        raise ConfigError(law, f"{column.name} holds " + ", ".join(map(repr, column.unique().sort()[:4])), remedy)
