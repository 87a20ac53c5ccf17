"""How a text is cut into rows and cells: each way that there could be is tried, and one must be left.

A text fits a way when every quote opens or closes a whole cell (`"` inside one is written `""`) and every row has as
many cells as the header, apart from blank lines. It may also have
- an empty cell or more at the end of every row, or of the header;
- a name in quotes before every row and no name for them, as R writes it.

The ways are the separators comma, semicolon, tab, bar (and a space between quoted names, as R writes it), with a
backslash before quotes and backslashes or without. Where two ways fit, or none does, the text is refused.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from src.data.records import QUOTE, Fault, records

_PREAMBLE = 10  # lines that may stand above a header
_WRITTEN = {b'\\"': b'""', b"\\\\": b"\\"}  # \N stays: a missing value in MySQL and PostgreSQL


@dataclass(frozen=True)
class Layout:
    """A way that fits a text.

    Attributes:
        text: the same rows, where quotes inside cells are written twice and the header has a cell for each column.
        separator: one sign.
        num_columns: cells in each row, the unnamed ones too.
        num_records: the header, rows and blank lines.
        has_long_blanks: lines of nothing but tabs have more of them than a row.
        may_escape: a backslash could take the meaning of a separator or a line end.
    """

    text: bytes
    separator: str
    num_columns: int
    num_records: int
    has_long_blanks: bool = False
    may_escape: bool = False


def layout_of(text: bytes, separators: str, is_tsv: bool) -> Layout:
    """The one way to cut a text that begins with its header.

    Args:
        text: lines that end in `\\n`.
        separators: those that there could be.
        is_tsv: the file's name says that tabs separate.

    Raises:
        Fault: where no way fits, or more than one.
    """
    fits: list[Layout] = []
    faults: list[Fault] = []
    for reading in _readings(text):
        for separator in _candidates(reading, separators):
            try:
                fits.append(_fit(reading, separator.encode(), is_resolved=reading is not text))
            except Fault as misfit:
                faults.append(misfit)
    wide = [fit for fit in fits if fit.num_columns > 1]
    wide = [fit for fit in wide if is_tsv and fit.separator == "\t"] or wide
    if not wide and (faults or not fits):
        raise max(faults, key=lambda fault: fault.line)
    for fault in faults:
        if wide and fault.num_columns > max(fit.num_columns for fit in wide):
            raise fault  # most lines fit this way, and are cut into more cells
    fits = wide or fits
    if len({fit.separator for fit in wide}) > 1:
        signs = " or ".join(fit.separator if fit.separator != "\t" else "a tab" for fit in wide)
        remedy = f"write sep={wide[0].separator} or sep={wide[1].separator} as a line above it"
        raise Fault(text, 0, f"its cells could be separated by {signs}", remedy)
    if any(fit.text != fits[0].text for fit in fits[1:]):
        place = next(found.start() for found in re.finditer(rb'\\["\\]', text))
        reason = "a backslash that may stand for itself, or before a sign that does"
        raise Fault(text, place, reason, "write one backslash for each, or double the quotes instead")
    if fits[0].may_escape:
        raise Fault(text, 0, "a backslash before a separator", "write cells that hold a separator in quotes")
    return fits[0]


def place_of(layout: Layout, record: int) -> int:
    """Where a record begins in the text, the header being record 0."""
    for starts, _, _ in records(layout.text, layout.separator.encode()):
        if record < len(starts):
            return int(starts[record])
        record -= len(starts)
    return len(layout.text)


def _readings(text: bytes) -> list[bytes]:
    """The text as it is, and with its backslashes resolved if all of them stand before what they could escape."""
    if b"\\" not in text or re.search(rb'(?<!\\)(\\\\)*\\([^\\"N]|\Z)', text):
        return [text]
    is_open = False
    parts = []
    for part in re.split(rb'("|\\[\\"N])', text):
        if part == b'\\"' and not is_open:
            return [text]  # outside quotes a quote needs no backslash: this is no such writing
        is_open ^= part == b'"'
        parts.append(_WRITTEN.get(part, part))
    resolved = b"".join(parts)
    return [text] if resolved == text else [text, resolved]


def _candidates(text: bytes, separators: str) -> list[str]:
    """Separators that the header holds, or else the text: all that could matter."""
    header = text[: _header_end(text)]
    among = [sign for sign in separators if sign.encode() in header] or [
        sign for sign in separators if sign.encode() in text
    ]
    if re.fullmatch(rb'"[^"]*"( "[^"]*")*', header):
        among.append(" ")
    return among or [separators[0]]


def _header_end(text: bytes) -> int:
    """The first line end outside quotes."""
    place, num_quotes, begin = text.find(b"\n"), 0, 0
    while place >= 0:
        num_quotes += text.count(b'"', begin, place)
        if num_quotes % 2 == 0:
            return place
        begin, place = place, text.find(b"\n", place + 1)
    return len(text)


def _fit(text: bytes, separator: bytes, is_resolved: bool) -> Layout:
    """The layout of a text by one separator.

    Raises:
        Fault: where it does not fit.
    """
    rows = _Rows(text, separator)
    for starts, ends, cells in records(text, separator):
        rows.add(starts, ends, cells)
    if b'"' in text and rows.num_records < text.count(b"\n"):
        _check_long_records(text, separator, rows)
    header = text[: rows.header_end]
    extra = rows.width - rows.num_names
    may_escape = b"\\" in text and not is_resolved and _may_escape(text, separator, header, rows, extra)
    if extra < 0 and not header.endswith(separator * -extra):
        raise rows.ragged(rows.first_row, rows.width)
    if extra > 0:
        text = _with_whole_header(text, separator, rows)
    width = max(rows.width, rows.num_names)
    return Layout(text, separator.decode(), width, rows.num_records, rows.has_long_blanks, may_escape)


def _may_escape(text: bytes, separator: bytes, header: bytes, rows: "_Rows", extra: int) -> bool:
    """Whether a backslash outside quotes could take a separator's or a line end's meaning, and rows still be whole."""
    if b"\\" + separator in (text if extra > 0 else header):
        return True
    if b"\\\n" not in text:
        return False
    if rows.width == 1 or b"\\\n\n" in text:
        return True
    resolved = re.sub(rb"\\(?:\\|%b|\n)" % re.escape(separator), b"__", text)
    is_shorter = resolved.count(b"\n") < text.count(b"\n")
    return is_shorter and _width(resolved, separator) == (rows.num_names, rows.width)


def _width(text: bytes, separator: bytes, quoting: bool = True) -> tuple[int, int] | None:
    """Cells in the header and in each row; None where the rows are not alike."""
    rows = _Rows(text, separator)
    try:
        for starts, ends, cells in records(text, separator, quoting):
            rows.add(starts, ends, cells)
    except Fault:
        return None
    return rows.num_names, rows.width


def _with_whole_header(text: bytes, separator: bytes, rows: "_Rows") -> bytes:
    """The text with empty names in its header for cells that rows have beyond it."""
    are_named = rows.width == rows.num_names + 1 and rows.num_quoted == rows.num_rows
    are_named &= re.fullmatch(rb'("([^"]|"")*"(%b|$))+' % re.escape(separator), text[: rows.header_end]) is not None
    are_trailing = rows.num_trailing == rows.num_rows
    if are_named == are_trailing:
        raise rows.ragged(rows.first_row, rows.width)
    if are_named:
        return separator + text
    return text[: rows.header_end] + separator * (rows.width - rows.num_names) + text[rows.header_end :]


class _Rows:
    """What the records of a text have in common, as they come in."""

    def __init__(self, text: bytes, separator: bytes) -> None:
        self._text, self._buffer, self._sign = text, np.frombuffer(text, np.uint8), separator[0]
        self.num_records = self.num_rows = self.num_quoted = self.num_trailing = 0
        self.num_names = self.width = self.header_end = self.first_row = 0
        self.has_long_blanks = False

    def add(self, starts: np.ndarray, ends: np.ndarray, cells: np.ndarray) -> None:
        """Takes in further records.

        Raises:
            Fault: for the first that has not as many cells as the row before, and is not blank.
        """
        if not self.num_records and len(ends):
            self.num_names, self.header_end, self.num_records = int(cells[0]), int(ends[0]), 1
            self.width = self.num_names  # until there is a row
            starts, ends, cells = starts[1:], ends[1:], cells[1:]
        self.num_records += len(ends)
        if not self.num_rows:
            first = next((i for i in range(len(ends)) if self._text[starts[i] : ends[i]].strip()), None)
            if first is None:
                self.has_long_blanks |= bool((cells > self.width).any())
                return
            self.width, self.first_row = int(cells[first]), int(starts[first])
        is_row = cells == self.width
        for i in np.flatnonzero(~is_row):
            if self._text[starts[i] : ends[i]].strip():
                raise self.ragged(int(starts[i]), int(cells[i]))
            self.has_long_blanks |= bool(cells[i] > self.width)
        self.num_rows += int(is_row.sum())
        if (extra := self.width - self.num_names) > 0:
            last = [self._buffer[ends[is_row] - 1 - i] == self._sign for i in range(extra)]
            self.num_trailing += int(np.all(last, axis=0).sum())
            self.num_quoted += int((self._buffer[starts[is_row]] == QUOTE).sum())

    def ragged(self, place: int, num_cells: int) -> Fault:
        """The fault of a row that has another number of cells than the header or the rows before it."""
        if place == self.first_row:
            reason = f"{num_cells} cell{'s' * (num_cells > 1)}, where the header has {self.num_names}"
            return Fault(self._text, place, reason, "the first line must name each column; put # before lines above it")
        reason = f"{num_cells} cell{'s' * (num_cells > 1)}, where the rows above have {self.width}"
        remedy = "correct this line; a cell that holds a separator stands in quotes"
        if self._text.count(b"\n", 0, place) < _PREAMBLE:
            remedy += "; if the names of the columns stand here, put # before the lines above"
        fits_header = self.width == self.num_names
        return Fault(self._text, place, reason, remedy, self.width if fits_header else 0)


def _check_long_records(text: bytes, separator: bytes, rows: _Rows) -> None:
    """Records of several lines: it must be certain that these are not rows with quotes that mean themselves.

    Raises:
        Fault: where the first and last line of such a record are whole rows, and a cell is a quote and nothing else; or
            where the text fits as well when quotes mean nothing. Names in quotes say that quotes are meant.
    """
    remedy = 'write a cell that is one quote as """"'
    place = None if text[:1] == b'"' else _first_long(text, separator)
    if place is not None and _width(text, separator, quoting=False) == (rows.num_names, rows.width):
        raise Fault(text, place, "a quoted cell of several lines, each of which could be a row", remedy)
    lone = re.compile(rb'(?:^|[%b\n])"(?:[%b\n]|$)' % (re.escape(separator), re.escape(separator)))
    for start, record in _long_records(text, separator):
        outer = (record.partition(b"\n")[0], record.rpartition(b"\n")[2])
        if all(_may_have(line, separator, rows.width) for line in outer) and lone.search(record):
            raise Fault(text, start, "a cell that is one quote, or a quoted cell of several whole rows", remedy)


def _may_have(line: bytes, separator: bytes, num_cells: int) -> bool:
    """Whether a line has so many cells, if backslashes mean nothing or if they escape separators."""
    found = [text.count(separator) + 1 for text in (line, re.sub(rb"\\.", b"", line))]
    return num_cells in found


def _long_records(text: bytes, separator: bytes) -> Iterator[tuple[int, bytes]]:
    for starts, ends, _ in records(text, separator):
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            if text.find(b"\n", start, end) >= 0:
                yield start, text[start:end]


def _first_long(text: bytes, separator: bytes) -> int | None:
    return next((start for start, _ in _long_records(text, separator)), None)
