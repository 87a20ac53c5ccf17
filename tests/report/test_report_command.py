"""`python -m src.report` as a user types it, and the report that a sweep writes at its end."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from src.ranking import shown
from src.report import __main__ as entry
from tests.conftest import ROOT
from tests.report.folders import grid
from tests.sweep.commands import SHORT, quick

Shell = Callable[..., subprocess.CompletedProcess[str]]


def test_command_prints_the_best_settings_and_writes_the_files(tmp_path: Path, shell: Shell) -> None:
    grid(tmp_path / "sweep")
    done = shell("src.report", "sweep")
    assert (done.returncode, done.stderr) == (0, "")
    assert "24 trials: 24 finished" in done.stdout
    assert done.stdout.splitlines()[-3:] == ["sweep/report.html", "sweep/table.csv", "sweep/table.parquet"]
    assert all((tmp_path / line).is_file() for line in done.stdout.splitlines()[-3:])


def test_torch_lightning_and_wandb_are_never_imported(tmp_path: Path) -> None:
    code = (
        "import sys; from src.report.__main__ import main; sys.argv[1:] = ['sweep']; main(); "
        "sys.exit(str([name for name in ('torch', 'lightning', 'wandb') if name in sys.modules]))"
    )
    grid(tmp_path / "sweep")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize(
    ("words", "folder"), [([], "outputs/runs"), (["RUN=outputs/sweeps/a b"], "outputs/sweeps/a b")]
)
def test_make_report_shows_all_runs_or_what_it_is_told(words: list[str], folder: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "RUN" and not name.startswith("MAKE")}
    command = ["make", "--no-print-directory", "--dry-run", "--assume-old=setup", "report", *words]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1].endswith(f'python -m src.report "{folder}"')


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "report takes the folder of a run or a sweep"),
        (["output=there"], "report takes the folder of a run or a sweep"),
        (["nowhere"], "there is no such folder"),
        (["."], "neither a run folder nor a sweep folder"),
        (["--helpp"], "report takes the folder of a run or a sweep"),
        (["file"], "got: a file: file"),
        (["sweep", "output=file/there"], "output must lie in a folder, and file is a file"),
        (["torn"], "no record.json that can be read"),
    ],
)
def test_wrong_input_costs_a_few_lines_and_exit_code_2(
    words: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    grid(tmp_path / "sweep", rates=(0.1,))
    (tmp_path / "file").touch()
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "record.json").write_text("{")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["report", *words])
    with pytest.raises(SystemExit) as left:
        entry.main()
    error = capsys.readouterr().err
    assert left.value.code == 2
    assert told in error
    assert 1 <= len(error.splitlines()) <= 4


def test_sweep_writes_its_report_when_it_ends_and_says_the_same_numbers(tmp_path: Path) -> None:
    words = ("sweep.name=s", "optimizer.lr=1e-3,1e-2", "seed=range(3)")
    done = quick(tmp_path, "-m", *SHORT, *words)
    assert done.returncode == 0, done.stderr
    assert "report: outputs/sweeps/s/report.html" in done.stdout
    table = pl.read_csv(tmp_path / "outputs/sweeps/s/table.csv")
    (line,) = (line for line in done.stdout.splitlines() if "lr=0.01" in line and "±" in line)
    best = table.filter(setting_rank=1)
    told = [best[f"setting_{name}"][0] for name in ("mean", "std", "ci_low", "ci_high")]
    assert [part for part in line.split() if part.startswith("0.")][:4] == [shown(number) for number in told]


def _break_report() -> None:
    import src.report.page

    def broken(*_: object) -> str:
        raise RuntimeError("no page today")

    setattr(src.report.page, "render", broken)  # noqa: B010, in a process of its own


def test_report_that_fails_does_not_fail_the_sweep(tmp_path: Path) -> None:
    done = quick(tmp_path, "-m", *SHORT, "sweep.name=s", "seed=0,1", first=_break_report)
    assert done.returncode == 0, done.stderr
    (line,) = (line for line in (done.stdout + done.stderr).splitlines() if "the report was not written" in line)
    assert "RuntimeError: no page today; python -m src.report outputs/sweeps/s" in line
    assert "report: " not in done.stdout
