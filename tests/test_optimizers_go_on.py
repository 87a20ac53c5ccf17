"""A run that goes on with any optimizer and scheduler of torch ends as one that was never stopped."""

import contextlib
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor, nn

from src import journal, run
from src.check import check
from src.errors import Interrupted
from src.instantiate import instantiate
from src.record import Record, read_history
from src.run import fit
from src.schedules import make_scheduler
from tests.conftest import SMALL, composed, write_hydra_folder

KNOWN = {"weight_decay": 0.0, "fused": None}  # the schema wants every key of these
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "Adadelta": {}, "Adafactor": {"eps": [None, 1e-3]}, "Adagrad": {}, "Adamax": {"betas": [0.8, 0.9]}, "ASGD": {},
    "Adam": {"betas": [0.8, 0.9], "eps": 1e-8, **KNOWN}, "AdamW": {"betas": [0.8, 0.9], "eps": 1e-8, **KNOWN},
    "LBFGS": {"history_size": 3}, "NAdam": {"betas": [0.8, 0.9]},
    "RAdam": {"betas": [0.8, 0.9]}, "RMSprop": {"momentum": 0.5, "centered": True},
    "Rprop": {"etas": [0.4, 1.3], "step_sizes": [1e-6, 1.0]}, "SGD": {"momentum": 0.9, "nesterov": False, **KNOWN},
    "Muon": {"momentum": 0.9, "ns_coefficients": [3.4445, -4.775, 2.0315]},
}  # fmt: skip
STEP = "torch.optim.lr_scheduler."
WARM_UP = {"_target_": f"{STEP}LinearLR", "start_factor": 0.1, "total_iters": 2}
THEN = {"_target_": f"{STEP}ExponentialLR", "gamma": 0.9}
SCHEDULERS: dict[str, dict[str, Any]] = {
    "StepLR": {"step_size": 2}, "MultiStepLR": {"milestones": [1, 3]}, "ConstantLR": {"total_iters": 2},
    "LinearLR": {"total_iters": 3}, "ExponentialLR": {"gamma": 0.9}, "PolynomialLR": {"total_iters": 4},
    "CosineAnnealingLR": {"T_max": 4, "eta_min": 0.0}, "CosineAnnealingWarmRestarts": {"T_0": 2},
    "CyclicLR": {"base_lr": 0.001, "max_lr": 0.1, "step_size_up": 7}, "SWALR": {"swa_lr": 0.05, "anneal_epochs": 3},
    "OneCycleLR": {"max_lr": 0.1, "pct_start": 0.3},
    "ReduceLROnPlateau": {"mode": "min", "patience": 0, "factor": 0.5},
    "LambdaLR": {"lr_lambda": {"_target_": "tests.test_optimizers_go_on.Warmed", "steps": 4}},
    "MultiplicativeLR": {"lr_lambda": {"_target_": "hydra.utils.get_method", "path": f"{__name__}.shrinking"}},
    "SequentialLR": {"schedulers": [WARM_UP, THEN], "milestones": [2]},
    "ChainedScheduler": {"schedulers": [WARM_UP, THEN]},
}  # fmt: skip
LEFT_OUT = {"SparseAdam", "Optimizer"}, {"LRScheduler"}


class Warmed:
    def __init__(self, steps: int) -> None:
        self.steps = steps

    def __call__(self, epoch: int) -> float:
        return min(1.0, (epoch + 1) / self.steps)


def shrinking(epoch: int) -> float:
    return 0.9


class NoBias(nn.Module):
    """A net whose weights are all matrices, as Muon wants them."""

    def __init__(self, input_dim: int, output_dim: int, hidden_dim: int) -> None:
        super().__init__()
        layers = nn.Linear(input_dim, hidden_dim, bias=False), nn.ReLU(), nn.Linear(hidden_dim, output_dim, bias=False)
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def optimizer_node(name: str) -> dict[str, Any]:
    return {"_target_": f"torch.optim.{name}", "lr": 0.01, **OPTIMIZERS[name]}


def scheduler_node(name: str) -> dict[str, Any]:
    place = "torch.optim.swa_utils." if name == "SWALR" else STEP
    return {"_target_": f"{place}{name}", **SCHEDULERS[name]}


def test_no_optimizer_and_no_scheduler_of_torch_is_forgotten_here() -> None:
    optimizers = {name for name, value in vars(torch.optim).items() if isinstance(value, type)} - LEFT_OUT[0]
    names = torch.optim.lr_scheduler.__all__
    assert optimizers == set(OPTIMIZERS)
    assert {*names, "SWALR"} - LEFT_OUT[1] == set(SCHEDULERS)


class Small:
    """What a training does with an optimizer and a scheduler, without a Trainer."""

    def __init__(self, optimizer: dict[str, Any], scheduler: dict[str, Any]) -> None:
        torch.manual_seed(0)
        self.weights = [nn.Parameter(torch.randn(3, 2)), nn.Parameter(torch.randn(2, 2))]
        self.optimizer = instantiate(OmegaConf.create(optimizer), self.weights, group="optimizer")
        extra = {"total_steps": 100} if scheduler["_target_"].endswith("OneCycleLR") else {}
        self.scheduler = make_scheduler(OmegaConf.create(scheduler), self.optimizer, **extra)

    def follow(self, steps: range) -> list[Tensor]:
        for step in steps:
            loss = self.optimizer.step(lambda at=step: self.loss(at))
            if isinstance(self.scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
                self.scheduler.step(float(loss.detach()))
            else:
                self.scheduler.step()
        return [weight.detach().clone() for weight in self.weights]

    def loss(self, step: int) -> Tensor:
        self.optimizer.zero_grad()
        loss = sum(((weight - step % 3) ** 2).sum() + weight.sin().sum() for weight in self.weights)
        assert isinstance(loss, Tensor)
        loss.backward()
        return loss


@pytest.mark.parametrize(
    ("optimizer", "scheduler"),
    [*((name, "StepLR") for name in OPTIMIZERS), *(("SGD", name) for name in SCHEDULERS), ("NAdam", "CyclicLR")],
)
def test_state_of_every_optimizer_and_scheduler_goes_on_from_a_checkpoint(
    tmp_path: Path, optimizer: str, scheduler: str
) -> None:
    cycles = {"cycle_momentum": False} if scheduler == "CyclicLR" and optimizer != "SGD" else {}
    nodes = optimizer_node(optimizer), scheduler_node(scheduler) | cycles
    whole, stopped, going_on = Small(*nodes), Small(*nodes), Small(*nodes)
    expected = whole.follow(range(8))
    reached = stopped.follow(range(5))
    torch.save([stopped.optimizer.state_dict(), stopped.scheduler.state_dict(), reached], tmp_path / "a.ckpt")
    of_optimizer, of_scheduler, weights = torch.load(tmp_path / "a.ckpt", weights_only=True)
    for weight, value in zip(going_on.weights, weights, strict=True):
        weight.data.copy_(value)
    going_on.optimizer.load_state_dict(of_optimizer)
    going_on.scheduler.load_state_dict(of_scheduler)
    assert all(map(torch.equal, going_on.follow(range(5, 8)), expected))


def trained(folder: Path, overrides: tuple[str, ...], stop_at: int = 0) -> Record | None:
    """Trains a run here, or goes on with it; a signal stops it after a step."""
    original = journal.Journal.on_train_batch_end

    def stopped(self: journal.Journal, *rest: Any) -> None:
        if self._steps + 1 == stop_at:
            os.kill(os.getpid(), signal.SIGTERM)
        original(self, *rest)

    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(Interrupted):
        patch.setattr(journal.Journal, "on_train_batch_end", stopped)
        if (folder / "record.json").is_file():
            return run.resume(folder, quiet=True)
        config = composed(*SMALL, *overrides)
        write_hydra_folder(folder, config)
        return fit(check(config), folder, config, list(overrides), quiet=True)
    return None


def assert_goes_on(folder: Path, *overrides: str, stops: tuple[int, ...]) -> Record:
    """Stopped after any of the steps, a run ends as the one that was not stopped; returns that one's record."""
    whole = trained(folder / "whole", overrides)
    assert whole is not None
    expected = torch.load(folder / "whole" / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    for step in stops:
        own = folder / str(step)
        assert trained(own, overrides, step) is None, "it was to be stopped"
        again = trained(own, overrides)
        assert again is not None
        actual = torch.load(own / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        assert all(torch.equal(actual[name], value) for name, value in expected.items())
        assert read_history(own) == read_history(folder / "whole")
        assert again.metrics == whole.metrics
    return whole


def words(group: str, node: dict[str, Any]) -> list[str]:
    """A group's class of one's own, as it is typed."""
    taken = ("betas", "eps", "weight_decay", "fused") if group == "optimizer" else ()
    mapping = json.dumps(node).replace('"', "").replace(" ", "")
    return [*(f"~{group}.{name}" for name in taken), f"++{group}={mapping}"]


@pytest.mark.parametrize(
    ("optimizer", "scheduler"),
    [
        ("NAdam", "CyclicLR"), ("SGD", "ReduceLROnPlateau"), ("LBFGS", "SequentialLR"),
        *(pytest.param(name, "StepLR", marks=pytest.mark.soak) for name in OPTIMIZERS),
        *(pytest.param("SGD", name, marks=pytest.mark.soak) for name in SCHEDULERS),
    ],
)  # fmt: skip
def test_run_with_any_optimizer_and_scheduler_goes_on(tmp_path: Path, optimizer: str, scheduler: str) -> None:
    cycles = {"cycle_momentum": False} if scheduler == "CyclicLR" and optimizer != "SGD" else {}
    of_optimizer = words("optimizer", optimizer_node(optimizer))
    of_scheduler = words("scheduler", scheduler_node(scheduler) | cycles)
    net = f"model._target_={__name__}.NoBias"
    size = ("data.batch_size=80", "trainer.max_epochs=3", "model.hidden_dim=4")
    # So slow that no epoch is better than the one before, to a scheduler that follows the objective.
    slow = ("optimizer.lr=1e-6",) if scheduler == "ReduceLROnPlateau" else ()
    assert_goes_on(tmp_path, *of_optimizer, *of_scheduler, *slow, net, *size, stops=(6, 8))
    rates = {row["lr"] for row in read_history(tmp_path / "whole")}
    assert not slow or len(rates) == 2, "or this says nothing"
