"""`experiment=`: a YAML file by any path is taken as one of `conf/` is."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from src.errors import ConfigError
from src.experiments import EXPERIMENTS, from_anywhere, no_experiment
from src.overrides import written
from src.sweep.outcome import _as_experiment
from tests.conftest import ROOT

SETTINGS = """
defaults:
  - base
  - _self_
  - override /optimizer: sgd
  - override /hydra/sweeper: optuna
  - override /hydra/sweeper/sampler: gp
  - override /hydra/launcher: basic
seed: 3
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that the user stands in, with settings in files of many names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("here.yaml", "a/x.v1.yml", "a b/X (1), [2]=3.YAML", "slug/config.yaml", "by_hand.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(SETTINGS)
        (tmp_path / name).with_name("base.yaml").write_text("defaults:\n  - override /model: sequential\n")
    (tmp_path / "wrong.yaml").write_text("- a list\n")
    (tmp_path / "search.yaml").write_text("hydra: {searchpath: ['file://conf']}\n")
    return tmp_path


def chosen(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("train", list(overrides), return_hydra_config=True)


@pytest.mark.parametrize(
    "path",
    [
        "here",
        "here.yaml",
        "./here",
        "a/x.v1",
        "a/x.v1.yml",
        "a b/X (1), [2]=3.YAML",
        "slug",
        "slug/",
        "~/here",
        "$/here",
    ],
)
def test_a_file_by_any_path_has_the_effect_of_one_in_conf(path: str, folder: Path) -> None:
    config = chosen(written("experiment", path.replace("$", str(folder))))
    choices = config.hydra.runtime.choices
    assert (choices.optimizer, choices.model, config.seed) == ("sgd", "sequential", 3)
    assert (choices["hydra/sweeper"], choices["hydra/sweeper/sampler"]) == ("optuna", "gp")
    assert choices["hydra/launcher"] == "basic"
    typed = chosen(written("experiment", path.replace("$", str(folder))), "optimizer=adam", "hydra/launcher=local")
    assert (typed.hydra.runtime.choices.optimizer, typed.hydra.runtime.choices["hydra/launcher"]) == ("adam", "local")


def test_a_name_is_an_experiment_of_the_repository_and_a_path_is_a_file(folder: Path) -> None:
    assert chosen("experiment=by_hand").seed == 0
    assert chosen("experiment=by_hand.yaml").seed == 3
    assert chosen("experiment=./by_hand").seed == 3
    assert chosen(f"experiment={EXPERIMENTS}/by_hand").trainer == chosen("experiment=by_hand").trainer
    assert chosen().hydra.runtime.choices["hydra/sweeper"] == "grid"


@pytest.mark.parametrize(
    ("typed", "law", "remedy"),
    [
        ("by_hnad", "by_hand, ", "experiment=by_hand"),
        ("a/x.v2", "there is no a/x.v2.yaml", "experiment=a/x.v1.yml"),
        ("./slgu", "there is no ./slgu.yaml", "experiment=slug"),
        ("nowhere/at/all", "there is no nowhere/at/all.yaml", "ls ."),
    ],
)
def test_a_file_that_is_not_there_is_told_with_the_nearest(typed: str, law: str, remedy: str, folder: Path) -> None:
    told = str(no_experiment(typed, ["by_hand", "search"])).splitlines()
    assert law in told[0] + told[1]
    assert told[2] == f"  try: {remedy}"


@pytest.mark.parametrize(
    ("name", "law"), [("wrong.yaml", "a file of settings"), ("search.yaml", "searchpath is typed")]
)
def test_a_file_that_cannot_be_an_experiment_says_why(name: str, law: str, folder: Path) -> None:
    with pytest.raises(ConfigError, match=law):
        chosen(f"experiment={name}")


def test_best_yaml_keeps_the_experiments_and_the_groups_that_it_was_made_of(folder: Path) -> None:
    overrides = ["experiment=a/x.v1", "+optimizer.foreach=false", "~scheduler", "optimizer.lr=0.5"]
    (folder / "out").mkdir()
    (folder / "out" / "best.yaml").write_text(_as_experiment(overrides, "", is_one_run=True, looked_in=[]))
    config = chosen("experiment=out/best")
    assert (config.optimizer.lr, config.optimizer.foreach, config.seed) == (0.5, False, 3)
    assert "scheduler" not in config
    assert str(config.hydra.mode) == "RunMode.RUN"


def test_a_file_that_was_named_without_a_path_is_found_from_elsewhere_too(folder: Path) -> None:
    (folder / "mine.yaml").write_text("seed: 5\n")
    (folder / "by_hand.yaml").write_text("seed: 6\n")
    (folder / "groups" / "experiment").mkdir(parents=True)
    (folder / "groups" / "experiment" / "shared.yaml").touch()
    (folder / "shared.yaml").write_text("seed: 7\n")
    groups = [Path("groups")]
    assert from_anywhere("mine", groups, folder) == str(folder / "mine.yaml")
    assert [from_anywhere(name, groups, folder) for name in ("by_hand", "shared", "no")] == ["by_hand", "shared", "no"]


def test_a_folder_that_is_called_like_a_file_is_not_what_was_meant(folder: Path) -> None:
    (folder / "odd.yaml").mkdir()
    assert "odd.yaml" not in str(no_experiment("./odd.yaml", [])).splitlines()[-1]
