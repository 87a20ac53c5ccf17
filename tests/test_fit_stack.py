"""A stacked trial ends as the same run alone: weights, history, record, checkpoints, W&B run."""

import copy
import gc
import math
import os
import signal
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from omegaconf import OmegaConf
from rich.console import Console
from torch import Tensor, nn

from src import fit_stack as stacks
from src import journal
from src.check import check
from src.errors import Interrupted
from src.fit_stack import Trial, fit_stack, room
from src.naming import key
from src.progress import SweepProgress
from src.record import Record, now, read, read_config, read_history, write
from src.run import fit
from src.scoring import predict, score
from src.tracking import NullTracker
from tests.conftest import composed, fresh, write_hydra_folder
from tests.test_tracking import entries, history, wandb_runs

DATA = ("data=synthetic", "data.num_rows=200", "data.input_dim=5", "data.output_dim=1", "data.teacher_dim=4")
BASE = (*DATA, "data.batch_size=8", "model.hidden_dim=8", "tracking=disabled", "trainer.accelerator=cpu")  # 18 steps
SHORT = (*BASE, "trainer.max_epochs=8", "trainer.precision=64")
LONG = (*BASE, "data.batch_size=4", "trainer.max_epochs=29", "trainer.precision=64")  # 1,015 steps
ADAM = (
    ("seed=1", "optimizer.lr=0.003", "optimizer.betas=[0.9,0.999]", "optimizer.eps=1e-8", "optimizer.weight_decay=0.0"),
    ("seed=2", "optimizer.lr=0.01", "optimizer.betas=[0.8,0.99]", "optimizer.eps=1e-5", "optimizer.weight_decay=0.1"),
    ("seed=3", "optimizer.lr=0.005", "optimizer.betas=[0.5,0.95]", "optimizer.eps=1e-3", "optimizer.weight_decay=0.01"),
)
SGD = (
    ("seed=1", "optimizer.lr=0.003", "optimizer.momentum=0.9", "optimizer.weight_decay=0.0"),
    ("seed=2", "optimizer.lr=0.01", "optimizer.momentum=0.5", "optimizer.weight_decay=0.1"),
    ("seed=3", "optimizer.lr=0.03", "optimizer.momentum=0.1", "optimizer.weight_decay=0.01"),
)
EACH = {"adam": ADAM, "adamw": ADAM, "sgd": SGD}
OURS = "model._target_=tests.test_fit_stack."


class ThreeLayerNet(nn.Module):
    """A user's own net."""

    def __init__(self, input_dim: int, hidden_dim: int, output_dim: int) -> None:
        super().__init__()
        self.into, self.between = nn.Linear(input_dim, hidden_dim), nn.Linear(hidden_dim, hidden_dim)
        self.out = nn.Linear(hidden_dim, output_dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.tanh(self.between(torch.relu(self.into(x)))))


class OddNet(ThreeLayerNet):
    """What else a module may hold: random buffers, saved or not, frozen weights, tied weights."""

    def __init__(self, input_dim: int, hidden_dim: int, output_dim: int) -> None:
        super().__init__(input_dim, hidden_dim, output_dim)
        self.register_buffer("frequencies", torch.randn(input_dim, input_dim))
        self.register_buffer("phases", torch.full((input_dim,), 0.25), persistent=False)
        self.again = nn.Linear(hidden_dim, hidden_dim)
        self.again.weight = self.between.weight
        self.into.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        waves = torch.cos(x @ cast(Tensor, self.frequencies) + cast(Tensor, self.phases))
        return self.out(self.again(self.between(self.into(waves)).clamp(min=0)))


class DropoutNet(ThreeLayerNet):
    def forward(self, x: Tensor) -> Tensor:
        return self.out(nn.functional.dropout(self.between(torch.relu(self.into(x))), 0.5, self.training))


class Weighted(nn.MSELoss):
    """A user's own loss, with a weight for each target that may be trained."""

    def __init__(self, reduction: str, is_trained: bool = False) -> None:
        super().__init__(reduction=reduction)
        weight = torch.tensor([1.5, 0.3, 0.9])
        self.pos_weight = nn.Parameter(weight) if is_trained else nn.Buffer(weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        weight = self.pos_weight
        return super().forward(input * weight, target * weight) + (1 - weight.square()).square().sum()


class Nested(nn.Module):
    """A user's own net that is given a part of itself."""

    def __init__(self, input_dim: int, hidden_dim: int, output_dim: int, part: nn.Module) -> None:
        super().__init__()
        self.into, self.part, self.out = nn.Linear(input_dim, 3), part, nn.Linear(3, output_dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.relu(self.part(self.into(x))))


compose_once = cache(composed)


def trials_in(folder: Path, base: Sequence[str], each: Sequence[Sequence[str]]) -> list[Trial]:
    trials = []
    for overrides in each:
        config = copy.deepcopy(compose_once(*base))
        config.merge_with_dotlist(list(overrides))
        cfg = check(config)
        own = folder / key(cfg)
        if not own.exists():
            write_hydra_folder(own, config)
        values = cast(dict[str, Any], OmegaConf.to_container(config, resolve=True))
        trials.append(Trial(cfg, values, own, key(cfg), list(overrides)))
    return trials


def quiet(trials: Sequence[Trial]) -> SweepProgress:
    return SweepProgress("val/loss", len(trials), 0, Console(quiet=True))


def stacked(folder: Path, base: Sequence[str], each: Sequence[Sequence[str]]) -> list[Path]:
    trials = trials_in(folder, base, each)
    records = fit_stack(trials, folder / "stack.ckpt", quiet(trials))
    assert records == [read(trial.folder) for trial in trials]
    return [trial.folder for trial in trials]


def alone(folder: Path, base: Sequence[str], each: Sequence[Sequence[str]]) -> list[Path]:
    trials = trials_in(folder, base, each)
    for trial in trials:
        fit(trial.cfg, trial.folder, OmegaConf.create(trial.config), trial.overrides, quiet=True)
    return [trial.folder for trial in trials]


def checkpoint(folder: Path, name: str) -> dict[str, Any]:
    return torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)


def weights(folder: Path, name: str = "last") -> dict[str, Tensor]:
    return checkpoint(folder, name)["state_dict"]


def assert_close(actual: Any, expected: Any, rtol: float) -> None:
    """Nested numbers and tensors; a number much smaller than 1 is the sum of larger ones, whence `atol`."""
    torch.testing.assert_close(actual, expected, rtol=rtol, atol=rtol / 10, equal_nan=True)


def assert_same_run(actual: Path, expected: Path, rtol: float) -> None:
    one, two = read(actual), read(expected)
    for name in ("key", "overrides", "status", "error", "checkpoint"):
        assert getattr(one, name) == getattr(two, name), name
    for name in ("best_epoch", "steps"):
        assert one.timing[name] == two.timing[name], name
    assert (one.objective is None) == (two.objective is None)
    assert_close(one.metrics, two.metrics, rtol)
    assert [list(row) for row in read_history(actual)] == [list(row) for row in read_history(expected)]
    assert_close(read_history(actual), read_history(expected), rtol)
    assert files(actual) == files(expected)
    for name in ("best", "last"):
        if (expected / "checkpoints" / f"{name}.ckpt").exists():
            if (name, one.status) == ("last", "diverged"):  # how far NaN has spread by then is not kept the same
                assert not weights(actual, name)["net.linear2.weight"].isfinite().any()
            else:
                assert_close(weights(actual, name), weights(expected, name), rtol)
            assert checkpoint(actual, name)["state_dict"].keys() == checkpoint(expected, name)["state_dict"].keys()
            assert checkpoint(actual, name)["global_step"] == checkpoint(expected, name)["global_step"]


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if "wandb" not in path.parts}


def assert_equals_runs_alone(
    folder: Path, base: Sequence[str], each: Sequence[Sequence[str]], rtol: float = 1e-9
) -> list[Path]:
    together, apart = stacked(folder / "together", base, each), alone(folder / "apart", base, each)
    for one, other in zip(together, apart, strict=True):
        assert_same_run(one, other, rtol)
    return together


def epochs_of(folders: Sequence[Path]) -> list[int]:
    return [len(read_history(folder)) for folder in folders]


LONG_CASES: dict[str, tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]] = {
    "adam": ((), ADAM),
    "adamw, cosine": (("optimizer=adamw", "scheduler=cosine", "model=sequential"), ADAM),
    "sgd, plateau": (("optimizer=sgd", "scheduler=plateau", "scheduler.patience=1"), SGD),
    "nesterov, one own net": (("optimizer=sgd", "optimizer.nesterov=true", f"{OURS}ThreeLayerNet"), SGD),
    "adam, one_cycle, clipped": (("scheduler=one_cycle", "trainer.gradient_clip_val=0.5"), ADAM),
}


@pytest.mark.parametrize("name", LONG_CASES)
def test_in_float64_a_trial_equals_the_run_alone_over_1000_steps(tmp_path: Path, name: str) -> None:
    base, each = LONG_CASES[name]
    folders = assert_equals_runs_alone(tmp_path, (*LONG, *base), each)
    assert [read(folder).timing["steps"] for folder in folders] == [1015] * 3


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("model", ["two_layer_net", "sequential"])
def test_in_float32_a_trial_equals_the_run_alone_over_10_steps(tmp_path: Path, optimizer: str, model: str) -> None:
    base = (*BASE, "trainer.max_epochs=2", "data.batch_size=30", f"optimizer={optimizer}", f"model={model}")
    folders = assert_equals_runs_alone(tmp_path, base, EACH[optimizer], rtol=1e-5)
    assert [read(folder).timing["steps"] for folder in folders] == [10] * 3


SHORT_CASES: dict[str, tuple[str, ...]] = {
    "own net with buffers, frozen and tied weights": (f"{OURS}OddNet",),
    "clipping by norm": ("trainer.gradient_clip_val=0.05",),
    "clipping by value": ("trainer.gradient_clip_val=0.01", "trainer.gradient_clip_algorithm=value"),
    "accumulated gradients": ("trainer.accumulate_grad_batches=4",),
    "accumulated gradients, one_cycle": ("trainer.accumulate_grad_batches=4", "scheduler=one_cycle"),
    "sum of the loss": ("loss.reduction=sum",),
    "several targets": ("data.output_dim=3",),
    "validation every other epoch": ("trainer.check_val_every_n_epoch=2",),
    "no validation": ("data.val_fraction=0", "objective.metric=train/loss"),
    "no test": ("data.test_fraction=0",),
    "the largest is best": ("objective.metric=val/r2", "objective.direction=maximize"),
    "the largest is best, plateau": (
        "objective.metric=val/r2", "objective.direction=maximize", "scheduler=plateau", "scheduler.patience=0",
    ),
    "an end within an epoch, cosine": (
        "trainer.max_steps=40", "trainer.max_epochs=-1", "scheduler=cosine", "scheduler.T_max=3",
    ),
    "a share of the batches": ("trainer.limit_train_batches=0.5", "trainer.limit_val_batches=1"),
    "not standardised": ("data.standardize=false",),
    "a loss with a state": ("loss._target_=tests.test_fit_stack.Weighted", "data.output_dim=3"),
    "a net with a net in the config": (
        f"{OURS}Nested", "+model.part={_target_:torch.nn.Linear,in_features:3,out_features:3}",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SHORT_CASES)
def test_a_trial_equals_the_run_alone_with(tmp_path: Path, name: str) -> None:
    assert_equals_runs_alone(tmp_path, (*SHORT, *SHORT_CASES[name]), ADAM)


def test_on_bundled_data_a_trial_equals_the_run_alone(tmp_path: Path) -> None:
    own = tuple(word for word in SHORT if not word.startswith("data"))
    assert_equals_runs_alone(tmp_path, (*own, "data=linnerud", "data.batch_size=4"), ADAM)


@pytest.mark.parametrize("scheduler", ["none", "one_cycle", "plateau"])
def test_a_trial_without_momentum_equals_the_run_alone(tmp_path: Path, scheduler: str) -> None:
    each = [("optimizer.lr=0.01", "seed=1"), ("optimizer.lr=0.02", "seed=2")]
    assert_equals_runs_alone(tmp_path, (*SHORT, "optimizer=sgd", f"scheduler={scheduler}"), each)


def test_trials_that_differ_in_their_seed_alone_step_down_by_themselves(tmp_path: Path) -> None:
    base = (*SHORT, "scheduler=plateau", "scheduler.patience=0", "optimizer.lr=0.1")
    folders = assert_equals_runs_alone(tmp_path, base, [(f"seed={seed}",) for seed in range(3)])
    rates = {tuple(row["lr"] for row in read_history(folder)) for folder in folders}
    assert len(rates) > 1, "at different epochs, or this says nothing"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", LONG_CASES)
def test_on_a_gpu_a_trial_equals_the_run_alone(tmp_path: Path, name: str) -> None:
    base, each = LONG_CASES[name]
    assert_equals_runs_alone(tmp_path, (*LONG, *base, "trainer.accelerator=gpu"), each)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_a_stopped_stack_ends_as_one_never_stopped(tmp_path: Path) -> None:
    gpu = (*LONG_CASES["adam"][0], "trainer.accelerator=gpu")
    CASES["gpu"] = (gpu, ADAM)
    assert in_a_process_of_its_own(tmp_path / "stopped", "gpu", signal.SIGTERM, 14) == 128 + signal.SIGTERM
    assert in_a_process_of_its_own(tmp_path / "stopped", "gpu") == 0
    assert_ended_as(stacked(tmp_path / "whole", (*KILLED, *gpu), ADAM), tmp_path / "stopped")


def test_a_stack_that_is_not_tested_finishes(tmp_path: Path) -> None:
    for folder in stacked(tmp_path, (*SHORT, "trainer.limit_test_batches=0"), ADAM):
        assert read(folder).status == "finished"
        assert not scored_on_test(read(folder))


@pytest.mark.parametrize("objective", [("val/loss", "minimize"), ("val/r2", "maximize")])
def test_each_trial_stops_early_by_itself(tmp_path: Path, objective: tuple[str, str]) -> None:
    metric, direction = objective
    own = (f"objective.metric={metric}", f"objective.direction={direction}")
    base = (*SHORT, *own, "trainer.max_epochs=40", "early_stopping.patience=2", "early_stopping.min_delta=1e-3")
    each = [(f"optimizer.lr={lr}", f"seed={seed}") for seed, lr in enumerate((0, 0.3, 0.01, 0.03))]
    folders = assert_equals_runs_alone(tmp_path, base, each)
    assert epochs_of(folders)[0] == 3
    assert len(set(epochs_of(folders))) > 2, "at different epochs, or this says nothing"


def test_early_stopping_follows_the_training_loss_where_it_is_the_objective(tmp_path: Path) -> None:
    base = (*SHORT, "early_stopping.patience=1", "objective.metric=train/loss", "trainer.max_epochs=30")
    folders = assert_equals_runs_alone(tmp_path, base, [("optimizer.lr=0.1",), ("optimizer.lr=0.01",)])
    assert max(epochs_of(folders)) < 30


def test_a_diverging_trial_ends_as_alone_and_changes_nothing_in_its_neighbours(tmp_path: Path) -> None:
    base = (*SHORT, "optimizer=sgd", "optimizer.momentum=0.9", "scheduler=cosine")
    each = [("seed=1", "optimizer.lr=0.01"), ("seed=2", "optimizer.lr=1e20"), ("seed=3", "optimizer.lr=0.02")]
    tame = [each[0], ("seed=2", "optimizer.lr=0.001"), each[2]]
    first, wild, last = assert_equals_runs_alone(tmp_path, base, each)
    assert read(wild).status == "diverged"
    assert epochs_of([first, wild, last]) == [8, 1, 8]
    for folder, calm in zip((first, last), stacked(tmp_path / "calm", base, tame)[::2], strict=True):
        assert all(torch.equal(value, weights(calm)[name]) for name, value in weights(folder).items())
        assert read_history(folder) == read_history(calm)


def test_a_trial_that_diverges_later_keeps_its_best_weights(tmp_path: Path) -> None:
    base = (*SHORT, "optimizer=sgd", "trainer.limit_train_batches=1", "trainer.max_epochs=12")
    folders = assert_equals_runs_alone(tmp_path, base, [(f"optimizer.lr={lr}",) for lr in (0.01, 30, 0.7)])
    assert [read(folder).status for folder in folders] == ["finished", "diverged", "diverged"]
    assert epochs_of(folders) == [12, 6, 9], "later than in the first epoch, or this says nothing"


def test_trials_that_all_diverge_end_the_stack(tmp_path: Path) -> None:
    folders = assert_equals_runs_alone(
        tmp_path, (*SHORT, "optimizer=sgd", "optimizer.lr=1e20"), [("seed=1",), ("seed=2",)]
    )
    assert [read(folder).status for folder in folders] == ["diverged"] * 2


def test_trial_that_was_begun_before_says_when_it_first_started_and_when_it_ended(tmp_path: Path) -> None:
    trials = trials_in(tmp_path, SHORT, ADAM)
    yesterday = {"started": "2026-01-02T03:04:05+00:00", "ended": "2026-01-02T03:04:06+00:00"}
    write(trials[0].folder, Record(trials[0].key, trials[0].overrides, "failed", timing=yesterday))
    before = now()
    begun, new = (read(folder).timing for folder in stacked(tmp_path, SHORT, ADAM)[:2])
    assert begun["started"] == yesterday["started"] < before <= new["started"] < new["ended"] == begun["ended"]


def test_half_precision_trains(tmp_path: Path) -> None:
    base = (*SHORT, "trainer.precision=bf16-mixed", "optimizer.fused=null", "trainer.gradient_clip_val=1")
    for folder in stacked(tmp_path, base, ADAM):
        losses = [row["train/loss"] for row in read_history(folder)]
        assert read(folder).status == "finished"
        assert losses[-1] < losses[0]


def test_dropout_is_drawn_for_each_trial(tmp_path: Path) -> None:
    each = [("seed=1",), ("seed=1", "optimizer.eps=1.0001e-8")]  # but for their draws these two hardly differ
    one, other = stacked(tmp_path, (*SHORT, f"{OURS}DropoutNet"), each)
    assert not torch.allclose(weights(one)["net.out.weight"], weights(other)["net.out.weight"], rtol=1e-2)


def test_dropout_draws_the_same_beside_a_neighbour_that_diverges(tmp_path: Path) -> None:
    base = (*SHORT, f"{OURS}DropoutNet")
    calm, wild = [("seed=1",), ("seed=2",)], [("seed=1",), ("seed=2", "optimizer.lr=1e38")]
    expected, _ = stacked(tmp_path / "calm", base, calm)
    beside, diverged = stacked(tmp_path / "wild", base, wild)
    assert read(diverged).status == "diverged"
    for name, values in weights(expected).items():
        assert torch.equal(weights(beside)[name], values), name


def test_a_record_has_what_that_of_a_run_alone_has_and_names_its_stack(tmp_path: Path) -> None:
    (single,) = alone(tmp_path / "apart", SHORT, ADAM[:1])
    folders = stacked(tmp_path / "together", SHORT, ADAM)
    keys = [folder.name for folder in folders]
    for position, folder in enumerate(folders):
        record, expected = vars(read(folder)), vars(read(single))
        assert record["stack"] == {"size": 3, "position": position, "keys": keys}
        for name in ("metrics", "wandb", "timing", "provenance"):
            assert set(record[name]) == set(expected[name])
        assert record["provenance"]["seeds"]["seed"] == position + 1
        assert files(folder) == files(single)


def test_a_trial_can_be_evaluated(tmp_path: Path) -> None:
    base = (*SHORT, f"{OURS}OddNet", "trainer.max_epochs=20")
    folders = stacked(tmp_path, base, [("seed=1", "optimizer.lr=0.1"), ("seed=2",)])
    for folder in folders:
        record = read(folder)
        scored = score(folder, record, "test", None, None)
        assert_close({f"test/{name}": value for name, value in scored.metrics.items()}, scored_on_test(record), 1e-6)
        assert (folder / "predictions.csv").is_file()
    last = predict(read_config(folders[0]), checkpoint(folders[0], "last"), "test", None)
    assert last.metrics["loss"] != pytest.approx(read(folders[0]).metrics["test/loss"], rel=1e-6)


@pytest.mark.parametrize("is_trained", [False, True])
def test_a_loss_with_a_state_is_in_the_checkpoint_and_is_scored_with(tmp_path: Path, is_trained: bool) -> None:
    loss = ("loss._target_=tests.test_fit_stack.Weighted", f"+loss.is_trained={str(is_trained).lower()}")
    (folder,) = alone(tmp_path, (*SHORT, *loss, "data.output_dim=3"), [()])
    first, best, last = torch.tensor([1.5, 0.3, 0.9]).double(), weights(folder, "best"), weights(folder)
    assert torch.equal(last["loss.pos_weight"], first) != is_trained
    scored = predict(read_config(folder), checkpoint(folder, "best"), "val", None)
    assert scored.metrics["loss"] == pytest.approx(read(folder).metrics["val/loss"], rel=1e-9)
    assert not is_trained or not torch.equal(best["loss.pos_weight"], first), "or this says nothing"


def scored_on_test(record: Record) -> dict[str, Any]:
    return {name: value for name, value in record.metrics.items() if name.startswith("test/")}


def test_every_trial_is_tracked_whole_and_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb

    started, still_open, most = wandb.init, [], 0

    def init(*args: Any, **settings: Any) -> Any:
        nonlocal most
        run = started(*args, **settings)
        still_open.append(run)
        most = max(most, len(still_open))
        finish = run.finish

        def finished(*args: Any, **settings: Any) -> None:
            finish(*args, **settings)
            still_open.remove(run)

        run.finish = finished  # type: ignore[method-assign]
        return run

    monkeypatch.setattr(wandb, "init", init)
    each = [("seed=1",), ("seed=2", "optimizer.lr=0.02"), ("seed=3", "optimizer.lr=1e20")]
    base = (*SHORT, "optimizer=sgd", "tracking=offline", "tracking.tags=[one]", "sweep.name=mine")
    folders = stacked(tmp_path, base, each)
    assert (most, still_open) == (1, [])
    names = ["seed=1", "seed=2 lr=0.02", "seed=3 lr=1e20"]
    for folder, name, code in zip(folders, names, (0, 0, 1), strict=True):
        (run,) = wandb_runs(folder)
        (about,) = entries(run, "run")
        record = read(folder)
        assert record.wandb == {"mode": "offline", "id": about["run_id"], "group": "mine", "url": None}
        assert (about["display_name"], about["run_group"], about["tags"]) == (name, "mine", ["one"])
        config = about["config"]["update"]
        assert (config["key"], config["seed"]) == (record.key, int(name[5]))
        assert numbers(history(run)) == numbers(read_history(folder))
        assert entries(run, "exit")[0]["exit_code"] == code
        summary: dict[str, Any] = {}
        for update in entries(run, "summary"):
            summary |= update["update"]
        assert {name: summary[name] for name in scored_on_test(record)} == pytest.approx(scored_on_test(record))
    assert len({read(folder).wandb["id"] for folder in folders}) == 3


def numbers(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """NaN, which equals nothing, as text."""
    return [
        {name: value if math.isfinite(float(value)) else str(value).lower() for name, value in row.items()}
        for row in rows
    ]


def test_a_bigger_net_or_more_precise_numbers_leave_room_for_fewer_trials(tmp_path: Path) -> None:
    def fits(*overrides: str) -> int:
        size, reason = room(trials_in(tmp_path, BASE, [("data.num_rows=20000", *overrides)])[0])
        assert reason is None
        return size

    small, big, huge = fits(), fits("model.hidden_dim=20000"), fits("model.hidden_dim=1000000")
    assert small > big > huge >= 1
    assert fits("model.hidden_dim=1000") > fits("model.hidden_dim=1000", "data.batch_size=10000")
    assert 0 < fits("trainer.precision=64", "model.hidden_dim=20000") < big


# A stack that was killed.

KILLED = (*SHORT, "checkpoint.interval_seconds=0")
CASES: dict[str, tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]] = {
    # the second trial leaves in the first epoch, the third stops early
    "cosine": (
        ("optimizer=sgd", "optimizer.momentum=0.9", "scheduler=cosine", "early_stopping.patience=2"),
        (("optimizer.lr=0.01",), ("optimizer.lr=1e20",), ("optimizer.lr=0",), ("optimizer.lr=0.003", "seed=1")),
    ),
    "one_cycle": (("scheduler=one_cycle",), ADAM),
    "plateau": (("scheduler=plateau", "scheduler.patience=0"), (("optimizer.lr=0.1",), ("optimizer.lr=0.2",))),
    "dropout": ((f"{OURS}DropoutNet",), ADAM),
}


def test_a_gpu_takes_as_many_trials_in_a_stack_as_its_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (trial,) = trials_in(tmp_path, ("trainer.accelerator=cpu", "tracking=disabled"), [()])
    assert room(trial) == (512, None), "a CPU's caches gain nothing more"
    monkeypatch.setattr(stacks, "device_name", lambda _: "some GPU")
    assert room(trial)[0] >= 4096


def train(folder: Path, case: str, signum: int = 0, at_step: int = -1, at_end: int = -1) -> None:
    """Trains a stack, or goes on with it; sends itself a signal after a step, or as it finishes its n-th trial."""
    original, finish = journal.Journal.on_train_batch_end, stacks._finish
    finished: list[bool] = []

    def stopped(self: journal.Journal, trainer: object, *rest: object) -> None:
        if self._steps + 1 == at_step:
            os.kill(os.getpid(), signum)
        original(self, trainer, *rest)  # type: ignore[arg-type]

    def ending(*args: Any) -> None:
        if len(finished) == at_end:
            os.kill(os.getpid(), signum)
        finished.append(True)
        finish(*args)

    journal.Journal.on_train_batch_end = stopped  # type: ignore[method-assign,assignment]
    stacks._finish = ending  # type: ignore[assignment]
    base, each = CASES[case]
    trials = trials_in(folder, (*KILLED, *base), each)
    try:
        fit_stack(trials, folder / "stack.ckpt", quiet(trials))
    except Interrupted as stop:
        sys.exit(128 + stop.signum)


def in_a_process_of_its_own(*arguments: object) -> int | None:
    process = fresh.Process(target=train, args=arguments)
    process.start()
    process.join(120)
    return process.exitcode


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    folder = tmp_path_factory.mktemp("uninterrupted")
    return {name: stacked(folder / name, (*KILLED, *base), each) for name, (base, each) in CASES.items()}


def assert_ended_as(expected: list[Path], folder: Path) -> None:
    for one in expected:
        other = folder / one.name
        assert numbers(read_history(other)) == numbers(read_history(one))
        assert (read(other).metrics, read(other).status) == (read(one).metrics, read(one).status)
        assert files(other) == files(one)
        for name in ("best", "last"):
            if (one / "checkpoints" / f"{name}.ckpt").exists():
                expected_weights = weights(one, name)
                for weight, value in weights(other, name).items():
                    torch.testing.assert_close(value, expected_weights[weight], rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize(
    ("case", "signum", "step"),
    [
        ("cosine", signal.SIGKILL, 5), ("cosine", signal.SIGKILL, 70), ("cosine", signal.SIGTERM, 140),
        ("one_cycle", signal.SIGKILL, 140), ("one_cycle", signal.SIGTERM, 70), ("plateau", signal.SIGKILL, 70),
        ("plateau", signal.SIGTERM, 18), ("dropout", signal.SIGTERM, 70),
    ],
)  # fmt: skip
def test_a_killed_stack_ends_as_one_never_stopped(
    uninterrupted: dict[str, list[Path]], tmp_path: Path, case: str, signum: int, step: int
) -> None:
    ended = -signum if signum == signal.SIGKILL else 128 + signum
    assert in_a_process_of_its_own(tmp_path, case, signum, step) == ended
    assert {read(tmp_path / folder.name).status for folder in uninterrupted[case]} == {"running"}
    assert in_a_process_of_its_own(tmp_path, case) == 0
    assert_ended_as(uninterrupted[case], tmp_path)


@pytest.mark.parametrize("case", ["cosine", "one_cycle"])
def test_a_stack_killed_while_it_writes_its_records_ends_as_one_never_stopped(
    uninterrupted: dict[str, list[Path]], tmp_path: Path, case: str
) -> None:
    assert in_a_process_of_its_own(tmp_path, case, signal.SIGKILL, -1, 2) == -signal.SIGKILL
    written = [read(tmp_path / folder.name) for folder in uninterrupted[case]]
    assert [record.has_ended for record in written] == [True, True, *[False] * (len(written) - 2)]
    assert in_a_process_of_its_own(tmp_path, case) == 0
    assert_ended_as(uninterrupted[case], tmp_path)
    assert [read(tmp_path / record.key) for record in written[:2]] == written[:2], "nothing ended is done again"


def test_a_stack_whose_trials_had_all_ended_trains_no_further(tmp_path: Path) -> None:
    base, each = (*KILLED, "early_stopping.patience=2"), [("optimizer.lr=0", f"seed={seed}") for seed in range(2)]
    folders = stacked(tmp_path, base, each)
    expected = [(read_history(folder), read(folder).metrics, weights(folder)) for folder in folders]
    for folder in folders:
        (folder / "record.json").unlink()
    stacked(tmp_path, base, each)
    for folder, (rows, metrics, last) in zip(folders, expected, strict=True):
        assert read_history(folder) == rows
        assert read(folder).metrics == metrics
        assert all(torch.equal(value, last[name]) for name, value in weights(folder).items())


def test_stacks_that_have_trained_leave_signals_and_memory_as_they_were(tmp_path: Path) -> None:
    before = [signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGINT)]
    for name in ("one", "other"):
        stacked(tmp_path / name, KILLED, ADAM)
        assert [signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGINT)] == before
    gc.collect()
    assert not [each for each in gc.get_objects() if type(each) is stacks.Stack]


def test_a_stack_that_goes_on_keeps_its_wandb_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = (*KILLED, "tracking=offline")
    with monkeypatch.context() as patch:
        patch.setattr(stacks, "track", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            stacked(tmp_path, base, ADAM)
    identities = [read(trial.folder).wandb["id"] for trial in trials_in(tmp_path, base, ADAM)]
    opened = []

    def track(*_: Any, run_id: str, **__: Any) -> NullTracker:
        opened.append(run_id)
        return NullTracker()

    monkeypatch.setattr(stacks, "track", track)
    stacked(tmp_path, base, ADAM)
    assert opened == identities
    assert len(set(identities)) == 3
