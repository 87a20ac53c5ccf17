"""The stack as a module, and what cannot be stacked."""

import copy
import dataclasses
import math
import random
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import torch
from rich.console import Console
from sklearn.metrics import r2_score
from torch import Tensor, nn

from src.build import build_data
from src.check import check
from src.config import Objective
from src.optim import hyperparameters
from src.progress import Progress, SweepProgress
from src.run_journal import RunJournal
from src.scores import Scores
from src.stack import Stack, scores
from src.stack_journal import StackJournal
from src.stackable import why_not
from src.tracking import NullTracker
from tests.conftest import composed
from tests.test_fit_stack import DropoutNet, OddNet, ThreeLayerNet

K, B, D, O = 3, 7, 5, 2  # noqa: E741


class BatchNormNet(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Linear(D, 4), nn.BatchNorm1d(4), nn.Linear(4, O))


class Undecided(ThreeLayerNet):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if self.into(x).sum() > 0 else self.out(self.into(x))


class Counting(ThreeLayerNet):
    calls: Tensor

    def __init__(self, *sizes: int) -> None:
        super().__init__(*sizes)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls.add_(1)
        return super().forward(x)


class Secretive(ThreeLayerNet):
    """Its random features are no buffer, so nothing says that they differ from net to net."""

    def __init__(self, *sizes: int) -> None:
        super().__init__(*sizes)
        self.directions = torch.randn(D, D)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x @ self.directions)


class Unused(ThreeLayerNet):
    def __init__(self, *sizes: int) -> None:
        super().__init__(*sizes)
        self.spare = nn.Linear(2, 2)


def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(B, D, generator=generator), torch.randn(B, O, generator=generator)


def stack_of(nets: list[nn.Module]) -> Stack:
    cfg = check(composed("data=synthetic", f"data.input_dim={D}", f"data.output_dim={O}", "tracking=disabled"))
    cfgs = [dataclasses.replace(cfg, seed=seed) for seed in range(len(nets))]
    return Stack(nets, nn.MSELoss(), cfgs, build_data(cfg).scale)


@pytest.mark.parametrize("kind", [ThreeLayerNet, OddNet, DropoutNet, lambda *_: nn.Linear(D, O)])
def test_nets_that_can_be_stacked_predict_in_a_stack_what_they_predict_alone(kind: type[nn.Module]) -> None:
    nets = [kind(D, 4, O) for _ in range(K)]
    assert why_not(nets, [nn.MSELoss()], batch()) is None
    features, _ = batch()
    expected = torch.stack([net.eval()(features) for net in nets])
    torch.testing.assert_close(stack_of(nets).eval()(features), expected)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (BatchNormNet, "1.running_mean changes in training besides the weights"),
        (lambda: Undecided(D, 4, O), "data-dependent control flow"),
        (lambda: Counting(D, 4, O), "calls changes in training besides the weights"),
        (lambda: Secretive(D, 4, O), "differ in more than their weights and buffers"),
        (lambda: Unused(D, 4, O), "spare.weight takes no part in the loss"),
    ],
)
def test_what_cannot_be_stacked_is_found_with_a_reason_and_left_as_it_was(kind: type[nn.Module], reason: str) -> None:
    nets = [kind(), kind()]
    before = copy.deepcopy([net.state_dict() for net in nets])
    found = why_not(nets, [nn.MSELoss()], batch())
    assert found is not None
    assert reason in found
    assert len(found) < 200
    assert all(
        torch.equal(net.state_dict()[name], old[name]) for net, old in zip(nets, before, strict=True) for name in old
    )
    assert all(parameter.grad is None for net in nets for parameter in net.parameters())


def test_dropout_draws_differ_from_trial_to_trial() -> None:
    net = DropoutNet(D, 32, O)
    first, second = stack_of([net, copy.deepcopy(net)]).train()(batch()[0])
    assert not torch.allclose(first, second)


def test_dropout_draws_the_same_for_a_trial_whichever_others_have_left() -> None:
    stack = stack_of([DropoutNet(D, 32, O) for _ in range(K)]).train()
    torch.manual_seed(0)
    before = stack(batch()[0])
    before[[2, 0]].sum().backward()
    gradients = [weights.grad[[2, 0]] for weights in stack.weights if weights.grad is not None]
    stack.keep(torch.tensor([2, 0]))
    torch.manual_seed(0)
    after = stack(batch()[0])
    after.sum().backward()
    assert torch.equal(after, before[[2, 0]])
    for weights, gradient in zip(stack.weights, gradients, strict=True):
        assert torch.equal(weights.grad, gradient)


def test_gradients_of_a_trial_are_those_of_its_net_alone() -> None:
    nets: list[nn.Module] = [ThreeLayerNet(D, 4, O) for _ in range(K)]
    stack = stack_of(nets)
    stack.training_step(batch(), 0).backward()
    for position, net in enumerate(nets):
        features, targets = batch()
        nn.functional.mse_loss(net(features), targets).backward()
        for name, weights in zip(stack.names, stack.weights, strict=True):
            assert weights.grad is not None
            torch.testing.assert_close(weights.grad[position], net.get_parameter(name).grad)


class Clamped(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(D))
        self.floor = nn.Parameter(torch.full((O,), -0.5))

    def forward(self, x: Tensor) -> Tensor:
        return ((x + self.shift).clamp(min=0)[:, :O] + torch.clamp(x - self.shift, min=0)[:, -O:]).clamp(min=self.floor)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_a_clamped_unit_has_its_value_and_gradient_also_at_0(dtype: torch.dtype) -> None:
    tiny = torch.finfo(dtype).smallest_normal * torch.finfo(dtype).eps
    features = torch.tensor([[0.0, -0.0, tiny, -tiny, 0.0], [1.0, -1.0, 0.0, 2.0, -2.0]], dtype=dtype)
    net = Clamped().to(dtype)
    together, alone = stack_of([net, copy.deepcopy(net)]).to(dtype)(features), net(features)
    assert all(torch.equal(predicted, alone) for predicted in together)
    weights = [net.shift, net.floor]
    expected = torch.autograd.grad(alone.sum(), weights)
    stack = stack_of([net, copy.deepcopy(net)]).to(dtype)
    for stacked, single in zip(torch.autograd.grad(stack(features).sum(), list(stack.weights)), expected, strict=True):
        assert all(torch.equal(gradient, single) for gradient in stacked)


@pytest.mark.parametrize("algorithm", ["norm", "value"])
def test_gradients_are_clipped_as_those_of_one_net(algorithm: str) -> None:
    stack = stack_of([ThreeLayerNet(D, 4, O) for _ in range(K)])
    stack.training_step(batch(), 0).backward()
    gradients = [weights.grad for weights in stack.weights if weights.grad is not None]
    gradients[0][0] *= 100
    alone = [[gradient[position].clone() for gradient in gradients] for position in range(K)]
    stack.configure_gradient_clipping(None, 0.3, algorithm)
    for position, own in enumerate(alone):
        parameters = [nn.Parameter(torch.zeros_like(gradient)) for gradient in own]
        for parameter, gradient in zip(parameters, own, strict=True):
            parameter.grad = gradient
        (nn.utils.clip_grad_norm_ if algorithm == "norm" else nn.utils.clip_grad_value_)(parameters, 0.3)
        for gradient, parameter in zip(gradients, parameters, strict=True):
            torch.testing.assert_close(gradient[position], parameter.grad)


def test_trials_that_stay_predict_as_before_and_frozen_weights_stay_frozen() -> None:
    stack = stack_of([OddNet(D, 4, O) for _ in range(K)]).eval()
    before = stack(batch()[0])
    stack.keep(torch.tensor([2, 0]))
    assert stack.trials.tolist() == [2, 0]
    torch.testing.assert_close(stack(batch()[0]), before[[2, 0]], rtol=0, atol=0)
    frozen = [name for name, weights in zip(stack.names, stack.weights, strict=True) if not weights.requires_grad]
    assert frozen == ["into.weight", "into.bias"]


def test_buffers_of_the_nets_follow_the_stack_to_another_precision() -> None:
    nets: list[nn.Module] = [OddNet(D, 4, O) for _ in range(K)]
    predictions = stack_of(nets).double().eval()(batch()[0].double())
    assert predictions.dtype == torch.float64
    for net, predicted in zip(nets, predictions, strict=True):
        torch.testing.assert_close(predicted, net.double().eval()(batch()[0].double()), rtol=1e-12, atol=1e-12)


def test_hyperparameters_are_those_of_the_trials_that_still_train() -> None:
    cfgs = [check(composed(f"optimizer.lr={lr}", f"optimizer.betas=[{lr},0.5]")) for lr in (0.1, 0.2, 0.3)]
    numbers = hyperparameters(cfgs, torch.tensor([2, 0]))
    assert {name: value.tolist() for name, value in numbers.items()} == {
        "lr": [0.3, 0.1], "beta1": [0.3, 0.1], "beta2": [0.5, 0.5], "eps": [1e-8, 1e-8], "weight_decay": [0.0, 0.0],
    }  # fmt: skip
    assert {value.dtype for value in numbers.values()} == {torch.float64}


def test_scores_of_a_trial_do_not_depend_on_its_neighbours() -> None:
    predictions, targets = torch.randn(K, B, O), torch.randn(B, O)
    predictions[1] = torch.nan
    losses, std = (predictions - targets).square().mean((1, 2)), torch.tensor([2.0, 3.0])
    together = scores([(losses, predictions, targets)], std, "mean")
    for trial in (0, 2):
        one = slice(trial, trial + 1)
        alone = scores([(losses[one], predictions[one], targets)], std, "mean")
        for name, value in alone.items():
            torch.testing.assert_close(together[name][one], value, rtol=1e-6, atol=1e-6)
    assert together["r2"][1].isnan()


def r2_of(predictions: Tensor, targets: Tensor) -> list[float]:
    """Each trial's R² from a stack, once it is that of the trial alone."""
    std = torch.ones(targets.shape[1])
    together = scores([(torch.zeros(len(predictions)), predictions, targets)], std, "mean")["r2"]
    for one, own in zip(together, predictions, strict=True):
        alone = Scores(std, "mean")
        alone.add(torch.tensor(0.0), own, targets)
        torch.testing.assert_close(one, alone.summed_up()["r2"], rtol=1e-5, atol=1e-5, equal_nan=True)
    return together.tolist()


@pytest.mark.parametrize(("mean", "std"), [(0, 1), (1e5, 100), (0, 1e-6), (1e-3, 1e-5)])
def test_r2_does_not_depend_on_the_units(mean: float, std: float) -> None:
    targets = mean + std * torch.randn(50, O)
    predictions = targets + 0.5 * std * torch.randn(K, 50, O)
    exact = [r2_score(targets.double().numpy(), own.double().numpy()) for own in predictions]
    assert r2_of(predictions, targets) == pytest.approx(exact, rel=1e-4)


def test_r2_of_constant_targets_is_1_only_for_what_is_right() -> None:
    targets = torch.full((9, 1), 0.1)
    predictions = torch.stack([targets, targets + 1e-3, targets * torch.nan])
    assert r2_of(predictions, targets) == [1, 0, 0]


def test_r2_of_a_single_row_is_not_a_number() -> None:
    assert all(math.isnan(value) for value in r2_of(torch.randn(K, 1, O), torch.randn(1, O)))


@pytest.mark.parametrize("metric", ["val/loss", "val/mae", "val/r2", "train/r2"])
def test_of_epochs_that_tie_the_one_of_lower_loss_and_then_the_earlier_is_best_alone_and_stacked(
    tmp_path: Path, metric: str
) -> None:
    cfg = check(composed("tracking=disabled"))
    cfg.objective = Objective(metric, "maximize" if metric.endswith("r2") else "minimize")
    draw, choices = random.Random(0), (1.0, 2.0, 2.0, 1.5, math.nan, math.inf, -math.inf)
    size, num_epochs = 300, 8
    drawn = [[(draw.choice(choices), draw.choice(choices)) for _ in range(num_epochs)] for _ in range(size)]
    loss_of = cfg.objective.loss
    curves = [[{loss_of: loss, metric: value} for value, loss in curve] for curve in drawn]
    console = Console(quiet=True)
    together = StackJournal(tmp_path / "last.ckpt", cfg, SweepProgress(metric, size, 0, console))
    stack = cast(Stack, SimpleNamespace(trials=torch.arange(size), weights=[torch.zeros(size, 1)]))
    together.best_epoch, together.best_weights = torch.full((size,), -1), [torch.zeros(size, 1)]
    together._best, together._loss_at_best = torch.full((2, size), math.inf, dtype=torch.float64).unbind()
    for epoch in range(num_epochs):
        columns = (torch.tensor([curve[epoch][name] for curve in curves]) for name in (metric, loss_of))
        costs, losses = (values.double() for values in columns)
        together._keep_best(stack, cfg.objective.sign * costs, losses, epoch)
    for curve, found in zip(curves, together.best_epoch.tolist(), strict=True):
        alone = RunJournal(tmp_path, "a" * 20, cfg, NullTracker(), Progress(metric, 1, console))
        for epoch, row in enumerate(curve):
            alone._is_best({"epoch": epoch, **row})
        known = [epoch for epoch, row in enumerate(curve) if math.isfinite(row[metric])]
        expected = min(known, key=lambda epoch: rank(curve[epoch], cfg.objective), default=-1)
        assert (alone.best.get("epoch", -1), found) == (expected, expected), curve


def rank(row: dict[str, float], objective: Objective) -> tuple[float, float]:
    loss = row[objective.loss]
    return (row[objective.metric], -row[objective.metric])[objective.sign < 0], loss if math.isfinite(
        loss
    ) else math.inf


class Weighted(nn.MSELoss):
    """A loss with a tensor of its own, which may be random, change, or be trained."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        value = torch.rand(2) if kind == "random" else torch.ones(2)
        self.weight = nn.Parameter(value) if kind == "trained" else nn.Buffer(value)
        self.changes = kind == "changing"

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        if self.changes:
            self.weight.add_(1)
        return super().forward(input * self.weight, target * self.weight)


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("fixed", None), ("trained", "loss.weight is trained with the weights"),
        ("random", "loss.weight differs between seeds"), ("changing", "loss.weight changes in training"),
    ],
)  # fmt: skip
def test_loss_with_a_state_is_stacked_where_it_is_the_same_for_all(kind: str, told: str | None) -> None:
    assert why_not([ThreeLayerNet(D, 4, O) for _ in range(2)], [Weighted(kind) for _ in range(2)], batch()) == told
