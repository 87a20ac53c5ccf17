"""A folder has one owner: of two processes one is refused, and told who has it."""

import errno
import fcntl
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from src import ownership, provenance, ranks
from src.errors import ConfigError
from src.ownership import claim, claim_run, owned, release, release_all
from tests.conftest import ROOT, SMALL
from tests.sweep.commands import environment, start

CLAIM = """
import sys, time
from pathlib import Path
from src.ownership import owned
from src.suggest import ConfigError
print("ready", flush=True)
for line in sys.stdin:
    try:
        with owned(Path(line.strip())):
            print("mine", flush=True)
            sys.stdin.readline()
    except ConfigError as error:
        print(" ".join(str(error).split()), flush=True)
        sys.stdin.readline()
    print("let go", flush=True)
"""
"""Claims the folder of each line, until the next line comes."""


class Other:
    """Another process that claims folders."""

    def __init__(self, folder: Path) -> None:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        command = [sys.executable, "-c", CLAIM]
        self.process = subprocess.Popen(command, env=environment(folder), cwd=ROOT, **pipes)  # type: ignore[call-overload]
        self.hear()

    def say(self, line: object) -> None:
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def hear(self) -> str:
        return str(self.process.stdout.readline()).strip()

    def ask(self, line: object) -> str:
        self.say(line)
        return self.hear()


def refused(folder: Path) -> str:
    with pytest.raises(ConfigError) as error:
        claim(folder)
    return str(error.value)


def test_of_processes_that_begin_in_one_folder_at_the_same_moment_one_gets_it(tmp_path: Path) -> None:
    others = [Other(tmp_path) for _ in range(3)]
    for number in range(30):
        folder = tmp_path / str(number)
        for other in others:
            other.say(folder)
        answers = [other.hear() for other in others]
        owner = others[answers.index("mine")]
        rest = [answer for answer in answers if answer != "mine"]
        assert len(rest) == 2
        for answer in rest:
            assert f"process {owner.process.pid} on {socket.gethostname()}" in answer
            assert f"kill {owner.process.pid}" in answer
        assert [other.ask("") for other in others] == ["let go"] * 3
        assert not list(folder.iterdir()), "a lock leaves nothing behind"
    assert others[0].ask(tmp_path / "run") == "mine"
    assert "is worked on by another process" in refused(tmp_path / "run")
    others[0].process.kill()
    others[0].process.wait()
    with owned(tmp_path / "run"):  # what the dead process left says nothing
        assert f"process {os.getpid()} on" in others[1].ask(tmp_path / "run")
    for other in others:
        other.process.kill()
        other.process.communicate()


def test_only_the_process_that_took_the_lock_is_named(tmp_path: Path) -> None:
    """Its number may be another's by now, on this machine or seen from another."""
    other = Other(tmp_path)
    assert other.ask(tmp_path / "run") == "mine"
    lock, pid, host = tmp_path / "run" / ".lock", os.getpid(), socket.gethostname()
    for told, named in {
        f"process {pid} on {host}, started 12-34": "cannot be seen from here",
        f"process {pid} on elsewhere, started 12-34": f"process {pid} on elsewhere",
        "": "it does not say",
        "\x00\xff": "it does not say",
    }.items():
        lock.write_bytes(told.encode("latin-1"))
        error = refused(tmp_path / "run")
        assert named in error
        assert "kill" not in error
        assert f"process {pid} on {host}" not in error
    other.process.kill()
    other.process.communicate()
    assert provenance.started(other.process.pid) is None
    assert provenance.is_alive(pid, provenance.started(pid))
    assert not provenance.is_alive(pid, "another start")


def test_a_claim_holds_until_the_outermost_block_ends_and_in_its_own_process_only(tmp_path: Path) -> None:
    other = Other(tmp_path)
    claim(tmp_path)
    with owned(tmp_path), owned(tmp_path):
        pass
    assert other.ask(tmp_path) == "mine", "the block that trained was the last one"
    other.ask("")
    with owned(tmp_path):
        with owned(tmp_path):
            pass
        child = os.fork()
        if not child:  # it has what we had in memory, and must not let go of it
            release(tmp_path)
            os._exit(0)
        os.waitpid(child, 0)
        assert "is worked on" in other.ask(tmp_path)
        other.ask("")
    other.process.kill()
    other.process.communicate()


def test_a_trial_is_not_trained_beside_its_sweep_nor_the_sweep_beside_its_trial(tmp_path: Path) -> None:
    sweep, trial = tmp_path / "sweep", tmp_path / "sweep" / "trial"
    trial.mkdir(parents=True)
    (sweep / "sweep.json").write_text("{}")
    other = Other(tmp_path)
    assert other.ask(sweep) == "mine"
    with pytest.raises(ConfigError, match="sweep is worked on by another process"):
        claim_run(trial)
    other.ask("")
    claim_run(trial)
    assert "is worked on" in other.ask(sweep)
    other.ask("")
    release_all()
    assert other.ask(sweep) == "mine"
    other.process.kill()
    other.process.communicate()


def test_where_nothing_can_be_locked_a_file_stands_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lockf(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", lockf)
    (tmp_path / ".owner").write_text(f"process {os.getpid()} on {socket.gethostname()}, started long-ago")
    with owned(tmp_path):  # that one is dead
        taken = (tmp_path / ".owner").read_text()
        monkeypatch.setattr(ownership, "_held", {})
        assert f"process {os.getpid()} on" in refused(tmp_path)
        monkeypatch.undo()
        monkeypatch.setattr(fcntl, "lockf", lockf)
    assert str(os.getpid()) in taken
    assert not list(tmp_path.iterdir())
    (tmp_path / ".owner").write_text("process 1 on another-machine, started 1-2")
    assert f"rm {tmp_path / '.owner'}" in refused(tmp_path), "whether it lives cannot be known from here"


def test_further_processes_of_a_run_share_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Other(tmp_path)
    assert other.ask(tmp_path / "run") == "mine"
    monkeypatch.setattr(ranks, "RANK", 1)
    claim(tmp_path / "run")
    monkeypatch.setattr(ranks, "RANK", 0)
    refused(tmp_path / "run")
    other.process.kill()
    other.process.communicate()


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_fifty_pairs_of_simultaneous_starts_never_mix(tmp_path: Path) -> None:
    codes: list[tuple[int, ...]] = []
    for number in range(50):
        words = (*SMALL, "trainer.max_epochs=8", f"hydra.run.dir=run{number}")
        both = [start(tmp_path, *words, f"seed={seed}") for seed in (0, 1)]
        ended = [process.communicate(timeout=240) for process in both]
        codes.append(tuple(sorted(process.returncode for process in both)))
        assert codes[-1] == (0, 2), ended
        (told,) = (error for process, (_, error) in zip(both, ended, strict=True) if process.returncode == 2)
        assert "is worked on by another process" in told or "holds a run already" in told
        rows = (tmp_path / f"run{number}" / "metrics.csv").read_text().splitlines()
        assert [row.partition(",")[0] for row in rows[1:]] == [str(epoch) for epoch in range(8)]
    print(f"\n{len(codes)} pairs: {codes.count((0, 2))} with one owner")
