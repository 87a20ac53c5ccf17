"""Signals stop what they should, when they should."""

import os
import signal
import subprocess
import sys
import time

import pytest

from src import signals
from src.errors import Interrupted
from src.provenance import is_alive
from src.signals import stoppable, undisturbed

PARENT = """
import os, subprocess, sys
from functools import partial
from src.signals import die_with_parent
dies = partial(die_with_parent, os.getpid())
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], preexec_fn=dies)
print(child.pid, flush=True)
child.wait()
"""


def test_a_signal_waits_until_the_block_has_ended() -> None:
    done: list[int] = []

    def receive() -> None:
        with undisturbed():
            os.kill(os.getpid(), signal.SIGTERM)
            done.append(1)
        done.append(2)

    with stoppable("the command"), pytest.raises(Interrupted):
        receive()
    assert done == [1]


def test_a_signal_is_heard_though_the_block_fails() -> None:
    def receive() -> None:
        with undisturbed():
            os.kill(os.getpid(), signal.SIGTERM)
            raise OSError("in the middle of a message")

    with stoppable("the command"), pytest.raises(Interrupted):
        receive()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU"])
def test_what_batch_systems_and_terminals_send_stops_a_run(name: str) -> None:
    signum = getattr(signal, name)
    before = signal.getsignal(signum)
    with pytest.raises(Interrupted) as stop, stoppable("the command"):
        os.kill(os.getpid(), signum)
    assert (stop.value.signum, stop.value.resume) == (signum, "the command")
    assert signal.getsignal(signum) is before


def test_a_signal_that_was_not_free_at_the_start_stays_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[int] = []
    monkeypatch.setattr(
        signals, "_OTHERS", {signal.SIGHUP: signal.SIG_IGN, signal.SIGUSR2: lambda signum, _: heard.append(signum)}
    )
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGHUP, signal.SIGUSR2)}
    try:
        with stoppable("the command"):
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGUSR2)
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
    assert heard == [signal.SIGUSR2]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems tell no process that its parent has ended")
def test_a_process_of_a_killed_one_dies_with_it() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert is_alive(child)
        parent.kill()
    ended(child)


ORPHAN = """
import os, sys, time
from src import ranks
print(ranks.RANK, flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems tell no process that its parent has ended")
def test_a_rank_whose_run_was_killed_before_it_had_started_ends_and_does_not_train_the_run_anew() -> None:
    with subprocess.Popen(["true"]) as killed:
        pass
    said = {"TANDEM_LAUNCHER": str(killed.pid), "LOCAL_RANK": "1"}
    done = subprocess.run([sys.executable, "-c", ORPHAN], env=os.environ | said, capture_output=True, timeout=30)
    assert (done.returncode, done.stdout) == (1, b"")


RUN = """
import os, subprocess, sys
os.environ |= {"TANDEM_LAUNCHER": str(os.getpid()), "LOCAL_RANK": "1"}
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE, text=True)
print(child.pid, child.stdout.readline(), flush=True)
child.wait()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems tell no process that its parent has ended")
def test_a_rank_dies_with_the_first_process_of_its_run() -> None:
    with subprocess.Popen([sys.executable, "-c", RUN, ORPHAN], stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        rank, told = map(int, first.stdout.readline().split())
        assert told == 1
        first.kill()
    ended(rank)


def ended(pid: int) -> None:
    """Waits until a process has ended."""
    deadline = time.monotonic() + 10
    while is_alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)
