"""What nobody reads ends no training."""

import fcntl
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from src.output import Outlet
from src.record import read
from tests.conftest import SMALL
from tests.sweep.commands import quick, records_of

_before: list[object] = []  # streams that would close the descriptors, were they forgotten


def _becomes(number: int, encoding: str = "utf-8") -> None:
    _before.extend([sys.stdout, sys.stderr])
    for standard in (1, 2):
        os.dup2(number, standard)
    sys.stdout, sys.stderr = (os.fdopen(standard, "w", buffering=1, encoding=encoding) for standard in (1, 2))


def _reader_has_gone() -> None:
    read_end, write_end = os.pipe()
    _becomes(write_end)
    os.close(read_end)


def _disk_is_full() -> None:
    _becomes(os.open("/dev/full", os.O_WRONLY))


def _closed() -> None:
    _before.extend([sys.stdout, sys.stderr])
    os.close(1)
    os.close(2)
    sys.stdout = sys.stderr = None  # as Python does where they are closed when it starts


def _letters_are_lacking() -> None:
    _becomes(os.open(os.devnull, os.O_WRONLY), encoding="ascii")


@pytest.mark.parametrize("first", [_reader_has_gone, _disk_is_full, _closed])
def test_a_run_that_cannot_print_is_trained_and_recorded(tmp_path: Path, first: Callable[[], None]) -> None:
    if first is _disk_is_full and not Path("/dev/full").exists():
        pytest.skip("this system has no disk that is always full")
    assert quick(tmp_path, *SMALL, "hydra.run.dir=run", first=first).returncode == 0
    assert (read(tmp_path / "run").status, read(tmp_path / "run").error) == ("finished", None)


@pytest.mark.parametrize("first", [_reader_has_gone, _letters_are_lacking])  # it prints a ±
def test_a_sweep_that_cannot_print_is_trained_and_reported(tmp_path: Path, first: Callable[[], None]) -> None:
    words = ("-m", *SMALL, "seed=0,1", "optimizer.lr=1e-3,1e-2", "sweep.name=mine", "hydra.launcher.workers=2")
    assert quick(tmp_path, *words, first=first).returncode == 0
    sweep = tmp_path / "outputs/sweeps/mine"
    assert [record.status for record in records_of(sweep).values()] == ["finished"] * 4
    assert (sweep / "report.html").is_file()


def test_what_is_printed_waits_for_a_reader_and_holds_nothing_up() -> None:
    read_end, write_end = os.pipe()
    if sys.platform == "linux":
        fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, 4096)
    outlet, lines = Outlet(write_end), [b"%05d\n" % number for number in range(50_000)]
    for line in lines:
        outlet.write(line)
    outlet.pass_on(patience=0.05)
    assert outlet.problem is None
    had = b""
    while len(had) < sum(map(len, lines)):
        had += os.read(read_end, 1 << 16)
        outlet.pass_on(patience=0.0)
    assert had == b"".join(lines)
    os.close(read_end)
    outlet.write(b"to nobody")
    os.close(write_end)
