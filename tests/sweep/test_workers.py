"""Stacks that train beside each other come out as stacks that train one after another, however the sweep ends."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from src.check import check
from src.memory import memory_limit
from src.provenance import is_alive
from src.record import read_history
from src.sweep.workers import how_many
from tests.conftest import composed
from tests.sweep.commands import SHORT, Done, bring_nets, command, quick, records_of
from tests.sweep.test_sweep_survival import sweep_in, wait_for

GRID = ("-m", "seed=range(8)", "hydra.launcher.stack_size=4", "sweep.name=s", "checkpoint.interval_seconds=0")
TWO = "hydra.launcher.workers=2"

NET = """
import errno, multiprocessing, os, pathlib, signal
import torch
from src.journal import Journal
from src.models import TwoLayerNet

IN_WORKER = os.getsid(0) == os.getpid()
if IN_WORKER:
    sweep = multiprocessing.parent_process().pid
    pathlib.Path(f"parent-of-{os.getpid()}").write_text(str(os.getppid()))

class Net(TwoLayerNet):
    def __init__(self, **sizes):
        if IN_WORKER and torch.initial_seed() == {deadly_seed}:
            os.kill(os.getpid(), signal.SIGKILL)
        super().__init__(**sizes)
"""

SIGNALS = """
original = Journal.on_train_batch_end

def on_train_batch_end(self, *rest):
    sent = pathlib.Path("sent")
    if IN_WORKER and self._steps == 5 and not sent.exists():
        sent.touch()
        for pid in {pids}:
            os.kill(pid, signal.{name})
    original(self, *rest)

Journal.on_train_batch_end = on_train_batch_end
"""

FULL_DISK = """
real, writes = os.replace, 0

def replace(source, target):
    global writes
    writes += str(target).endswith("record.json")
    if IN_WORKER and writes >= 3:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
    real(source, target)

os.replace = replace
"""


THREE = """
import os, signal
from src.errors import Interrupted
from src.signals import stoppable
from src.sweep.workers import Worker, Workers

start = Worker.__init__

def start_and_stop(self, *arguments, **options):
    start(self, *arguments, **options)
    print(self.process.pid, flush=True)
    os.kill(os.getpid(), signal.SIGINT)

Worker.__init__ = start_and_stop
try:
    with stoppable("the command"), Workers(3, id, {}, id) as workers:
        workers.start(3)
except Interrupted:
    pass
"""


def swept(
    folder: Path, *words: str, deadly_seed: int = -1, fault: str = "", typed: Callable[..., Done] = quick
) -> Done:
    """The grid with a net that a worker imports, and with it what goes wrong there."""
    (folder / "conf" / "model").mkdir(parents=True, exist_ok=True)
    (folder / "conf" / "model" / "mine.yaml").write_text("_target_: mine.Net\nhidden_dim: 8\n")
    (folder / "mine.py").write_text(NET.replace("{deadly_seed}", str(deadly_seed)) + fault)
    return typed(folder, *GRID, *SHORT, f"hydra.searchpath=[file://{folder}/conf]", "model=mine", *words)


def pids(folder: Path) -> set[int]:
    return {record.provenance["pid"] for record in records_of(sweep_in(folder)).values()}


@pytest.fixture(scope="module")
def one_process(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("one")
    assert swept(folder, "hydra.launcher.workers=1").returncode == 0
    assert len(pids(folder)) == 1
    return folder


def assert_same(one: Path, other: Path) -> None:
    """Bit for bit."""
    expected, actual = records_of(sweep_in(one)), records_of(sweep_in(other))
    assert {key: record.metrics for key, record in actual.items()} == {k: r.metrics for k, r in expected.items()}
    for key in expected:
        assert read_history(sweep_in(other) / key) == read_history(sweep_in(one) / key)
    assert {record.status for record in actual.values()} == {"finished"}
    assert {len(record.stack["keys"]) for record in actual.values() if record.stack} == {4}, "no stack failed"


@pytest.mark.parametrize("typed", [command, quick])
def test_workers_come_out_as_one_process(one_process: Path, tmp_path: Path, typed: Callable[..., Done]) -> None:
    """Forked from the sweep's own process, or from a clean one where that could have started threads, as in `quick`."""
    done = swept(tmp_path, TWO, typed=typed)
    assert (done.returncode, done.stderr) == (0, "")
    sweep = json.loads((sweep_in(tmp_path) / "sweep.json").read_text())["provenance"]["pid"]
    parents = {int(path.read_text()) for path in tmp_path.glob("parent-of-*")}
    assert (parents == {sweep}) == (typed is command)
    assert len(pids(tmp_path)) == 2
    assert_same(one_process, tmp_path)
    lines = [line for line in done.stdout.splitlines() if "/8 finished" in line]
    assert [int(line.split("/")[0]) for line in lines] == list(range(1, 9))


@pytest.mark.soak
def test_trials_that_are_not_stacked_train_beside_each_other(tmp_path: Path) -> None:
    done = quick(tmp_path, "-m", "seed=range(4)", *SHORT, "sweep.name=s", "hydra.launcher.stack_size=1", TWO)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(pids(tmp_path)) == 2
    assert {record.stack for record in records_of(sweep_in(tmp_path)).values()} == {None}


@pytest.mark.soak
def test_a_trial_that_raises_in_a_worker_fails_alone_and_says_why(tmp_path: Path) -> None:
    search = bring_nets(tmp_path)
    done = quick(tmp_path, *GRID, *SHORT, TWO, search, "model=unlucky", "model.unlucky_seed=2")
    assert done.returncode == 1
    assert "this brings bad luck" in done.stdout
    failed = [record for record in records_of(sweep_in(tmp_path)).values() if record.status == "failed"]
    assert [record.overrides[0] for record in failed] == ["seed=2"]


def test_a_trial_that_kills_its_worker_fails_alone(tmp_path: Path) -> None:
    done = swept(tmp_path, TWO, deadly_seed=2)
    assert done.returncode == 1
    assert "its stack is halved to find the trials at fault" in done.stdout
    records = {record.overrides[0]: record for record in records_of(sweep_in(tmp_path)).values()}
    assert records.pop("seed=2").error == "RuntimeError: its process ended with exit code -9"
    assert {record.status for record in records.values()} == {"finished"}
    assert len(records) == 7


def signals(*whom: str, name: str) -> str:
    """The first worker that has made five steps sends signals."""
    return SIGNALS.replace("{pids}", f"({', '.join(whom)},)").replace("{name}", name)


# A system that ends signals every process: a worker then hears it twice, and the sweep perhaps from a worker first.
@pytest.mark.parametrize(
    ("whom", "name"),
    [
        (["sweep"], "SIGINT"),
        pytest.param(["sweep", "os.getpid()"], "SIGTERM", marks=pytest.mark.soak),
        pytest.param(["os.getpid()"], "SIGTERM", marks=pytest.mark.soak),
    ],
)
def test_a_signal_lets_every_worker_save_its_stack(
    one_process: Path, tmp_path: Path, whom: list[str], name: str
) -> None:
    done = swept(tmp_path, TWO, fault=signals(*whom, name=name))
    assert (done.returncode, done.stderr) == (128 + signal.Signals[name], "")
    assert done.stdout.splitlines()[-1].endswith("go on with: python -m src.resume outputs/sweeps/s")
    assert not any(is_alive(pid) for pid in pids(tmp_path))
    assert list(sweep_in(tmp_path).glob("stacks/*.ckpt"))
    assert "failed" not in {record.status for record in records_of(sweep_in(tmp_path)).values()}
    assert swept(tmp_path, TWO).returncode == 0
    assert_same(one_process, tmp_path)


@pytest.mark.soak
def test_workers_of_a_killed_sweep_die_with_it(one_process: Path, tmp_path: Path) -> None:
    assert swept(tmp_path, TWO, fault=signals("sweep", name="SIGKILL")).returncode == -signal.SIGKILL
    wait_for(lambda: not any(is_alive(pid) for pid in pids(tmp_path)))
    before = [path.stat().st_mtime_ns for path in sorted(tmp_path.rglob("*"))]
    time.sleep(0.5)
    assert [path.stat().st_mtime_ns for path in sorted(tmp_path.rglob("*"))] == before, "something goes on writing"
    assert swept(tmp_path, TWO).returncode == 0
    assert_same(one_process, tmp_path)


@pytest.mark.soak
def test_a_full_disk_in_a_worker_stops_the_sweep(one_process: Path, tmp_path: Path) -> None:
    full = swept(tmp_path, TWO, fault=FULL_DISK)
    assert full.returncode == 1
    assert "the disk is full" in full.stderr
    assert not any(is_alive(pid) for pid in pids(tmp_path))
    assert swept(tmp_path, TWO).returncode == 0
    assert_same(one_process, tmp_path)


def test_a_table_is_read_in_every_worker(tmp_path: Path) -> None:
    """The sweep's own process reads it too, with threads that a process forked from it would wait for."""
    rows = "".join(f"{i % 7},{'ab'[i % 2]},{i % 5}\n" for i in range(60))
    (tmp_path / "t.csv").write_text("x,kind,y\n" + rows)
    done = quick(tmp_path, *GRID, *SHORT, TWO, "data=table", "data.path=t.csv", "data.target=y")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(pids(tmp_path)) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux alone")
def test_ctrl_c_while_workers_start_leaves_none_behind() -> None:
    done = subprocess.run([sys.executable, "-c", THREE], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert [is_alive(int(pid)) for pid in done.stdout.split()] == [False]


def test_a_container_may_take_no_more_than_it_is_given(tmp_path: Path) -> None:
    """https://docs.kernel.org/admin-guide/cgroup-v2.html, and the first version."""
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "self" / "cgroup").write_text("4:memory:/job/step\n3:cpu:/\n0::/slice/job/step\n")
    machine = memory_limit(tmp_path)
    for file, text, expected in [
        ("slice/job/step/memory.max", "max", machine),
        ("slice/job/memory.max", f"{2**30}", 2**30),
        ("memory/job/memory.limit_in_bytes", f"{2**29}", 2**29),
    ]:
        path = tmp_path / "sys" / "fs" / "cgroup" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
        assert memory_limit(tmp_path) == expected


def test_one_worker_where_several_would_not_pay_or_change_what_comes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("joblib.cpu_count", lambda: 8)
    monkeypatch.setattr("src.sweep.workers._IS_LINUX", True)
    monkeypatch.setattr("src.sweep.workers.memory_limit", lambda: 2**36)
    cfg = [check(composed("trainer.accelerator=cpu"))]
    assert how_many(None, cfg, on_gpu=False, drops=False) == (8, None)
    assert how_many(3, cfg, on_gpu=False, drops=False) == (3, None)
    assert how_many(None, [*cfg, check(composed("num_threads=4"))], on_gpu=False, drops=False) == (1, None)
    for options in ({"on_gpu": True, "drops": False}, {"on_gpu": False, "drops": True}):
        number, reason = how_many(3, cfg, **options)
        assert number == 1
        assert reason
    assert how_many(3, [*cfg, check(composed("trainer=ddp"))], on_gpu=False, drops=False)[0] == 1
    monkeypatch.setattr("src.sweep.workers.memory_limit", lambda: 5 * 2**30)
    assert how_many(None, cfg, on_gpu=False, drops=False) == (2, None), "as many as memory has room for"
    assert how_many(3, cfg, on_gpu=False, drops=False) == (3, None), "or as the user says"
