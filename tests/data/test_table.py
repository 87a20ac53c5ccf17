"""Claims about how a table becomes numbers."""

import logging
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from src.data.encoding import encode, feature_names, measure
from src.data.frame import read_rows, read_table
from src.data.new_file import read_as_trained
from src.data.split import draw_split
from src.data.table import Table
from src.errors import ConfigError

TARGETS = ["price", "rent"]
ROWS = [0, 1, 2, 3]


def table_of(path: str, target: str | list[str] = TARGETS, seed: int = 0) -> Table:
    """A dataset of a file, with every split."""
    return Table(path, target, seed=seed, batch_size=8, val_fraction=0.2, test_fraction=0.2, standardize=True)


def written(folder: Path, text: str, name: str = "houses.csv") -> str:
    """The path of a file with some text."""
    (folder / name).write_text(text)
    return str(folder / name)


def encoded(path: str, train_rows: list[int], new: str | None = None) -> dict[str, list[float]]:
    """Each encoded feature column by its name, of this file or of a new one."""
    table = read_table(path, "y")
    encoding = measure(table, np.array(train_rows))
    features, _ = encode(read_as_trained(*read_rows(new), encoding)[0] if new else table.rows, encoding)
    assert features.dtype == np.float64
    return dict(zip(feature_names(encoding), features.T.tolist(), strict=True))


def houses(num_rows: int = 40) -> pl.DataFrame:
    """A table with a number, a text and a boolean that miss some values, and two targets."""
    rng = np.random.default_rng(0)
    table = pl.DataFrame(
        {
            "area": rng.integers(30, 200, num_rows),
            "city": rng.choice(["Oslo", "Rome", "Lima"], num_rows),
            "sold": rng.choice([True, False], num_rows),
            "price": rng.normal(size=num_rows),
            "rent": rng.normal(size=num_rows),
        }
    )
    some = pl.Series(rng.random(num_rows) < 0.2)
    return table.with_columns(pl.when(~some).then(pl.col("area", "city", "sold")))


@pytest.fixture
def csv(tmp_path: Path) -> str:
    """The path of `houses`."""
    houses().write_csv(tmp_path / "houses.csv")
    return str(tmp_path / "houses.csv")


def test_a_missing_number_becomes_the_median_of_the_train_rows(tmp_path: Path) -> None:
    path = written(tmp_path, "x,y\n1,0\n2,0\n9,0\n,0\n1000,0\n,0\n")
    assert encoded(path, ROWS) == {"x": [1, 2, 9, 2, 1000, 2], "x_missing": [0, 0, 0, 1, 0, 1]}


def test_missing_is_marked_only_where_a_train_row_misses_the_column(tmp_path: Path) -> None:
    path = written(tmp_path, "x,y\n1,0\n2,0\n3,0\n4,0\n,0\n")
    assert encoded(path, ROWS) == {"x": [1, 2, 3, 4, 2.5]}


def test_text_becomes_a_column_for_each_level_of_the_train_rows(tmp_path: Path) -> None:
    path = written(tmp_path, "x,y\nb,0\na,0\na,0\nb,0\nc,0\nc,0\n")
    assert encoded(path, ROWS) == {"x=a": [0, 1, 1, 0, 0, 0], "x=b": [1, 0, 0, 1, 0, 0]}  # c is unseen: all zeros


def test_missing_text_is_a_level_of_its_own(tmp_path: Path) -> None:
    path = written(tmp_path, "x,z,y\nb,1,0\n,1,0\na,1,0\nb,1,0\n,1,0\na,1,0\nmissing,1,0\nmissing,1,0\n")
    columns = encoded(path, ROWS)
    assert columns["x_missing"] == [0, 1, 0, 0, 1, 0, 0, 0]
    assert list(columns) == ["x=a", "x=b", "x_missing", "z"]
    assert "x_missing" not in encoded(path, [0, 2, 3])


@pytest.mark.parametrize(("yes", "no"), [("true", "false"), ("True", "False"), ("TRUE", "FALSE")])
def test_booleans_are_one_and_zero(tmp_path: Path, yes: str, no: str) -> None:
    path = written(tmp_path, f"x,y\n{yes},{no}\n{no},{yes}\n")
    assert encoded(path, [0, 1]) == {"x": [1, 0]}
    assert read_table(path, "y").rows["y"].to_list() == [0, 1]


def test_numbers_that_no_train_row_has_are_an_error(tmp_path: Path) -> None:
    path = written(tmp_path, "x,z,y\n,1,0\n,1,0\n,1,0\n,1,0\n5,1,0\n")
    with pytest.raises(ConfigError, match=r"data.seed"):
        encoded(path, ROWS)


def test_csv_and_parquet_give_the_same_arrays(csv: str, tmp_path: Path) -> None:
    houses().write_parquet(tmp_path / "houses.parquet")
    train = np.arange(20)
    first = table_of(csv).arrays(train)
    other = table_of(str(tmp_path / "houses.parquet")).arrays(train)
    np.testing.assert_array_equal(first.features, other.features)
    np.testing.assert_array_equal(first.targets, other.targets)
    assert first.feature_names == other.feature_names


def test_a_table_is_encoded_by_its_train_rows_only(csv: str, tmp_path: Path) -> None:
    first = table_of(csv)
    train = draw_split(40, 0.2, 0.2, seed=0)["train"]
    is_train = pl.Series(np.isin(np.arange(40), train))
    other = houses().with_columns(
        area=pl.when(is_train).then("area").otherwise(pl.lit(999_999)),
        city=pl.when(is_train).then("city").otherwise(pl.lit("Bonn")),
    )
    other.write_csv(tmp_path / "other.csv")
    second = table_of(str(tmp_path / "other.csv"))
    assert torch.equal(first.split("train")[0], second.split("train")[0])
    assert not torch.equal(first.split("val")[0], second.split("val")[0])
    assert first.encoding == second.encoding


def test_a_table_trains_in_finite_numbers(csv: str) -> None:
    data = table_of(csv)
    for split in ("train", "val", "test"):
        features, targets = data.split(split)
        assert features.isfinite().all()
        assert targets.isfinite().all()
        assert (features.shape[1], targets.shape[1]) == (data.input_dim, data.output_dim)
    assert data.target_names == ["price", "rent"]


def test_what_is_left_out_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = written(tmp_path, "id,x,y\na,1,\nb,2,1\nc,3,2\nd,4,3\n")
    data = table_of(path, "y")
    with caplog.at_level(logging.INFO):
        assert data.num_rows() == 3
        assert data.arrays(np.arange(3)).feature_names == ["x"]
    assert f"{path}: 1 of 4 rows are left out: no y" in caplog.messages
    assert f"{path}: column id is left out: 3 different texts in 3 rows, such as 'b'" in caplog.messages


def test_a_column_is_told_whose_levels_the_train_rows_hardly_have(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [f"{'rare' if row in (7, 8) else 'often'},{'once' if row == 8 else 'often'},{row}\n" for row in range(30)]
    path = written(tmp_path, "x,z,y\n" + "".join(rows))
    with caplog.at_level(logging.INFO):
        table_of(path, "y").arrays(np.setdiff1d(np.arange(30), range(11)))
    told = "column x: 2 of 11 rows hold what no train row does, such as 'rare'"
    assert [message for message in caplog.messages if "no train row" in message] == [f"{path}: {told}"]


def test_a_new_file_is_told_about_in_the_log(csv: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    new = written(tmp_path, "area,city,sold\n50,oslo,true\n60,Rome,1\n", "new.csv")
    with caplog.at_level(logging.INFO):
        table_of(csv).arrays_of(new)
    told = "column city: 1 of 2 rows hold what no train row does, such as 'oslo'; the nearest is 'Oslo'"
    assert f"{new}: {told}" in caplog.messages


def test_an_encoding_survives_a_checkpoint_that_loads_weights_only(csv: str, tmp_path: Path) -> None:
    trained = table_of(csv)
    trained.setup()
    torch.save(trained.state_dict(), tmp_path / "last.ckpt")
    houses(7).drop("price", "rent").write_parquet(tmp_path / "new.parquet")
    expected = trained.scaled(trained.arrays_of(str(tmp_path / "new.parquet")))[0]
    loaded = table_of("gone.csv")  # the table trained on is not needed any more
    loaded.load_state_dict(torch.load(tmp_path / "last.ckpt", weights_only=True))
    assert torch.equal(loaded.scaled(loaded.arrays_of(str(tmp_path / "new.parquet")))[0], expected)
    assert (loaded.input_dim, loaded.output_dim) == (trained.input_dim, trained.output_dim)


def test_a_loaded_encoding_is_not_measured_again(csv: str) -> None:
    state = table_of(csv).state_dict()
    state["encoding"]["features"][0]["median"] = -7.0
    loaded = table_of(csv)
    loaded.load_state_dict(state)
    filled = loaded.arrays(np.arange(20)).features[:, 0]
    assert set(filled[houses()["area"].is_null().to_numpy()]) == {-7.0}


def test_a_new_file_gives_the_arrays_it_gave_at_training(csv: str) -> None:
    data = table_of(csv)
    data.setup()
    again, first = data.arrays_of(csv), data.arrays(np.arange(2))
    np.testing.assert_array_equal(again.features, first.features)
    np.testing.assert_array_equal(again.targets, first.targets)


def test_a_new_file_may_lack_targets_and_have_other_columns(csv: str, tmp_path: Path) -> None:
    data = table_of(csv)
    new = houses(6).select("sold", "city", "rent", "area", extra=pl.lit("2024-01-01"))
    new.write_csv(tmp_path / "new.csv")
    arrays = data.arrays_of(str(tmp_path / "new.csv"))
    assert np.isnan(arrays.targets[:, 0]).all()
    np.testing.assert_array_equal(arrays.targets[:, 1], new["rent"])
    area = arrays.features[:, arrays.feature_names.index("area")]
    assert [a for a, b in zip(area, new["area"], strict=True) if b is not None] == new["area"].drop_nulls().to_list()


def test_a_new_file_keeps_its_rows_where_a_target_is_missing(csv: str, tmp_path: Path) -> None:
    data = table_of(csv)
    houses(6).with_columns(price=pl.Series([1, None, 3, 4, 5, 6])).write_csv(tmp_path / "new.csv")
    np.testing.assert_array_equal(data.arrays_of(str(tmp_path / "new.csv")).targets[:, 0], [1, np.nan, 3, 4, 5, 6])


def test_text_that_looks_like_numbers_in_a_new_file_stays_text(tmp_path: Path) -> None:
    path = written(tmp_path, "code,y\n01,0\n02,0\nB,0\nB,0\n01,0\n02,0\n")
    new = written(tmp_path, "code\n02\n01\n", "new.csv")
    assert encoded(path, [0, 1, 2], new) == {"code=01": [0, 1], "code=02": [1, 0], "code=B": [0, 0]}


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_rows_keep_their_numbers_in_the_file(tmp_path: Path, suffix: str) -> None:
    text = "x,y\n0,0\n\n2,\n,3\n,\n5,5\n"
    path = written(tmp_path, "\n" + text)
    table = pl.read_csv(text.encode())
    if suffix == ".parquet":
        path = str(tmp_path / "houses.parquet")
        table.write_parquet(path)
    data = table_of(path, "y")
    trained, new = data.arrays(np.arange(3)), data.arrays_of(path)
    assert pl.Series(trained.row_numbers).to_list() == [0, 3, 5], "as polars reads the file"
    assert pl.Series(new.row_numbers).to_list() == [0, 2, 3, 5]
    assert table["y"].gather([0, 3, 5]).to_list() == trained.targets[:, 0].tolist()


def test_a_single_row_can_be_predicted(csv: str, tmp_path: Path) -> None:
    new = written(tmp_path, "area,city,sold\n,,\n70,Paris,true\n", "new.csv")
    assert table_of(csv).arrays_of(new).features.shape[0] == 1  # the blank line is not a row


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "areas,city,sold\n1,Oslo,true\n",
            r"data.path must hold the columns.*\n  got: area\n  try: rename areas to area in the file",
        ),
        ("area,city,sold\nbig,Oslo,true\n", r"data.path must hold numbers in column area\n  got: area holds 'big'"),
        ("area,city,sold\ninf,Oslo,true\n", r"finite numbers.*\n  got: area holds 'inf'"),
        ("area,city,sold,price\n1,Oslo,true,?!\n", r"data.path.*\n  got: price holds '\?!'"),
        ("area,city,sold\n", r"rows below its header"),
    ],
)
def test_a_mistake_in_a_new_file_is_told(csv: str, tmp_path: Path, text: str, message: str) -> None:
    new = written(tmp_path, text, "new.csv")
    with pytest.raises(ConfigError, match=message):
        table_of(csv).arrays_of(new)
