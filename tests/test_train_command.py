"""`python -m src.train` as a user types it."""

import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from src.ownership import owned
from src.record import read, read_history, write
from tests.sweep.commands import command, quick, start

Shell = Callable[..., CompletedProcess[str]]
SHORT = ("trainer.max_epochs=3", "tracking=disabled")

THREE_LAYERS = """
from torch import Tensor, nn

class ThreeLayerNet(nn.Module):
    def __init__(self, input_dim: int, output_dim: int, width: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(input_dim, width), nn.Tanh(), nn.Dropout(dropout), nn.Linear(width, width), nn.ReLU(),
            nn.Linear(width, output_dim),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)
"""


def only_run(folder: Path) -> Path:
    (run,) = (folder / "outputs" / "runs").iterdir()
    return run


def test_default_run_trains_tracks_and_says_what_came_out(shell: Shell, tmp_path: Path) -> None:
    done = shell("src.train", "trainer.max_epochs=3", "seed=0")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    run = only_run(tmp_path)
    assert {path.name for path in run.iterdir()} == {".hydra", "checkpoints", "metrics.csv", "record.json", "wandb"}
    for told in (
        "finished",
        "test",
        "r2",
        f"outputs/runs/{run.name}",
        f"python -m src.evaluate run=outputs/runs/{run.name}",
    ):
        assert told in done.stdout
    assert read(run).provenance["command"] == "python -m src.train trainer.max_epochs=3 seed=0"
    assert not [path for path in tmp_path.iterdir() if path.name != "outputs"], "nothing is written elsewhere"


def test_user_brings_a_model_without_a_change_to_src(tmp_path: Path) -> None:
    (tmp_path / "my_nets.py").write_text(THREE_LAYERS)
    (tmp_path / "conf" / "model").mkdir(parents=True)
    model = "_target_: my_nets.ThreeLayerNet\nwidth: 8\ndropout: 0.1\n"
    (tmp_path / "conf" / "model" / "three_layers.yaml").write_text(model)
    search = f"hydra.searchpath=[file://{tmp_path}/conf]"
    done = quick(tmp_path, search, "model=three_layers", "model.width=16", *SHORT)
    assert done.returncode == 0, done.stderr
    assert read(only_run(tmp_path)).status == "finished"
    wrong = quick(tmp_path, search, "model=three_layers", "+model.depth=2", *SHORT)
    assert wrong.returncode == 2
    assert "depth" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_run_lies_where_hydra_says_and_is_not_written_over(tmp_path: Path) -> None:
    assert quick(tmp_path, "hydra.run.dir=mine/one", *SHORT).returncode == 0
    before = {path: path.read_bytes() for path in (tmp_path / "mine").rglob("*") if path.is_file()}
    again = quick(tmp_path, "hydra.run.dir=mine/one", "seed=1", *SHORT)
    assert again.returncode == 2
    assert "resume=mine/one" in again.stderr
    assert before == {path: path.read_bytes() for path in (tmp_path / "mine").rglob("*") if path.is_file()}


def test_resume_of_a_finished_run_shows_it_and_changes_nothing(tmp_path: Path) -> None:
    quick(tmp_path, *SHORT)
    run = only_run(tmp_path)
    before = (run / "record.json").read_text()
    done = quick(tmp_path, f"resume=outputs/runs/{run.name}")
    assert done.returncode == 0, done.stderr
    assert "finished" in done.stdout
    assert (run / "record.json").read_text() == before
    assert quick(tmp_path, f"resume=outputs/runs/{run.name}", "seed=1").returncode == 2
    assert quick(tmp_path, "resume=outputs/runs/nope").returncode == 2


def test_run_that_is_still_going_on_is_not_resumed(tmp_path: Path) -> None:
    quick(tmp_path, *SHORT)
    run = only_run(tmp_path)
    record = read(run)
    record.status, record.provenance["pid"] = "running", os.getpid()  # as if it had the number that ours has
    write(run, record)
    with owned(run):
        refused = quick(tmp_path, f"resume=outputs/runs/{run.name}")
    assert refused.returncode == 2
    assert f"process {os.getpid()} on {socket.gethostname()}" in refused.stderr
    assert f"kill {os.getpid()}" in refused.stderr
    (run / ".lock").write_text(f"process {os.getpid()} on {socket.gethostname()}, started long-ago")
    assert quick(tmp_path, f"resume=outputs/runs/{run.name}").returncode == 0, "a dead process holds nothing"


@pytest.mark.soak
@pytest.mark.parametrize("interval", [0.05, 1e6])
def test_a_signal_to_one_of_two_processes_stops_both_and_both_go_on(tmp_path: Path, interval: float) -> None:
    words = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.max_epochs=300")
    run = tmp_path / "run"
    process = start(tmp_path, *words, "hydra.run.dir=run", f"checkpoint.interval_seconds={interval}")
    while not (run / "metrics.csv").is_file() or len(read_history(run)) < 5:
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=60)[0].count("resume=run") == 1
    assert process.returncode == 128 + signal.SIGTERM
    assert len(read_history(run)) < 300
    assert command(tmp_path, "resume=run").returncode == 0
    assert [row["epoch"] for row in read_history(run)] == list(range(300))


def test_evaluate_gives_the_scores_of_the_record(shell: Shell, tmp_path: Path) -> None:
    quick(tmp_path, *SHORT)
    run = only_run(tmp_path)
    done = shell("src.evaluate", f"run=outputs/runs/{run.name}")
    assert done.returncode == 0, done.stderr
    for metric in ("loss", "mae", "r2"):
        assert f"{read(run).metrics[f'test/{metric}']:.4f}" in done.stdout
    lines = (run / "predictions.csv").read_text().splitlines()
    assert lines[0] == "row,progression,progression_predicted"
    assert len(lines) == 1 + 66
    assert 25 <= float(lines[1].split(",")[1]) <= 346, "in the user's units"


def test_evaluate_scores_a_new_file_after_the_old_one_is_gone(shell: Shell, tmp_path: Path) -> None:
    rows = [f"{i},{'red' if i % 3 else 'blue'},{3 * i + (i % 3)}" for i in range(60)]
    (tmp_path / "old.csv").write_text("\n".join(["size,colour,price", *rows]) + "\n")
    trained = quick(tmp_path, "data=table", "data.path=old.csv", "data.target=price", *SHORT)
    assert trained.returncode == 0, trained.stderr
    (tmp_path / "old.csv").unlink()
    (tmp_path / "new.csv").write_text("colour,size\ngreen,5\nred,6\n")
    run = only_run(tmp_path)
    done = shell("src.evaluate", f"run=outputs/runs/{run.name}", "data.path=new.csv", "output=guess.csv")
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "guess.csv").read_text().splitlines()) == 3
    (tmp_path / "bad.csv").write_text("color,size\nred,6\n")
    wrong = shell("src.evaluate", f"run=outputs/runs/{run.name}", "data.path=bad.csv")
    assert wrong.returncode == 2
    assert "colour" in wrong.stderr
