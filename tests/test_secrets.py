"""Twelve secrets in twelve places: none of them is in anything that is printed or written."""

import os
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from src import secrecy
from src.errors import ConfigError
from src.record import read
from tests.sweep.commands import Done, quick

MARK = "-".join(["hunter", "2"])  # not in this file as it is: a diff of the code is in the record
FROM_A_VARIABLE = "tracking.name=${oc.env:S1}"
FILE = """# @package _global_
tracking: {tags: [a, "${oc.decode:${oc.env:S2}}"]}
hydra: {job: {env_set: {S7: seven-MARK}}}
"""
TYPED = (f"+hydra.job.env_set.S3=three-{MARK}", f"+hydra.job.env_set={{S4:four-{MARK},S5:'five-{MARK}'}}")
OWN = """
import os
from lightning.pytorch import Callback

class Note(Callback):
    def __init__(self, text: str) -> None:
        assert text == os.environ["S6"] and os.environ["S3"] == "three-MARK" and os.environ["S7"] == "seven-MARK"

    def on_train_end(self, trainer, module) -> None:
        if os.environ.get("FAILS"):
            raise ValueError("no access with " + os.environ["MY_TOKEN"])
"""
CALLBACK = "+callbacks.note={_target_:own.Note,text:${oc.env:S6}}"
SMALL = ("trainer.max_epochs=1", "trainer.accelerator=cpu", "hydra.launcher.workers=1")


def secrets() -> None:
    """The environment that the commands have."""
    os.environ |= {"S1": f"one-{MARK}", "S2": f"two-{MARK}", "S6": f"six-{MARK}"}
    os.environ |= {"WANDB_API_KEY": f"eight-{MARK}", "MY_TOKEN": f"nine-{MARK}"}


def failing() -> None:
    secrets()
    os.environ["FAILS"] = "1"


def assert_hidden(folder: Path, done: Done) -> None:
    (folder / "own.py").unlink()
    (folder / "seven.yaml").unlink()
    found = [path for path in folder.rglob("*") if path.is_file() and MARK.encode() in path.read_bytes()]
    assert not found
    assert MARK not in done.stdout + done.stderr
    assert any(path.suffix == ".wandb" for path in folder.rglob("*"))


def bring(folder: Path) -> None:
    (folder / "own.py").write_text(OWN.replace("MARK", MARK))
    (folder / "seven.yaml").write_text(FILE.replace("MARK", MARK))


def test_run_keeps_no_value_of_a_variable(tmp_path: Path) -> None:
    bring(tmp_path)
    words = (*SMALL, FROM_A_VARIABLE, *TYPED, CALLBACK, "experiment=seven", "hydra.run.dir=run")
    done = quick(tmp_path, *words, first=secrets)
    assert done.returncode == 0, done.stderr
    assert_hidden(tmp_path, done)
    record = read(tmp_path / "run")
    assert FROM_A_VARIABLE in record.overrides
    assert "+hydra.job.env_set.S3=${oc.env:S3}" in record.provenance["command"]


def test_sweep_keeps_no_value_of_a_variable_and_a_failure_tells_none(tmp_path: Path) -> None:
    bring(tmp_path)
    words = ("-m", *SMALL, FROM_A_VARIABLE, *TYPED, CALLBACK, "experiment=seven", "seed=0,1", "sweep.name=s")
    done = quick(tmp_path, *words, first=failing)
    assert done.returncode == 1, done.stderr
    folder = next((tmp_path / "outputs/sweeps/s").glob("*/record.json")).parent
    assert "no access with ${oc.env:MY_TOKEN}" in str(read(folder).error)
    config = OmegaConf.to_container(OmegaConf.load(folder / ".hydra" / "config.yaml"))
    assert config["tracking"]["tags"] == ["a", "${oc.decode:${oc.env:S2}}"]  # type: ignore[index,call-overload]
    assert_hidden(tmp_path, done)


WRONG = {
    "data.path=postgresql://me:hunter2@host/db",
    "data.path=s3://key:hunter2/@bucket/x.csv",
    "data.path=https://hunter2@host/x.csv",
    "+model.password=hunter2",
    "+data.url=http://host/?token=hunter2",
    "tracking.name=ten-hunter2",
    "optimizer.lr=ghp_hunter2hunter2hunter2",
}  # fmt: skip


def test_secret_that_is_typed_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEN_SECRET", "ten-hunter2")
    secrecy._variables.cache_clear()
    for word in WRONG:
        law = secrecy.check_no_secret(["-m", word])
        assert law is not None, word
        assert "hunter2" not in str(ConfigError(*law))
        assert "${oc.env:" in law[2]
        assert "hunter2" not in str(ConfigError("a law", f"python -m src.train -m {word} seed=0", word))
    for word in (
        "model.max_token=5",
        "data.path=/a:b@c",
        "+model.tokenizer=x",
        "optimizer.lr=0.1",
        "tracking.name=a@b",
    ):
        assert secrecy.check_no_secret([word]) is None, word
    secrecy._variables.cache_clear()


def test_error_shows_no_value_of_a_variable_and_nothing_that_a_terminal_obeys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATE", "eleven-hunter2")
    secrecy.register()
    rate = OmegaConf.create({"lr": "${oc.env:RATE}"}).lr
    assert "hunter2" not in str(ConfigError("optimizer.lr must be a number", rate))
    assert "\x1b" not in str(ConfigError("there is no such folder", "\x1b]0;twelve\x07"))
    secrecy._taken.clear()
