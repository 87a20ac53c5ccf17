"""Stacks that train beside each other come out as stacks that train one after another, however the sweep ends."""

import os
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from src.check import check
from src.provenance import is_alive
from src.record import read_history
from src.sweep.workers import how_many
from tests.conftest import composed
from tests.sweep.commands import SHORT, Done, bring_nets, quick, records_of
from tests.sweep.test_sweep_survival import disk_full_at_record, sweep_in, wait_for

GRID = ("-m", "seed=range(8)", "hydra.launcher.stack_size=4", "sweep.name=s", "checkpoint.interval_seconds=0")
TWO = "hydra.launcher.workers=2"


def pids(folder: Path) -> set[int]:
    return {record.provenance["pid"] for record in records_of(sweep_in(folder)).values()}


@pytest.fixture(scope="module")
def one_process(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("one")
    assert quick(folder, *GRID, *SHORT, "hydra.launcher.workers=1").returncode == 0
    assert len(pids(folder)) == 1
    return folder


def assert_same(one: Path, other: Path) -> None:
    """Bit for bit."""
    expected, actual = records_of(sweep_in(one)), records_of(sweep_in(other))
    assert {key: record.metrics for key, record in actual.items()} == {k: r.metrics for k, r in expected.items()}
    for key in expected:
        assert read_history(sweep_in(other) / key) == read_history(sweep_in(one) / key)
    assert {record.status for record in actual.values()} == {"finished"}


def test_workers_come_out_as_one_process(one_process: Path, tmp_path: Path) -> None:
    done = quick(tmp_path, *GRID, *SHORT, TWO)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(pids(tmp_path)) == 2
    assert_same(one_process, tmp_path)
    lines = [line for line in done.stdout.splitlines() if "/8 finished" in line]
    assert [int(line.split("/")[0]) for line in lines] == list(range(1, 9))


def test_trials_that_are_not_stacked_train_beside_each_other(tmp_path: Path) -> None:
    done = quick(tmp_path, "-m", "seed=range(4)", *SHORT, "sweep.name=s", "hydra.launcher.stack_size=1", TWO)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(pids(tmp_path)) == 2
    assert {record.stack for record in records_of(sweep_in(tmp_path)).values()} == {None}


def test_a_trial_that_raises_in_a_worker_fails_alone_and_says_why(tmp_path: Path) -> None:
    search = bring_nets(tmp_path)
    done = quick(tmp_path, *GRID, *SHORT, TWO, search, "model=unlucky", "model.unlucky_seed=2")
    assert done.returncode == 1
    assert "this brings bad luck" in done.stdout
    failed = [record for record in records_of(sweep_in(tmp_path)).values() if record.status == "failed"]
    assert [record.overrides[0] for record in failed] == ["seed=2"]


def die_of_seed(seed: int) -> None:
    """Nets of this seed take their process with them."""
    import lightning

    original = lightning.seed_everything

    def seed_everything(drawn: int, **options: bool) -> int:
        if drawn == seed:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(drawn, **options)

    lightning.seed_everything = seed_everything  # type: ignore[assignment]


def test_a_trial_that_kills_its_worker_fails_alone(tmp_path: Path) -> None:
    done = quick(tmp_path, *GRID, *SHORT, TWO, first=partial(die_of_seed, 2))
    assert done.returncode == 1
    assert "its stack is halved to find the trials at fault" in done.stdout
    records = {record.overrides[0]: record for record in records_of(sweep_in(tmp_path)).values()}
    assert records.pop("seed=2").error == "RuntimeError: its process ended with exit code -9"
    assert {record.status for record in records.values()} == {"finished"}
    assert len(records) == 7


def signal_the_sweep(signum: int, folder: Path) -> None:
    """The first worker that has made five steps sends the sweep a signal."""
    from src.journal import Journal

    original, sweep = Journal.on_train_batch_end, os.getpid()

    def on_train_batch_end(self: Journal, *rest: object) -> None:
        if self._steps == 5 and not (folder / "sent").exists():
            (folder / "sent").touch()
            os.kill(sweep, signum)
        original(self, *rest)  # type: ignore[arg-type]

    Journal.on_train_batch_end = on_train_batch_end  # type: ignore[method-assign,assignment]


def stopped(folder: Path, signum: int) -> Done:
    return quick(folder, *GRID, *SHORT, TWO, first=partial(signal_the_sweep, signum, folder))


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_every_worker_save_its_stack(one_process: Path, tmp_path: Path, signum: int) -> None:
    done = stopped(tmp_path, signum)
    assert (done.returncode, done.stderr) == (128 + signum, "")
    assert done.stdout.splitlines()[-1].endswith("go on with: python -m src.resume outputs/sweeps/s")
    assert not any(is_alive(pid) for pid in pids(tmp_path))
    assert list(sweep_in(tmp_path).glob("stacks/*.ckpt"))
    assert quick(tmp_path, *GRID, *SHORT, TWO).returncode == 0
    assert_same(one_process, tmp_path)


def test_workers_of_a_killed_sweep_die_with_it(one_process: Path, tmp_path: Path) -> None:
    assert stopped(tmp_path, signal.SIGKILL).returncode == -signal.SIGKILL
    wait_for(lambda: not any(is_alive(pid) for pid in pids(tmp_path)))
    before = [path.stat().st_mtime_ns for path in sorted(tmp_path.rglob("*"))]
    time.sleep(0.5)
    assert [path.stat().st_mtime_ns for path in sorted(tmp_path.rglob("*"))] == before, "something goes on writing"
    assert quick(tmp_path, *GRID, *SHORT, TWO).returncode == 0
    assert_same(one_process, tmp_path)


def test_a_full_disk_in_a_worker_stops_the_sweep(one_process: Path, tmp_path: Path) -> None:
    full = quick(tmp_path, *GRID, *SHORT, TWO, first=partial(disk_full_at_record, 6))
    assert full.returncode == 1
    assert "the disk is full" in full.stderr
    assert not any(is_alive(pid) for pid in pids(tmp_path))
    assert quick(tmp_path, *GRID, *SHORT, TWO).returncode == 0
    assert_same(one_process, tmp_path)


def test_one_worker_where_several_would_not_pay_or_change_what_comes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("joblib.cpu_count", lambda: 8)
    monkeypatch.setattr("src.sweep.workers._IS_LINUX", True)
    cfg = check(composed("trainer.accelerator=cpu"))
    assert how_many(None, cfg, on_gpu=False, drops=False) == (8, None)
    assert how_many(3, cfg, on_gpu=False, drops=False) == (3, None)
    assert how_many(None, check(composed("num_threads=4")), on_gpu=False, drops=False) == (1, None)
    for options in ({"on_gpu": True, "drops": False}, {"on_gpu": False, "drops": True}):
        number, reason = how_many(3, cfg, **options)
        assert number == 1
        assert reason
    assert how_many(3, check(composed("trainer=ddp")), on_gpu=False, drops=False)[0] == 1
