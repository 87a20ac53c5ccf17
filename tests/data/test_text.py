"""Claims about reading text tables: what is read is what was written, or it is refused with the line."""

import csv
import gzip
import io
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pytest

from src.data import frame, text_file
from src.data.text import read_text
from src.errors import ConfigError

Rows = list[list[str]]


class Read(Protocol):
    """Writes bytes as a file and reads its cells back."""

    def __call__(self, content: str | bytes, name: str = "table.csv") -> Rows:
        """The header and the rows; blank lines and missing cells are empty."""


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Writes bytes as a file and reads its cells back."""

    def reader(content: str | bytes, name: str = "table.csv") -> Rows:
        (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
        table, _ = read_text(tmp_path / name)
        return [table.columns, *([cell or "" for cell in row] for row in table.rows())]

    return reader


PLAIN = [["a", "b"], ["1", "x"], ["2", "y"]]
SPELLINGS: dict[str, str | bytes] = {
    "commas": "a,b\n1,x\n2,y\n",
    "semicolons": "a;b\n1;x\n2;y\n",
    "tabs": "a\tb\n1\tx\n2\ty\n",
    "bars": "a|b\n1|x\n2|y\n",
    "no last line end": "a,b\n1,x\n2,y",
    "CRLF": "a,b\r\n1,x\r\n2,y\r\n",
    "CRLF and LF": "a,b\r\n1,x\n2,y\r\n",
    "CR": "a,b\r1,x\r2,y\r",
    "byte order mark": "\ufeffa,b\n1,x\n2,y\n",
    "two byte order marks": "\ufeff\ufeffa,b\n1,x\n2,y\n",
    "Excel's Unicode text": "a\tb\r\n1\tx\r\n2\ty\r\n".encode("utf-16"),
    "UTF-16, big end first": b"\xfe\xff" + "a,b\n1,x\n2,y\n".encode("utf-16-be"),
    "UTF-32": "a,b\n1,x\n2,y\n".encode("utf-32"),
    "gzip": gzip.compress(b"a,b\n1,x\n2,y\n"),
    "two gzip files in one": gzip.compress(b"a,b\n1,x\n") + gzip.compress(b"2,y\n"),
    "end of file of DOS": "a,b\r\n1,x\r\n2,y\r\n\x1a",
    "every cell in quotes": '"a","b"\n"1","x"\n"2","y"\n',
    "Excel's sep=": "sep=;\na;b\n1;x\n2;y\n",
    "sep= with a mark": "\ufeffsep=\t\r\na\tb\r\n1\tx\r\n2\ty\r\n",
    "sep= of any sign": "sep=^\na^b\n1^x\n2^y\n",
    "comments above": "# exported 2024-01-01, v2\n# a: m, s\na,b\n1,x\n2,y\n",
    "comments with a quote": '# 2" pipes\n\na,b\n1,x\n2,y\n',
    "blank lines above": "\n \n\na,b\n1,x\n2,y\n",
    "an index of pandas": ",a,b\n0,1,x\n1,2,y\n",
    "two indices of pandas": ",,a,b\n0,p,1,x\n1,q,2,y\n",
    "trailing separators": "a,b,\n1,x,\n2,y,\n",
    "trailing separators on rows": "a,b\n1,x,\n2,y,\n",
    "trailing separators on the header": "a,b,,\n1,x\n2,y\n",
    "write.csv of R": '"","a","b"\n"1","1","x"\n"2","2","y"\n',
    "write.csv2 of R": '"";"a";"b"\n"1";1;"x"\n"2";2;"y"\n',
    "write.table of R": '"a" "b"\n"1" 1 "x"\n"2" 2 "y"\n',
    "write.table of R, commas": '"a","b"\n"p",1,"x"\n"q",2,"y"\n',
    "write.table of R, no row names": '"a" "b"\n1 "x"\n2 "y"\n',
    "spaces around names": " a , b \n1,x\n2,y\n",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_table_is_the_same_in_every_spelling(read: Read, spelling: str) -> None:
    assert read(SPELLINGS[spelling]) == PLAIN


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        ('a,b\n"1,5","say ""hi"""\n', [["1,5", 'say "hi"']]),
        ('a,b\n1,"x\ny"\n2,"z\r\n"\n', [["1", "x\ny"], ["2", "z\n"]]),
        ('a,b\n"say \\"hi\\"",1\n"C:\\\\x",\\N\n', [['say "hi"', "1"], ["C:\\x", ""]]),
        ("a,b\nC:\\temp,1\nC:\\,2\n", [["C:\\temp", "1"], ["C:\\", "2"]]),
        ('a,b\n"""",1\n"",2\n', [['"', "1"], ["", "2"]]),
        ("a;b\n1,5;2,5\n3,5;4,5\n", [["1,5", "2,5"], ["3,5", "4,5"]]),
        ("a (m, s);b\n1;2\n", [["1", "2"]]),
        ('"a, b",c;d\n"x, y",1\n', [["x, y", "1"]]),
        ("a,b\n1,2\n\n3,4\n \n,\n", [["1", "2"], ["", ""], ["3", "4"], [" ", ""], ["", ""]]),
        ("a\n1\n\n2\n", [["1"], [""], ["2"]]),
        ("a\n1\n\t\n2\n", [["1"], [""], ["2"]]),
        ("a\tb\n1\t2\n\t\t\t\n3\t4\n", [["1", "2"], ["", ""], ["3", "4"]]),
        ("city\nNew York\nLos Angeles\n", [["New York"], ["Los Angeles"]]),
        ('"city"\n"New York, NY"\n', [["New York, NY"]]),
        ("a,b\n1," + 200_000 * "x" + "\n", [["1", 200_000 * "x"]]),
        ('# c\na,b\n1,"x\n# y"\n', [["1", "x\n# y"]]),
        ("a,b\n#1,x\n#2,y\n", [["#1", "x"], ["#2", "y"]]),
        ("a,b\n1,\"it's 'x'\"\n", [["1", "it's 'x'"]]),
    ],
)
def test_cells_are_read_as_they_were_meant(read: Read, content: str, rows: Rows) -> None:
    assert read(content)[1:] == rows


def test_a_header_below_other_lines_is_not_taken_for_the_mistake(read: Read) -> None:
    with pytest.raises(ConfigError, match=r"line 3: 3 cells.*\n.*put # before the lines above"):
        read("Report, 2\nUnits: m, s\na,b,c\n1,2,3\n")


def test_names_may_take_several_lines(read: Read) -> None:
    assert read('"a\n(m,\ns)",b\n1,x\n')[0] == ["a (m, s)", "b"]


FAULTS: dict[str, tuple[str | bytes, int, str]] = {
    "a quote in a cell": ('a,b\n1,x\n2,2" pipe\n', 3, "a quote in the middle of a cell"),
    "a cell that goes on after its quote": ('a,b\n1,x\n2,"a"b\n', 3, "goes on after the next quote"),
    "a space before a quote": ('a,b\n1, "x"\n', 2, "spaces before a cell in quotes"),
    "a quote that is never closed": ('a,b\n1,x\n2,"y\n3,z\n', 3, "never closed"),
    "cells that are one quote": ('a,b,c\n0,x,1\n1,",2\n3,",4\n', 3, "each of which could be a row"),
    "cells that are one quote, among quoted ones": ('a,b,c\n0,"x,y",1\n1,",2\n3,",4\n', 3, "a cell that is one quote"),
    "a cell that is one quote, and one that ends so": ('a,b,c\n0,x,1\n1,",2\n3,5",4\n', 3, "could be a row"),
    "a row too long": ("a,b\n1,x\n2,y,3\n", 3, "3 cells, where the rows above have 2"),
    "a row too short": ("a,b\n1,x\n2\n", 3, "1 cell, where the rows above have 2"),
    "a file cut off": ("a,b\n1,x\n2", 3, "1 cell, where the rows above have 2"),
    "a footer": ("a,b,c\n1,x,2\n\nTotal,2\n", 4, "2 cells, where the rows above have 3"),
    "a line above the header": ("Station 5\n\na,b\n1,x\n", 3, "2 cells, where the header has 1"),
    "decimal commas between commas": ("a,b\n1,5,2\n2,5,3\n", 2, "3 cells, where the header has 2"),
    "decimal commas alone": ("a\n1,5\n2,5\n", 2, "2 cells, where the header has 1"),
    "row names without quotes": ("a b\n1 2 3\n".replace(" ", ","), 2, "3 cells, where the header has 2"),
    "R's row names above an empty last column": ('"a","b"\n"p",1,\n"q",2,\n', 2, "3 cells, where the header has 2"),
    "two separators": ("Name, first;age\nDoe, John;34\n", 1, "separated by , or ;"),
    "a row too long, and another separator that would fit": ("a|b|c;d\n1|x|y;z\n2|x|y|y;z\n", 3, "4 cells"),
    "sep= that does not": ("sep=;\na,b\n1;5,x\n", 3, "2 cells, where the header has 1"),
    "a header in a comment": ("# a,b\n1,x\n2,y\n", 2, "could be the header"),
    "a row in a comment": ("a,b\n1,x\n#2,y\n", 3, "a comment below the header"),
    "comments above and below": ("# c\na,b\nx,1\n#y,2\n", 4, "a comment below the header"),
    "a value without a name": ("a,,b\n1,,x\n2,5,y\n", 3, "column 2, which has no name"),
    "two files in one": ("a,b\n1,x\na,b\n2,y\n", 3, "the header once more"),
    "two files with marks in one": ("\ufeffa,b\n1,x\n\ufeffa,b\n2,y\n", 3, "a second file begins here"),
    "CR in a line": ("a,b\n1,x\r2,y\n", 2, "a carriage return"),
    "CRCRLF": ("a,b\r\r\n1,x\r\r\n", 1, "a carriage return"),
    "NUL": (b"a,b\n1,\0\n", 2, "a NUL byte"),
    "Ctrl-Z": (b"a,b\n1,x\n\x1aa,b\n2,y\n", 3, "a Ctrl-Z"),
    "Windows-1252": ("a,b\n1,Å\n".encode("cp1252"), 2, "0xC5 is not UTF-8"),
    "UTF-8 cut off": ("a,b\n1,x\n2,é".encode()[:-1], 3, "0xC3 is not UTF-8"),
    "two ways to take a backslash": ('a,b\n"\\\\server",1\n', 2, "a backslash that may stand for itself"),
    "an escaped separator": ("a\\,b,c\nx\\,y,1\n", 1, "a backslash before a separator"),
    "an escaped quote without quotes": ('a,b\n1,x\n2,\\"\n', 3, "a quote in the middle of a cell"),
    "an escaped line end at the end of a row": ("a,b\n1,\\\n\n2,y\n", 1, "a backslash before a separator"),
    "an escaped separator and line end in one cell": (
        "a\tb\n1\t2\n\\\t\\\n3\t4\n",
        1,
        "a backslash before a separator",
    ),
    "a cell that is one quote, among escaped separators": ('a\tb\n1\t"\n\\\t\t2"\n', 2, "a cell that is one quote"),
    "a table that psql draws": (" a | b \n---+---\n 1 | x\n(1 row)\n", 2, "a ruled line"),
    "a table that mysql draws": ("+---+---+\n| a | b |\n+---+---+\n| 1 | x |\n", 1, "a ruled line"),
    "an escaped line end": ("a\nx\\\ny\n", 1, "a backslash before a separator"),
    "apostrophes as quotes": ("a,b\n'it''s',x\n", 2, "a cell in apostrophes"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("lines_above", [0, 2])
def test_what_could_be_read_wrongly_is_refused_with_its_line(read: Read, fault: str, lines_above: int) -> None:
    content, line, reason = FAULTS[fault]
    if lines_above and (fault.startswith("sep=") or "Windows" in fault):
        return
    head = lines_above * b"\n"
    with pytest.raises(ConfigError, match=r"data\.path must be a whole text table in UTF-8\n  got: ") as caught:
        read(head + (content.encode() if isinstance(content, str) else content))
    told = str(caught.value)
    assert f"table.csv, line {line + lines_above}: " in told
    assert reason in told
    assert "\n  try: " in told
    assert max(map(len, told.splitlines())) < 160


NO_TEXTS: list[tuple[bytes, str]] = [
    (b"PK\x03\x04xl/workbook.xml", "a ZIP archive or an Excel workbook"),
    (b"PAR1....", "a Parquet file"),
    (b"BZh91AY", "packed with bzip2"),
    (gzip.compress(gzip.compress(b"a,b\n1,x\n")), "packed twice"),
    (gzip.compress(bytes(range(256)) * 99)[:-20], "packed with gzip and cut off"),
    (gzip.compress(b"a,b\n1,x\n")[:-8] + b"damaged!", "packed with gzip and damaged"),
    (gzip.compress(b"a,b\n1,x\n") + b"more", "packed with gzip and damaged"),
    (b"\n<!DOCTYPE html><p>404", "a web page"),
    (b'{"a": [1, 2], "b": ["x", "y"]}', "JSON"),
    (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
    ("a,b\n1,x\n".encode("utf-16-le"), "looks like UTF-16 without its mark"),
    ("a,b\n1,x\n".encode("utf-16")[:-1], "begins as UTF-16"),
]


@pytest.mark.parametrize("number", range(len(NO_TEXTS)), ids=[kind for _, kind in NO_TEXTS])
def test_what_is_no_text_is_called_by_its_name(read: Read, number: int) -> None:
    content, kind = NO_TEXTS[number]
    with pytest.raises(ConfigError, match=r"data\.path must be a whole text table in UTF-8\n.*\n  try: ") as caught:
        read(content)
    assert kind in str(caught.value)


def test_a_packed_file_has_a_limit(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = gzip.compress(b"a,b\n" + 250 * b"1,x\n")
    assert len(read(packed)) == 251
    monkeypatch.setattr(text_file, "MAX_UNPACKED", 1000)
    monkeypatch.setattr(text_file, "MAX_RATIO", 2)
    with pytest.raises(ConfigError, match="unpacks to more than 1,000 bytes"):
        read(packed)
    assert len(read(gzip.decompress(packed))) == 251, "a file that is not packed has none"


@pytest.mark.parametrize("name", ["houses.csv.gz", "houses.tsv.gz", "houses.txt.gz"])
def test_packed_tables_are_read_by_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(b"area\tprice\n50\t1\n\n60\t2\n"))
    table = frame.read_table(str(path), "price")
    assert table.rows.to_dict(as_series=False) == {"price": [1, 2], "area": [50, 60]}
    assert table.numbers.to_list() == [0, 2]
    assert table.digest == frame.digest_of(str(path))
    with pytest.raises(ConfigError, match=f"try: data.path=.*{name}"):
        frame.read_rows(str(path) + ".gz")


def test_rows_are_numbered_below_the_header_whatever_stands_above(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    for head in ("", "\n\n", "sep=,\n", "# a comment\n\n# and one\n"):
        path.write_text(f'{head}"x",y\n"one\n\nrow",0\n\n2,\n,3\n,\n5,5\n')
        assert frame.read_rows(str(path))[1].to_list() == [0, 2, 3, 5]


def test_a_parquet_file_is_blamed_in_plain_words(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    path.write_text("a,b\n1,x\n")
    with pytest.raises(ConfigError, match=r"got: table.parquet is something else than its name says\n  try: "):
        frame.read_rows(str(path))


# Files of known tables: what is read is the table, or nothing is.

WORDS = ["", "x", "Oslo", "New York", "Doe, John", 'say "hi"', '2" pipe', '"', 'a "b', "a;b", "a|b", "tab\there"]
WORDS += ["it's", "'s-Hage'", "#1", "two\nlines", "C:\\temp", "back\\", "\\", "ünï", " padded ", ",", "1,5"]
HARD = [*WORDS, '"quoted"', "\n"]  # where nothing is escaped these two are a quoted cell and a blank line
SAFE = ["", "x", "Oslo", "New York", "ünï", "it's", "C:\\temp", "north-east", "a.b"]


def _table(rng: random.Random, words: list[str]) -> Rows:
    num_columns, num_rows = rng.randint(2, 5), rng.randint(1, 12)
    kinds = [rng.choice(["number", "text", "text"]) for _ in range(num_columns)]
    header = [rng.choice(["a", "b (m, s)", "größe", "c", 'd "e"', "f;g"]) + str(i) for i in range(num_columns)]
    if words is not HARD:
        header = [f"{kind} {i}" for i, kind in enumerate(kinds)]

    def cell(kind: str) -> str:
        return f"{rng.uniform(-9, 9):.2f}" if kind == "number" else rng.choice(words)

    return [header, *([cell(kind) for kind in kinds] for _ in range(num_rows))]


def _written(rows: Rows, **dialect: Any) -> str:
    out = io.StringIO()
    csv.writer(out, **({"lineterminator": "\n"} | dialect)).writerows(rows)
    return out.getvalue()


def _well_formed(rng: random.Random, rows: Rows) -> bytes:
    """As Excel, pandas, R, LibreOffice and PostgreSQL write a table."""
    end = rng.choice(["\n", "\r\n"])
    quoting = rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
    text = _written(rows, delimiter=rng.choice(",;\t|"), quoting=quoting, lineterminator=end)
    text = rng.choice(["", "", "# by us\n", "\n"]) + text
    return text.encode(rng.choice(["utf-8", "utf-8", "utf-8-sig", "utf-16"]))


def _broken(rng: random.Random, rows: Rows) -> bytes:
    """As no good program writes it: quotes alone, escapes, ragged rows, bytes lost."""
    sign = rng.choice(",;\t|")

    def naive(cell: str) -> str:
        how = rng.choice(hows)
        is_odd = sign in cell or "\n" in cell
        quoted = f'"{cell}"'
        return {"bare": cell, "odd": quoted if is_odd else cell, "all": quoted}[how]

    hows = rng.choice([["bare"], ["odd"], ["all"], ["bare", "odd", "all"]])
    escaping = {"escapechar": "\\", "doublequote": False}
    texts: list[Callable[[], str]] = [
        lambda: "".join(sign.join(map(naive, row)) + "\n" for row in rows),
        lambda: _written(rows, delimiter=sign, **escaping),
        lambda: _written(rows, delimiter=sign, quoting=csv.QUOTE_ALL, **escaping),
        lambda: _written(rows, delimiter=sign, quoting=csv.QUOTE_NONE, escapechar="\\"),
        lambda: _written(rows, delimiter=sign, quotechar="'"),
    ]
    return rng.choice(texts)().encode()


def _meant(rows: Rows) -> Rows:
    header, *cells = rows
    return [[" ".join(name.split()) for name in header], *cells]


def _outcome(path: Path, content: bytes, rows: Rows) -> str:
    path.write_bytes(content)
    try:
        table, _ = read_text(path)
    except ConfigError as refused:
        return "refused" if len(str(refused).splitlines()) <= 4 else "told at length"
    blank = [[cell or "" for cell in row] for row in table.rows()]
    return "right" if [table.columns, *blank] == _meant(rows) else "wrong"


@pytest.mark.parametrize("count", [150, pytest.param(5000, marks=pytest.mark.soak)])
def test_well_formed_files_are_read_right(tmp_path: Path, count: int) -> None:
    for seed in range(count):
        rng = random.Random(seed)
        rows = _table(rng, SAFE)
        content = _well_formed(rng, rows)
        assert _outcome(tmp_path / "table.csv", content, rows) == "right", (seed, content)


@pytest.mark.parametrize("count", [150, pytest.param(5000, marks=pytest.mark.soak)])
def test_hard_files_are_read_right_or_refused(tmp_path: Path, count: int) -> None:
    """With quotes, separators, line ends and backslashes in cells, by good programs and bad ones."""
    outcomes = []
    for seed in range(count):
        rng = random.Random(seed)
        for write, words in ((_well_formed, HARD), (_broken, WORDS)):
            rows = _table(rng, words)
            content = write(rng, rows)
            outcomes.append(_outcome(tmp_path / "table.csv", content, rows))
            assert outcomes[-1] in ("right", "refused"), (seed, content)
    assert outcomes[::2].count("right") > 0.8 * count
