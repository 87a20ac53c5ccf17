"""The nets: two spellings of one function."""

import torch
from torch import Tensor, nn

from src.models import Sequential, TwoLayerNet

SIZES = {"input_dim": 7, "hidden_dim": 5, "output_dim": 3}


def twins() -> tuple[TwoLayerNet, Sequential]:
    custom, sequential = TwoLayerNet(**SIZES), Sequential(**SIZES)
    sequential.load_state_dict(dict(zip(sequential.state_dict(), custom.state_dict().values(), strict=True)))
    return custom, sequential


def step(net: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
    optimizer = torch.optim.Adam(net.parameters())
    predictions = net(x)
    loss = nn.MSELoss()(predictions, y)
    loss.backward()
    optimizer.step()
    return predictions, loss, list(net.parameters())


def test_both_nets_give_the_same_outputs_losses_and_updates() -> None:
    custom, sequential = twins()
    x, y = torch.randn(4, 7), torch.randn(4, 3)
    for _ in range(3):
        (one, one_loss, one_weights), (other, other_loss, other_weights) = step(custom, x, y), step(sequential, x, y)
        assert torch.equal(one, other)
        assert torch.equal(one_loss, other_loss)
        assert all(torch.equal(a, b) for a, b in zip(one_weights, other_weights, strict=True))


def test_net_clamps_the_hidden_units_at_zero() -> None:
    net = TwoLayerNet(**SIZES)
    x = torch.randn(4, 7)
    hidden = x @ net.linear1.weight.T + net.linear1.bias
    by_hand = torch.where(hidden > 0, hidden, 0) @ net.linear2.weight.T + net.linear2.bias
    assert (hidden < 0).any()
    torch.testing.assert_close(net(x), by_hand)
