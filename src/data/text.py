"""Reads a text table as columns of text, or of numbers at once: right, or not at all. Never imports torch.

- Above the header may stand blank lines, comments (lines that begin with `#`) and Excel's `sep=;`.
- The header names the columns; `layout.py` tells how the text is cut into rows and cells.
- Columns without a name are not read: those before the first name (an index that pandas or R wrote) whatever they
  hold, the others only where they are empty.
- A row for each row and blank line below the header, in their order: a row's number here is its number in the file. A
  cell of several lines makes one row. An empty cell, and `\\N`, is null.
- polars reads the cells, numpy has counted the rows before: the two must agree.
- In a large file, columns that begin as numbers with decimal points are read as numbers, in a third of the memory.
  Where one cell of them is none, all are read as text.
"""

import re
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl

from src.data.layout import Layout, layout_of, place_of
from src.data.marks import shows_point
from src.data.numerals import MISSING
from src.data.records import RETURN, Fault
from src.data.text_file import filtered, text_of, unreadable
from src.errors import ConfigError

_SEPARATORS = ",;\t|"
LARGE = 2**23
"""Bytes of a large file."""
_HEAD = 100
_NUMBER = r"\s*[-+]?\d*[.,]?\d+([eE][-+]?\d+)?\s*"


_Header = tuple[str | None, ...]


def read_text(file: Path, as_numbers: bool = False, see: Callable[[bytes], object] = len) -> pl.DataFrame:
    """The named columns of a text table, each row and blank line below its header.

    Args:
        file: is read once.
        as_numbers: columns of a large file may come as Float64 where that loses nothing, see `shows_point`; its
            decimal mark must not be told to be another.
        see: is given the bytes of the file.

    Raises:
        ConfigError: for a file that is no text table, or could be read in more than one way; it tells the line.
    """
    text = text_of(file, see)
    start, separators, comment = _head(text)
    lines_above = text.count(b"\n", 0, start)
    text = text[start:]
    if not text:
        return pl.DataFrame()
    try:
        layout = layout_of(text, separators, is_tsv=file.name.lower().endswith((".tsv", ".tsv.gz")))
        del text
        header, rows = _cells(layout, as_numbers)
        _check_comments(layout, comment, header, rows)
        return _named(header, rows, layout)
    except Fault as fault:
        remedy = filtered(file, r"tr -s '\r' '\n'") if str(fault) == RETURN else fault.remedy
        raise unreadable(f"{file.name}, line {lines_above + fault.line}: {fault}", remedy) from fault


def _head(text: bytes) -> tuple[int, str, bytes]:
    """Where the header begins, the separators that there may be, and the comment right above the header."""
    start, separators, comment = 0, _SEPARATORS, b""
    while start < len(text):
        end = text.find(b"\n", start)
        line = text[start:] if end < 0 else text[start:end]
        if told := re.fullmatch(rb'"?sep=([^"\w])"?', line.strip(b" "), re.IGNORECASE):
            separators = told[1].decode()
        elif line.strip() and not line.startswith(b"#"):
            break
        comment = line if line.startswith(b"#") else b""
        start += len(line) + 1
    return start, separators, comment


def _cells(layout: Layout, as_numbers: bool) -> tuple[_Header, pl.DataFrame]:
    """The header and the cells below it."""
    if as_numbers and len(layout.text) >= LARGE and (found := _typed_cells(layout)):
        header, rows = found
    else:
        table = _parsed(layout, layout.text)
        header, rows = table.row(0), table[1:]
    if rows.shape != (layout.num_records - 1, layout.num_columns):
        told = f"{rows.height + 1} rows were read, and {layout.num_records} counted"
        raise Fault(layout.text, 0, told, "write the file again with another program")
    return header, rows


def _parsed(layout: Layout, text: bytes, **options: Any) -> pl.DataFrame:
    quote = '"' if b'"' in text else None
    given: dict[str, Any] = {"infer_schema": False, "null_values": "\\N", **options}
    return pl.read_csv(text, has_header=False, separator=layout.separator, quote_char=quote, **given)


def _typed_cells(layout: Layout) -> tuple[_Header, pl.DataFrame] | None:
    """The same with columns of numbers, None where there are none, or a cell of them is no finite number.

    A column whose name is a number stays text: its header could stand among its numbers once more.
    """
    lines = layout.text[: _end_of_line(layout.text, _HEAD)]
    if lines.count(b'"') % 2 or lines[: lines.find(b"\n")].count(b'"') % 2:
        return None
    head = _parsed(layout, lines)
    header, names = head.row(0), head.columns
    is_name = [bool((name or "").strip()) and not re.fullmatch(_NUMBER, name or "") for name in header]
    plain = [
        column.name for column, is_named in zip(head[1:], is_name, strict=True) if is_named and shows_point(column)
    ]
    if not plain:
        return None
    others = [name for name in names if name not in plain]
    try:
        columns = _columns(layout, plain, names, pl.Float64, null_values=[*MISSING])
    except pl.exceptions.PolarsError:
        return None
    if not all(column.is_finite().all() for column in columns):
        return None
    return header, columns.hstack(_columns(layout, others, names, pl.String)).select(names) if others else columns


def _columns(layout: Layout, wanted: list[str], names: list[str], kind: Any, **options: Any) -> pl.DataFrame:
    """Some columns below the header, which is a line."""
    return _parsed(layout, layout.text, schema=dict.fromkeys(names, kind), columns=wanted, skip_lines=1, **options)


def _end_of_line(text: bytes, number: int) -> int:
    place = -1
    for _ in range(number):
        if (place := text.find(b"\n", place + 1)) < 0:
            return len(text)
    return place + 1


def _check_comments(layout: Layout, comment: bytes, header: _Header, rows: pl.DataFrame) -> None:
    """A header must not hide behind a `#`, nor a row, nor a second file behind a byte order mark."""
    num_cells = comment.count(layout.separator.encode()) + 1
    if 1 < layout.num_columns == num_cells and any(re.fullmatch(_NUMBER, name or "") for name in header):
        told = "the line above begins with # and could be the header"
        raise Fault(layout.text, 0, told, "take the # away, or write the names of the columns below it")
    if place := next(_lines_that_begin(BOM_UTF8, layout.text), None):
        raise Fault(layout.text, place, "a second file begins here", "take out this line, its header")
    if place := next(_lines_that_begin(b"#", layout.text), None):
        first = rows.to_series().drop_nulls().cast(pl.String)
        others = first.filter(~first.str.starts_with("#"))
        if comment or (len(others) and others.str.contains(f"^{_NUMBER}$").all()):
            remedy = 'take out the line; where # belongs to the cell, write it in quotes: "#1"'
            raise Fault(layout.text, place, "a comment below the header, or a cell that begins with #", remedy)


def _lines_that_begin(sign: bytes, text: bytes) -> Iterator[int]:
    """Where lines begin with a sign, outside quotes."""
    if sign[:1] not in text:  # ten times as fast
        return
    if sign[:1] not in text:  # many times as fast
        return
    num_quotes, before, place = 0, 0, text.find(b"\n" + sign)
    while place >= 0:
        num_quotes += text.count(b'"', before, place)
        if num_quotes % 2 == 0:
            yield place + 1
        before, place = place, text.find(b"\n" + sign, place + 1)


def _named(header: _Header, rows: pl.DataFrame, layout: Layout) -> pl.DataFrame:
    """The columns that have a name, below it."""
    names = [" ".join((name or "").split()) for name in header]
    if twice := [name for name in names if name and names.count(name) > 1]:
        raise ConfigError("data.path must name each column once", twice[0], "rename one of them in the first line")
    first = next((place for place, name in enumerate(names) if name), 0)
    for place, name in enumerate(names):
        if name or place < first:
            continue
        column = rows.to_series(place)
        if len(found := (column.str.strip_chars() != "").arg_true()):
            told = f"a value in column {place + 1}, which has no name"
            raise Fault(layout.text, place_of(layout, found[0] + 1), told, "name the column in the header")
    _check_repeated(rows, header, layout)
    _check_apostrophes(layout)
    return pl.DataFrame([column.alias(name) for column, name in zip(rows, names, strict=True) if name])


def _check_repeated(rows: pl.DataFrame, header: _Header, layout: Layout) -> None:
    """A header below the first one begins a second file; none is among numbers."""
    place = next((place for place, name in enumerate(header) if name), 0)
    if pl.Float64 in rows.dtypes:
        return
    for row in (rows.to_series(place) == header[place]).arg_true():
        if rows.row(row) == header:
            raise Fault(layout.text, place_of(layout, row + 1), "the header once more", "take out this line")


def _check_apostrophes(layout: Layout) -> None:
    """Whole cells in apostrophes may be quoted ones: where no quote is, or where `''` stands for one inside."""
    if b"'" not in layout.text:
        return
    has_quotes = b'"' in layout.text
    sign = re.escape(layout.separator.encode())
    for found in re.finditer(rb"'[^\n%b]*'(?=[\n%b]|\Z)" % (sign, sign), layout.text):
        before = layout.text[max(found.start() - 1, 0) : found.start()]
        is_cell = before in (b"", b"\n", layout.separator.encode())
        if is_cell and (not has_quotes or b"''" in found[0][1:-1]):
            remedy = "write quotes in place of apostrophes around cells"
            raise Fault(layout.text, found.start(), "a cell in apostrophes, which are no quotes", remedy)
