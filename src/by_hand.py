"""One two-layer net trained four ways, from bare tensors to an optimizer: the yardstick for the pipeline.

    python -c "from src import by_hand as way; print(way.tensors_alone(way.starting_point()).losses[::100])"

Each way is a page of notes: what it shows, what is easy to get wrong. Every such statement is a test in
`tests/test_by_hand.py`. All four begin at the same `Start`, leave it as it was, and take full-batch steps on the
sum of squared errors, so that ways 1, 2 and 3 (plain SGD) come out the same; way 4 takes Adam's steps instead.

Shapes: N rows, D inputs (`D_in`), H hidden units, O outputs (`D_out`).
"""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from src.models import Sequential, TwoLayerNet

WEIGHT_NAMES = ("linear1.weight", "linear1.bias", "linear2.weight", "linear2.bias")
Weights = dict[str, Tensor]
"""Named as in `TwoLayerNet().state_dict()`: weights (H, D) and (O, H), biases (H,) and (O,)."""


class Start(NamedTuple):
    """Where a training begins: inputs (N, D), targets (N, O), first weights."""

    x: Tensor
    y: Tensor
    weights: Weights


class Trained(NamedTuple):
    """Where a training ended: the loss before each step, and the weights after the last."""

    losses: list[float]
    weights: Weights


def starting_point(
    seed: int = 0, dtype: torch.dtype = torch.float32, N: int = 64, D_in: int = 1000, H: int = 100, D_out: int = 10
) -> Start:
    """Random data, and weights as `nn.Linear` first draws them.

    Drawn in float32 and then cast, so one seed means the same numbers in every dtype. The global random state is
    left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # the CPU's alone: torch.manual_seed would reseed a GPU too
        x, y = torch.randn(N, D_in, dtype=torch.float32), torch.randn(N, D_out, dtype=torch.float32)
        net = TwoLayerNet(D_in, H, D_out).to(dtype)
    return Start(x.to(dtype), y.to(dtype), _named(net.parameters()))


def tensors_alone(start: Start, num_steps: int = 500, lr: float = 1e-6) -> Trained:
    """Way 1: tensors alone, with the gradient of `gradient_by_hand`. Shows `clone` and `-=`.

    Easy to get wrong:
        - `-=` writes into the tensor it is given: without `clone`, into the starting point.
    """
    weights = {name: weight.clone() for name, weight in start.weights.items()}
    losses = []
    for _ in range(num_steps):
        loss, grads = gradient_by_hand(start.x, start.y, weights)
        losses.append(loss)
        for name in WEIGHT_NAMES:
            weights[name] -= lr * grads[name]
    return Trained(losses, weights)


def gradient_by_hand(x: Tensor, y: Tensor, weights: Weights) -> tuple[float, Weights]:
    """The loss, and its gradient by the chain rule. Shows `mm`, `t`, `clamp`, `pow`, `item`.

    Easy to get wrong:
        - `mm` multiplies two matrices and broadcasts nothing; `matmul` is the one that does.
        - `+ b1` does broadcast, one bias to all N rows; so the gradient of a bias is a sum over rows.
        - `clamp(min=0)` passes no gradient back where it clamped. At exactly 0 it does, where `relu` does not.
        - `pow(2)` makes a new tensor; `pow_(2)` would overwrite the error that the gradient still needs.
        - `t()` is a view: what is written into `w.t()` is written into `w`.
        - `item()` gives a Python float, and that ends differentiation.
    """
    w1, b1, w2, b2 = (weights[name] for name in WEIGHT_NAMES)
    hidden = x.mm(w1.t()) + b1  # (N, H)
    active = hidden.clamp(min=0)  # (N, H)
    error = active.mm(w2.t()) + b2 - y  # (N, O)
    loss = error.pow(2).sum().item()

    # Backwards through the same four lines; each gradient has the shape of what it is the gradient of.
    grad_error = 2 * error
    grad_hidden = grad_error.mm(w2)
    grad_hidden[hidden < 0] = 0
    grads = grad_hidden.t().mm(x), grad_hidden.sum(0), grad_error.t().mm(active), grad_error.sum(0)
    return loss, _named(grads)


def with_autograd(start: Start, num_steps: int = 500, lr: float = 1e-6) -> Trained:
    """Way 2: the same tensors, with autograd. Shows `backward`, `grad`, `no_grad`, `zero_`.

    Easy to get wrong:
        - `backward` adds to `.grad`: what is not zeroed accumulates.
        - Changing a leaf in place raises, unless under `no_grad`.
        - `w = w - lr * w.grad` under `no_grad` makes a new tensor, one that needs no gradient; `-=` keeps the leaf.
        - `clone` keeps the gradient path, so a loss of the clone reaches the original; `detach` cuts it.
        - `pow` keeps its input for `backward`, which raises if that input was changed in place meanwhile.
    """
    weights = {name: weight.clone().requires_grad_() for name, weight in start.weights.items()}
    w1, b1, w2, b2 = (weights[name] for name in WEIGHT_NAMES)
    losses = []
    for _ in range(num_steps):
        prediction = (start.x.mm(w1.t()) + b1).clamp(min=0).mm(w2.t()) + b2  # (N, O)
        loss = (prediction - start.y).pow(2).sum()
        losses.append(loss.item())
        loss.backward()
        with torch.no_grad():
            for w in (w1, b1, w2, b2):
                assert w.grad is not None  # backward has just filled it
                w -= lr * w.grad
                w.grad.zero_()
    return Trained(losses, _named((w1, b1, w2, b2)))


def with_sequential(start: Start, num_steps: int = 500, lr: float = 1e-6) -> Trained:
    """Way 3: layers and a loss that own their arithmetic. Shows `nn.Sequential`, `MSELoss`, `model.zero_grad()`.

    Easy to get wrong:
        - `MSELoss()` averages over all N * O errors; the sum that the other ways take is `reduction="sum"`.
        - `zero_grad()` leaves `.grad` None, not zero: nothing can be read from it until the next `backward`.
        - `param = param - lr * param.grad` gives a new tensor a name; the model keeps its old one.
    """
    model = _load(Sequential(*_sizes(start)), start)
    params: list[Tensor] = list(model.parameters())
    loss_fn = nn.MSELoss(reduction="sum")
    losses = []
    for _ in range(num_steps):
        loss = loss_fn(model(start.x), start.y)
        losses.append(loss.item())
        model.zero_grad()
        loss.backward()
        with torch.no_grad():
            for param in params:
                assert param.grad is not None  # backward has just filled it
                param -= lr * param.grad
    return Trained(losses, _named(params))


def with_adam(start: Start, num_steps: int = 500, lr: float = 1e-4) -> Trained:
    """Way 4: our own `TwoLayerNet`, and an optimizer. Shows `Adam`, `optimizer.zero_grad()`, `optimizer.step()`.

    Easy to get wrong:
        - `step` takes what `.grad` holds: without `optimizer.zero_grad()`, the sum of every gradient so far.
        - Adam's first step moves a weight by `lr`, however large its gradient: what suits SGD says nothing here.
        - Adam's averages live in the optimizer: one made anew at each step has forgotten them.
    """
    model = _load(TwoLayerNet(*_sizes(start)), start)
    loss_fn = nn.MSELoss(reduction="sum")
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    losses = []
    for _ in range(num_steps):
        loss = loss_fn(model(start.x), start.y)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return Trained(losses, _named(model.parameters()))


def _named(tensors: Iterable[Tensor]) -> Weights:
    return {name: tensor.detach() for name, tensor in zip(WEIGHT_NAMES, tensors, strict=True)}


def _sizes(start: Start) -> tuple[int, int, int]:
    (H, D_in), D_out = start.weights["linear1.weight"].shape, start.y.shape[1]
    return D_in, H, D_out


def _load(net: nn.Module, start: Start) -> nn.Module:
    # Sequential numbers its layers where TwoLayerNet names them; their order is the same. Loading copies.
    net.to(start.x).load_state_dict(dict(zip(net.state_dict(), start.weights.values(), strict=True)))
    return net
