"""What is printed can be pasted: every command, whatever the folders are called and wherever the user stands."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from src.commands import as_hydra_reads, in_shell
from src.overrides import parse, written
from src.places import place
from tests.conftest import ROOT
from tests.sweep.commands import Done, command, environment, quick

ODD = "-a b=(c,[d]{e})'$f\"#%~é!`x`;&*\\ "
NAMES = [
    ODD,
    *(
        "a b",
        "a=b",
        "a,b",
        "a(b)",
        "[a]",
        "{a}",
        "$HOME",
        "it's",
        'q"q',
        "#x",
        "100%",
        "é",
        "日本",
        "-x",
        "--help",
        "~",
    ),
    *(
        "~x",
        "a\\b",
        "a\\",
        "a\\'b",
        "null",
        "true",
        "1e3",
        "12",
        "a:b",
        "a${b}",
        "x;y",
        "a&b",
        " a",
        "a ",
        "'a'",
        '"a"',
    ),
    *("output=x", "resume=x", "`ls`", "*", "a!b", "a|b", "<a>", "…", "a\nb"),
]
QUICK = ("trainer.max_epochs=2", "trainer.accelerator=cpu", "tracking=disabled", "hydra.launcher.workers=1")
PRINTED = re.compile(r"^\s*(?:try: )?(python -m src\..*)|go on with: (python .*)", re.MULTILINE)

NETS = """
from pathlib import Path
from src.models import TwoLayerNet

class Narrow(TwoLayerNet):
    def __init__(self, input_dim, output_dim, notes=None):
        super().__init__(input_dim=input_dim, hidden_dim=4, output_dim=output_dim)
        if notes is not None:
            assert Path(notes).read_text() == "read"
            Path("notes.txt").write_text("written")
"""

HELP = """
import runpy, sys
for name in ("report", "sync", "resume", "leet", "dashboard", "evaluate", "train"):
    for flag in ("-h", "--help"):
        sys.argv = [f"src.{name}", flag]
        try:
            runpy.run_module(f"src.{name}", run_name="__main__", alter_sys=True)
        except SystemExit as left:
            assert left.code in (0, None), (name, left.code)
        heavy = {"torch", "lightning", "wandb", "polars", "plotly", "optuna", "numpy"} & set(sys.modules)
        assert not heavy, (name, heavy)
"""


def printed(done: Done) -> list[list[str]]:
    """The commands that were printed, as a shell parts them."""
    return [shlex.split(whole or part) for whole, part in PRINTED.findall(done.stdout + done.stderr)]


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_comes_through_the_shell_and_hydra_as_it_is(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    word = written("run", place(tmp_path / name))
    (pasted,) = shlex.split(in_shell(word))
    assert pasted == word
    value = as_hydra_reads(pasted.removeprefix("run="))
    assert tmp_path / os.path.expanduser(value) == tmp_path / name
    assert parse(pasted).key_or_group == "run"
    (alone,) = shlex.split(in_shell(place(tmp_path / name)))
    assert alone[0] != "-"
    assert tmp_path / alone == tmp_path / name


def test_a_run_in_an_odd_folder_that_chdir_trains_prints_what_was_typed(tmp_path: Path) -> None:
    bring(tmp_path)
    typed = ["data=table", "data.path='my rows.csv'", "data.target=price", "model=narrow", "+model.notes=notes.txt"]
    search = "hydra.searchpath=[file://conf]"
    odd = written("hydra.run.dir", ODD)
    done = quick(tmp_path, search, *typed, *QUICK[:3], "seed=1", odd, "hydra.job.chdir=true")
    assert done.returncode == 0, done.stderr
    assert f"\n{ODD}\n" in done.stdout
    evaluate, sweep, _ = printed(done)
    assert evaluate[:3] == ["python", "-m", "src.evaluate"]
    assert parse(evaluate[3]).value() == f"./{ODD}"
    assert sweep[:4] == ["python", "-m", "src.train", "-m"]
    swept = ["hydra.job.chdir=true", *typed, *QUICK[:3], "optimizer.lr=1e-4,1e-3,1e-2", "seed=range(16)"]
    assert sweep[4:] == [search, *swept]
    assert (tmp_path / ODD / "notes.txt").read_text() == "written", "by the net, in the run folder"


def bring(folder: Path) -> None:
    """A table, and a net of the user's own that reads a file and writes one."""
    (folder / "my rows.csv").write_text("size,price\n" + "".join(f"{i},{2 * i + i % 3}\n" for i in range(60)))
    (folder / "notes.txt").write_text("read")
    (folder / "nets.py").write_text(NETS)
    (folder / "conf" / "model").mkdir(parents=True)
    (folder / "conf" / "model" / "narrow.yaml").write_text("_target_: nets.Narrow\n")


EXPERIMENT = """
defaults:
  - base
  - _self_
  - override /hydra/sweeper: optuna
  - override /model: sequential
hydra:
  mode: MULTIRUN
  sweeper: {num_trials: 2, sampler: {n_startup_trials: 1}}
data: {batch_size: 64}
"""


def test_an_experiment_that_asks_for_a_search_is_one_and_its_best_setting_is_trained_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my exp").mkdir()
    (tmp_path / "my exp" / "search.v1.yml").write_text(EXPERIMENT)
    (tmp_path / "my exp" / "base.yaml").write_text("defaults:\n  - override /scheduler: cosine\n")
    odd = written("hydra.sweep.dir", f"out/{ODD}")
    typed = ["experiment='my exp/search.v1'", "optimizer.lr=interval(0.001,0.1)", "optimizer.eps=1e-7", "seed=3"]
    done = quick(tmp_path, *typed, *QUICK, odd)
    assert done.returncode == 0, done.stderr
    assert "2 trials: 2 finished" in done.stdout
    best, again, score = printed(done)
    assert (tmp_path / str(parse(score[3]).value()) / "record.json").is_file()
    monkeypatch.chdir(tmp_path)
    for line in (best, again):
        assert line[:3] == ["python", "-m", "src.train"]
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            config = compose("train", line[3:], return_hydra_config=True)
        choices = config.hydra.runtime.choices
        assert (choices.model, choices.scheduler, config.data.batch_size) == ("sequential", "cosine", 64)
        assert (config.optimizer.eps, str(config.hydra.mode)) == (1e-7, "RunMode.RUN")


def test_help_of_every_command_is_shown_without_what_is_slow_to_import() -> None:
    done = subprocess.run([sys.executable, "-c", HELP], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    for name in ("report", "sync", "resume", "leet", "dashboard"):
        assert done.stdout.count(f"usage: python -m src.{name} ") == 2
        assert f"such as: python -m src.{name} " in done.stdout


@pytest.mark.soak
@pytest.mark.parametrize("name", [ODD, "-x", "~x", "output=x", "true", "日本 語", "it's \\"])
def test_every_printed_command_runs_where_it_was_printed(tmp_path: Path, name: str) -> None:
    bring(tmp_path)
    (tmp_path / "asks.yaml").write_text("hydra:\n  mode: MULTIRUN\n")
    typed = ["hydra.searchpath=[file://conf]", "model=narrow", "data=table", "data.path='my rows.csv'"]
    typed += ["data.target=price", *QUICK]
    trial = written("hydra.run.dir", name)
    sweep = written("hydra.sweep.dir", f"{name}/sweeps")
    search = ["hydra/sweeper=optuna", "hydra.sweeper.num_trials=2", "optimizer.lr=interval(0.001,0.1)"]
    first = [
        ("src.train", *typed, trial),
        ("src.train", *typed, trial),  # it is there already
        ("src.train", *typed, "experiment=asks.yaml", *search, sweep),
        ("src.train", f"resume={name}/sweeps"),
        ("src.resume", place(Path(name))),
        ("src.report", f"./{name}/sweep"),
    ]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    seen: set[str] = set()
    for module, *words in first:
        done = command(tmp_path, *words, module=module)
        for line in printed(done):
            text = in_shell(*line).replace("seed='range(16)'", "seed=0")
            if text in seen:
                continue
            seen.add(text)
            pasted = subprocess.run(
                ["bash", "-c", text],
                cwd=tmp_path,
                env=environment(tmp_path) | {"PATH": path},
                capture_output=True,
                text=True,
            )
            assert pasted.returncode == 0, (text, pasted.stderr)
    assert len(seen) >= 8
