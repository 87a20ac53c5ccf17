"""`tracking=online` with a real client and a stand-in server: what is trained arrives whole."""

import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from src.record import read, read_history
from tests.online.conftest import User
from tests.online.server import KEY, Server
from tests.sweep.commands import environment, records_of

EVIL = "<script>alert(1)</script>"


def test_run_arrives_whole_and_as_text(user: User, server: Server) -> None:
    words = (f"'tracking.tags=[\"{EVIL}\",two]'".strip("'"), f'tracking.name="{EVIL}"', "tracking.log_model=true")
    done = user.train(*("hydra.run.dir=outputs/run", *words))
    assert done.returncode == 0, done.stderr
    record = read(user.folder / "outputs/run")
    run = server.runs[str(record.wandb["id"])]
    assert run.rows() == read_history(user.folder / "outputs/run")
    assert (run.about["displayName"], run.about["tags"], run.about["jobType"]) == (EVIL, [EVIL, "two"], "train")
    assert run.about["notes"] == record.provenance["command"]
    assert (run.config["optimizer"]["lr"], run.config["key"], run.exit_code) == (0.001, record.key, 0)
    assert run.summary["objective"] == pytest.approx(record.objective)
    assert run.summary["val/loss"] == {"min": pytest.approx(record.objective)}
    assert record.wandb["mode"] == "online"
    assert record.wandb["url"] == f"{server.url}/someone/tandem/runs/{run.name}"
    (model,) = server.artifacts.values()
    assert (model["artifactTypeName"], model["state"]) == ("model", "COMMITTED")
    assert model["files"]["best.ckpt"] == (user.folder / "outputs/run/checkpoints/best.ckpt").read_bytes()
    assert "W&B" not in done.stdout + done.stderr, "nothing to say where all is well"
    assert not [path for path in user.folder.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]


def test_sweep_arrives_with_a_run_that_sums_it_up(user: User, server: Server) -> None:
    done = user.train("-m", f'sweep.name="{EVIL.replace("/", "")}"', "optimizer.lr=1e-3,1e-2", "seed=0,1")
    assert done.returncode == 0, done.stderr
    (sweep,) = (user.folder / "outputs/sweeps").iterdir()
    trials = records_of(sweep)
    assert len(trials) == 4
    for key, record in trials.items():
        run = server.runs[str(record.wandb["id"])]
        assert run.rows() == read_history(sweep / key)
        assert (run.about["groupName"], run.exit_code) == (sweep.name, 0)
        assert record.wandb["url"] == f"{server.url}/someone/tandem/runs/{run.name}"
    summary = server.runs[json.loads((sweep / "wandb.json").read_text())["id"]]
    assert (summary.about["jobType"], summary.about["groupName"]) == ("sweep", sweep.name)
    table = pl.read_csv(sweep / "table.csv").filter(pl.col("setting_rank") == 1).row(0, named=True)
    told = {"trials": "setting_trials", "val/loss mean": "setting_mean", "val/loss std": "setting_std"}
    told |= {"val/loss low": "setting_ci_low", "val/loss high": "setting_ci_high"}
    assert {name: summary.summary[name] for name in told} == {name: table[column] for name, column in told.items()}
    best = min(summary.summary[name] for name in summary.summary if name.endswith("mean"))
    means = [sum(r.objective or 0 for r in trials.values() if lr in r.overrides) / 2
             for lr in ("optimizer.lr=0.001", "optimizer.lr=0.01")]  # fmt: skip
    assert best == pytest.approx(min(means))
    assert len(server.runs) == 5


@pytest.mark.soak
def test_sweep_that_goes_on_sums_up_in_the_same_run(user: User, server: Server) -> None:
    for seeds in ("seed=0,1", "seed=0,1,2"):
        assert user.train("-m", "sweep.name=mine", seeds).returncode == 0
    assert len(server.runs) == 4
    summaries = [run for run in server.runs.values() if run.about["jobType"] == "sweep"]
    assert [run.summary["trials"] for run in summaries] == [3]


@pytest.mark.soak
def test_agent_trains_the_run_that_its_server_asked_for(user: User, server: Server) -> None:
    config = (Path(__file__).parents[2] / "conf/wandb_sweep.yaml").read_text()
    chosen = {"optimizer.lr": 0.01, "model.hidden_dim": 8, "trainer.max_epochs": 2}
    asked = {"type": "run", "run_id": "agents0n", "program": "", "args": {k: {"value": v} for k, v in chosen.items()}}
    server.sweeps["sw1"] = {"config": config, "commands": [asked]}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    agent = subprocess.run(
        ["wandb", "agent", "someone/tandem/sw1"],
        cwd=user.folder,
        env=environment(user.folder) | user.settings | {"PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert agent.returncode == 0, agent.stderr
    (run,) = server.runs.values()
    assert (run.name, run.about["sweep"], run.exit_code) == ("agents0n", "sw1", 0)
    assert run.config["optimizer"]["lr"] == 0.01
    assert len(run.rows()) == 2
    (folder,) = (user.folder / "outputs/runs").iterdir()
    assert read(folder).wandb["id"] == "agents0n"
