"""Claims about large tables: read once, as small ones are, and refused where they unpack to more than memory."""

import random
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from src.data import frame, text
from src.data.base import Common
from src.data.frame import Frame, read_table
from src.data.table import Table
from src.data.text import read_text
from src.errors import ConfigError

COMMON: Common = {"seed": 0, "batch_size": 4, "val_fraction": 0.2, "test_fraction": 0.2, "standardize": True}
ODD = [
    *("1.5", " 2.25", "2.5 ", "-.5", "1e-3", "NA", "", " ", "Nan", "inf", "1e400", "1,5", "1,234", "3.168", "0012"),
    "x",
]
ODD += [
    *("2021.05", "20210304", "03.2021", "12 %", "+7.5", "1_000", "true", "#1.5", '"4.5"', "4.5.6", "١", "--", "1e", "a")
]


def _read(path: Path, **options: Any) -> Frame | str:
    frame._read.cache_clear()
    try:
        return read_table(str(path), "y", **options)
    except ConfigError as error:
        return str(error)


def _same(one: Frame | str, other: Frame | str) -> bool:
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    told = [(f.features, f.targets, f.notes, f.styles, f.digest, f.numbers.to_list()) for f in (one, other)]
    return told[0] == told[1] and one.rows.equals(other.rows)


@pytest.mark.parametrize("count", [80, pytest.param(5000, marks=pytest.mark.soak)])
def test_a_large_table_is_read_as_a_small_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    path, at_once = tmp_path / "table.csv", 0
    for seed in range(count):
        draw = random.Random(seed)
        header = draw.choice(["a,b,y", "a,1990,y", '"a","b","y"', ",b,y"])
        rows = [[f"{draw.gauss(0, 9):.{draw.choice([2, 3, 17])}f}" for _ in range(3)] for _ in range(130)]
        for _ in range(draw.choice([0, 0, 1, 3])):
            cells = rows[draw.choice([draw.randrange(130), draw.randrange(20)])]
            cells[draw.randrange(3)] = draw.choice(ODD)
        lines = [header, *map(",".join, rows)]
        if draw.random() < 0.2:
            lines.insert(draw.randrange(1, 130), draw.choice([header, "", "#, a comment", ",,"]))
        path.write_text("\n".join(lines) + "\n")
        options = draw.choice([{}, {}, {"decimal": "."}, {"decimal": ","}, {"thousands": "."}, {"thousands": ","}])
        monkeypatch.setattr(text, "LARGE", 1 << 23)
        small = _read(path, **options)
        monkeypatch.setattr(text, "LARGE", 0)
        assert _same(_read(path, **options), small), (seed, options, small)
        at_once += not isinstance(small, str) and pl.Float64 in read_text(path, as_numbers=True)[0].dtypes
    assert at_once > count / 4


def test_numbers_of_a_large_table_are_never_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "LARGE", 0)
    path = tmp_path / "table.csv"
    path.write_text("x,city,code,year,day\n" + 200 * "0.5,Oslo,007,2021,03.2021\nNA,Rome,08,2022,04.2022\n\n")
    assert read_text(path, as_numbers=True)[0].dtypes == [pl.Float64] + 4 * [pl.String]
    assert set(read_text(path)[0].dtypes) == {pl.String}, "of a later file the training tells the decimal mark"


@pytest.mark.parametrize("name", ["table.csv", "table.parquet"])
def test_the_check_and_the_training_read_a_file_once(tmp_path: Path, name: str) -> None:
    path, opened = tmp_path / name, []
    rows = pl.DataFrame({"x": [float(i) for i in range(40)], "y": [i / 8 for i in range(40)]})
    _ = rows.write_csv(path) if name.endswith("csv") else rows.write_parquet(path)
    sys.addaudithook(lambda event, about: opened.append(1) if event == "open" and str(about[0]) == str(path) else None)
    digest = read_table(str(path), "y").digest
    Table(path=str(path), target=["y"], **COMMON).setup()
    assert (len(opened), frame.digest_of(str(path))) == (1, digest)


def test_a_parquet_file_that_unpacks_to_gigabytes_is_refused_before_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide, num_read = tmp_path / "wide.parquet", list[bytes]()
    column = pl.repeat(1.5, 1_000_000, eager=True)
    pl.DataFrame([column.alias(f"x{i}") for i in range(126)]).write_parquet(wide)
    assert wide.stat().st_size < 500_000
    monkeypatch.setattr(pl, "read_parquet", num_read.append)
    with pytest.raises(ConfigError, match="may not unpack to more than 1,000,000,000 bytes") as caught:
        frame.read_rows(str(wide))
    assert not num_read
    assert len(str(caught.value).splitlines()) <= 4


def test_text_that_a_parquet_file_stores_once_counts_as_often_as_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "text.parquet"
    for kind in (pl.String, pl.Categorical):
        pl.DataFrame({"s": pl.repeat("a" * 100_000, 10_001, eager=True).cast(kind)}).write_parquet(path)
        assert path.stat().st_size < 100_000
        with pytest.raises(ConfigError, match=r"got: text\.parquet: 1,000,100,000"):
            frame.read_rows(str(path))


def test_a_damaged_footer_is_no_traceback(tmp_path: Path) -> None:
    path, refused = tmp_path / "table.parquet", []
    pl.DataFrame({"x": [1.5, 2.5], "y": [1, 2]}).write_parquet(path)
    whole = path.read_bytes()
    length = int.from_bytes(whole[-8:-4], "little")
    for place in range(len(whole) - 8 - length, len(whole), 5):
        for byte in (0, 0x1C, 0xFF):
            path.write_bytes(whole[:place] + bytes([byte]) + whole[place + 1 :])
            try:
                frame.read_rows(str(path))
            except ConfigError as error:
                refused.append(str(error))
    assert max(len(told.splitlines()) for told in refused) <= 4
