"""A run that was killed goes on and ends as one that was never stopped."""

import os
import random
import signal
import sys
from collections import defaultdict
from datetime import timedelta
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from rich.console import Console
from torch import Tensor

from src import journal, run
from src.check import check
from src.errors import ConfigError, Interrupted
from src.module import Regressor
from src.progress import Progress
from src.readable import ReadableCheckpoints
from src.record import read, read_history, write
from tests.conftest import SMALL, composed, fresh, write_hydra_folder
from tests.test_run import trained

STEPS = 60
OVERRIDES = (*SMALL, "trainer.max_epochs=6", "checkpoint.interval_seconds=0", "scheduler=cosine", "optimizer=adamw")


def train(folder: Path, signum: int = 0, at_step: int = -1, overrides: tuple[str, ...] = OVERRIDES) -> None:
    """Trains in `folder`, or goes on with what is there; sends itself a signal after a step, or at its end."""
    os.environ.pop("WANDB_SERVICE", None)  # a process of its own talks to no other's W&B service
    original = journal.Journal.on_train_batch_end

    def stopped(self: journal.Journal, trainer: object, *rest: object) -> None:
        if self._steps + 1 == at_step:
            os.kill(os.getpid(), signum)
        original(self, trainer, *rest)  # type: ignore[arg-type]

    journal.Journal.on_train_batch_end = stopped  # type: ignore[method-assign,assignment]
    if at_step < -1:  # once the training is over and before that is on record
        run._test = lambda *_: os.kill(os.getpid(), signum)  # type: ignore[assignment]
    try:
        if (folder / "record.json").is_file():
            run.resume(folder)
        else:
            config = composed(*overrides)
            write_hydra_folder(folder, config)
            run.fit(check(config), folder, config, list(overrides))
    except Interrupted as stop:  # as the command line does
        raise SystemExit(128 + stop.signum) from None


def in_a_process_of_its_own(*arguments: object) -> int | None:
    process = fresh.Process(target=train, args=arguments)
    process.start()
    process.join(120)
    return process.exitcode


def last_weights(folder: Path) -> dict[str, Tensor]:
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


def assert_same_run(one: Path, other: Path) -> None:
    expected, actual = last_weights(one), last_weights(other)
    assert all(torch.equal(expected[name], actual[name]) for name in expected)
    assert read_history(one) == read_history(other)
    assert read(one).metrics == read(other).metrics
    assert read(other).status == "finished"


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted") / "run"
    assert in_a_process_of_its_own(folder) == 0
    return folder


@pytest.mark.parametrize("kills", [4, pytest.param(20, marks=pytest.mark.soak)])
def test_run_killed_at_random_steps_ends_as_one_never_stopped(uninterrupted: Path, tmp_path: Path, kills: int) -> None:
    steps = random.Random(kills).sample(range(2, STEPS), kills)
    for number, step in enumerate(steps):
        folder = tmp_path / str(number)
        assert in_a_process_of_its_own(folder, signal.SIGKILL, step) == -signal.SIGKILL
        assert read(folder).status == "running"
        assert in_a_process_of_its_own(folder) == 0
        assert_same_run(uninterrupted, folder)


@pytest.mark.parametrize(
    ("signum", "step"),
    [
        (signal.SIGTERM, 1), (signal.SIGINT, 13), (signal.SIGUSR1, 13), (signal.SIGHUP, 20), (signal.SIGTERM, 20),
        (signal.SIGUSR2, 59), (signal.SIGINT, 60), (signal.SIGTERM, 60),
    ],
)  # fmt: skip
def test_signal_saves_a_checkpoint_at_the_very_step(
    uninterrupted: Path, tmp_path: Path, signum: int, step: int
) -> None:
    folder = tmp_path / "run"
    assert in_a_process_of_its_own(folder, signum, step) == 128 + signum
    checkpoint = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == step
    assert in_a_process_of_its_own(folder) == 0
    assert_same_run(uninterrupted, folder)


def test_signal_between_accumulated_batches_loses_no_gradient(tmp_path: Path) -> None:
    overrides = (*OVERRIDES, "trainer.accumulate_grad_batches=2")
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert in_a_process_of_its_own(whole, 0, -1, overrides) == 0
    assert in_a_process_of_its_own(stopped, signal.SIGTERM, 15, overrides) == 128 + signal.SIGTERM
    assert in_a_process_of_its_own(stopped) == 0
    assert_same_run(whole, stopped)


def test_run_killed_in_a_long_epoch_goes_on_from_its_middle(uninterrupted: Path, tmp_path: Path) -> None:
    folder, often = tmp_path / "run", (*OVERRIDES, "checkpoint.interval_seconds=1e-4")
    assert in_a_process_of_its_own(folder, signal.SIGKILL, 17, often) == -signal.SIGKILL
    checkpoint = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 16, "10 batches an epoch"
    assert in_a_process_of_its_own(folder) == 0
    assert_same_run(uninterrupted, folder)


def test_signal_while_the_last_checkpoint_is_written_stops_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = journal.Journal._save

    def save(self: journal.Journal, trainer: L.Trainer) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        original(self, trainer)

    monkeypatch.setattr(journal.Journal, "_save", save)
    with pytest.raises(Interrupted):
        trained(tmp_path, "checkpoint.interval_seconds=1e6")
    assert read(tmp_path).status == "running"
    monkeypatch.undo()
    assert run.resume(tmp_path).status == "finished"


def test_run_does_not_go_on_with_other_data(tmp_path: Path) -> None:
    table, rows = tmp_path / "houses.csv", "".join(f"{i},{2 * i}\n" for i in range(100))
    table.write_text(f"size,price\n{rows}")
    overrides = (*OVERRIDES, "data=table", f"data.path={table}", "data.target=price")
    assert in_a_process_of_its_own(tmp_path / "run", signal.SIGTERM, 5, overrides) == 128 + signal.SIGTERM
    table.write_text(f"size,price\n{rows}100,200\n")
    with pytest.raises(ConfigError, match=r"houses.csv has changed"):
        run.resume(tmp_path / "run")
    table.write_text(f"size,price\n{rows}")
    assert run.resume(tmp_path / "run").status == "finished"


def test_run_does_not_go_on_with_another_config(tmp_path: Path) -> None:
    record = trained(tmp_path)
    path = tmp_path / ".hydra" / "config.yaml"
    path.write_text(path.read_text().replace("lr: 0.001", "lr: 0.002"))
    with pytest.raises(ConfigError, match=rf"config was changed\n  got: record.json says {record.key}, .* gives "):
        run.resume(tmp_path)


class Kind(Enum):
    ONE = 1


@pytest.mark.parametrize(
    "value",
    [
        np.float64(1),
        np.arange(2),
        Path("a"),
        Kind.ONE,
        defaultdict(int),
        partial(int, 1),
        lambda: 1,
        OmegaConf.create([1]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_checkpoint_that_would_not_load_is_refused_by_its_key(tmp_path: Path, value: object) -> None:
    plain: dict[Any, Any] = {
        "a": [1, 2.0, None, True, "b", b"c", (1, {"d": torch.ones(2)})],
        "size": torch.Size([1]),
        3: {4, 5},
    }
    checkpoint = plain | {"mine": {"more": [0, (1, {"bad": value})]}}
    law = r"a checkpoint holds .*; not so its mine\.more\[1\]\[1\]\.bad"
    with pytest.raises(ConfigError, match=law):
        ReadableCheckpoints().save_checkpoint(checkpoint, tmp_path / "a.ckpt")
    ReadableCheckpoints().save_checkpoint(plain, tmp_path / "b.ckpt")
    assert torch.load(tmp_path / "b.ckpt", weights_only=True).keys() == plain.keys()


def test_a_checkpoint_that_is_cut_off_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut_off(self: L.Trainer, path: Path, **_: object) -> None:
        path.write_bytes(b"half of it")
        raise RuntimeError("killed")

    path = tmp_path / "last.ckpt"
    path.write_bytes(b"the one before")
    monkeypatch.setattr(L.Trainer, "save_checkpoint", cut_off)
    with pytest.raises(RuntimeError, match="killed"):
        journal.write_checkpoint(L.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False), path)
    assert path.read_bytes() == b"the one before"


def test_stacks_that_share_a_folder_save_at_the_same_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = tmp_path / "1.ckpt", tmp_path / "2.ckpt"
    trainer = L.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False)

    def save(self: L.Trainer, path: Path, **_: object) -> None:
        path.write_text("the first" if path.stem == one.stem else "the second")
        if path.stem == one.stem:
            journal.write_checkpoint(trainer, other)

    monkeypatch.setattr(L.Trainer, "save_checkpoint", save)
    journal.write_checkpoint(trainer, one)
    assert (one.read_text(), other.read_text()) == ("the first", "the second")


def test_run_that_goes_on_a_day_later_says_when_it_first_started_and_when_it_ended(tmp_path: Path) -> None:
    record = trained(tmp_path)
    assert record.span
    yesterday = (record.span[0] - timedelta(days=1)).isoformat()
    record.status, record.error, record.timing["started"] = "running", "Interrupted", yesterday
    write(tmp_path, record)
    span = run.resume(tmp_path).span
    assert span
    assert timedelta(days=1) < span[1] - span[0] < timedelta(days=1, hours=1)


def test_run_that_fails_says_when(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Regressor, "training_step", fail)
    with pytest.raises(RuntimeError, match="no"):
        trained(tmp_path)
    assert read(tmp_path).timing.keys() == {"started", "ended"}


def fail(*_: object) -> None:
    raise RuntimeError("no")


def test_a_training_that_fails_leaves_signals_and_screen_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGINT)]
    closed: list[object] = []
    monkeypatch.setattr(Progress, "close", lambda self: closed.append(self))
    monkeypatch.setattr(Regressor, "training_step", fail)
    with pytest.raises(RuntimeError, match="no"):
        trained(tmp_path)
    assert [signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGINT)] == before
    assert len(closed) == 1


def test_a_signal_before_a_training_fails_stops_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop_and_fail(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        raise RuntimeError("no")

    monkeypatch.setattr(Regressor, "training_step", stop_and_fail)
    with pytest.raises(Interrupted):
        trained(tmp_path)
    assert read(tmp_path).status == "running"


def test_signal_at_the_last_step_of_all_loses_no_epoch(tmp_path: Path) -> None:
    overrides = (*OVERRIDES, "trainer.max_steps=15")
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert in_a_process_of_its_own(whole, 0, -1, overrides) == 0
    assert in_a_process_of_its_own(stopped, signal.SIGTERM, 15, overrides) == 128 + signal.SIGTERM
    assert in_a_process_of_its_own(stopped) == 0
    assert len(read_history(whole)) == 2, "10 batches an epoch"
    assert_same_run(whole, stopped)


def test_a_run_that_prints_nothing_leaves_stdout_alone() -> None:
    before = sys.stdout
    progress = Progress("val/loss", 1, Console(quiet=True, force_terminal=True))
    assert sys.stdout is before
    progress.close()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_run_stopped_early_trains_no_epoch_more(tmp_path: Path, signum: int) -> None:
    overrides = (*OVERRIDES, "early_stopping.patience=1", "early_stopping.min_delta=9")
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert in_a_process_of_its_own(whole, 0, -1, overrides) == 0
    assert len(read_history(whole)) == 2, "the second epoch is no better by 9"
    step = 20 if signum == signal.SIGTERM else -20
    assert in_a_process_of_its_own(stopped, signum, step, overrides) in (128 + signum, -signum)
    assert read(stopped).status == "running"
    assert in_a_process_of_its_own(stopped) == 0
    assert_same_run(whole, stopped)
