"""A sweep whose folder was damaged or whose end was cut off: that part is made again, and nothing else."""

import json
import os
import random
import shutil
import signal
from functools import partial
from pathlib import Path
from subprocess import TimeoutExpired

import pytest

from src.record import read, write
from src.report.folders import read_folders
from src.resume import _sweep
from tests.damage import HISTORY, KINDS, RECORD
from tests.sweep.commands import Done, quick, records_of, start
from tests.test_tracking import entries, wandb_runs

WORDS = ("-m", "optimizer.lr=1e-3,1e-2", "seed=range(3)", "sweep.name=s", "trainer.accelerator=cpu")
SHORT = (*WORDS, "trainer.max_epochs=3", "hydra.launcher.workers=1")
HUNDRED = ("-m", "seed=range(120)", *SHORT[3:], "tracking=disabled")


def sweep_in(folder: Path) -> Path:
    return folder / "outputs" / "sweeps" / "s"


def kill_at(name: str) -> None:
    """Kills the process where the end of its sweep would call a function."""
    from src.sweep import session

    setattr(session, name, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))


def logs(sweep: Path) -> dict[str, int]:
    """The sweep's own W&B logs, with the time of their last change."""
    return {path.parent.name: path.stat().st_mtime_ns for path in sweep.glob("wandb/offline-run-*/*.wandb")}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep that was killed at two moments of its end, and then went on."""
    place = tmp_path_factory.mktemp("place")
    sweep = sweep_in(place)
    assert quick(place, *SHORT, first=partial(kill_at, "track_sweep")).returncode == -signal.SIGKILL
    assert {record.status for record in records_of(sweep).values()} == {"finished"}
    assert not logs(sweep)
    assert quick(place, *SHORT, first=partial(kill_at, "say_sweep_ended")).returncode == -signal.SIGKILL
    assert len(logs(sweep)) == 1
    assert quick(place, *SHORT).returncode == 0
    return place


def test_a_sweep_killed_at_its_end_gets_its_report_and_its_run_in_wandb_once(whole: Path) -> None:
    sweep = sweep_in(whole)
    assert (sweep / "report.html").is_file()
    (run,) = wandb_runs(sweep)
    assert entries(run, "exit")[0]["exit_code"] == 0
    assert json.loads((sweep / "wandb.json").read_text())["id"] == entries(run, "run")[0]["run_id"]
    before = logs(sweep)
    assert quick(whole, *SHORT).returncode == 0
    assert logs(sweep) == before, "what is done is not done again"


def test_damaged_parts_of_a_sweep_are_set_aside_and_made_again(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole / "outputs", tmp_path / "outputs")
    sweep, right = sweep_in(tmp_path), records_of(sweep_in(whole))
    empty, swapped, short, config, *sound = sorted(right)
    (sweep / empty / RECORD).write_text("")
    shutil.copyfile(sweep / sound[0] / RECORD, sweep / swapped / RECORD)
    (sweep / short / HISTORY).write_text("epoch,val/loss\n0,0.1\n")
    (sweep / config / ".hydra" / "config.yaml").write_text("seed: 77\n")
    (sweep / "sweep.json").write_text('{"schema": 1, "ar')
    (sweep / "wandb.json").write_text("")
    (sweep / "stacks" / "torn.json").write_text("[")
    (sweep / "stacks" / "torn.ckpt").write_text("")
    reported = read_folders([sweep])[0]
    assert {record.key for record in reported.records} == set(sound)
    assert len(reported.unreadable) == 4

    done = quick(tmp_path, *SHORT)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for key in (empty, swapped, short):
        assert f"trial {key} is trained again" in done.stdout.replace("\n", " ")
        assert (sweep / key / "record.json.damaged").is_file()
    assert "sweep.json is damaged: it is written anew" in done.stdout.replace("\n", " ")
    after = records_of(sweep)
    assert after.keys() == right.keys()
    for key, record in after.items():
        assert record.objective == pytest.approx(right[key].objective, rel=1e-4)
        assert record.wandb["id"] == right[key].wandb["id"], "its run in W&B is the same one"
        assert len(list((sweep / key / "wandb").glob("offline-run-*"))) == 1
        assert (record == right[key]) == (key not in (empty, swapped, short))
    assert len(read_folders([sweep])[0].records) == 6
    assert len(logs(sweep)) == 1, "nor has the sweep got a second one"


def test_a_sweep_without_a_file_that_can_be_read_is_resumed_as_its_trials_say(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole / "outputs", tmp_path / "outputs")
    sweep = sweep_in(tmp_path)
    expected = _sweep([str(sweep)])
    (sweep / "sweep.json").write_bytes(b"\x00\xff")
    (sweep / sorted(records_of(sweep))[0] / RECORD).write_text("")
    for path in sweep.glob("*/record.json"):
        if path.stat().st_size:
            record = read(path.parent)
            record.provenance["command"] = "python -m src.train -m 'optimizer.lr=1e-3,1e-2' seed=1"
            write(path.parent, record)
    assert _sweep([str(sweep)]) == (sweep, ["-m", "optimizer.lr=1e-3,1e-2", "seed=1"], expected[2])


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_of_120_damaged_trials_each_comes_out_as_before(tmp_path: Path) -> None:
    words = HUNDRED
    assert quick(tmp_path, *words).returncode == 0
    sweep = sweep_in(tmp_path)
    whole = shutil.copytree(sweep, tmp_path / "whole")
    right = records_of(whole)
    keys, kinds = sorted(right), [kind for kind in KINDS if kind != "the folder was moved"]
    for number, key in enumerate(keys):
        other = whole / keys[(number + 1) % len(keys)]
        KINDS[kinds[number % len(kinds)]](sweep / key, other, random.Random(number))
    reported = {record.key: record.objective for record in read_folders([sweep])[0].records}
    assert all(objective == right[key].objective for key, objective in reported.items())
    done = quick(tmp_path, *words)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    again = 0
    for key, record in records_of(sweep).items():
        assert record.objective == pytest.approx(right[key].objective, rel=1e-4), key
        assert record.metrics == pytest.approx(right[key].metrics, rel=1e-3), key
        again += record.timing != right[key].timing
    print(f"\n120 damaged trials of {len(kinds)} kinds: {len(reported)} reported, {again} trained again, none wrong")


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("search", [False, True])
def test_twenty_kills_around_a_sweeps_end_leave_one_report_and_one_run(tmp_path: Path, search: bool) -> None:
    searched = ("hydra/sweeper=optuna", "optimizer.lr=interval(1e-4,1e-2)", "hydra.sweeper.num_trials=4")
    words = ("-m", *searched, *SHORT[3:]) if search else SHORT
    assert quick(tmp_path, *words).returncode == 0
    draw, killed = random.Random(3), 0
    for _ in range(20):
        sweep = sweep_in(tmp_path)
        values = json.loads((sweep / "sweep.json").read_text())
        (sweep / "sweep.json").write_text(json.dumps(values | {"ended": None}))
        for name in ("report.html", "table.csv", "best.yaml"):
            (sweep / name).unlink(missing_ok=True)
        process = start(tmp_path, *words)
        try:
            process.wait(timeout=draw.uniform(0.5, 5.0))
        except TimeoutExpired:
            process.kill()
            killed += 1
        process.communicate()
        done: Done = quick(tmp_path, *words)
        assert done.returncode == 0, done.stderr
        assert len(logs(sweep)) == 1
        assert (sweep / "report.html").is_file()
        assert (sweep / "best.yaml").is_file() == search
        assert json.loads((sweep / "sweep.json").read_text())["ended"]
    print(f"\nkilled at its end {killed} times in 20: one report, one run in W&B each")
