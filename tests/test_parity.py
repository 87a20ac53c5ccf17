"""The pipeline computes what the hand-written loops compute: `experiment=by_hand` against `src.by_hand`, step by step.

Each training of the pipeline is a whole `src.run.fit`, with its journal: losses are read from the run's history,
weights from its last checkpoint.
"""

from functools import cache

import pytest
import torch
from omegaconf import DictConfig

from experiments.by_hand.compare import LR, WAYS, composed, start_of, train
from src.by_hand import Start, Trained, Weights
from src.record import Row

EXACT = ("float64", 500, 1e-10)
SINGLE = ("float32", 10, 1e-5)
both_dtypes = pytest.mark.parametrize(("dtype", "steps", "rtol"), [EXACT, SINGLE], ids=["float64", "float32"])


@both_dtypes
@pytest.mark.parametrize("way", WAYS)
def test_pipeline_trains_as_by_hand(way: str, dtype: str, steps: int, rtol: float) -> None:
    optimizer, by_hand = WAYS[way]
    start, (rows, weights) = pipeline(optimizer, dtype, steps)
    expected = by_hand(start, steps, LR[optimizer])
    assert_same_training(rows, weights, expected, rtol)
    # Weights that had hardly moved would agree whatever was computed.
    for name, weight in expected.weights.items():
        assert (weight - start.weights[name]).abs().max() > 100 * rtol * weight.abs().max()


@pytest.mark.parametrize("way", WAYS)
def test_history_has_a_row_for_each_step_with_the_loss_before_it(way: str) -> None:
    optimizer, by_hand = WAYS[way]
    start, (rows, _) = pipeline(optimizer, *EXACT[:2])
    assert [row["epoch"] for row in rows] == list(range(500))
    assert [row["trainer/global_step"] for row in rows] == list(range(1, 501))
    assert {row["lr"] for row in rows} == {LR[optimizer]}
    assert_same_losses([row["train/loss"] for row in rows], by_hand(start, 500, LR[optimizer]), EXACT[2])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_pipeline_starts_from_the_notes_problem(dtype: str) -> None:
    start = start_of(composed("sgd", dtype))
    assert (start.x.shape, start.y.shape) == ((64, 1000), (64, 10))
    assert {name: tuple(weight.shape) for name, weight in start.weights.items()} == {
        "linear1.weight": (100, 1000), "linear1.bias": (100,), "linear2.weight": (10, 100), "linear2.bias": (10,),
    }  # fmt: skip
    assert {tensor.dtype for tensor in (start.x, start.y, *start.weights.values())} == {getattr(torch, dtype)}
    assert composed().optimizer.fused, "what is compared is what runs by default"


@pytest.mark.parametrize(
    "mistake",
    ["optimizer.lr={off}", "loss.reduction=mean", "optimizer.weight_decay=10", "data.batch_size=32", "seed=1"],
)
@pytest.mark.parametrize("optimizer", LR)
@both_dtypes
def test_comparison_notices_a_config_that_is_wrong(
    mistake: str, optimizer: str, dtype: str, steps: int, rtol: float
) -> None:
    mistake = mistake.format(off=1.01 * LR[optimizer])
    assert_different(train(composed(optimizer, dtype, 10, mistake)), optimizer, dtype, rtol)


@pytest.mark.parametrize("optimizer", LR)
@both_dtypes
def test_comparison_notices_gradients_that_are_not_zeroed(
    optimizer: str, dtype: str, steps: int, rtol: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as context:
        context.setattr("torch.optim.Optimizer.zero_grad", lambda *_, **__: None)
        wrong = train(composed(optimizer, dtype, 10))
    assert_different(wrong, optimizer, dtype, rtol)


@cache
def pipeline(optimizer: str, dtype: str, steps: int) -> tuple[Start, tuple[list[Row], Weights]]:
    """A training of the pipeline and where it began; each is run once."""
    config: DictConfig = composed(optimizer, dtype, steps)
    return start_of(config), train(config)


def assert_different(wrong: tuple[list[Row], Weights], optimizer: str, dtype: str, rtol: float) -> None:
    """The comparison with each way by hand fails, over ten steps."""
    rows, weights = wrong
    start = start_of(composed(optimizer, dtype))
    for its_optimizer, by_hand in WAYS.values():
        if its_optimizer == optimizer:
            expected = by_hand(start, 10, LR[optimizer])
            with pytest.raises(AssertionError):
                assert_same_training(rows, weights, expected, rtol)


def assert_same_training(rows: list[Row], weights: Weights, expected: Trained, rtol: float) -> None:
    assert_same_losses([row["train/loss"] for row in rows], expected, rtol)
    assert_same_weights(weights, expected.weights, rtol)


def assert_same_losses(losses: list[float], expected: Trained, rtol: float) -> None:
    assert losses == pytest.approx(expected.losses, rel=rtol, abs=0)


def assert_same_weights(weights: Weights, expected: Weights, rtol: float) -> None:
    """Within rtol of each weight, or within a few roundings of the largest, for those that lie near zero."""
    assert weights.keys() == expected.keys()
    for name, weight in expected.items():
        atol = 8 * torch.finfo(weight.dtype).eps * weight.abs().max().item()
        torch.testing.assert_close(weights[name], weight, rtol=rtol, atol=atol)
