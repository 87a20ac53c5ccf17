"""Weights & Biases, offline: one whole run for every run folder, failed ones failed, nothing in the way of training."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from src import lean_wandb
from src.check import check
from src.groups import TARGETS
from src.record import read, read_history
from src.suggest import known_keys
from src.tracking import NullTracker, run_name, track
from tests.conftest import composed
from tests.test_resume import in_a_process_of_its_own
from tests.test_run import trained

OFFLINE = ("tracking=offline", "tracking.tags=[one,two]", "seed=3")


def wandb_runs(folder: Path) -> list[list[dict[str, Any]]]:
    """The entries of each W&B log in a run folder, as W&B's own reader finds them."""
    found = []
    for path in sorted((folder / "wandb").glob("offline-run-*")):
        command = [sys.executable, "-m", "wandb", "leet", "inspect", str(path), "--json"]
        lines = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
        found.append([json.loads(line) for line in lines.splitlines()])
    return found


def entries(run: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [entry[kind] for entry in run if entry["type"] == kind]


def history(run: list[dict[str, Any]]) -> list[dict[str, float]]:
    return [
        {name: value for name, value in entry["item"].items() if not name.startswith("_")}
        for entry in entries(run, "history")
    ]


def test_run_is_tracked_whole(tmp_path: Path) -> None:
    record = trained(tmp_path, *OFFLINE)
    (run,) = wandb_runs(tmp_path)
    (about,) = entries(run, "run")
    assert (about["run_id"], about["display_name"]) == (record.wandb["id"], "seed=3")
    assert (about["project"], about["job_type"], about["tags"]) == ("tandem", "train", ["one", "two"])
    config = about["config"]["update"]
    assert (config["optimizer"]["lr"], config["seed"], config["key"]) == (0.001, 3, record.key)
    assert "${" not in json.dumps(config), "fully resolved"
    assert history(run) == read_history(tmp_path)
    assert entries(run, "exit")[0]["exit_code"] == 0
    summary: dict[str, Any] = {}
    for update in entries(run, "summary"):
        summary |= update["update"]
    assert summary["test/r2"] == pytest.approx(record.metrics["test/r2"])
    assert summary["val/loss"] == {"min": pytest.approx(min(row["val/loss"] for row in read_history(tmp_path)))}


def test_failed_run_is_failed_in_wandb_and_the_next_one_is_a_run_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("src.module.Regressor.on_validation_epoch_end", lambda self: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            trained(tmp_path / "fails", *OFFLINE)
    trained(tmp_path / "works", *OFFLINE)
    (failed,), (worked,) = wandb_runs(tmp_path / "fails"), wandb_runs(tmp_path / "works")
    assert (entries(failed, "exit")[0]["exit_code"], entries(worked, "exit")[0]["exit_code"]) == (1, 0)
    assert len(history(worked)) == 4
    assert read(tmp_path / "fails").wandb["id"] != read(tmp_path / "works").wandb["id"]


def test_resumed_run_is_the_same_wandb_run_with_a_complete_history(tmp_path: Path) -> None:
    overrides = (*OFFLINE, "trainer.max_epochs=6", "checkpoint.interval_seconds=0", "trainer.accelerator=cpu")
    assert in_a_process_of_its_own(tmp_path, signal.SIGKILL, 37, overrides) == -signal.SIGKILL
    identity = read(tmp_path).wandb["id"]
    assert in_a_process_of_its_own(tmp_path) == 0
    (run,) = wandb_runs(tmp_path)
    assert entries(run, "run")[0]["run_id"] == identity == read(tmp_path).wandb["id"]
    assert [row["epoch"] for row in history(run)] == [0, 1, 2, 3, 4, 5]
    assert history(run) == read_history(tmp_path)


def test_tracker_that_breaks_does_not_stop_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb

    def broken(*_: object, **__: object) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(wandb, "init", broken)
    record = trained(tmp_path, *OFFLINE)
    assert (record.status, record.wandb["mode"]) == ("finished", "disabled")


def test_log_that_raises_does_not_stop_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from wandb.sdk.wandb_run import Run

    def broken(*_: object, **__: object) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(Run, "log", broken)
    assert trained(tmp_path, *OFFLINE).status == "finished"
    assert len(read_history(tmp_path)) == 4


def test_online_without_a_key_asks_nothing_and_tracks_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    record = trained(tmp_path / "run", "tracking=online")
    assert (record.status, record.wandb["mode"]) == ("finished", "offline")


def test_disabled_tracking_does_not_import_wandb(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from tests.test_run import trained; "
    code += f"trained(Path('{tmp_path}/run')); assert 'wandb' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=120).returncode == 0


def test_no_key_reaches_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "0123456789abcdef" * 2 + "01234567"
    monkeypatch.setenv("WANDB_API_KEY", secret)
    trained(tmp_path, *OFFLINE)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 5
    assert not [path for path in files if secret.encode() in path.read_bytes()]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not let a thread be moved")
def test_wandb_takes_rows_on_the_core_that_they_come_from(tmp_path: Path) -> None:
    anywhere = os.sched_getaffinity(0)
    trained(tmp_path, *OFFLINE)
    wandb_threads = [thread for thread in threading.enumerate() if thread.name.startswith("wandb")]
    assert wandb_threads
    assert all(len(os.sched_getaffinity(thread.native_id or -1)) == 1 for thread in wandb_threads)
    assert os.sched_getaffinity(0) == anywhere, "the training itself runs where it likes"


def test_wandb_writes_into_the_run_folder_only_while_the_run_is_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in lean_wandb._CHOSEN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(lean_wandb._CHOSEN, "WANDB_CACHE_DIR", "mine")
    monkeypatch.setenv("WANDB_CACHE_DIR", "mine")
    tracker = track(tmp_path, check(composed("tracking=offline")).tracking, {}, name="a")
    assert os.environ["WANDB_DATA_DIR"] == str(tmp_path / "wandb")
    tracker.finish({}, 0)
    assert "WANDB_DATA_DIR" not in os.environ, "a process that starts now would take it for the user's choice"
    assert os.environ["WANDB_CACHE_DIR"] == "mine"


def test_null_tracker_takes_everything(tmp_path: Path) -> None:
    tracker = track(tmp_path, composed("tracking=disabled").tracking, {}, name="")
    assert isinstance(tracker, NullTracker)
    tracker.log({"epoch": 0})
    tracker.finish({}, exit_code=1)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        (["optimizer.lr=0.01", "seed=3"], "lr=0.01 seed=3"),
        (["model=sequential", "+model.depth=2"], "model=sequential depth=2"),
        (["tracking.tags=[a]", "hydra.run.dir=x", "sweep.name=y"], "thekey"),
        (["data.path=a.b/c.csv"], "path=a.b/c.csv"),
        ([], "thekey"),
        (["data.seed=1", "seed=2"], "data.seed=1 seed=2"),
        (["scheduler.patience=1"], "scheduler.patience=1"),
        (["++optimizer.alpha=0.9", "~optimizer.eps"], "optimizer.alpha=0.9 ~optimizer.eps"),
        ([f"data.path={'x' * 200}.csv"], f"path={'x' * 115}… thekey"),
    ],
)
def test_name_says_what_the_run_changed(overrides: list[str], name: str) -> None:
    assert run_name(overrides, "thekey") == name


def test_no_two_keys_have_the_same_name_in_a_runs_name() -> None:
    keys = [
        *known_keys(),
        *(f"{group}.{leaf}" for group in TARGETS for leaf in ("lr", "alpha", "depth", "a.b", "seed")),
    ]
    names = {
        key: run_name([f"{key}=1"], "thekey") for key in {*keys} if not key.startswith(("tracking", "sweep", "resume"))
    }
    assert len(set(names.values())) == len(names)


def test_the_run_of_a_wandb_agent_is_its_own_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    left = {"WANDB_RUN_ID": "agents", "WANDB_SWEEP_ID": "s", "WANDB_PROJECT": "tandem", "WANDB_NAME": "x"}
    for run_id, kept in (("agents", {"WANDB_RUN_ID", "WANDB_SWEEP_ID", "WANDB_PROJECT"}), ("another", set())):
        for name, value in left.items():
            monkeypatch.setenv(name, value)
        lean_wandb.prepare(run_id)
        assert {name for name in left if name in os.environ} == kept
