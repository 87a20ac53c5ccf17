"""A sweep that was killed, stopped or ran out of disk goes on, repeats nothing and loses nothing."""

import errno
import os
import random
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch

from src.record import Record, read, read_history
from tests.sweep.commands import quick, records_of, start
from tests.test_tracking import entries, history, wandb_runs

TWO_BY_THREE = ("-m", "optimizer.lr=1e-3,1e-2", "seed=range(3)", "sweep.name=s", "trainer.accelerator=cpu")
SMALL = (*TWO_BY_THREE, "trainer.max_epochs=4", "hydra.launcher.workers=1")
LONG = (*TWO_BY_THREE, "trainer.max_epochs=30", "data.batch_size=4", "checkpoint.interval_seconds=0.1")


soak = partial(pytest.param, marks=pytest.mark.soak)


def sweep_in(folder: Path) -> Path:
    return folder / "outputs" / "sweeps" / "s"


def signal_at_write(number: int, signum: int, before: bool) -> None:
    """Sends the process a signal at a record's write, before or after it is on disk."""
    from src import record as records

    original, calls = records.write, 0

    def write(folder: Path, record: Record) -> None:
        nonlocal calls
        calls += 1
        if calls == number and before:
            os.kill(os.getpid(), signum)
        original(folder, record)
        if calls == number and not before:
            os.kill(os.getpid(), signum)

    records.write = write


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted")
    assert quick(folder, *SMALL).returncode == 0
    return sweep_in(folder)


@pytest.fixture(scope="module")
def long_uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted")
    assert quick(folder, *LONG).returncode == 0
    return sweep_in(folder)


def assert_same_sweep(one: Path, other: Path, relative: float) -> None:
    """Finished trials with the same results, the same histories and one W&B run each."""
    expected, actual = records_of(one), records_of(other)
    assert set(expected) == set(actual)
    for key, record in actual.items():
        assert record.status == "finished"
        assert record.metrics == pytest.approx(expected[key].metrics, rel=relative)
        wanted, rows = read_history(one / key), read_history(other / key)
        assert len(rows) == len(wanted)
        assert all(row == pytest.approx(right, rel=relative) for row, right in zip(rows, wanted, strict=True))
        weights, right = (
            torch.load(folder / key / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
            for folder in (other, one)
        )
        for name in right:
            torch.testing.assert_close(weights[name], right[name], rtol=relative, atol=relative)
        assert len(list((other / key / "wandb").glob("offline-run-*"))) == 1
    assert len({record.wandb["id"] for record in actual.values()}) == len(actual)


def assert_tracked_whole(sweep: Path, key: str) -> None:
    (run,) = wandb_runs(sweep / key)
    assert entries(run, "run")[0]["run_id"] == read(sweep / key).wandb["id"]
    assert history(run) == read_history(sweep / key)
    assert entries(run, "exit")[0]["exit_code"] == 0


def finished(sweep: Path) -> dict[str, tuple[bytes, int]]:
    """The finished trials' records, with the time of their last change."""
    ended = [key for key, record in records_of(sweep).items() if record.has_ended]
    files = {key: sweep / key / "record.json" for key in ended}
    return {key: (path.read_bytes(), path.stat().st_mtime_ns) for key, path in files.items()}


# 6 records are written when the stack starts, 6 when it has ended
@pytest.mark.parametrize(("number", "before"), [(4, False), soak(7, True), (9, False), soak(12, False)])
def test_kill_at_any_record_loses_nothing_and_repeats_nothing(
    uninterrupted: Path, tmp_path: Path, number: int, before: bool
) -> None:
    sweep = sweep_in(tmp_path)
    killed = quick(tmp_path, *SMALL, first=partial(signal_at_write, number, signal.SIGKILL, before))
    assert killed.returncode == -signal.SIGKILL
    done_before, ids = finished(sweep), {key: record.wandb["id"] for key, record in records_of(sweep).items()}
    assert len(done_before) == max(number - 6 - before, 0)
    assert quick(tmp_path, *SMALL).returncode == 0
    assert done_before.items() <= finished(sweep).items()
    assert ids.items() <= {key: record.wandb["id"] for key, record in records_of(sweep).items()}.items()
    assert_same_sweep(uninterrupted, sweep, relative=0)
    assert not list((sweep / "stacks").iterdir()), "nothing is left to go on with"
    assert_tracked_whole(sweep, sorted(records_of(sweep))[0])


def test_trials_of_a_killed_stack_can_go_on_one_at_a_time(uninterrupted: Path, tmp_path: Path) -> None:
    """Here before the stack's first checkpoint; the trials' folders hold half of what a stack leaves."""
    sweep = sweep_in(tmp_path)
    quick(tmp_path, *SMALL, first=partial(signal_at_write, 9, signal.SIGKILL, False))
    ids = {key: record.wandb["id"] for key, record in records_of(sweep).items()}
    for path in (sweep / "stacks").iterdir():
        path.unlink()
    assert quick(tmp_path, *SMALL, "hydra.launcher.stack_size=1").returncode == 0
    assert {key: record.wandb["id"] for key, record in records_of(sweep).items()} == ids
    assert_same_sweep(uninterrupted, sweep, relative=1e-4)
    assert sorted(record.stack is None for record in records_of(sweep).values()) == [False] * 3 + [True] * 3


@pytest.mark.parametrize(("number", "size"), [(9, "auto"), soak(11, "1")])
def test_signal_between_trainings_says_how_to_go_on(
    uninterrupted: Path, tmp_path: Path, number: int, size: str
) -> None:
    words = (*SMALL, f"hydra.launcher.stack_size={size}")
    stopped = quick(tmp_path, *words, first=partial(signal_at_write, number, signal.SIGINT, False))
    assert stopped.returncode == 128 + signal.SIGINT
    assert stopped.stdout.splitlines()[-1] == "stopped by SIGINT; go on with: python -m src.resume outputs/sweeps/s"
    assert stopped.stderr == ""
    assert {record.status for record in records_of(sweep_in(tmp_path)).values()} <= {"running", "finished"}
    assert quick(tmp_path, *words).returncode == 0
    assert_same_sweep(uninterrupted, sweep_in(tmp_path), relative=0 if size == "auto" else 1e-4)


def signal_at_step(number: int, signum: int) -> None:
    from src.journal import Journal

    original = Journal.on_train_batch_end

    def on_train_batch_end(self: Journal, trainer: object, *rest: object) -> None:
        if self._steps + 1 == number:
            os.kill(os.getpid(), signum)
        original(self, trainer, *rest)  # type: ignore[arg-type]

    Journal.on_train_batch_end = on_train_batch_end  # type: ignore[method-assign,assignment]


@pytest.mark.parametrize(("step", "signum"), [(13, signal.SIGTERM), (20, signal.SIGINT)])
def test_signal_in_the_middle_of_a_stack_saves_it(uninterrupted: Path, tmp_path: Path, step: int, signum: int) -> None:
    sweep = sweep_in(tmp_path)
    stopped = quick(tmp_path, *SMALL, first=partial(signal_at_step, step, signum))
    assert stopped.returncode == 128 + signum
    name = signal.Signals(signum).name
    assert stopped.stdout.splitlines()[-1] == f"stopped by {name}; go on with: python -m src.resume outputs/sweeps/s"
    assert stopped.stderr == ""
    assert {record.status for record in records_of(sweep).values()} == {"running"}
    (checkpoint,) = sweep.glob("stacks/*.ckpt")
    assert torch.load(checkpoint, weights_only=True)["global_step"] == step
    assert quick(tmp_path, *SMALL).returncode == 0
    assert_same_sweep(uninterrupted, sweep, relative=0)


@pytest.mark.soak
def test_sweep_killed_at_random_moments_ends_as_one_never_stopped(long_uninterrupted: Path, tmp_path: Path) -> None:
    sweep = sweep_in(tmp_path)
    moments = random.Random(0)
    for _ in range(2):
        process = start(tmp_path, *LONG)
        wait_for(lambda: bool(list(sweep.glob("stacks/*.ckpt"))))
        time.sleep(moments.uniform(0, 1))
        process.kill()
        process.communicate()
    assert quick(tmp_path, *LONG).returncode == 0
    assert_same_sweep(long_uninterrupted, sweep, relative=0)
    assert_tracked_whole(sweep, sorted(records_of(sweep))[-1])


def disk_full_at(number: int, name: str) -> None:
    original, calls = os.replace, 0

    def replace(source: str, target: str, **options: int) -> None:
        nonlocal calls
        calls += str(target).endswith(name)
        if calls >= number:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        original(source, target, **options)

    os.replace = replace  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("number", "name", "size"), [(2, "best.ckpt", "auto"), soak(9, "record.json", "auto"), soak(11, "record.json", "1")]
)
def test_full_disk_stops_the_sweep_and_leaves_records_that_can_be_read(
    uninterrupted: Path, tmp_path: Path, number: int, name: str, size: str
) -> None:
    words = (*SMALL, f"hydra.launcher.stack_size={size}")
    full = quick(tmp_path, *words, first=partial(disk_full_at, number, name))
    assert full.returncode == 1
    assert "the disk is full" in full.stderr.splitlines()[-1]
    assert "python -m src.resume outputs/sweeps/s" in full.stderr.splitlines()[-1]
    assert "Traceback" not in full.stdout + full.stderr
    sweep = sweep_in(tmp_path)
    assert all(record.status in ("running", "finished") for record in records_of(sweep).values())
    assert not list(sweep.rglob(".record.json.*"))
    before = finished(sweep)
    assert quick(tmp_path, *words).returncode == 0
    assert before.items() <= finished(sweep).items()
    assert_same_sweep(uninterrupted, sweep, relative=0 if size == "auto" else 1e-4)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_sweep_of_64_trials_killed_ten_times_ends_as_one_never_stopped(tmp_path: Path) -> None:
    rates = ",".join(f"{10 ** (-4 + i / 3.5):.4g}" for i in range(8))
    grid = ("-m", f"optimizer.lr={rates}", "seed=range(8)", "sweep.name=s", "trainer.accelerator=cpu")
    length = ("trainer.max_epochs=200", "data.batch_size=4", "checkpoint.interval_seconds=0.2")
    words = (*grid, "hydra.launcher.stack_size=16", *length)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    began = time.perf_counter()
    whole_process = start(whole, *words)
    whole_process.communicate(timeout=600)
    seconds = time.perf_counter() - began
    assert whole_process.returncode == 0

    sweep, moments, kept, ids = sweep_in(broken), random.Random(7), dict[str, tuple[bytes, int]](), dict[str, object]()
    told = []
    for _ in range(10):
        process = start(broken, *words)
        delay = 3 + moments.uniform(0, seconds / 6)  # its start, and on average less than a tenth of the whole
        time.sleep(delay)
        assert process.poll() is None, "killed while it works"
        process.kill()
        process.communicate()
        assert kept.items() <= finished(sweep).items()
        kept = finished(sweep)
        assert ids.items() <= {key: record.wandb["id"] for key, record in records_of(sweep).items()}.items()
        ids = {key: record.wandb["id"] for key, record in records_of(sweep).items()}
        told.append(f"{delay:.1f} s: {len(kept)} finished, {len(ids)} begun")
    last = start(broken, *words)
    last.communicate(timeout=600)
    assert last.returncode == 0
    assert kept.items() <= finished(sweep).items()
    assert ids.items() <= {key: record.wandb["id"] for key, record in records_of(sweep).items()}.items()
    assert len(finished(sweep)) == 64
    assert_same_sweep(sweep_in(whole), sweep, relative=1e-6)
    exact = sum(
        read(sweep / key).metrics == record.metrics and read_history(sweep / key) == read_history(sweep_in(whole) / key)
        for key, record in records_of(sweep_in(whole)).items()
    )
    for key in records_of(sweep):
        assert_tracked_whole(sweep, key)
    print(f"\nuninterrupted {seconds:.1f} s; killed at", *told, f"{exact} of 64 equal bit for bit", sep="\n  ")


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_stack_does_not_go_on_with_other_data_and_an_ended_sweep_says_so(tmp_path: Path) -> None:
    table, rows = tmp_path / "houses.csv", "".join(f"{i},{2 * i}\n" for i in range(300))
    table.write_text(f"size,price\n{rows}")
    words = (*SMALL, "data=table", "data.path=houses.csv", "data.target=price", "tracking=disabled")
    assert quick(tmp_path, *words, first=partial(signal_at_step, 9, signal.SIGTERM)).returncode == 128 + signal.SIGTERM
    table.write_text(f"size,price\n{rows}300,600\n")
    refused = quick(tmp_path, *words)
    assert refused.returncode == 2
    assert "got: houses.csv has changed" in refused.stderr
    assert list(sweep_in(tmp_path).glob("stacks/*.ckpt")), "it can go on once the file is put back"
    table.write_text(f"size,price\n{rows}")
    done = quick(tmp_path, *words)
    assert (done.returncode, "has changed" in done.stdout) == (0, False)
    table.write_text(f"size,price\n{rows}300,600\n")
    assert "houses.csv has changed since this sweep's earlier launch" in quick(tmp_path, *words).stdout
