"""K nets of one architecture as one: what they predict together, and each one's loss.

Shapes: K nets, B rows of a batch, D features, O targets, I inputs and U units of a layer.
"""

import copy
from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from src.fast_clamp import FastClamp

Weights = Mapping[str, Tensor]
_BY_ELEMENT = (nn.MSELoss, nn.L1Loss, nn.SmoothL1Loss, nn.HuberLoss)


class StackedNet:
    """Predicts with K nets at a time.

    Any net that `torch.func.vmap` takes goes through it. One whose weights all belong to linear layers is computed
    without it where that is found to come out the same: vmap takes as long as the arithmetic of a hundred small nets.

    It is no `nn.Module`: its weights are its caller's.

    Args:
        nets: of one architecture.
        input_dim: D.
    """

    def __init__(self, nets: Sequence[nn.Module], input_dim: int) -> None:
        self._net, self._size = copy.deepcopy(nets[0]), len(nets)
        self._is_random = _is_random(copy.deepcopy(nets[0]), input_dim)
        self._broadcast = None if self._is_random else _broadcast(self._net, input_dim)

    def __call__(
        self, weights: Weights, buffers: Weights, features: Tensor, training: bool, staying: Tensor | None = None
    ) -> Tensor:
        """Predicts with some of the nets.

        Args:
            weights: every weight of theirs, each (K', ...).
            buffers: every buffer of theirs, each (K', ...).
            features: (B, D), the same for all.
            training: whether dropout draws.
            staying: (K',) which of the K nets they are; None for all.

        Returns:
            (K', B, O)
        """
        if staying is None or not (training and self._is_random) or len(staying) == self._size:
            return self._predict(weights, buffers, features, training)
        # One generator draws for all: the nets that have left still take their draws, so that all others keep theirs.
        stand_ins = torch.zeros(self._size, dtype=torch.long, device=staying.device)
        stand_ins[staying] = torch.arange(len(staying), device=staying.device)
        weights, buffers = (
            {name: value.index_select(0, stand_ins) for name, value in each.items()} for each in (weights, buffers)
        )
        return self._predict(weights, buffers, features, training).index_select(0, staying)

    def _predict(self, weights: Weights, buffers: Weights, features: Tensor, training: bool) -> Tensor:
        with FastClamp():
            if self._broadcast is not None:
                return self._broadcast(weights, features, training)
            return _by_vmap(self._net.train(training), weights, buffers, features)


def losses(loss: nn.Module, predictions: Tensor, targets: Tensor) -> Tensor:
    """Each net's loss (K,), from predictions (K, B, O) and targets (B, O)."""
    if type(loss) not in _BY_ELEMENT or predictions.shape[1:] != targets.shape:
        return vmap(loss, in_dims=(0, None))(predictions, targets)
    by_element = copy.copy(loss)
    vars(by_element)["reduction"] = "none"
    values = by_element(predictions, targets.expand_as(predictions)).flatten(1)
    return values.sum(1) if loss.reduction == "sum" else values.mean(1)


class _StackedLinear(nn.Module):
    """K linear layers.

    Args:
        weights: every weight (K, ...) of the nets; whoever calls keeps it up to date.
        weight: the name of this layer's weight (K, U, I) in it.
        bias: the name of its bias (K, U), None if it has none.
    """

    def __init__(self, weights: Weights, weight: str, bias: str | None) -> None:
        super().__init__()
        self._weights, self._weight, self._bias = weights, weight, bias

    def forward(self, x: Tensor) -> Tensor:
        """(K, B, U) from (K, B, I), or from (B, I), which is the same for all."""
        weight = self._weights[self._weight].transpose(1, 2)
        rows = x.expand(len(weight), -1, -1)
        return rows @ weight if self._bias is None else torch.baddbmm(self._weights[self._bias][:, None], rows, weight)


class _Broadcast:
    """A net whose linear layers have stacked weights; all else that it does is left to broadcasting.

    Args:
        net: one of the nets.
    """

    def __init__(self, net: nn.Module) -> None:
        self._weights: dict[str, Tensor] = {}
        names = {id(weight): name for name, weight in net.named_parameters()}
        self._net = self._stacked(net, names)

    def __call__(self, weights: Weights, features: Tensor, training: bool) -> Tensor:
        self._weights.update(weights)
        return self._net.train(training)(features)

    def _stacked(self, module: nn.Module, names: Mapping[int, str]) -> nn.Module:
        if type(module) is nn.Linear:
            bias = None if module.bias is None else names[id(module.bias)]
            return _StackedLinear(self._weights, names[id(module.weight)], bias)
        module = copy.copy(module)
        module._modules = {
            name: None if part is None else self._stacked(part, names) for name, part in module._modules.items()
        }
        return module


def _broadcast(net: nn.Module, input_dim: int) -> _Broadcast | None:
    """A net in this form, if it has it: both ways are asked for predictions, with drawn weights."""
    layers = [module for module in net.modules() if type(module) is nn.Linear]
    of_layers = {id(weight) for layer in layers for weight in layer.parameters()}
    if any(id(weight) not in of_layers for weight in net.parameters()) or any(True for _ in net.buffers()):
        return None
    draw = partial(torch.randn, generator=torch.Generator().manual_seed(0))
    weights = {name: draw(2, *weight.shape).to(weight) for name, weight in net.named_parameters()}
    features = draw(3, input_dim).to(next(net.parameters()))
    try:
        broadcast = _Broadcast(net)
        alike = all(_agree(broadcast, net, weights, features, training) for training in (True, False))
    except Exception:  # it does more with its layers than call them
        return None
    return broadcast if alike else None


def _is_random(net: nn.Module, input_dim: int) -> bool:
    """Whether it draws random numbers in training, as dropout does."""
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        before = torch.get_rng_state()
        net.train()(torch.zeros(3, input_dim).to(next(net.parameters())))
        return not torch.equal(torch.get_rng_state(), before)


def _agree(broadcast: _Broadcast, net: nn.Module, weights: Weights, features: Tensor, training: bool) -> bool:
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        expected = _by_vmap(net.train(training), weights, {}, features)
        predicted = broadcast(weights, features, training)
    return predicted.shape == expected.shape and torch.allclose(predicted, expected, rtol=1e-3, atol=1e-5)


def _by_vmap(net: nn.Module, weights: Weights, buffers: Weights, features: Tensor) -> Tensor:
    def one(own_weights: dict[str, Tensor], own_buffers: dict[str, Tensor]) -> Tensor:
        return functional_call(net, (own_weights, own_buffers), (features,))

    return vmap(one, randomness="different")(dict(weights), dict(buffers))
