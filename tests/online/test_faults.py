"""A server that fails hurts no training: it runs on, all of it is on disk, one warning says so, the process ends."""

import os
import signal
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from threading import Thread

import pytest
from _pytest.mark import ParameterSet

from src.record import read, read_history
from src.upload import Upload
from tests.online.conftest import User
from tests.online.server import Server

FAULTS = {
    "no key": "no key",
    "wrong key": "HTTP 401",
    "refused": "cannot be reached",
    "hang": "does not answer",
    "500": "HTTP 500",
    "429": "HTTP 429",
    "close": "cannot be reached",
}


def break_it(server: Server, user: User, fault: str) -> None:
    if fault == "no key":
        user.key = None
    elif fault == "wrong key":
        user.key = "0" * 40
    elif fault == "refused":
        server.stop()
    else:
        server.fault = int(fault) if fault.isdigit() else fault


def mend_it(server: Server, user: User) -> None:
    from tests.online.server import KEY

    user.key = KEY
    if server.listens:
        server.stop()  # what hangs, hangs no more
    server.fault = server.fault_after = None
    server.start()


def warnings(done_text: str) -> list[str]:
    return [line for line in done_text.splitlines() if "W&B" in line]


def some(faults: Iterable[str], quick: Sequence[str]) -> list[ParameterSet]:
    """All of them in a soak, and a few in every test run."""
    return [pytest.param(fault, marks=[] if fault in quick else pytest.mark.soak) for fault in faults]


@pytest.mark.parametrize("fault", some(FAULTS, quick=["no key", "hang"]))
def test_run_is_trained_and_uploaded_later(fault: str, user: User, server: Server) -> None:
    break_it(server, user, fault)
    done = user.train("hydra.run.dir=outputs/run")
    seconds = user.seconds_after_training()
    folder = user.folder / "outputs/run"
    record = read(folder)
    assert (done.returncode, record.status) == (0, "finished"), done.stderr
    assert seconds < 12
    assert (record.wandb["mode"], record.wandb["url"]) == ("offline", None)
    (warning,) = warnings(done.stdout + done.stderr)
    assert FAULTS[fault] in warning
    assert "python -m src.sync outputs/run" in warning
    assert not server.runs
    mend_it(server, user)
    later = user.types("src.sync", "outputs/run")
    assert (later.returncode, later.stdout) == (0, "1 uploaded, 0 there already, 0 left\n"), later.stderr
    run = server.runs[str(record.wandb["id"])]
    assert run.rows() == read_history(folder)
    assert run.exit_code == 0
    assert str(read(folder).wandb["url"]).startswith(server.url)


@pytest.mark.parametrize("fault", some(["hang", "500", "429", "close", "away", "403"], quick=[]))
def test_server_that_fails_in_the_middle_loses_no_row(fault: str, user: User, server: Server) -> None:
    server.fault_after = "file_stream", int(fault) if fault.isdigit() else fault
    done = user.train("hydra.run.dir=outputs/run", "trainer.max_epochs=400")
    seconds = user.seconds_after_training()
    folder = user.folder / "outputs/run"
    record, rows = read(folder), read_history(folder)
    run = server.runs[str(record.wandb["id"])]
    arrived = len(run.history)
    assert (done.returncode, record.status) == (0, "finished"), done.stderr
    assert arrived < len(rows) == 400, "it failed in the middle"
    assert seconds < 12
    assert record.wandb["mode"] == "offline"
    assert len(warnings(done.stdout + done.stderr)) == 1
    mend_it(server, user)
    assert user.types("src.sync", "outputs/run").returncode == 0
    assert run.by_step() == rows, "none lost, and none with another step"
    assert run.exit_code == 0


@pytest.mark.soak
def test_sweep_waits_once_for_a_server_that_hangs(user: User, server: Server) -> None:
    server.fault = "hang"
    done = user.train(
        "-m", "sweep.name=mine", "seed=range(6)", "hydra.launcher.stack_size=1", "hydra.launcher.workers=2"
    )
    assert done.returncode == 0, done.stderr
    assert user.seconds_after_training() < 12
    assert len(warnings(done.stdout + done.stderr)) == 1
    sweep = user.folder / "outputs/sweeps/mine"
    records = [read(path.parent) for path in sweep.glob("*/record.json")]
    assert Counter((r.status, r.wandb["mode"]) for r in records) == {("finished", "offline"): 6}
    mend_it(server, user)
    later = user.types("src.sync")
    assert (later.returncode, later.stdout) == (0, "7 uploaded, 0 there already, 0 left\n"), later.stderr
    assert all(len(server.runs[str(r.wandb["id"])].history) == 4 for r in records)


def test_uploader_ends_with_a_training_that_is_killed(
    user: User, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in user.settings.items():
        monkeypatch.setenv(name, value)
    server.fault = "hang"
    upload = Upload(user.folder, live=True)
    upload.add(user.folder / "offline-run-20260101_000000-theid")
    process = upload._process
    assert process is not None
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()  # as when the training is gone
    assert process.wait(3) == 1  # before the server has been waited for
    process.stdout.close()


@pytest.mark.soak
def test_killed_run_goes_on_as_the_same_run_and_sends_no_row_under_another_step(user: User, server: Server) -> None:
    words = ("hydra.run.dir=outputs/run", "trainer.max_epochs=400", "checkpoint.interval_seconds=0.5")
    Thread(target=_tell_when_rows_arrive, args=(server, user.folder / "arrived"), daemon=True).start()
    killed = user.train(*words, first=partial(_die_at_step, 3500, user.folder / "arrived"))
    assert killed.returncode == -signal.SIGKILL
    (run,) = server.runs.values()
    assert 0 < len(run.history) < 400
    assert run.exit_code is None
    sent = len(run.history)
    done = user.types("src.train", "resume=outputs/run")
    assert done.returncode == 0, done.stderr
    record = read(user.folder / "outputs/run")
    assert (record.wandb["id"], record.wandb["mode"]) == (run.name, "online")
    assert run.by_step() == read_history(user.folder / "outputs/run")
    assert {row["_step"] for row in run.history.values()} == set(range(400))
    assert len(run.history) == sent + 400, "the killed run's uploader has ended with it"
    assert (run.exit_code, run.resent) == (0, 0)


def _tell_when_rows_arrive(server: Server, file: Path) -> None:
    while not any(run.history for run in server.runs.values()):
        time.sleep(0.05)
    file.touch()


def _die_at_step(step: int, file: Path) -> None:
    """Kills the training once it has made some steps and some of its rows have arrived: they are sent every 15 s."""
    from src import journal

    original = journal.Journal.on_train_batch_end

    def stopped(self: journal.Journal, trainer: object, *rest: object) -> None:
        if self._steps + 1 == step:
            while not file.exists():
                time.sleep(0.05)
            os.kill(os.getpid(), signal.SIGKILL)
        original(self, trainer, *rest)  # type: ignore[arg-type]

    journal.Journal.on_train_batch_end = stopped  # type: ignore[method-assign,assignment]
