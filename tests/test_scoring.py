"""What `python -m src.evaluate` makes of a finished run."""

import math
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from src.errors import ConfigError
from src.record import read, read_config
from src.scoring import Scored, predict, score
from tests.test_run import trained

NUM_ROWS = 40


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
    with pytest.raises(ConfigError, match=r"old.csv has changed\n  try: .*data.path=.*old.csv   \(as new data\)"):
        scored_run(tmp_path / "run")
    assert len(scored_run(tmp_path / "run", path=tmp_path / "old.csv").rows) == 33
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
