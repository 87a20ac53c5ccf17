"""Claims about what the columns of a user's table mean: numbers in many ways of writing, dates, levels."""

import random
import shlex
from collections.abc import Callable
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from src.data.dates import date_in
from src.data.encoding import encode, feature_names, measure
from src.data.frame import Frame, read_rows, read_table
from src.data.new_file import read_as_trained
from src.errors import ConfigError

Content = str | pl.DataFrame


def written(folder: Path, content: Content, name: str) -> str:
    """The path of a text file, or of a Parquet file."""
    path = folder / f"{name}.{'csv' if isinstance(content, str) else 'parquet'}"
    path.write_text(content) if isinstance(content, str) else content.write_parquet(path)
    return str(path)


def read(folder: Path, cells: list[str], decimal: str | None = None, thousands: str | None = None) -> Frame:
    """A text file with these cells as feature x and whole numbers as target y."""
    text = "x;y\n" + "".join(f'"{cell}";{row}\n' for row, cell in enumerate(cells))
    return read_table(written(folder, text, "table"), "y", None, decimal, thousands)


def scored(folder: Path, old: Content, new: Content) -> tuple[dict[str, list[float]], list[str]]:
    """Each encoded feature of a new file, by the training on all rows of an old one, and the lines of the log."""
    table = read_table(written(folder, old, "old"), "y")
    encoding = measure(table, np.arange(table.num_rows))
    rows, notes = read_as_trained(*read_rows(written(folder, new, "new")), encoding)
    return dict(zip(feature_names(encoding), encode(rows, encoding)[0].T.tolist(), strict=True)), notes


def suggested(error: ConfigError) -> Any:
    """The value of the setting that an error suggests, as a shell and Hydra read it."""
    pasted = shlex.split(str(error).partition("  try: ")[2])[0]
    return OverridesParser.create().parse_override(pasted).value()


NUMBERS: dict[str, tuple[list[str], list[float]]] = {
    "a decimal comma": (["2,41", "-0,5", "3"], [2.41, -0.5, 3]),
    "an exponent behind a decimal comma": (["1,5e3", "2,25E-1"], [1500, 0.225]),
    "points between thousands": (["1.234,5", "950", "12.000"], [1234.5, 950, 12000]),
    "commas between thousands": (["1,234.5", "950", "12,000"], [1234.5, 950, 12000]),
    "thousands of thousands": (["1,234,567", "1,234"], [1234567, 1234]),
    "no-break spaces": (["1\u00a0234,5", "12\u202f000"], [1234.5, 12000]),
    "spaces": (["1 234", "950"], [1234, 950]),
    "apostrophes": (["1'234.5", "12’000"], [1234.5, 12000]),
    "underscores": (["1_234", "5"], [1234, 5]),
    "Indian groups": (["12,34,567", "1,234"], [1234567, 1234]),
    "percent": (["12,5 %", "3%"], [12.5, 3]),
    "a currency": (["$1,234.50", "-$5", "$-6"], [1234.5, -5, -6]),
    "a currency behind": (["1.234,50 €", "5\u00a0€"], [1234.5, 5]),
    "a currency's code": (["CHF 1'234.50", "CHF 5"], [1234.5, 5]),
    "minus signs": (["\u22125", "6-", "(7)", "+8", "- 9"], [-5, -6, -7, 8, -9]),
    "an accountant's minus": (["($1,234.50)", "$5"], [-1234.5, 5]),
    "zeros in front": (["007", "012"], [7, 12]),
    "true and false": (["true", "FALSE", "1"], [1, 0, 1]),
    "decimals alone": ([",5", "1,25"], [0.5, 1.25]),
}


@pytest.mark.parametrize("way", NUMBERS)
def test_numbers_are_read_as_they_are_meant_and_the_log_says_how(tmp_path: Path, way: str) -> None:
    cells, values = NUMBERS[way]
    table = read(tmp_path, cells)
    assert table.rows["x"].to_list() == values
    assert any("column x: " in note and " is read as " in note for note in table.notes) is ("true" not in cells)
    assert scored(tmp_path, Path(tmp_path / "table.csv").read_text(), "x\n" + f'"{cells[0]}"\n')[0]["x"] == values[:1]


@pytest.mark.parametrize("mark", [".", ","])
def test_a_mark_that_can_mean_two_things_is_asked_for(tmp_path: Path, mark: str) -> None:
    for cells in (["3,168", "7,789"], ["3,168", "950"]):
        cells = [cell.replace(",", mark) for cell in cells]
        with pytest.raises(ConfigError, match=r"data.decimal must say .* column x.*\n  got: x holds '3.168'") as caught:
            read(tmp_path, cells)
        decimal = suggested(caught.value)
        assert decimal == "."
        whole = [float(cell.replace(mark, "")) for cell in cells]
        parts = [float(cell.replace(mark, ".")) for cell in cells]
        assert read(tmp_path, cells, decimal).rows["x"].to_list() == (whole if mark == "," else parts)
        assert read(tmp_path, cells, ",").rows["x"].to_list() == (parts if mark == "," else whole)
        assert read(tmp_path, cells, None, mark).rows["x"].to_list() == whole
        targets = f"y;x\n{cells[0]};1\n{cells[1]};2\n"
        with pytest.raises(ConfigError, match=r"data.decimal must say .* column y"):
            read_table(written(tmp_path, targets, "target"), "y")


def test_three_decimals_between_commas_are_decimals(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, "x,y\n1.234,5.678\n12.345,6.789\n", "table"), "y")
    assert table.rows.to_dict(as_series=False) == {"y": [5.678, 6.789], "x": [1.234, 12.345]}
    for text in ("x,y\n1.234,1\n950,2\n", 'x,y\n1.234,"5,678"\n2.345,"6,789"\n'):
        with pytest.raises(ConfigError, match=r"data.decimal must say"):
            read_table(written(tmp_path, text, "table"), "y")


def test_what_was_left_out_is_told_where_nothing_else_is_left(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="got: column x is left out: 3 different texts in 3 rows, such as '1 km'"):
        read(tmp_path, ["1 km", "2 km", "3 km"])


def test_cells_that_spaces_separate_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"separated by commas, semicolons, tabs or bars"):
        read_table(written(tmp_path, "x y\n1 2\n3 4\n", "table"), "y")


def test_one_column_tells_the_decimal_mark_of_the_file(tmp_path: Path) -> None:
    for proof, thousand in {"2,5": "1.234", "2.5": "1,234"}.items():
        text = f"x;z;y\n{proof};{thousand};5\n{proof};7;{thousand}\n"
        table = read_table(written(tmp_path, text, "table"), "y")
        assert table.rows.to_dict(as_series=False) == {"y": [5, 1234], "x": [2.5, 2.5], "z": [1234, 7]}


@pytest.mark.parametrize("text", ["x;z;y\n1.5;2;1\n2,5;3;2\n", "x;z;y\n1.5;2,5;1\n2.5;3,5;2\n", "x;y\n1.5;1,5\n3;2\n"])
def test_two_decimal_marks_in_a_file_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"same decimal mark\n  got: . holds '.[.,]5', . holds '.[.,]5'"):
        read_table(written(tmp_path, text, "table"), "y")


@pytest.mark.parametrize(
    ("cells", "note"),
    [
        (["12 kg", "3 kg"], "most look like numbers, but '12 kg' in row 0 is none"),
        (["1", "2", "3", "x"], "most look like numbers, but 'x' in row 3 is none"),
        (["5,-", "6,-"], "but '5,-' in row 0 is none"),
        (["2-", "3+", "1"], "but '3+' in row 1 is none"),
        (["12%", "0.12"], "but '0.12' in row 1 is none"),
        (["$5", "5 €"], "but '5 €' in row 1 is none"),
        (["1,23,4", "1,2,3"], "but '1,23,4' in row 0 is none"),
        (["US$5", "US$6"], "but 'US$5' in row 0 is none"),
        (["\uff11\uff12", "\uff13"], "but '\uff11\uff12' in row 0 is none"),
        (["0x1A", "0x2B"], "but '0x1A' in row 0 is none"),
    ],
)
def test_text_that_looks_like_numbers_is_told(tmp_path: Path, cells: list[str], note: str) -> None:
    table = read(tmp_path, cells * 3)
    assert table.rows["x"].dtype == pl.String
    assert note in "\n".join(table.notes)


def test_a_number_with_a_unit_that_hardly_repeats_is_told_where_it_is_left_out(tmp_path: Path) -> None:
    text = "x;z;y\n" + "".join(f"{row},5 kg;{row};{row}\n" for row in range(9))
    notes = read_table(written(tmp_path, text, "table"), "y").notes
    assert notes == ("column x is left out: 9 different texts in 9 rows, such as '0,5 kg', most of them like numbers",)


def test_an_id_that_loses_digits_is_told(tmp_path: Path) -> None:
    assert (
        "column x: '12345678901234567890' is read as 1.2345678901234567e+19"
        in read(tmp_path, ["12345678901234567890", "1"]).notes
    )
    large = pl.DataFrame({"x": [2**60 + 1, 5], "y": [1, 2]})
    assert "1152921504606846977" in read_table(written(tmp_path, large, "large"), "y").notes[0]


def styled(value: float, decimal: str, thousands: str, sign: str, minus: str) -> str:
    """A number as it is written somewhere."""
    text = f"{abs(value):,}".removesuffix(".0")
    text = "".join({",": thousands, ".": decimal}.get(char, char) for char in text)
    return minus.format(text) if value < 0 else text + sign


def made_up(rng: random.Random) -> tuple[str, dict[str, list[float]]]:
    """A text file of numbers, all written in one way, and the numbers."""
    marks = [(a, b) for a in ".," for b in ("", *",.'’ \u00a0\u202f_") if a != b]
    decimal, thousands = rng.choice(marks)
    minus = rng.choice(["-{}", "\u2212{}", "({})", "{}-"])
    num_rows = rng.choice([2, 5, 30])
    values, written = {}, []
    for name in "xyz"[: rng.randint(2, 3)]:
        size, places = rng.choice([1, 10, 1e3, 1e5, 1e7]), rng.choice([0, 0, 1, 2, 3])
        low = rng.choice([-size, 0, 1, min(size, 1000)])
        values[name] = [round(rng.uniform(low, 2 * size), places) for _ in range(num_rows)]
        sign = rng.choice(["", "", " %", "€"]) if low >= 0 else ""
        written.append([name, *(styled(value, decimal, thousands, sign, minus) for value in values[name])])
    return "\n".join(map(";".join, zip(*written, strict=True))), values


@pytest.mark.parametrize("num_tables", [100, pytest.param(3000, marks=pytest.mark.soak)])
def test_numbers_in_any_way_of_writing_are_read_right_or_refused(tmp_path: Path, num_tables: int) -> None:
    rng, num_read = random.Random(0), 0
    for _ in range(num_tables):
        text, values = made_up(rng)
        try:
            table = read_table(written(tmp_path, text, "table"), "y")
        except ConfigError:
            continue
        num_read += 1
        assert {name: table.rows[name].to_list() for name in table.rows.columns} == values, text
    assert num_read > 0.9 * num_tables


DATES = (
    "2021-03-04|2021-03-04T05:06:07Z|2021-03-04T05:06:07.123+02:00|2021/3/4|2021.03.04|04.03.2021|4.3.21|03/04/2021"
    "|03/04/21 5:06 PM|3-4-2021|4.3.|2021-03|03/2021|2021Q1|2021-Q1|Q1 2021|2021-W05|4-Mar-2021|4-Mar-21|04 Mar 2021"
    "|4 March 2021|March 4, 2021|4. März 2021|4 mars 2021|4 de marzo de 2021|15-déc-2020|1. Mai|1 janv. 2024"
    "|Thu, 04 Mar 2021 05:06:07 GMT|Thu Mar  4 05:06:07 2021|Mar 2021|Mar-21|2021-Mar-04|4-Mar|March 4th|04MAR2021"
    "|12:30|05:06:07|5:06 PM|23:59:59.999|125:30:00|2 days 03:00:00|PT5M|P1DT2H|2h 30m|2021年3月4日|3/4/2021 0:00"
)
NO_DATES = (
    "May|Mar|12-34-56|10.0.0.1|192.168.1.1|1.2.3|A-12|Q1|Gen 3|Set 12|Mars|Out 5|16:9|4:3|12 kg|3rd|1-2|12/34|007|1.10"
    "|v1.2.3|555-1234|12 May Street|Jun Li|2021|Model 2021|P12|5 min|12:34:56:78:9a:bc|2021-45|19-29|60+|10-14|Maple 12"
)


def test_dates_times_and_durations_are_known_and_other_text_is_not() -> None:
    assert [cell for cell in DATES.split("|") if date_in(pl.Series([cell]), is_number=False) != cell] == []
    assert [cell for cell in NO_DATES.split("|") if date_in(pl.Series([cell]), is_number=False)] == []


@pytest.mark.parametrize(
    "cells",
    [
        ["2024-01", "2024-02", "2024-03"],
        ["1-Jan-2024", "2-Jan-2024", "3-Jan-2024"],
        ["1-Jan-2024", "2-Jan-2024", "soon"],
        ["2024-01-01", "", "2024-01-03"],
        ["12:30", "13:30", "14:30"],
        ["20240101", "20240102", "20240103", "20240104", "20240105"],
        [date(2024, 1, 1)],
        [datetime(2024, 1, 1)],
        [time(12, 30)],
        [timedelta(hours=2)],
        [20240101, 20240102, 20240103, 20240104, 20240105],
    ],
)
def test_a_column_of_dates_is_refused_by_a_setting_that_can_be_pasted(tmp_path: Path, cells: list[object]) -> None:
    num_rows = range(len(cells))
    table = pl.DataFrame({"a b": num_rows, "when": cells, "then": cells, "y": num_rows})
    content: Content = table.write_csv() if isinstance(cells[0], str) else table
    path = written(tmp_path, content, "dates")
    with pytest.raises(ConfigError, match=r"instead of dates .*\n  got: when holds '.*' in row 0") as caught:
        read_table(path, "y")
    assert read_table(path, "y", suggested(caught.value)).features == ("a b",)
    with pytest.raises(ConfigError, match=r"data.target must hold numbers instead of dates"):
        read_table(path, "when")


LEVELS = "x,y\n" + "".join(f"{level},{row}\n" for row, level in enumerate(["A", "1", "2", "True", "007", "1.5"] * 2))


@pytest.mark.parametrize(
    ("new", "levels"),
    [
        (pl.Series([1, 2]), ["1", "2"]),
        (pl.Series([1, 2], dtype=pl.Int8), ["1", "2"]),
        (pl.Series([1.0, 2.0, 1.5]), ["1", "2", "1.5"]),
        (pl.Series([Decimal("1.00"), Decimal("1.50")]), ["1", "1.5"]),
        (pl.Series(["1", "A"], dtype=pl.Categorical), ["1", "A"]),
        (pl.Series(["007", "1"], dtype=pl.Enum(["1", "007"])), ["007", "1"]),
        (pl.Series([True, True]), ["true", "true"]),
        ("x\n1.0\nTRUE\n A \n", ["1", "true", "A"]),
        ("x\n7\n007\n", [None, "007"]),
        (pl.Series([7, 1]), [None, "1"]),
        ("x\na\n1\n", [None, "1"]),
    ],
)
def test_a_level_is_the_same_in_every_type_that_a_file_stores_it_in(
    tmp_path: Path, new: str | pl.Series, levels: list[str | None]
) -> None:
    found, notes = scored(tmp_path, LEVELS, new if isinstance(new, str) else pl.DataFrame({"x": new}))
    expected = {name: [float(name == f"x={level}") for level in levels] for name in found}
    assert found == expected
    assert [("1 of 2 rows hold what no train row does" in note) for note in notes] == [True] * (None in levels)


def test_spaces_and_unicode_forms_do_not_make_levels_and_case_does(tmp_path: Path) -> None:
    old = "x,y\n" + "New York,1\nNew\u00a0York,2\nCafe\u0301,3\nCaf\u00e9,4\n"
    found, notes = scored(tmp_path, old, "x\nNew  York\nnew york\n")
    assert found == {"x=Caf\u00e9": [0, 0], "x=New York": [1, 0]}
    assert notes == ["column x: 1 of 2 rows hold what no train row does, such as 'new york'; the nearest is 'New York'"]


REFUSED: dict[str, tuple[str, Content, str]] = {
    "no level is known": (LEVELS, "x\nb\nc\n", r"levels in column x .*\n  got: x holds 'b', 'c'\n  try: .*'007', '1'"),
    "codes that lost their zeros": (LEVELS, pl.DataFrame({"x": [7, 8]}), "got: x holds '7', '8'"),
    "a column became empty": ("x,z,y\n1,1,1\n2,1,2\n", "x,z\n,1\n,2\n", r"that no train row misses\n  got: x is empty"),
    "text became empty": ("x,z,y\na,1,1\na,1,2\n", "x,z\n,1\n,2\n", r"no train row misses\n  got: x is empty"),
    "numbers became booleans": ("x,y\n1,1\n5,2\n", pl.DataFrame({"x": [True]}), "got: x holds 'true' in row 0"),
    "numbers became true": ("x,y\n1,1\n5,2\n", "x\ntrue\n", "got: x holds 'true' in row 0"),
    "booleans became codes": ("x,y\ntrue,1\nfalse,2\n", "x\n1\n2\n", "true and false, or 1 and 0\n  got: x holds '2'"),
    "booleans became words": ("x,y\ntrue,1\nfalse,2\n", "x\nyes\n", "got: x holds 'yes'"),
    "a decimal comma became a point": ("x;y\n1,5;1\n2;2\n", "x\n1.5\n", "a decimal comma\n  got: x holds '1.5'"),
    "a comma became a doubtful point": ("x;y\n1,5;1\n2;2\n", "x\n1.500\n", "got: x holds '1.500'"),
    "a point became a comma": ("x;y\n1.5;1\n2;2\n", 'x\n"1,5"\n', "got: x holds '1,5'"),
    "whole numbers got thousands": ("x,y\n1,1\n2,2\n", "x\n1.234\n", "got: x holds '1.234'"),
    "points between thousands": ("x,y\n1.5,1\n2,2\n", "x\n1.234\n950\n", "got: x holds '1.234'"),
    "percent became shares": ("x,y\n12%,1\n3%,2\n", pl.DataFrame({"x": [0.12]}), "with % in each cell\n  got: x holds"),
    "another currency": ("x,y\n$5,1\n$3,2\n", "x\n€5\n", "with \\$ in each cell\n  got: x holds '€5'"),
    "numbers became dates": ("x,y\n1,1\n2,2\n", pl.DataFrame({"x": [date(2024, 1, 1)]}), "instead of dates"),
    "a target in another way": ("x,y\n1,1.5\n2,2\n", 'x,y\n1,"1,5"\n', "got: y holds '1,5'"),
}


@pytest.mark.parametrize("change", REFUSED)
def test_a_new_file_that_means_something_else_is_refused(tmp_path: Path, change: str) -> None:
    old, new, message = REFUSED[change]
    with pytest.raises(ConfigError, match=message) as caught:
        scored(tmp_path, old, new)
    assert 3 <= len(str(caught.value).splitlines()) <= 4


def test_values_that_no_train_row_misses_are_told_where_they_are_missing(tmp_path: Path) -> None:
    found, notes = scored(tmp_path, "x,y\n1,1\n3,2\n", "x,z\n,1\n7,1\n")
    assert (found, notes) == ({"x": [2, 7]}, ["column x: 1 of 2 rows miss a value, as no train row does"])
    old = "x,g,y\n1,a,1\n,a,2\n3,,3\n4,,4\n"
    found, notes = scored(tmp_path, old, "x,g,y,z\n,,,1\n,,,1\n")
    assert found == {"x": [3, 3], "x_missing": [1, 1], "g=a": [0, 0], "g_missing": [1, 1]}
    assert notes == ["column x is empty", "column g is empty", "column y is empty"]


def test_a_name_is_the_same_in_every_unicode_form(tmp_path: Path) -> None:
    table = pl.DataFrame({"Gro\u0308\u00dfe": [1, 2], "Preis": [1, 2]})
    assert read_table(written(tmp_path, table, "table"), "Preis", ["Gr\u00f6\u00dfe"]).features == ("Gr\u00f6\u00dfe",)


STORED: dict[str, Callable[[pl.Series], Content]] = {
    "int": lambda column: pl.DataFrame(column.cast(pl.Int64)),
    "small int": lambda column: pl.DataFrame(column.cast(pl.Int8)),
    "float": lambda column: pl.DataFrame(column.cast(pl.Float32)),
    "decimal": lambda column: pl.DataFrame(column.cast(pl.Decimal(10, 2))),
    "boolean": lambda column: pl.DataFrame(column.cast(pl.Boolean)),
    "text": lambda column: pl.DataFrame(column.cast(pl.String)),
    "categorical": lambda column: pl.DataFrame(column.cast(pl.String).cast(pl.Categorical)),
    "CSV of ints": lambda column: pl.DataFrame(column).write_csv(),
    "CSV of floats": lambda column: pl.DataFrame(column.cast(pl.Float64)).write_csv(),
    "CSV of booleans": lambda column: pl.DataFrame(column.cast(pl.Boolean)).write_csv(),
}


@pytest.mark.parametrize("values", [[0, 1, 1, 0], [0, 1, 2, 0]])
def test_a_column_means_the_same_in_any_two_types_or_is_refused(tmp_path: Path, values: list[int]) -> None:
    x = pl.Series("x", values)
    stored = {name: store(x) for name, store in STORED.items() if max(values) < 2 or "boolean" not in name}
    for old, content in stored.items():
        table = pl.read_csv(content.encode(), infer_schema=False) if isinstance(content, str) else content
        table = pl.concat([table, table]).with_columns(y=pl.Series(range(8)))
        trained: Content = table.write_csv() if isinstance(content, str) else table
        expected = scored(tmp_path, trained, content)[0]
        num_equal = 0
        for new, later in stored.items():
            with suppress(ConfigError):
                assert scored(tmp_path, trained, later)[0] == expected, (old, new)
                num_equal += 1
        num_booleans = 2 if max(values) < 2 and old in ("text", "categorical") else 0
        assert num_equal == len(stored) - num_booleans, old
