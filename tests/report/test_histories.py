"""Histories of many runs as one table."""

from pathlib import Path

from src.report.histories import read_histories


def write(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "metrics.csv").write_text(text)
    return folder


def test_rows_of_all_runs_with_different_columns(tmp_path: Path) -> None:
    one = write(tmp_path / "one", "epoch,val/loss\n0,1.5\n1,1.0\n")
    other = write(tmp_path / "other", "epoch,train/loss,val/loss\n0,3.0,\n1,2.0,0.5\n")
    frame = read_histories([one, tmp_path / "none", other])
    assert frame["trial"].to_list() == [0, 0, 2, 2]
    assert frame["val/loss"].to_list() == [1.5, 1.0, None, 0.5]
    assert frame["train/loss"].to_list() == [None, None, 3.0, 2.0]


def test_row_that_was_cut_off_is_left_out_and_so_is_a_line_that_holds_no_numbers(tmp_path: Path) -> None:
    torn = write(tmp_path / "torn", "epoch,val/loss\n0,1.5\nrubbish\n1,1.0\n2,0.")
    assert read_histories([torn])["val/loss"].to_list() == [1.5, 1.0]


def test_numbers_that_are_none_are_missing(tmp_path: Path) -> None:
    diverged = write(tmp_path / "diverged", "epoch,val/loss\n0,1.5\n1,inf\n2,nan\n")
    assert read_histories([diverged])["val/loss"].to_list() == [1.5, None, None]


def test_only_wanted_columns_are_read(tmp_path: Path) -> None:
    one = write(tmp_path / "one", "epoch,lr,val/loss,train/loss\n0,0.1,1.5,2\n")
    frame = read_histories([one], {"train/loss"})
    assert frame.rows(named=True) == [{"trial": 0, "epoch": 0.0, "train/loss": 2.0}]


def test_no_history_at_all_has_no_rows(tmp_path: Path) -> None:
    assert read_histories(
        [tmp_path, write(tmp_path / "begun", "epoch,val/loss\n"), write(tmp_path / "empty", "")]
    ).is_empty()
