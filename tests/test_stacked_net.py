"""K nets as one predict what each predicts alone, whichever way they are computed."""

import copy
from unittest.mock import Mock

import pytest
import torch
from torch import Tensor, nn
from torch.func import stack_module_state, vmap
from torch.nn.functional import linear

from src.models import Sequential, TwoLayerNet
from src.stacked_net import StackedNet, losses


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(5, 5, bias=False), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(x + self.first(x).tanh())


class Tied(Residual):
    """One layer is called twice, under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.second = self.first

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.second(self.first(x).relu()))


class OverRows(Residual):
    """Dimension 0 means the batch, which is dimension 1 of the nets together."""

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.first(x) - self.first(x).mean(0))


class ByWeight(Residual):
    """Takes a layer's weight instead of calling it."""

    def forward(self, x: Tensor) -> Tensor:
        return self.last(linear(x, self.first.weight.t()))


class Hidden(Residual):
    """Keeps its layers where no module looks for them besides."""

    def __init__(self) -> None:
        super().__init__()
        self.plain = [self.first]

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.plain[0](x))


class Scaled(Residual):
    """Has a weight that is no layer's."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(5))

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.scale * self.first(x))


BROADCAST = {
    "two layers": lambda: TwoLayerNet(5, 7, 2),
    "sequential": lambda: Sequential(5, 7, 2),
    "one layer": lambda: nn.Linear(5, 2),
    "deep": lambda: nn.Sequential(nn.Linear(5, 4), nn.Sequential(nn.GELU(), nn.Linear(4, 3)), nn.Linear(3, 2)),
    "residual": Residual,
    "tied": Tied,
}
BY_VMAP = {
    "over rows": OverRows,
    "by weight": ByWeight,
    "scaled": Scaled,
    "layer norm": lambda: nn.Sequential(nn.Linear(5, 4), nn.LayerNorm(4), nn.Linear(4, 2)),
}


@pytest.mark.parametrize("name", [*BROADCAST, *BY_VMAP])
def test_nets_together_predict_and_learn_as_each_alone(name: str) -> None:
    nets = [(BROADCAST | BY_VMAP)[name]().double() for _ in range(4)]
    weights, buffers = stack_module_state([copy.deepcopy(net) for net in nets])
    features = torch.randn(3, 5, dtype=torch.float64)
    together = StackedNet(nets, 5)(weights, buffers, features, training=True)
    together.square().sum().backward()
    for number, net in enumerate(nets):
        alone = net(features)
        alone.square().sum().backward()
        torch.testing.assert_close(together[number], alone, rtol=1e-12, atol=1e-12)
        for own, weight in net.named_parameters():
            torch.testing.assert_close(weights[own].grad[number], weight.grad, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", [*BROADCAST, *BY_VMAP])
def test_vmap_is_left_out_where_the_net_is_linear_layers_only(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    nets = [(BROADCAST | BY_VMAP)[name]() for _ in range(2)]
    together = StackedNet(nets, 5)
    counted = Mock(side_effect=vmap)
    monkeypatch.setattr("src.stacked_net.vmap", counted)
    together(*stack_module_state(nets), torch.randn(3, 5), training=True)
    assert counted.called == (name in BY_VMAP)


def test_layers_out_of_sight_are_not_taken_for_stacked_ones() -> None:
    """Two equal nets: what a layer of the first predicts is right for both, until they learn."""
    nets = [Hidden(), Hidden()]
    nets[1].load_state_dict(nets[0].state_dict())
    assert StackedNet(nets, 5)._broadcast is None


def test_dropout_draws_for_each_net() -> None:
    nets = [nn.Sequential(nn.Linear(5, 64), nn.Dropout(0.5), nn.Linear(64, 1)) for _ in range(2)]
    nets[1].load_state_dict(nets[0].state_dict())
    weights, buffers = stack_module_state(nets)
    together = StackedNet(nets, 5)
    first, second = together(weights, buffers, torch.randn(3, 5), training=True)
    assert not torch.allclose(first, second)
    first, second = together(weights, buffers, torch.randn(3, 5), training=False)
    torch.testing.assert_close(first, second)


def test_dropout_of_inputs_draws_for_each_net_though_it_hardly_ever_drops_one() -> None:
    nets = [nn.Sequential(nn.Dropout(1e-3), nn.Linear(5, 1)) for _ in range(2)]
    nets[1].load_state_dict(nets[0].state_dict())
    first, second = StackedNet(nets, 5)(*stack_module_state(nets), torch.randn(10_000, 5), training=True)
    assert not torch.equal(first, second)


def test_making_a_stack_draws_no_random_numbers() -> None:
    nets = [nn.Sequential(nn.Linear(5, 4), nn.Dropout(0.5), nn.Linear(4, 1)) for _ in range(2)]
    before = torch.get_rng_state()
    StackedNet(nets, 5)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("kind", [nn.MSELoss, nn.L1Loss, nn.SmoothL1Loss, nn.HuberLoss, nn.PoissonNLLLoss])
def test_loss_of_each_net_is_its_loss_alone(kind: type[nn.Module], reduction: str) -> None:
    loss = kind(reduction=reduction)
    predictions, targets = torch.randn(4, 3, 2, dtype=torch.float64), torch.rand(3, 2, dtype=torch.float64)
    alone = torch.stack([loss(own, targets) for own in predictions])
    torch.testing.assert_close(losses(loss, predictions, targets), alone, rtol=1e-12, atol=1e-12)
    assert loss.reduction == reduction
