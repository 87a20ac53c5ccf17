"""Claims about batches and about scaling."""

import numpy as np
import pytest
import torch
from torch import Tensor

from src.data.base import Arrays, Batches, TabularData
from src.data.split import SPLITS, draw_split

N = 23


def batches(epoch: int = 0, seed: int | None = 0, rank: int = 0, world_size: int = 1, size: int = 5) -> Batches:
    """Batches of row numbers, and of the same numbers negated as targets."""
    rows = torch.arange(N)[:, None]
    return Batches((rows, -rows), size, lambda: epoch, seed, rank, world_size)


def order(loader: Batches) -> list[int]:
    """The row numbers as they come."""
    return [int(row) for features, _ in loader for row in features]


def test_an_epoch_holds_every_row_once_and_ends_with_a_smaller_batch() -> None:
    sizes = [len(features) for features, _ in batches()]
    assert sizes == [5, 5, 5, 5, 3]
    assert len(batches()) == 5
    assert sorted(order(batches())) == list(range(N))


def test_an_epoch_of_many_rows_is_one_order_of_them_all() -> None:
    rows = torch.arange(300_001)[:, None]
    passed = list(Batches((rows, -rows), 1000, seed=0))
    assert [len(features) for features, _ in passed] == [1000] * 300 + [1]
    assert torch.equal(torch.cat([features for features, _ in passed]).sort(0).values, rows)
    assert torch.equal(torch.cat([features for features, _ in passed]), -torch.cat([targets for _, targets in passed]))


def test_features_and_targets_stay_together() -> None:
    for features, targets in batches():
        assert (features == -targets).all()


def test_each_epoch_has_its_own_order_drawn_by_the_seed() -> None:
    assert order(batches(epoch=0)) != order(batches(epoch=1))
    assert order(batches(epoch=1)) == order(batches(epoch=1))
    assert order(batches(seed=0)) != order(batches(seed=1))


def test_the_epoch_is_asked_for_at_each_pass() -> None:
    epoch = [0]
    loader = Batches((torch.arange(N)[:, None],) * 2, 5, lambda: epoch[0], seed=0)
    first = order(loader)
    epoch[0] = 1
    assert order(loader) == order(batches(epoch=1)) != first


def test_without_a_seed_the_rows_keep_their_order() -> None:
    assert order(batches(seed=None, epoch=3)) == list(range(N))


@pytest.mark.parametrize("done", [0, 1, 3, 5])
def test_batches_go_on_in_the_middle_of_an_epoch(done: int) -> None:
    killed, whole = batches(epoch=2), order(batches(epoch=2))
    passed = iter(killed)
    for _ in range(done):
        next(passed)
    resumed = batches(epoch=2)
    resumed.load_state_dict(killed.state_dict())
    assert order(resumed) == whole[done * 5 :]
    assert order(resumed) == whole  # only the pass that was cut short is shortened


def test_a_state_of_another_epoch_skips_nothing() -> None:
    killed = batches(epoch=2)
    order(killed)
    resumed = batches(epoch=3)
    resumed.load_state_dict(killed.state_dict())
    assert order(resumed) == order(batches(epoch=3))


def test_a_state_can_be_saved_again_before_the_next_batch() -> None:
    resumed = batches()
    resumed.load_state_dict({"epoch": 0, "batch": 3})
    assert resumed.state_dict() == {"epoch": 0, "batch": 3}


@pytest.mark.parametrize("world_size", [2, 4])
def test_ranks_share_every_row(world_size: int) -> None:
    ranks = [order(batches(rank=rank, world_size=world_size)) for rank in range(world_size)]
    assert {row for rows in ranks for row in rows} == set(range(N))
    assert sum(map(len, ranks)) - N < world_size  # repeats only what fills up the last step


def test_ranks_train_on_equally_many_batches() -> None:
    loaders = [batches(rank=rank, world_size=4, size=2) for rank in range(4)]
    assert {len(loader) for loader in loaders} == {len(list(loader)) for loader in loaders} == {3}


def test_ranks_train_on_the_rows_of_one_order() -> None:
    ranks = [order(batches(rank=rank, world_size=2, size=1)) for rank in range(2)]
    shared = [row for step in zip(*ranks, strict=True) for row in step]
    assert shared[:N] == order(batches(size=1))


def test_ranks_evaluate_each_row_once() -> None:
    ranks = [order(batches(seed=None, rank=rank, world_size=4)) for rank in range(4)]
    assert sorted(row for rows in ranks for row in rows) == list(range(N))


class Fixed(TabularData):
    """A dataset of given arrays."""

    def __init__(self, features: np.ndarray, targets: np.ndarray, standardize: bool = True) -> None:
        super().__init__(seed=0, batch_size=8, val_fraction=0.2, test_fraction=0.2, standardize=standardize)
        self._arrays = Arrays(features, targets, [f"x{i}" for i in range(features.shape[1])], ["y"])

    def num_rows(self) -> int:
        """N."""
        return len(self._arrays.features)

    def arrays(self, train_rows: np.ndarray) -> Arrays:
        """The given arrays."""
        return self._arrays


def noise(columns: int) -> np.ndarray:
    return np.random.default_rng(0).normal(5, 3, (50, columns))


def test_scaling_is_measured_on_the_train_rows_only() -> None:
    features, targets = noise(2), noise(1)
    plain = Fixed(features, targets).split("train")
    rows = draw_split(50, 0.2, 0.2, seed=0)
    for split in ("val", "test"):
        features[rows[split]] += 1e6
        targets[rows[split]] += 1e6
    for before, after in zip(plain, Fixed(features, targets).split("train"), strict=True):
        assert torch.equal(before, after)
        assert torch.allclose(before.mean(0), torch.zeros(1), atol=1e-6)
        assert torch.allclose(before.std(0, correction=0), torch.ones(1), atol=1e-6)


def test_every_split_is_scaled_alike() -> None:
    features, targets = noise(2), noise(1)
    data, rows = Fixed(features, targets), draw_split(50, 0.2, 0.2, seed=0)
    train = features[rows["train"]]
    for split in SPLITS:
        expected = (features[rows[split]] - train.mean(0)) / train.std(0)
        np.testing.assert_allclose(data.split(split)[0], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e9])
def test_a_constant_column_becomes_zero(constant: float) -> None:
    features: Tensor = Fixed(np.full((50, 1), constant), noise(1)).split("train")[0]
    assert features.abs().max() < 1e-6


def test_without_standardize_the_values_stay() -> None:
    features, targets = noise(2), noise(1)
    rows = draw_split(50, 0.2, 0.2, seed=0)["val"]
    scaled = Fixed(features, targets, standardize=False).split("val")
    np.testing.assert_allclose(scaled[0], features[rows], rtol=1e-6)
    np.testing.assert_allclose(scaled[1], targets[rows], rtol=1e-6)


def test_sizes_of_a_net_come_from_the_data() -> None:
    data = Fixed(noise(3), noise(1))
    data.setup()
    assert (data.input_dim, data.output_dim) == (3, 1)
