"""The four ways agree, and what their docstrings say of each operation is true.

python -m pytest tests/test_by_hand.py
"""

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from src.by_hand import (
    WEIGHT_NAMES,
    Start,
    Trained,
    Weights,
    gradient_by_hand,
    starting_point,
    tensors_alone,
    with_adam,
    with_autograd,
    with_sequential,
)
from src.models import TwoLayerNet

Way = Callable[[Start, int], Trained]
SGD_WAYS: list[Way] = [tensors_alone, with_autograd, with_sequential]
ALL_WAYS: list[Way] = [*SGD_WAYS, with_adam]


@pytest.fixture
def small() -> Start:
    """Small enough to look at, in float64: N=5, D=4, H=3, O=2."""
    return starting_point(seed=1, dtype=torch.float64, N=5, D_in=4, H=3, D_out=2)


def test_a_start_has_the_notes_sizes_and_the_nets_names() -> None:
    """64x1000x100x10, and weights that TwoLayerNet loads as they are."""
    start = starting_point()
    assert (start.x.shape, start.y.shape) == ((64, 1000), (64, 10))
    TwoLayerNet(1000, 100, 10).load_state_dict(start.weights)
    assert tuple(start.weights) == WEIGHT_NAMES


def test_a_seed_means_the_same_numbers_in_every_dtype() -> None:
    """The float64 start is the float32 start, widened; another seed is another start."""
    single, double, other = starting_point(3), starting_point(3, torch.float64), starting_point(4)
    assert double.x.dtype == double.weights["linear1.weight"].dtype == torch.float64
    same(single.x.double(), double.x)
    same(single.weights["linear2.bias"].double(), double.weights["linear2.bias"])
    assert not torch.equal(single.x, other.x)


def test_drawing_a_start_leaves_the_global_random_state() -> None:
    """A caller's own random numbers do not depend on whether a start was drawn."""
    before = torch.get_rng_state()
    starting_point(7)
    same(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("dtype", "num_steps", "rtol"), [(torch.float64, 500, 1e-10), (torch.float32, 10, 1e-5)], ids=["float64", "float32"]
)
def test_ways_1_2_and_3_agree(dtype: torch.dtype, num_steps: int, rtol: float) -> None:
    """The same losses and the same final weights, at the notes' sizes."""
    start = starting_point(dtype=dtype)
    first, *others = (way(start, num_steps) for way in SGD_WAYS)
    for other in others:
        assert_same_training(other, first, rtol)
    # Weights that had hardly moved would agree whatever the ways compute.
    for name, weight in first.weights.items():
        assert (weight - start.weights[name]).abs().max() > 10 * rtol * weight.abs().max()


def test_way_4_is_the_same_with_layers_in_an_nn_sequential() -> None:
    """TwoLayerNet under Adam equals nn.Sequential with the same weights under Adam, over 500 steps."""
    start = starting_point(dtype=torch.float64)
    assert_same_training(with_adam(start, 500), adam_loop(start, 500))


@pytest.mark.parametrize("way", ALL_WAYS)
def test_every_step_lowers_the_loss(way: Way) -> None:
    """At the notes' sizes and learning rates 500 steps do not diverge, and take off a quarter at least."""
    losses = way(starting_point(dtype=torch.float64), 500).losses
    assert len(losses) == 500
    assert all(later < earlier for earlier, later in pairwise(losses))
    assert losses[-1] < 0.75 * losses[0]


@pytest.mark.parametrize("way", ALL_WAYS)
def test_a_way_leaves_its_start_as_it_was(way: Way, small: Start) -> None:
    """Trained twice from one start, the result is the same bit for bit, and the start has not moved."""
    before = {name: weight.clone() for name, weight in small.weights.items()}
    first, second = way(small, 20), way(small, 20)
    assert first.losses == second.losses
    for name in WEIGHT_NAMES:
        same(first.weights[name], second.weights[name])
        same(small.weights[name], before[name])
        assert not small.weights[name].requires_grad
        assert not torch.equal(first.weights[name], before[name])


@pytest.mark.parametrize("way", ALL_WAYS)
def test_a_history_begins_before_the_first_step(way: Way, small: Start) -> None:
    """One loss a step, each taken before its step; no step at all gives the start back."""
    loss, _ = gradient_by_hand(*small)
    assert way(small, 3).losses[0] == pytest.approx(loss, rel=1e-12)
    losses, weights = way(small, 0)
    assert losses == []
    assert_weights_close(weights, small.weights, 0)


def test_the_gradient_by_hand_is_autograds() -> None:
    """At the notes' sizes, for every weight."""
    start = starting_point(dtype=torch.float64)
    loss, grads = gradient_by_hand(*start)
    model = sequential(start)
    expected = nn.MSELoss(reduction="sum")(model(start.x), start.y)
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=1e-12)
    for grad, param in zip(grads.values(), model.parameters(), strict=True):
        torch.testing.assert_close(grad, param.grad, rtol=1e-10, atol=1e-10)


def test_the_gradient_by_hand_is_the_slope_of_the_loss(small: Start) -> None:
    """Central differences, one weight at a time: no autograd on either side."""
    _, grads = gradient_by_hand(*small)
    step = 1e-6
    for name in WEIGHT_NAMES:
        for index in range(small.weights[name].numel()):
            up, down = (nudged_loss(small, name, index, by) for by in (step, -step))
            assert (up - down) / (2 * step) == pytest.approx(grads[name].flatten()[index].item(), rel=1e-6, abs=1e-7)


def test_mm_does_not_broadcast() -> None:
    """Batches, vectors and stretched ones are refused; matmul takes the batch."""
    left, batch = torch.ones(3, 4), torch.ones(2, 4, 5)
    for right in (batch, torch.ones(4), torch.ones(1, 5)):
        with pytest.raises(RuntimeError):
            left.mm(right)
    assert left.matmul(batch).shape == (2, 3, 5)


def test_a_bias_is_broadcast_and_its_gradient_is_a_sum_over_rows(small: Start) -> None:
    """Each row alone has a gradient of its own; the bias's is their sum."""
    _, grads = gradient_by_hand(*small)
    rows = [gradient_by_hand(x[None], y[None], small.weights)[1] for x, y in zip(small.x, small.y, strict=True)]
    for name in ("linear1.bias", "linear2.bias"):
        torch.testing.assert_close(sum(row[name] for row in rows), grads[name])


def test_clamp_passes_no_gradient_where_it_clamped(small: Start) -> None:
    """In autograd, and by hand: a hidden unit that is negative in every row gets none."""
    values = torch.tensor([-1.0, 2.0], requires_grad=True)
    values.clamp(min=0).sum().backward()
    assert grad_of(values).tolist() == [0, 1]

    bias = torch.tensor([-100.0, 100.0, 100.0], dtype=torch.float64)
    _, grads = gradient_by_hand(small.x, small.y, small.weights | {"linear1.bias": bias})
    assert [bool(row.any()) for row in grads["linear1.weight"]] == [False, True, True]
    assert [bool(unit) for unit in grads["linear1.bias"]] == [False, True, True]


def test_clamp_passes_the_gradient_at_exactly_zero_and_relu_does_not(small: Start) -> None:
    """By hand as clamp has it: with all hidden units at 0 the first bias has a gradient."""
    for function, expected in ((lambda v: v.clamp(min=0), 1), (torch.relu, 0)):
        zero = torch.zeros((), requires_grad=True)
        function(zero).backward()
        assert grad_of(zero).item() == expected

    at_zero = small.weights | {name: torch.zeros_like(small.weights[name]) for name in WEIGHT_NAMES[:2]}
    _, grads = gradient_by_hand(small.x, small.y, at_zero)
    assert grads["linear1.bias"].all()


def test_pow_makes_a_new_tensor_and_pow_underscore_overwrites() -> None:
    """What `pow` was given is still there afterwards."""
    error = torch.tensor([3.0])
    assert (error.pow(2).item(), error.item()) == (9, 3)
    assert (error.pow_(2).item(), error.item()) == (9, 9)


def test_t_is_a_view() -> None:
    """Writing into the transpose writes into the matrix."""
    matrix = torch.zeros(2, 3)
    matrix.t()[2, 0] = 5
    assert matrix[0, 2] == 5


def test_item_gives_a_float_and_ends_differentiation(small: Start) -> None:
    """The tensor has a path back; its item is a number and has none. Histories hold such numbers."""
    weight = torch.tensor(3.0, requires_grad=True)
    loss = weight.pow(2)
    assert loss.requires_grad
    assert type(loss.item()) is float
    assert not torch.as_tensor(loss.item()).requires_grad
    assert all(type(loss) is float for way in ALL_WAYS for loss in way(small, 2).losses)


def test_subtracting_in_place_without_clone_writes_into_the_original() -> None:
    """A second name is not a second tensor; a clone is."""
    weight = torch.ones(1)
    name, clone = weight, weight.clone()
    name -= 1
    assert (weight.item(), clone.item()) == (0, 1)


def test_gradients_accumulate_until_zeroed() -> None:
    """Two backwards give twice the gradient; after zero_, once."""
    weight = torch.tensor(3.0, requires_grad=True)
    for _ in range(2):
        weight.pow(2).backward()
    assert grad_of(weight).item() == 12
    grad_of(weight).zero_()
    weight.pow(2).backward()
    assert grad_of(weight).item() == 6


def test_changing_a_leaf_in_place_raises_unless_under_no_grad() -> None:
    """The error names the leaf; under no_grad the same line works, and the tensor stays a leaf."""
    weight = torch.ones(1, requires_grad=True)
    with pytest.raises(RuntimeError, match="leaf Variable"):
        weight -= 1
    with torch.no_grad():
        weight -= 1
    assert (weight.item(), weight.is_leaf, weight.requires_grad) == (0, True, True)


def test_a_new_tensor_made_under_no_grad_needs_no_gradient() -> None:
    """`w = w - step` loses the leaf, so the next backward would raise."""
    weight = torch.ones(1, requires_grad=True)
    with torch.no_grad():
        weight = weight - 1
    assert not weight.requires_grad
    with pytest.raises(RuntimeError, match="does not require grad"):
        weight.sum().backward()


def test_clone_keeps_the_gradient_path_and_detach_cuts_it() -> None:
    """A loss of the clone reaches the original; a loss of what was detached reaches nothing."""
    weight = torch.tensor(3.0, requires_grad=True)
    weight.clone().pow(2).backward()
    assert grad_of(weight).item() == 6
    assert not weight.detach().requires_grad
    with pytest.raises(RuntimeError, match="does not require grad"):
        weight.detach().pow(2).backward()


def test_what_pow_was_given_must_not_change_before_backward() -> None:
    """Autograd notices, and raises where it would have been wrong."""
    weight = torch.tensor(3.0, requires_grad=True)
    error = weight * 1
    loss = error.pow(2)
    error.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_mse_loss_averages_over_all_errors_unless_told_to_sum(small: Start) -> None:
    """The default is the sum divided by N * O."""
    zero = torch.zeros_like(small.y)
    total, mean = nn.MSELoss(reduction="sum")(zero, small.y), nn.MSELoss()(zero, small.y)
    torch.testing.assert_close(mean * small.y.numel(), total)
    torch.testing.assert_close(total, small.y.pow(2).sum())


def test_model_zero_grad_leaves_none(small: Start) -> None:
    """After backward there is a gradient; after zero_grad there is None, and not a tensor of zeros."""
    model = sequential(small)
    model(small.x).sum().backward()
    assert all(param.grad is not None for param in model.parameters())
    model.zero_grad()
    assert all(param.grad is None for param in model.parameters())


def test_naming_a_new_tensor_leaves_the_models_own_parameter(small: Start) -> None:
    """`new = param - step` does not move it; `param -= step` does."""
    params: list[Tensor] = list(sequential(small).parameters())
    for param, before in zip(params, small.weights.values(), strict=True):
        with torch.no_grad():
            new = param - 1
            same(param.detach(), before)
            param -= 1
        same(param.detach(), new)


def test_adam_without_zero_grad_takes_the_sum_of_all_gradients(small: Start) -> None:
    """The first step is the same; from the second on, the weights part."""
    assert_same_training(adam_loop(small, 1, zero=False), with_adam(small, 1))
    with pytest.raises(AssertionError):
        assert_same_training(adam_loop(small, 5, zero=False), with_adam(small, 5))


def test_adams_first_step_moves_each_weight_by_lr(small: Start) -> None:
    """With errors a thousand times larger as well; plain SGD's step grows with them."""
    large = small._replace(y=1000 * small.y)
    for start in (small, large):
        _, grads = gradient_by_hand(*start)
        trained = with_adam(start, 1, lr=1e-2)
        for name, weight in trained.weights.items():
            torch.testing.assert_close(weight - start.weights[name], -1e-2 * grads[name].sign())
    moved = [
        tensors_alone(start, 1).weights["linear2.bias"] - start.weights["linear2.bias"] for start in (small, large)
    ]
    assert moved[1].norm() > 100 * moved[0].norm()


def test_an_adam_made_anew_at_each_step_has_forgotten(small: Start) -> None:
    """It parts from the one that is kept after the first step."""
    assert_same_training(adam_loop(small, 1, anew=True), with_adam(small, 1))
    with pytest.raises(AssertionError):
        assert_same_training(adam_loop(small, 5, anew=True), with_adam(small, 5))


def same(actual: Tensor, expected: Tensor) -> None:
    """Bit for bit."""
    torch.testing.assert_close(actual, expected, rtol=0, atol=0)


def assert_same_training(actual: Trained, expected: Trained, rtol: float = 1e-10) -> None:
    """The same losses, and the same weights."""
    assert actual.losses == pytest.approx(expected.losses, rel=rtol, abs=0)
    assert_weights_close(actual.weights, expected.weights, rtol)


def assert_weights_close(actual: Weights, expected: Weights, rtol: float) -> None:
    """Within rtol of each weight, or within a few roundings of the largest, for those that lie near zero."""
    assert actual.keys() == expected.keys()
    for name, weight in expected.items():
        atol = 8 * torch.finfo(weight.dtype).eps * weight.abs().max().item()
        torch.testing.assert_close(actual[name], weight, rtol=rtol, atol=atol)


def grad_of(tensor: Tensor) -> Tensor:
    """What backward left in `.grad`."""
    assert tensor.grad is not None
    return tensor.grad


def nudged_loss(start: Start, name: str, index: int, by: float) -> float:
    """The loss with one single weight moved."""
    weight = start.weights[name].clone()
    weight.view(-1)[index] += by
    return gradient_by_hand(start.x, start.y, start.weights | {name: weight})[0]


def sequential(start: Start) -> nn.Sequential:
    """Plain nn.Sequential with the start's weights, built apart from `src`."""
    (H, D_in), D_out = start.weights["linear1.weight"].shape, start.y.shape[1]
    model = nn.Sequential(nn.Linear(D_in, H), nn.ReLU(), nn.Linear(H, D_out)).to(start.x.dtype)
    with torch.no_grad():
        for param, name in zip(model.parameters(), WEIGHT_NAMES, strict=True):
            param.copy_(start.weights[name])
    return model


def adam_loop(start: Start, num_steps: int, zero: bool = True, anew: bool = False) -> Trained:
    """Adam on `sequential`, with a mistake to choose: gradients not zeroed, or a new optimizer at each step."""
    model, losses = sequential(start), []
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    for _ in range(num_steps):
        if zero:
            optimizer.zero_grad()
        if anew:
            optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
        loss = (model(start.x) - start.y).pow(2).sum()
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
    return Trained(losses, {n: p.detach() for n, p in zip(WEIGHT_NAMES, model.parameters(), strict=True)})
