"""Claims about a disk that is full, read-only or limited: a few lines, a run that can go on, no file emptied."""

import errno
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from src import run, scoring
from src.errors import ConfigError, disk_problem
from src.record import read
from tests.test_run import trained

PROBLEMS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "quota",
    errno.EROFS: "read-only",
    errno.EFBIG: "ulimit -f",
}


@pytest.mark.parametrize("number", PROBLEMS)
def test_a_run_without_room_says_why_and_goes_on_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    whole = Path.write_bytes

    def full(path: Path, data: Any) -> int:
        if "metrics.csv" in path.name:
            raise OSError(number, os.strerror(number), str(path))
        return whole(path, data)

    with monkeypatch.context() as context:
        context.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match="metrics") as caught:
            trained(tmp_path / "run", "trainer.max_epochs=2")
    assert PROBLEMS[number] in str(disk_problem(caught.value))
    assert read(tmp_path / "run").status == "running"
    assert run.resume(tmp_path / "run", quiet=True).status == "finished"


def test_a_command_without_room_answers_in_a_line(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "src.train", "trainer.max_epochs=1", f"hydra.run.dir={tmp_path}/run"]
    line = f"ulimit -f 1; exec {shlex.join(words)}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, cwd=Path(__file__).parent.parent)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert "then type the same command again" in done.stderr


def test_predictions_that_find_no_room_leave_those_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, values = tmp_path / "predictions.csv", np.zeros((2, 1))
    path.write_text("as it was\n")

    def full(path: Path, data: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ConfigError, match="No space left"):
        scoring._write(scoring.Scored(np.arange(2), ["y"], values, values, {}), path)
    assert (path.read_text(), [*tmp_path.iterdir()]) == ("as it was\n", [path])


def test_any_other_error_is_no_problem_of_the_disk() -> None:
    assert disk_problem(OSError(errno.ECONNRESET, "reset")) is None
    assert disk_problem(ValueError("no")) is None
