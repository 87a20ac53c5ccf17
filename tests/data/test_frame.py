"""Claims about reading a user's table, and about every mistake that can be in it."""

import os
import shlex
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any, Protocol
from unittest.mock import Mock

import polars as pl
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from src.data import columns, frame
from src.data.frame import Frame, read_rows, read_table
from src.data.numerals import MISSING
from src.errors import ConfigError

Names = Any  # whatever a person may put into a config
HOUSES = "area,city,price\n50,Oslo,1\n60,Oslo,2\n70,Rome,3\n80,Rome,4\n"


class Read(Protocol):
    """Writes text as a file and reads it back."""

    def __call__(
        self, text: str | bytes, target: Names = "price", features: Names = None, name: str = "houses.csv"
    ) -> Frame:
        """The table."""


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Writes text as a file and reads it back."""

    def reader(text: str | bytes, target: Names = "price", features: Names = None, name: str = "houses.csv") -> Frame:
        (tmp_path / name).write_bytes(text.encode() if isinstance(text, str) else text)
        return read_table(str(tmp_path / name), target, features)

    return reader


def test_reading_a_table_does_not_import_torch() -> None:
    code = "import src.data.frame, src.data.encoding, sys; assert not {'torch', 'lightning'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_column_but_the_targets_is_a_feature(read: Read) -> None:
    table = read(HOUSES)
    assert (table.features, table.targets, table.num_rows) == (("area", "city"), ("price",), 4)


def test_features_are_those_asked_for_in_that_order(read: Read) -> None:
    assert read(HOUSES, "area", ["price"]).features == ("price",)
    assert read(HOUSES, "area", ["price", "city"]).features == ("price", "city")


@pytest.mark.parametrize("target", [["price", "area"], OmegaConf.create(["price", "area"])])
def test_there_can_be_several_targets(read: Read, target: Names) -> None:
    assert read(HOUSES, target).targets == ("price", "area")


def test_a_column_can_be_called_by_a_number(read: Read) -> None:
    assert read(HOUSES.replace("price", "3"), OmegaConf.create([3])).targets == ("3",)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_found_in_the_header(read: Read, separator: str) -> None:
    name = "area " + 3 * ",;|".replace(separator, "")
    assert read(HOUSES.replace(",", separator).replace("area", f'"{name}"')).features == (name, "city")


@pytest.mark.parametrize(
    "text",
    [
        HOUSES.replace("\n", "\r\n"),
        "\ufeff" + HOUSES,
        "\n\n" + HOUSES + "\n\n",
        HOUSES.replace(",", " , "),
        HOUSES.replace("Oslo", '"Oslo"'),
        "\n".join(f"{i if i else ''},{line}," for i, line in enumerate(HOUSES.split("\n")[:-1])),
    ],
    ids=["CRLF", "BOM", "blank lines", "spaces", "quotes", "unnamed columns"],
)
def test_ways_to_write_a_csv_that_mean_the_same(read: Read, text: str) -> None:
    assert read(text).rows.equals(read(HOUSES).rows)


@pytest.mark.parametrize("suffix", [".parquet", ".pq"])
def test_csv_and_parquet_give_the_same_rows(read: Read, tmp_path: Path, suffix: str) -> None:
    text = "area,city,sold,price\n50,Oslo,true,1\n,Oslo,false,2\n70,,,3\n80,Rome,true,4\n90,Rome,true,\n"
    path = tmp_path / f"houses{suffix}"
    table = pl.read_csv(text.encode())
    assert [dtype.is_numeric() for dtype in table.dtypes] == [True, False, False, True]
    table.with_columns(pl.col("city").cast(pl.Categorical)).write_parquet(path)
    assert read_table(str(path), "price").rows.equals(read(text).rows)


def test_a_path_may_hold_the_signs_of_a_pattern(read: Read, tmp_path: Path) -> None:
    assert read(HOUSES, name="a[1]*?.csv").num_rows == 4
    (tmp_path / "price=1").mkdir()
    pl.read_csv(HOUSES.encode()).write_parquet(tmp_path / "price=1" / "a[1]*.parquet")
    assert read_table(str(tmp_path / "price=1" / "a[1]*.parquet"), "price").rows["price"].to_list() == [1, 2, 3, 4]


def test_home_is_found(read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read(HOUSES)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read_table("~/houses.csv", "price").num_rows == 4


@pytest.mark.parametrize("word", MISSING)
def test_words_for_missing_leave_a_target_out_and_say_so(read: Read, word: str) -> None:
    table = read(HOUSES.replace(",2\n", f",{word}\n"))
    assert table.rows["area"].to_list() == [50, 70, 80]
    assert table.notes[:1] == ("1 of 4 rows are left out: no price",)


def test_a_row_is_left_out_where_any_target_is_missing(read: Read) -> None:
    assert read(HOUSES.replace("50", "").replace(",2\n", ",\n"), ["price", "area"]).num_rows == 2


def test_nan_in_parquet_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "nan.parquet"
    pl.DataFrame({"x": [1.0, 2.0, float("nan")], "y": [float("nan"), 1.0, 2.0]}).write_parquet(path)
    assert read_table(str(path), "y").rows.to_dict(as_series=False) == {"y": [1.0, 2.0], "x": [2.0, None]}


def test_an_index_that_pandas_wrote_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "indexed.parquet"
    pl.DataFrame({"x": [1, 2], "y": [1, 2], "__index_level_0__": [0, 1], "": [0, 1]}).write_parquet(path)
    assert read_table(str(path), "y").features == ("x",)


def test_an_id_is_left_out_with_a_note(read: Read) -> None:
    table = read("name,area,price\n" + "".join(f"house {i},{i % 3},{i}\n" for i in range(9)))
    assert table.features == ("area",)
    assert table.notes == ("column name is left out: 9 different texts in 9 rows, such as 'house 0'",)


def test_text_is_kept_up_to_a_level_for_every_two_values(read: Read) -> None:
    for levels, kept in [(5, True), (6, False)]:
        rows = "".join(f"{i},level {i % levels},{i}\n" for i in range(10))
        assert ("group" in read("area,group,price\n" + rows).features) is kept


def test_text_of_very_many_levels_is_left_out(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "MAX_LEVELS", 1)
    assert read(HOUSES).features == ("area",)


def test_a_file_is_read_once_until_it_changes(read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = Mock(side_effect=frame._load)
    monkeypatch.setattr(frame, "_load", load)
    table = read(HOUSES)
    path = str(tmp_path / "houses.csv")
    assert read_table(path, ["price"]) is table
    assert load.call_count == 1
    Path(path).write_text(HOUSES + "90,Rome,5\n")
    assert read_table(path, "price").num_rows == 5
    assert read_table(path, "area").targets == ("area",)
    os.utime(path, ns=(0, 0))
    read_table(path, "area")
    assert load.call_count == 4


DAYS = HOUSES.replace("area", "day")
for square, day in {50: "2024-01-31", 60: "2024-02-01T10:00", 70: "2024-03-01", 80: "2024-04-01"}.items():
    DAYS = DAYS.replace(f"{square},", f"{day},")
MANY = "area,price\n" + "".join(f"{i},{i}\n" for i in range(20))

MISTAKES: dict[str, tuple[str | bytes, Names, Names, str, str]] = {
    "empty file": ("", "price", None, "data.path", "the file is empty\n  got: "),
    "blank file": ("\n \n", "price", None, "data.path", "rows below its header"),
    "only a BOM": ("\ufeff", "price", None, "data.path", "rows below its header"),
    "header without rows": ("area,city,price\n", "price", None, "data.path", "rows below its header"),
    "header with blank rows": ("area,city,price\n\n,,\n", "price", None, "data.path", "rows below its header"),
    "binary": (bytes(range(256)), "price", None, "data.path", "UTF-8"),
    "UTF-16 without a mark": (HOUSES.encode("utf-16-le"), "price", None, "data.path", "UTF-8"),
    "Latin-1": (HOUSES.replace("Oslo", "Århus").encode("latin-1"), "price", None, "data.path", "UTF-8"),
    "a line too long": (HOUSES + "1,2,3,4\n", "price", None, "data.path", "whole text table"),
    "an open quote": (HOUSES + '1,"Oslo,3\n', "price", None, "data.path", "whole text table"),
    "a name twice": (HOUSES.replace("area", "city"), "price", None, "data.path", "each column once\n  got: city"),
    "no header": ("50,1\n60,2\n", "price", None, "data.target", "does the first line of the file name them?"),
    "no target": (HOUSES, None, None, "data.target", "must name a column"),
    "no target in the list": (HOUSES, [], None, "data.target", "must name a column"),
    "target absent": (HOUSES, "prize", None, "data.target", "got: prize\n  try: data.target=price "),
    "target like nothing": (HOUSES, "zzz", None, "data.target", "one of: area, city, price"),
    "one of two targets absent": (
        HOUSES,
        ["prize", "area"],
        None,
        "data.target",
        "got: prize\n  try: 'data.target=[price,area]' ",
    ),
    "target twice": (HOUSES, ["price", "price"], None, "data.target", "each column once"),
    "target is text": (HOUSES, "city", None, "data.target", "city holds 'Oslo' in row 0 and 3 more"),
    "target is partly text": (
        HOUSES.replace(",2\n", ",two\n"),
        "price",
        None,
        "data.target",
        "price holds 'two' in row 1\n",
    ),
    "target is a date": (DAYS, "day", None, "data.target", "day holds '2024-01-31'"),
    "target is infinite": (HOUSES.replace(",2\n", ",inf\n"), "price", None, "data.target", "price holds 'inf'"),
    "target never there": ("a,price\n1,\n2,NA\n", "price", None, "data.target", "a value in some row\n  got: price"),
    "target is a feature": (HOUSES, "price", ["area", "price"], "data.features", "must not hold data.target"),
    "feature absent": (HOUSES, "price", ["areas"], "data.features", "got: areas\n  try: 'data.features=[area]'"),
    "feature twice": (HOUSES, "price", ["area", "area"], "data.features", "each column once"),
    "features empty": (HOUSES, "price", [], "data.features", "must name a column"),
    "only the target": ("price\n1\n2\n", "price", None, "data.target", "a column must be left to predict from"),
    "only an id": ("id,price\na,1\nb,2\n", "price", None, "data.target", "a column must be left to predict from"),
    "an id asked for": ("id,price\na,1\nb,2\n", "price", ["id"], "data.features", "id: 2 different texts in 2 rows"),
    "feature never there": (
        HOUSES.replace("Oslo", "").replace("Rome", ""),
        "price",
        None,
        "data.path",
        "city is empty",
    ),
    "feature is infinite": (HOUSES.replace("50", "-inf"), "price", None, "data.path", "area holds '-inf'"),
    "feature beyond float32": (HOUSES.replace("50", "1e39"), "price", None, "data.path", "area holds '1e39'"),
    "feature is a date": (DAYS, "price", None, "data.features", "day holds '2024-01-31'"),
    "text among numbers": (MANY.replace("\n7,", "\nseven,"), "price", None, "data.path", "area holds 'seven'"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_a_table_is_told_in_a_few_lines(read: Read, mistake: str) -> None:
    text, target, features, key, message = MISTAKES[mistake]
    with pytest.raises(ConfigError) as caught:
        read(text, target, features)
    told = str(caught.value)
    assert key in told
    assert message in told
    assert "\n  try: " in told
    assert len(told.splitlines()) <= 4
    assert max(map(len, told.splitlines())) < 160


@pytest.mark.parametrize("name", ["price", "price (EUR)", "Größe", 'the "old" price', "3", "a=b", "x,y"])
def test_a_column_that_is_suggested_can_be_pasted(read: Read, name: str) -> None:
    text = HOUSES.replace("price", '"' + name.replace('"', '""') + '"')
    for key, wrong in {"target": (f"{name}s", None), "features": ("area", [f"{name}s"])}.items():
        with pytest.raises(ConfigError) as caught:
            read(text, *wrong)
        pasted = shlex.split(str(caught.value).partition("  try: ")[2].partition("   (")[0])
        value = OverridesParser.create().parse_override(pasted[0]).value()
        assert pasted[0].startswith(f"data.{key}=")
        assert value in (name, [name])


@pytest.mark.parametrize("left", [0.01, 0.5, 0.95])
def test_a_truncated_parquet_is_told(tmp_path: Path, left: float) -> None:
    path = tmp_path / "cut.parquet"
    pl.DataFrame({"x": range(1000), "y": range(1000)}).write_parquet(path)
    path.write_bytes(path.read_bytes()[: int(left * path.stat().st_size)])
    with pytest.raises(ConfigError, match=r"data.path must be a whole Parquet file\n  got: cut.parquet"):
        read_table(str(path), "y")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([date(2024, 1, 1), date(2024, 1, 2)], "x holds '2024-01-01'"),
        ([[1, 2], [3]], r"x holds List\(Int64\)"),
        ([{"a": 1}, {"a": 2}], "x holds Struct"),
        ([b"a", b"b"], "x holds Binary"),
        ([None, None], "x is empty"),
        ([float("inf"), 1.0], "x holds 'inf'"),
    ],
)
def test_a_parquet_column_that_cannot_be_a_feature_is_told(tmp_path: Path, values: list[object], message: str) -> None:
    path = tmp_path / "odd.parquet"
    pl.DataFrame({"x": values, "y": [1, 2]}).write_parquet(path)
    with pytest.raises(ConfigError, match=message):
        read_table(str(path), "y")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("house.csv.csv", r"that exists\n  got: .*\n  try: data.path=.*/houses.csv"),
        ("zzz.csv", r"that exists\n  got: .*\n  try: data.path=…"),
        ("house.csv", r"that exists\n  got: .*house.csv\n  try: data.path=.*/houses.csv"),
        ("", r"not a folder\n  got: .*\n  try: data.path=.*/houses.csv"),
        ("nowhere/houses.csv", "that exists"),
        ("houses.xlsx", "must end in .csv"),
        ("houses", "must end in .csv"),
        ("x" * 500, "that exists"),
    ],
)
def test_a_path_that_is_no_table_is_told(tmp_path: Path, name: str, message: str) -> None:
    for there in ("houses.csv", "houses.xlsx", "houses"):
        (tmp_path / there).write_text(HOUSES)
    for reading in (lambda path: read_table(path, "price"), read_rows):
        with pytest.raises(ConfigError, match=r"data\.path") as caught:
            reading(str(tmp_path / name))
        assert caught.match(message)
