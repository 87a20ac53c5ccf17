"""Whether nets can be stacked, found out by one step of two of them."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap

from src.module import Batch


def why_not(nets: Sequence[nn.Module], losses: Sequence[Any], batch: Batch) -> str | None:
    """Why nets cannot be stacked, found by one step of two of them, drawn by different seeds; None where they can.

    vmap cannot do control flow that depends on data. What changes or differs between nets besides their weights is
    not kept apart: running statistics (batch norm), tensors that are no buffers. There is one loss for all nets: it
    learns nothing, is the same for every seed, and stays as it is.
    """
    try:
        if reason := _differs_in_loss(losses):
            return reason
        loss = copy.deepcopy(losses[0])
        reason = _difference([copy.deepcopy(nets[0]), copy.deepcopy(nets[-1])], loss, batch)
        changed = _first_difference(losses[0], loss)
        return f"{changed} changes in training" if changed and not reason else reason
    except Exception as error:  # whatever vmap meets in a user's net; trained alone, a real bug shows itself
        return " ".join(str(error).split()).split(". ")[0]


def _differs_in_loss(losses: Sequence[Any]) -> str | None:
    if not isinstance(losses[0], nn.Module):
        return None
    if weights := [name for name, _ in losses[0].named_parameters()]:
        return f"loss.{weights[0]} is trained with the weights"
    differs = _first_difference(losses[0], losses[-1])
    return f"{differs} differs between seeds" if differs else None


def _first_difference(one: Any, other: Any) -> str | None:
    """The first tensor in which two losses of one class differ."""
    if not isinstance(one, nn.Module):
        return None
    pairs = zip(one.named_buffers(), other.buffers(), strict=True)
    return next((f"loss.{name}" for (name, value), others in pairs if not torch.equal(value, others)), None)


def _difference(nets: list[nn.Module], loss: Any, batch: Batch) -> str | None:
    features, targets = batch
    params, buffers = stack_module_state(nets)
    before = {name: value.clone() for name, value in buffers.items()}
    net = copy.deepcopy(nets[0]).train()
    forward = vmap(lambda p, b: functional_call(net, (p, b), (features,)), randomness="different")
    vmap(loss, in_dims=(0, None))(forward(params, buffers), targets).sum().backward()
    if changed := [name for name, value in buffers.items() if not torch.equal(value, before[name])]:
        return f"{changed[0]} changes in training besides the weights"
    if unused := [name for name, value in params.items() if value.requires_grad and value.grad is None]:
        return f"{unused[0]} takes no part in the loss"
    net.eval()
    together, alone = forward(params, buffers), torch.stack([net.eval()(features) for net in nets])
    if not torch.allclose(together, alone, rtol=1e-3, atol=1e-5):
        return "the nets differ in more than their weights and buffers"
    return None
