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
import subprocess, sys
from src.signals import die_with_parent
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], preexec_fn=die_with_parent)
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
    deadline = time.monotonic() + 10
    while is_alive(child):
        assert time.monotonic() < deadline
        time.sleep(0.01)
