"""A net or a loss that would train something else than was meant is refused before training, alone and stacked."""

import copy
import random
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from src.build import build, build_data
from src.check import check
from src.config import Config
from src.errors import ConfigError
from src.fit_stack import Trial, room
from src.net_laws import check_net
from src.record import read, read_config
from src.scoring import predict
from tests.conftest import SMALL, composed
from tests.test_fit_stack import assert_close, checkpoint, stacked
from tests.test_run import trained

compose_once = cache(composed)


class Net(nn.Module):
    """A net whose forward pass the others spoil."""

    def __init__(self, input_dim: int, hidden_dim: int, output_dim: int) -> None:
        super().__init__()
        self.into, self.out = nn.Linear(input_dim, hidden_dim), nn.Linear(hidden_dim, output_dim)
        self.norm = nn.BatchNorm1d(hidden_dim)

    def raw(self, x: Tensor) -> Tensor:
        return self.out(torch.relu(self.into(x)))

    def forward(self, x: Tensor) -> Any:
        return self.raw(x)


class TooWide(Net):
    def __init__(self, input_dim: int, hidden_dim: int, output_dim: int) -> None:
        super().__init__(input_dim, hidden_dim, output_dim + 1)


class Flat(Net):
    def forward(self, x: Tensor) -> Any:
        return self.raw(x)[:, 0]


class Turned(Net):
    def forward(self, x: Tensor) -> Any:
        return self.raw(x).T


class OneForAll(Net):
    def forward(self, x: Tensor) -> Any:
        return self.raw(x).mean(0, keepdim=True)


class Pair(Net):
    def forward(self, x: Tensor) -> Any:
        return self.raw(x), x


class Named(Net):
    def forward(self, x: Tensor) -> Any:
        return {"predictions": self.raw(x)}


class Nothing(Net):
    def forward(self, x: Tensor) -> Any:
        self.raw(x)


class Double(Net):
    def forward(self, x: Tensor) -> Any:
        return self.raw(x).double()


class Whole(Net):
    def forward(self, x: Tensor) -> Any:
        return self.raw(x).round().long()


class Complex(Net):
    def forward(self, x: Tensor) -> Any:
        return torch.complex(self.raw(x), self.raw(x))


class FlatWhenScored(Net):
    def forward(self, x: Tensor) -> Any:
        return self.raw(x) if self.training else self.raw(x)[:, 0]


class FlatForOneRow(Net):
    def forward(self, x: Tensor) -> Any:
        return self.raw(x).squeeze(0)


class Detached(Net):
    def forward(self, x: Tensor) -> Any:
        return self.raw(x).detach()


class Frozen(Net):
    def __init__(self, input_dim: int, hidden_dim: int, output_dim: int) -> None:
        super().__init__(input_dim, hidden_dim, output_dim)
        self.requires_grad_(False)


class BatchNorm(Net):
    def forward(self, x: Tensor) -> Any:
        return self.out(self.norm(self.into(x)))


class Narrow(Net):
    def __init__(self, input_dim: int, hidden_dim: int, output_dim: int) -> None:
        super().__init__(input_dim, hidden_dim, output_dim)
        self.into = nn.Linear(input_dim - 3, hidden_dim)

    def forward(self, x: Tensor) -> Any:
        return self.raw(x)


class WithTime(Net):
    def forward(self, x: Tensor, time: Tensor) -> Any:  # type: ignore[override]
        return self.raw(x) * time


class OfClasses(nn.CrossEntropyLoss):
    """The same for every single output."""


class WithVariance(nn.GaussianNLLLoss):
    """Called with three things."""


class OfRows(nn.Module):
    def forward(self, predictions: Tensor, targets: Tensor) -> Any:
        return (predictions - targets) ** 2


class OfTargets(nn.Module):
    def forward(self, predictions: Tensor, targets: Tensor) -> Any:
        return ((predictions - targets) ** 2).mean(0)


class Number(nn.Module):
    def forward(self, predictions: Tensor, targets: Tensor) -> Any:
        return ((predictions - targets) ** 2).mean().item()


class Unrelated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, predictions: Tensor, targets: Tensor) -> Any:
        return self.weight * targets.square().mean()


SHAPES = r"the net must give predictions \(32, 1\) from features \(32, 10\)"
NETS = {
    Flat: SHAPES + r".*\n  got: \(32,\) torch.float32\n  try: return predictions.reshape\(-1, 1\)",
    TooWide: SHAPES + r".*\n  got: \(32, 2\) torch.float32\n  try: let the last layer have output_dim=1 outputs",
    Turned: SHAPES + r".*\n  got: \(1, 32\)",
    OneForAll: SHAPES + r".*\n  got: \(1, 1\) torch.float32\n  try: return a row of 1 numbers",
    Pair: SHAPES + r".*\n  got: tuple of 2\n  try: return the predictions alone",
    Named: SHAPES + r".*\n  got: dict of 1",
    Nothing: SHAPES + r".*\n  got: None",
    Double: r"precision of its features, torch.float32\n  got: \(32, 1\) torch.float64",
    Whole: r"precision of its features, torch.float32\n  got: \(32, 1\) torch.int64",
    Complex: r"precision of its features, torch.float32\n  got: \(32, 1\) torch.complex64",
    FlatWhenScored: SHAPES + r".*\n  got: \(32,\)",
    FlatForOneRow: r"predictions \(1, 1\) from features \(1, 10\).*\n  got: \(1,\)",
    Detached: "the loss must depend on the weights of the net",
    Frozen: "the net must have weights to train",
    Narrow: r"must take features \(32, 10\).*\n  got: a layer of 7 inputs\n  try: .* input_dim=10 inputs",
    WithTime: r"the net is called with features, and nothing else\n  got: WithTime takes \(x: .*, time: .*'time'",
}
LOSSES = {
    OfRows: r"the loss must give one real number .*\n  got: \(32, 1\)",
    OfTargets: r"the loss must give one real number .*\n  got: \(1,\)",
    Number: r"the loss must give one real number .*\n  got: \d\.",
    Unrelated: "the loss must depend on the weights of the net",
    OfClasses: r"the loss must depend on the weights of the net.*\n  got: the gradient of every weight is 0",
    WithVariance: "the loss is called with predictions and targets, and nothing else\n  got: WithVariance takes",
}


def with_target(group: str, target: type, *overrides: str) -> Config:
    config: DictConfig = copy.deepcopy(compose_once(*SMALL))
    values = {"reduction": None} if group == "loss" else {}
    config[group] = {**config[group], **values, "_target_": f"{__name__}.{target.__name__}"}
    config[group] = {key: value for key, value in config[group].items() if value is not None}
    config.merge_with_dotlist(list(overrides))
    return check(config)


def refused_alone_and_stacked(cfg: Config, law: str) -> None:
    with pytest.raises(ConfigError, match=law):
        build(cfg)
    with pytest.raises(ConfigError, match=law):
        room(Trial(cfg, {}, Path("nowhere"), "key", []))


@pytest.mark.parametrize("net", NETS)
def test_a_net_that_predicts_something_else_is_refused(net: type[Net]) -> None:
    refused_alone_and_stacked(with_target("model", net), NETS[net])


@pytest.mark.parametrize("loss", LOSSES)
def test_a_loss_that_is_no_number_or_trains_nothing_is_refused(loss: type[nn.Module]) -> None:
    refused_alone_and_stacked(with_target("loss", loss), LOSSES[loss])


def test_several_targets_are_not_taken_for_rows() -> None:
    several = ("data._target_=src.data.bundled.Linnerud", "data.batch_size=3", "data.seed=1")
    law = r"predictions \(2, 3\) from features \(2, 3\).*\n  got: \(3, 2\)"
    refused_alone_and_stacked(with_target("model", Turned, *several), law)
    build(with_target("model", Net, *several))


def test_batch_norm_is_not_left_with_one_row_at_the_end_of_an_epoch() -> None:
    law = r"one row of 310 in batches of 103\n  got: Expected more than 1 value .*\n  try: data.batch_size=104"
    refused_alone_and_stacked(with_target("model", BatchNorm, "data.batch_size=103"), law)
    build(with_target("model", BatchNorm, "data.batch_size=104"))


class Drawing(Net):
    """Draws from every generator, keeps running statistics, and counts its calls."""

    calls = 0

    def forward(self, x: Tensor) -> Any:
        self.calls += 1
        noise = torch.rand(1) + random.random() + np.random.rand()
        return self.out(nn.functional.dropout(self.norm(self.into(x)), 0.5, self.training)) + 0 * noise


class WeightNorm(Drawing):
    """It cannot be copied."""

    def __init__(self, input_dim: int, hidden_dim: int, output_dim: int) -> None:
        super().__init__(input_dim, hidden_dim, output_dim)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            nn.utils.weight_norm(self.into)
        self.norm.eval()


def states() -> tuple[Any, ...]:
    return torch.get_rng_state().tolist(), random.getstate(), str(np.random.get_state())


@pytest.mark.parametrize("make", [Drawing, WeightNorm])
def test_the_check_leaves_no_trace(make: type[Net]) -> None:
    net, data = make(10, 4, 1), build_data(check(compose_once(*SMALL)))
    weights, modes = copy.deepcopy(net.state_dict()), [module.training for module in net.modules()]
    before = states()
    check_net(net, nn.MSELoss(), data)
    assert states() == before
    assert [module.training for module in net.modules()] == modes
    assert all(torch.equal(value, weights[name]) for name, value in net.state_dict().items())
    assert all(value.grad is None for value in net.parameters())
    assert make is WeightNorm or not net.calls


class Lazy(nn.Sequential):
    def __init__(self, input_dim: int, hidden_dim: int, output_dim: int) -> None:
        super().__init__(nn.LazyLinear(hidden_dim), nn.ReLU(), nn.LazyLinear(output_dim))


def test_lazy_layers_train_alone_and_stacked_and_are_scored(tmp_path: Path) -> None:
    words = (f"model._target_={__name__}.Lazy", "trainer.precision=64")
    record = trained(tmp_path / "alone", *words, "seed=3")
    (folder, _) = stacked(tmp_path / "stack", (*SMALL, *words), [("seed=3",), ("seed=4",)])
    assert read(folder).metrics["val/loss"] == pytest.approx(record.metrics["val/loss"], rel=1e-9)
    alone, of_stack = (checkpoint(place, "best")["state_dict"] for place in (tmp_path / "alone", folder))
    assert_close(alone, of_stack, 1e-9)
    scored = predict(read_config(folder), checkpoint(folder, "best"), "test", None)
    assert scored.metrics["mae"] == pytest.approx(record.metrics["test/mae"], rel=1e-9)
