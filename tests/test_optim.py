"""The stacked optimizers make the updates of `torch.optim`, trial by trial."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.optim import Optimizer

from src.optim import StackedAdam, StackedAdamW, StackedSGD

K, STEPS = 3, 300
LR = [1e-3, 1e-2, 0.05]
ADAM: dict[str, list[Any]] = {
    "lr": LR,
    "betas": [(0.9, 0.999), (0.8, 0.99), (0.0, 0.5)],
    "eps": [1e-8, 1e-6, 1e-3],
    "weight_decay": [0.0, 0.1, 0.5],
}
SGD: dict[str, list[Any]] = {"lr": LR, "momentum": [0.0, 0.5, 0.9], "weight_decay": [0.0, 0.1, 0.01]}


def tensors(values: dict[str, list[Any]]) -> dict[str, Tensor]:
    out = {name: torch.tensor(value, dtype=torch.float64) for name, value in values.items() if name != "betas"}
    if "betas" in values:
        out["beta1"], out["beta2"] = torch.tensor(values["betas"], dtype=torch.float64).T
    return out


def gradient(weights: Tensor, step: int) -> Tensor:
    """Of a bumpy bowl that moves, so that averages and decay have something to do."""
    return weights.pow(3) - 0.3 * weights + torch.tensor(step / 7.0, dtype=weights.dtype).sin()


def follow(optimizer: Optimizer, params: list[Tensor], steps: range) -> None:
    for step in steps:
        for param in params:
            param.grad = gradient(param.detach(), step)
        optimizer.step()


def start(dtype: torch.dtype) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(K, *shape, generator=generator, dtype=dtype, requires_grad=True) for shape in ((4, 5), (5,))]


CASES: list[tuple[Callable[..., Optimizer], Callable[..., Optimizer], dict[str, list[Any]], dict[str, bool]]] = [
    (StackedAdam, torch.optim.Adam, ADAM, {}),
    (StackedAdam, torch.optim.Adam, ADAM | {"weight_decay": [0.0] * K}, {}),
    (StackedAdamW, torch.optim.AdamW, ADAM, {}),
    (StackedSGD, torch.optim.SGD, SGD, {}),
    (StackedSGD, torch.optim.SGD, SGD | {"momentum": [0.9, 0.5, 0.1]}, {"nesterov": True}),
    (StackedSGD, torch.optim.SGD, {"lr": LR, "momentum": [0.0] * K, "weight_decay": [0.0] * K}, {}),
]


@pytest.mark.parametrize(("dtype", "rtol", "steps"), [(torch.float64, 1e-12, STEPS), (torch.float32, 1e-5, 10)])
@pytest.mark.parametrize(("stacked", "single", "values", "fixed"), CASES)
def test_updates_equal_those_of_torch_optim(
    stacked: Any, single: Any, values: dict[str, list[Any]], fixed: dict[str, bool], dtype: Any, rtol: float, steps: int
) -> None:
    params = start(dtype)
    follow(stacked(params, **tensors(values), **fixed), params, range(steps))
    for trial in range(K):
        alone = [param[trial].detach().clone().requires_grad_() for param in start(dtype)]
        own = {name: value[trial] for name, value in values.items()}
        follow(single(alone, **own, **fixed), alone, range(steps))
        for together, apart in zip(params, alone, strict=True):
            torch.testing.assert_close(together[trial], apart, rtol=rtol, atol=rtol / 10)


@pytest.mark.parametrize(("stacked", "values"), [(StackedAdam, ADAM), (StackedSGD, SGD)])
def test_trials_that_stay_go_on_as_if_none_had_left(stacked: Any, values: dict[str, list[Any]]) -> None:
    whole, fewer = start(torch.float64), start(torch.float64)
    optimizer = stacked(fewer, **tensors(values))
    follow(stacked(whole, **tensors(values)), whole, range(20))
    follow(optimizer, fewer, range(10))
    staying = torch.tensor([2, 0])
    shortened = [param.detach()[staying].requires_grad_() for param in fewer]
    optimizer.keep(shortened, staying)
    follow(optimizer, shortened, range(10, 20))
    for all_of_them, some in zip(whole, shortened, strict=True):
        torch.testing.assert_close(all_of_them[staying], some, rtol=1e-12, atol=0)


def test_state_survives_a_checkpoint() -> None:
    params, others = start(torch.float64), start(torch.float64)
    one, two = StackedAdam(params, **tensors(ADAM)), StackedAdam(others, **tensors(ADAM | {"lr": [1.0] * K}))
    follow(one, params, range(5))
    two.load_state_dict(copy.deepcopy(one.state_dict()))
    with torch.no_grad():
        for mine, theirs in zip(others, params, strict=True):
            mine.copy_(theirs)
    follow(one, params, range(5, 9))
    follow(two, others, range(5, 9))
    assert all(torch.equal(a, b) for a, b in zip(params, others, strict=True))


def test_saved_numbers_go_where_the_weights_are() -> None:
    def adam(device: str) -> StackedAdam:
        numbers = [torch.full((2,), value, dtype=torch.float64) for value in (0.1, 0.9, 0.99, 1e-8, 0.0)]
        return StackedAdam([torch.zeros(2, 3, device=device)], *numbers)

    elsewhere = adam("meta")
    elsewhere.load_state_dict(adam("cpu").state_dict())
    assert {elsewhere.param_groups[0][name].device.type for name in elsewhere.names} == {"meta"}
