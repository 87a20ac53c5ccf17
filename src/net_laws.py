"""What holds of every net and loss, the user's own too: found by one small batch, before anything is trained.

Shapes: B rows of a batch, D features, O targets.
"""

import copy
import inspect
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from src.data.base import TabularData
from src.errors import ConfigError

_ROWS = 32  # of the batch, at most


def settle(net: nn.Module, data: TabularData) -> None:
    """Lets lazy layers, such as `nn.LazyLinear`, take their sizes from the data; their weights are drawn here."""
    if not any(map(is_lazy, [*net.parameters(), *net.buffers()])):
        return
    modes = {module: module.training for module in net.modules()}
    dtype = next(net.parameters()).dtype
    with torch.no_grad():
        net.eval()(data.split("train")[0][:2].to(dtype))
    for module, mode in modes.items():
        module.training = mode


def check_net(net: nn.Module, loss: Any, data: TabularData) -> None:
    """Checks what a net predicts and what a loss makes of it: no random state, no buffer, no weight is changed.

    Predictions (B,) and targets (B, 1) would be broadcast to (B, B): a loss that nobody wanted, without a word.

    Raises:
        ConfigError: where the predictions are not (B, O), the loss is not one number, or nothing can be trained.
    """
    if not any(weights.requires_grad for weights in net.parameters()):
        raise ConfigError("the net must have weights to train", "none that requires a gradient", "requires_grad_()")
    features, targets = data.split("train")
    with _undisturbed_generators(), _probe(net, features.dtype) as net, _probe(loss, features.dtype) as loss:
        rows = _batch(len(features), data)
        _check_takes("net", net, "features", features)
        _check_takes("loss", loss, "predictions and targets", targets, targets)
        predictions = _first_predictions(net.train(), features[:rows])
        _check_predictions(predictions, features[:rows], targets[:rows])
        _check_loss(loss(predictions, targets[:rows]), net, targets[:rows])
        _check_one_row(net, data)
        with torch.no_grad():
            _check_predictions(net.eval()(features[:rows]), features[:rows], targets[:rows])
            _check_alone(net, features[:1], targets[:1])


@contextmanager
def _probe(module: Any, dtype: torch.dtype) -> Iterator[Any]:
    """A copy to try out; of what cannot be copied, such as a net under weight norm, the thing itself, put back."""
    if not isinstance(module, nn.Module):  # a loss may be a function
        yield module
        return
    try:
        probe = copy.deepcopy(module).to(dtype)
    except RuntimeError:
        modes = {part: part.training for part in module.modules()}
        buffers = [(buffer, buffer.clone()) for buffer in module.buffers()]
        yield module.to(dtype)
        for buffer, before in buffers:
            buffer.copy_(before)
        for part, mode in modes.items():
            part.training = mode
    else:
        yield probe


@contextmanager
def _undisturbed_generators() -> Iterator[None]:
    """Gives every generator that a net may draw from its state back."""
    python, of_numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(), torch.enable_grad():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(of_numpy)


def _batch(num_rows: int, data: TabularData) -> int:
    """B: other than O, so that rows and targets cannot be taken for each other."""
    rows = min(num_rows, max(data.batch_size, 2), _ROWS)
    return rows - 1 if rows == data.output_dim and rows > 2 else rows


def _check_takes(what: str, module: Any, names: str, *values: Tensor) -> None:
    """Whether a net or a loss can be called as it will be."""
    try:
        signature = inspect.signature(module.forward if isinstance(module, nn.Module) else module)
    except (TypeError, ValueError):  # that of a compiled function may not be known
        return
    try:
        signature.bind(*values)
    except TypeError as error:
        law = f"the {what} is called with {names}, and nothing else"
        raise ConfigError(law, f"{type(module).__name__} takes {signature}: {error}", f"another {what}") from error


def _first_predictions(net: nn.Module, features: Tensor) -> Any:
    """What a net makes of features; its first layer must have their width."""
    try:
        return net(features)
    except RuntimeError as error:
        found = re.search(r"shapes cannot be multiplied \((\d+)x(\d+) and (\d+)x", str(error))
        if found is None or (int(found[1]), int(found[2])) != tuple(features.shape):
            raise
        law = f"the net must take features {tuple(features.shape)}: a row each, input_dim wide"
        got = f"a layer of {found[3]} inputs"
        raise ConfigError(law, got, f"let the first layer have input_dim={found[2]} inputs") from error


def _check_predictions(predictions: Any, features: Tensor, targets: Tensor) -> None:
    wanted, got = tuple(targets.shape), _described(predictions)
    law = f"the net must give predictions {wanted} from features {tuple(features.shape)}: a row each, output_dim wide"
    if not torch.is_tensor(predictions):
        raise ConfigError(law, got, "return the predictions alone, as a tensor")
    if predictions.shape != targets.shape:
        remedy = f"return a row of {wanted[1]} numbers for each row of features"
        if predictions.shape[:1] == wanted[:1] and predictions.ndim == 2:
            remedy = f"let the last layer have output_dim={wanted[1]} outputs"
        elif predictions.numel() == targets.numel() and predictions.ndim != 2:
            remedy = f"return predictions.reshape(-1, {wanted[1]})"
        raise ConfigError(law, got, remedy)
    if predictions.dtype != features.dtype:
        law = f"the net must predict in the precision of its features, {features.dtype}"
        raise ConfigError(law, got, "return predictions.to(features.dtype)")


def _check_loss(value: Any, net: nn.Module, targets: Tensor) -> None:
    law = f"the loss must give one real number for predictions and targets {tuple(targets.shape)}"
    if not torch.is_tensor(value) or value.shape != () or not value.is_floating_point():
        raise ConfigError(law, _described(value), "return the mean over rows, as a tensor: loss.mean()")
    trained = [weights for weights in net.parameters() if weights.requires_grad]
    gradients = torch.autograd.grad(value, trained, allow_unused=True) if value.requires_grad else []
    law = "the loss must depend on the weights of the net: nothing would be trained"
    if all(gradient is None for gradient in gradients):
        raise ConfigError(law, "no weight has a gradient", "leave detach(), item(), argmax() and no_grad() out")
    if not any(gradient is not None and bool(gradient.count_nonzero()) for gradient in gradients):
        remedy = "a loss for numbers, such as loss=mse   # one for classes is 0 where there is one output"
        raise ConfigError(law, "the gradient of every weight is 0", remedy)


def _check_alone(net: nn.Module, features: Tensor, targets: Tensor) -> None:
    """A file to score may have one row."""
    try:
        predictions = net(features)
    except Exception:  # it predicts many rows, as was seen before: one that needs several is nobody's mistake
        return
    _check_predictions(predictions, features, targets)


def _check_one_row(net: nn.Module, data: TabularData) -> None:
    """A batch of one row is what is left at an epoch's end; batch norm cannot train on it."""
    features, targets = data.split("train")
    num_rows, size = len(features), data.batch_size
    if size > 1 and num_rows % size != 1:
        return
    try:
        predictions = net.train()(features[:1])
    except ValueError as error:
        better = next(other for other in range(max(size, 2), num_rows + 3) if num_rows % other != 1)
        law = f"the net must train on the last batch of an epoch, one row of {num_rows} in batches of {size}"
        raise ConfigError(law, " ".join(str(error).split()), f"data.batch_size={better}") from error
    _check_predictions(predictions, features[:1], targets[:1])


def _described(value: Any) -> str:
    if torch.is_tensor(value):
        return f"{tuple(value.shape)} {value.dtype}"
    return f"{type(value).__name__} of {len(value)}" if isinstance(value, tuple | list | dict) else f"{value!r}"
