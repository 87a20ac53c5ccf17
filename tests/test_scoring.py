"""What `python -m src.evaluate` makes of a finished run."""

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from rich.console import Console

from src.data.base import Arrays, Scale, TabularData
from src.data.batches import Batches
from src.errors import ConfigError
from src.metric_names import MetricName
from src.record import read, read_config, write
from src.run import resume
from src.scoring import Scored, predict, score
from src.summary import metrics_table
from tests.test_run import trained

NUM_ROWS = 40


HELD_OUT = {"train": np.arange(30, 60), "val": np.arange(10, 30), "test": np.arange(10)}


class Own(TabularData):
    """A user's own dataset; the targets tell the rows."""

    def num_rows(self) -> int:
        return 60

    def arrays(self, train_rows: np.ndarray) -> Arrays:
        features = np.random.default_rng(0).standard_normal((60, 2))
        return Arrays(features, np.arange(60.0)[:, None], ["a", "b"], ["y"])


class BySplitRows(Own):
    def split_rows(self) -> dict[str, np.ndarray]:
        return HELD_OUT


class BySetup(Own):
    def setup(self, stage: str) -> None:  # type: ignore[override]
        arrays = self.arrays(HELD_OUT["train"])
        self.feature_names, self.target_names = arrays.feature_names, arrays.target_names
        self.scale = Scale.measured_on(arrays, HELD_OUT["train"], True)
        self._tensors = {split: self.scaled(arrays, rows) for split, rows in HELD_OUT.items()}


class AfterSetup(Own):
    def setup(self, stage: str = "") -> None:
        super().setup(stage)
        arrays = self.arrays(self.rows["train"])
        self._tensors = {split: self.scaled(arrays, rows) for split, rows in HELD_OUT.items()}


class BySplit(Own):
    def split(self, name: str) -> tuple[torch.Tensor, torch.Tensor]:
        self.setup()
        return self.scaled(self.arrays(self.rows["train"]), HELD_OUT[name])


class DrawnByNumpy(Own):
    def split_rows(self) -> dict[str, np.ndarray]:
        return dict(zip(HELD_OUT, np.split(np.random.permutation(60), [30, 50]), strict=True))


class DrawnAnew(Own):
    def split_rows(self) -> dict[str, np.ndarray]:
        return dict(zip(HELD_OUT, np.split(np.random.default_rng().permutation(60), [30, 50]), strict=True))


class ChangedSince(Own):
    """What it reads has been sorted anew since: the same row numbers are other rows."""

    order = slice(None)

    def arrays(self, train_rows: np.ndarray) -> Arrays:
        arrays = super().arrays(train_rows)
        return Arrays(arrays.features[self.order], arrays.targets[self.order], ["a", "b"], ["y"])


class OwnLoader(Own):
    def test_dataloader(self) -> Batches:
        return self._whole("val")


def own(dataset: type[TabularData], *overrides: str) -> list[str]:
    return [f"data._target_={__name__}.{dataset.__name__}", "trainer.max_epochs=2", *overrides]


def houses(path: Path) -> list[str]:
    """Writes a table in which every third row lacks its target and every fifth is an empty line."""
    rows = [f"{i},{'' if i % 3 == 0 else 2 * i}" if i % 5 else "" for i in range(NUM_ROWS)]
    path.write_text("\n".join(["size,price", *rows]) + "\n")
    return ["data=table", f"data.path={path}", "data.target=price", "trainer.max_epochs=2"]


def scored_run(folder: Path, split: str = "test", path: Path | None = None) -> Scored:
    return predict(read_config(folder), best(folder), split, str(path) if path else None)


def best(folder: Path) -> dict[str, Any]:
    return torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)


@pytest.mark.parametrize("new", [None, "new.csv"])
def test_predictions_tell_their_rows_in_the_file(tmp_path: Path, new: str | None) -> None:
    trained(tmp_path / "run", *houses(tmp_path / "old.csv"))
    houses(tmp_path / "new.csv")
    score(tmp_path / "run", read(tmp_path / "run"), "val", new and str(tmp_path / new), None)
    written = pl.read_csv(tmp_path / "run" / "predictions.csv")
    file = pl.read_csv(tmp_path / "new.csv")
    assert written["price"].fill_nan(None).to_list() == file["price"].gather(written["row"]).to_list()
    assert len(written) == (file["size"].count() if new else 3)


def test_one_row_is_scored_without_r2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trained(tmp_path / "run", *houses(tmp_path / "old.csv"))
    (tmp_path / "new.csv").write_text("size,price\n3,6\n4,\n")
    scored = score(tmp_path / "run", read(tmp_path / "run"), "test", str(tmp_path / "new.csv"), None)
    assert scored.metrics["mae"] == pytest.approx(abs(scored.predictions[0, 0] - 6))
    assert math.isnan(scored.metrics["r2"])
    assert "nan" in capsys.readouterr().out


def test_predictions_go_where_they_are_asked_for_or_nothing_is_done(tmp_path: Path) -> None:
    record, run = trained(tmp_path / "run", "tracking=offline", "trainer.max_epochs=1"), tmp_path / "run"
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ConfigError, match=r"output must be a file that can be written\n  got: .*record.json/p.csv: "):
        score(run, record, "test", None, str(run / "record.json" / "p.csv"))
    with pytest.raises(ConfigError, match="Is a directory"):
        score(run, record, "test", None, str(run))
    assert sorted(tmp_path.rglob("*")) == before, "no W&B run was made"
    score(run, record, "test", None, str(tmp_path / "results" / "here" / "p.csv"))
    assert (tmp_path / "results" / "here" / "p.csv").is_file()


def test_run_in_float64_is_scored_in_float64(tmp_path: Path) -> None:
    record = trained(tmp_path, "trainer.precision=64", "trainer.max_epochs=1")
    metrics = scored_run(tmp_path).metrics
    assert {f"test/{name}": value for name, value in metrics.items()} == pytest.approx(
        {name: value for name, value in record.metrics.items() if name.startswith("test/")}, rel=1e-12
    )


def test_a_split_of_a_file_that_has_changed_is_refused(tmp_path: Path) -> None:
    trained(tmp_path / "run", *houses(tmp_path / "old.csv"))
    before = scored_run(tmp_path / "run")
    text = (tmp_path / "old.csv").read_text()
    (tmp_path / "old.csv").write_text(text + "41,82\n")
    with pytest.raises(ConfigError, match=r"old.csv has changed\n  try: .*data.path=.*old.csv   # as new data"):
        scored_run(tmp_path / "run")
    assert len(scored_run(tmp_path / "run", path=tmp_path / "old.csv").predictions) == 33
    (tmp_path / "old.csv").write_text(text)
    assert scored_run(tmp_path / "run").metrics == before.metrics


def test_a_checkpoint_without_a_digest_is_scored_all_the_same(tmp_path: Path) -> None:
    trained(tmp_path / "run", *houses(tmp_path / "old.csv"))
    checkpoint = best(tmp_path / "run")
    del checkpoint["Table"]["digest"]
    assert predict(read_config(tmp_path / "run"), checkpoint, "test", None).metrics


def test_run_without_a_test_split_is_told_a_command_that_scores_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained(tmp_path, "data.test_fraction=0", "trainer.max_epochs=1")
    assert f"python -m src.evaluate run={tmp_path} split=train\n" in capsys.readouterr().out


@pytest.mark.parametrize("dataset", [Own, BySplitRows, BySetup, AfterSetup, BySplit, DrawnByNumpy])
def test_a_dataset_of_ones_own_is_scored_on_the_rows_that_it_held_out(dataset: type, tmp_path: Path) -> None:
    record = trained(tmp_path, *own(dataset))
    scored = score(tmp_path, read(tmp_path), "test", None, None)
    expected = {name.removeprefix("test/"): value for name, value in record.metrics.items() if name[:5] == "test/"}
    assert scored.metrics == pytest.approx(expected, rel=1e-5)
    written = pl.read_csv(tmp_path / "predictions.csv")
    if dataset in (BySetup, AfterSetup, BySplit):
        assert written["row"].null_count() == 10, "no number rather than another row's"
        assert written["y"].round(3).to_list() == list(range(10))
    else:
        assert written["row"].to_list() == written["y"].to_list()


@pytest.mark.parametrize("dataset", [DrawnAnew, ChangedSince])
def test_splits_that_are_not_those_of_the_training_are_neither_scored_nor_trained_on(
    dataset: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = trained(tmp_path, *own(dataset))
    monkeypatch.setattr(ChangedSince, "order", slice(None, None, -1))
    law = f"{dataset.__name__} must give the splits that the run was trained on"
    with pytest.raises(ConfigError, match=law):
        scored_run(tmp_path)
    assert not (tmp_path / "predictions.csv").exists()
    record.status = "running"
    write(tmp_path, record)
    with pytest.raises(ConfigError, match=law):
        resume(tmp_path, quiet=True)


def test_a_split_whose_loader_is_overridden_is_not_scored(tmp_path: Path) -> None:
    trained(tmp_path, *own(OwnLoader))
    with pytest.raises(ConfigError, match="OwnLoader overrides test_dataloader"):
        scored_run(tmp_path)
    assert len(scored_run(tmp_path, "val").predictions) == 9


def test_no_column_of_the_predictions_is_written_over_whatever_targets_are_called(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["row", "Row_", "x", "x_predicted", "X", "row_predicted", "mg/dL", "[red]", "a, b"]
    file = pl.DataFrame({name: [100.0 * i + row for row in range(30)] for i, name in enumerate([*names, "size"])})
    file.write_parquet(tmp_path / "t.parquet")
    quoted = ",".join(f'"{name}"' for name in names)
    trained(tmp_path / "run", "data=table", f"data.path={tmp_path}/t.parquet", f"data.target=[{quoted}]")
    score(tmp_path / "run", read(tmp_path / "run"), "val", None, None)
    written, out = pl.read_csv(tmp_path / "run" / "predictions.csv"), capsys.readouterr().out
    assert len({name.casefold() for name in written.columns}) == len(written.columns) - 1, "x and X are the user's"
    rows = written["row__"]
    for name in names:
        assert written[name].to_list() == file[name].gather(rows).to_list()
    predicted = ["row_predicted_", "Row__predicted", "x_predicted_", "x_predicted_predicted", "X_predicted__"]
    assert [name for name in written.columns if "predicted" in name and name not in names][:5] == predicted
    assert "column 'row__' holds what is usually in 'row'\n" in out
    assert "column 'x_predicted_' holds what is usually in 'x_predicted'\n" in out


ODD = ["glucose mg/dL", "a.b, c", "[red]x[/red]", "%", '"', "two\nlines", "\N{BANANA}", " ", "long name " * 5, "all/r2"]


@pytest.mark.parametrize("width", [80, 40])
def test_a_table_of_ten_targets_can_be_read(width: int) -> None:
    named = {f"new file.csv/{metric}": 0.5 for metric in ("loss", "mae", "r2")}
    for i, target in enumerate(ODD):
        named |= {f"new file.csv/mae {target}": 1000.5 + i, f"new file.csv/r2 {target}": -0.5 - i}
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(metrics_table(named, "a run", width))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    for i in range(len(ODD)):
        assert f"{1000.5 + i:.4f}" in text
        assert f"{-0.5 - i:.4f}" in text
    for part in ("mg/dL", "a.b, c", "[red]", "%", "two\N{REPLACEMENT CHARACTER}lines", "\N{BANANA}", "all/r2"):
        assert part in text


def test_a_metrics_name_comes_apart_as_it_was_put_together() -> None:
    for target in ["", *ODD]:
        for split in ("test", "new file.csv"):
            name = MetricName(split, "mae", target)
            assert MetricName.parse(str(name)) == name
