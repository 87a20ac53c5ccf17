"""A folder that somebody sent is data: nothing of it is executed, and it is refused in four lines."""

import json
import os
import zipfile
from collections.abc import Callable
from functools import cache
from io import StringIO
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from src import own
from src.bounded import check_checkpoint, check_links, parse_yaml, read_json
from src.errors import ConfigError
from src.folder_laws import check_name
from src.places import check_place
from src.record import Record, read, read_config, write
from src.resume import _sweep
from src.summary import next_steps
from src.sweep_words import signed_command
from src.trust import check_trusted, sign_config
from tests.conftest import composed, write_hydra_folder

Shell = Callable[..., CompletedProcess[str]]
EVIL = "from pathlib import Path\nPath(r'{marker}').touch()\n\nclass Net:\n    pass\n"
AGAIN = ["python", "-m", "src.evaluate", "run=sent"]
TO_MARKER: dict[str, tuple[str, Any]] = {
    "a function of torch": ("model._target_", "torch.load"),
    "a function deep in torch": ("loss._target_", "torch.utils.cpp_extension.load"),
    "a library": ("data._target_", "joblib.load"),
    "a builtin": ("loss._target_", "builtins.eval"),
    "a way round": ("optimizer._target_", "hydra.utils.call"),
    "a function of ours": ("model._target_", "src.record.replace_file"),
    "a module beside the records": ("model._target_", "sent.evil.Net"),
    "a nested one": ("model", {"_target_": "torch.nn.Sequential", "_args_": [{"_target_": "os.system"}]}),
    "a nested partial": ("callbacks", {"a": {"b": [[{"_partial_": True, "_target_": "functools.partial"}]]}}),
    "a callback that writes elsewhere": (
        "callbacks",
        {"a": {"_target_": "lightning.pytorch.callbacks.ModelCheckpoint", "dirpath": "/"}},
    ),
    "an environment variable": ("tracking.name", "${oc.env:HOME}"),
    "a resolver in a resolver": ("tracking.name", "${oc.decode:${tracking.project}}"),
    "a name put together": ("model._target_", "${tracking.project}"),
}


@cache
def default() -> DictConfig:
    return composed()


@pytest.fixture
def sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run folder as it is in somebody's archive, with a module that leaves a marker when it is imported."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = tmp_path / "sent"
    write_hydra_folder(folder, default())
    for name in ("evil", "yaml"):
        (folder / f"{name}.py").write_text(EVIL.format(marker=tmp_path / "marker"))
    with zipfile.ZipFile(folder / "best.ckpt", "w") as file:
        file.writestr("data.pkl", "")
    write(folder, Record("key", [], "finished", checkpoint="best.ckpt"))
    return folder


def set_in(folder: Path, key: str, value: Any) -> None:
    config = OmegaConf.load(folder / ".hydra" / "config.yaml")
    OmegaConf.update(config, key, value, merge=False)
    OmegaConf.save(config, folder / ".hydra" / "config.yaml")


@pytest.mark.parametrize("what", TO_MARKER)
def test_config_of_a_stranger_names_nothing_that_could_run_code(what: str, sent: Path) -> None:
    set_in(sent, *TO_MARKER[what])
    with pytest.raises(ConfigError) as refused:
        check_trusted(sent, [], AGAIN)
    lines = str(refused.value).splitlines()
    assert len(lines) == 3
    assert "trust=" in lines[2]
    assert not (sent.parent / "marker").exists()


def test_config_of_ours_is_trusted_and_a_foreign_class_once_it_is_named_or_was_trained_with(sent: Path) -> None:
    check_trusted(sent, [], AGAIN)
    set_in(sent, "optimizer._target_", "torch.optim.NAdam")
    set_in(sent, "model._target_", "my_nets.Net")
    with pytest.raises(ConfigError, match=r"trust=my_nets\.Net"):
        check_trusted(sent, ["my_net"], AGAIN)
    check_trusted(sent, ["my_nets"], AGAIN)
    sign_config(sent, OmegaConf.to_container(read_config(sent)))
    check_trusted(sent, [], AGAIN)
    set_in(sent, "loss._target_", "joblib.load")  # the signature is of what was there
    with pytest.raises(ConfigError, match=r"my_nets|joblib"):
        check_trusted(sent, [], AGAIN)


def test_signature_of_another_user_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    mine = own.sign("text")
    assert own.is_signed("text", mine)
    assert not own.is_signed("text.", mine)
    assert ((tmp_path / "me/.config/tandem/key").stat().st_mode & 0o77) == 0
    monkeypatch.setenv("HOME", str(tmp_path / "you"))
    assert not own.is_signed("text", mine)
    assert own.sign("text") != mine


WORDS = {
    "hydra.searchpath=[file:///tmp]", "hydra.searchpath=[pkg://evil]", "--config-dir=/tmp", "--experimental-rerun=x",
    "model._target_=torch.load,torch.nn.ReLU", "+callbacks.a={_target_:joblib.load}", "hydra.job.chdir=true",
    "hydra.callbacks.x._target_=os.system", "hydra.sweeper.sampler._target_=joblib.load", "model=../../evil",
    "experiment=sent/best", "hydra.job.env_set.PYTHONSTARTUP=x", "tracking.name=${oc.env:HOME}", "resume=sent",
    "hydra.run.dir=/tmp", "+model.x=choice(1,${oc.env:HOME})", "hydra/launcher=basic", "trust=evil", "no setting",
}  # fmt: skip


def test_command_of_a_stranger_does_no_more_than_train_and_moves_nobody(sent: Path) -> None:
    def left(argv: list[str], **more: str) -> None:
        values = {"argv": argv, "cwd": str(sent), "keys": [], "provenance": {"git": None}} | more
        (sent / "sweep.json").write_text(json.dumps(values))

    left(["-m", "seed=range(4)", "optimizer.lr=1e-3,1e-2", "model=sequential", "hydra/sweeper=optuna"])
    assert _sweep(["sent"])[2] == Path.cwd()
    for word in WORDS:
        left(["-m", "seed=0,1", word])
        with pytest.raises(ConfigError) as refused:
            _sweep(["sent"])
        assert "cd " in str(refused.value), word
        assert len(str(refused.value).splitlines()) == 3
        argv = ["-m", "seed=0,1", word]
        left(argv, own=signed_command(argv, str(sent)))
        assert _sweep(["sent"])[1:] == (argv, sent)


def test_files_of_a_stranger_are_bounded(sent: Path) -> None:
    laughs = "\n".join(["a0: &a0 [x, x]", *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12))])
    for text in (laughs, "a: &a [*a]", "[" * 1_000_000):
        with pytest.raises(ValueError, match=r"unfold|nests"):
            parse_yaml(text.encode())
    (sent / ".hydra" / "config.yaml").write_text(laughs)
    with pytest.raises(ConfigError, match="unfold"):
        read_config(sent)
    (sent / "record.json").write_text("[" * 100_000)
    with pytest.raises(ConfigError):
        read(sent)
    (sent / "record.json").unlink()
    os.mkfifo(sent / "record.json")
    with pytest.raises(ValueError, match="plain file"):
        read_json(sent / "record.json")


def test_links_and_checkpoints_that_lead_out_and_packed_ones_are_refused(sent: Path) -> None:
    with zipfile.ZipFile(sent / "bomb.ckpt", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("data.pkl", b"0" * 1_000_000)
    for name, law in (("../x.ckpt", "lie in it"), ("/etc/passwd", "lie in it"), ("bomb.ckpt", "packed")):
        with pytest.raises(ConfigError, match=law):
            check_checkpoint(sent, name)
    (sent / "inside").symlink_to(sent / "evil.py")
    (sent / "wandb" / "logs").mkdir(parents=True)
    (sent / "wandb" / "logs" / "debug.log").symlink_to("/where/the/folder/was/before")
    check_links(sent)
    (sent / "checkpoints").symlink_to(sent.parent)
    with pytest.raises(ConfigError, match="leads out"):
        check_links(sent)


def test_command_in_a_folder_that_was_sent_imports_nothing_of_it(sent: Path, shell: Shell) -> None:
    set_in(sent, "model._target_", "evil.Net")
    sweep = {"argv": ["-m", "model._target_=evil.Net"], "cwd": ".", "keys": [], "provenance": {"git": None}}
    (sent / "sweep.json").write_text(json.dumps(sweep))
    for module, word in (("src.evaluate", f"run={sent}"), ("src.train", f"resume={sent}"), ("src.resume", str(sent))):
        done = shell(module, word, cwd=sent)
        assert done.returncode == 2, done.stderr
        assert len(done.stderr.splitlines()) <= 4
        assert "evil.Net" in done.stderr
    assert not (sent.parent / "marker").exists()


NAMES = (
    "..",
    ".",
    "../../x",
    "/tmp/x",
    "~",
    "~/x",
    "a/b",
    "a\\b",
    "x" * 256,
    "é" * 120,
    "",
    " ",
    "a\nb",
    "\x1b[31m",
    "a ",
)


def test_name_of_a_sweep_stays_inside_and_no_folder_is_of_both_kinds(sent: Path, tmp_path: Path) -> None:
    for name in NAMES:
        with pytest.raises(ConfigError, match="one folder's name") as refused:
            check_name(name)
        check_name(str(refused.value).rpartition("sweep.name=")[2])
    for fine in ("mine", "lr 1e-3", "2026.11", "größe", None):
        check_name(fine)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "sweep.json").write_text("{}")
    for key, folder, file in (("run", "other", "sweep.json"), ("sweep", "sent", "record.json")):
        with pytest.raises(ConfigError, match="is the folder of a"):
            check_place(f"hydra.{key}.dir", tmp_path / folder, file)


def test_command_refuses_such_names_at_once_and_says_where_a_link_leads(
    sent: Path, tmp_path: Path, shell: Shell
) -> None:
    for words in (("sweep.name=..", "seed=0,1"), ("hydra.sweep.dir=sent", "seed=0,1")):
        done = shell("src.train", "-m", *words)
        assert done.returncode == 2, done.stderr
        assert 1 <= len(done.stderr.splitlines()) <= 4
    assert not (tmp_path / "outputs").exists()
    assert not (sent / "multirun.yaml").exists()
    (tmp_path / "link").symlink_to(sent)
    console = Console(file=StringIO())
    next_steps(Path("link"), [], console)
    assert f"which is {sent}" in console.file.getvalue()  # type: ignore[attr-defined]
