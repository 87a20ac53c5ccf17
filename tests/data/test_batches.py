"""Claims about batches."""

import pytest
import torch

from src.data.batches import Batches

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


def test_a_rank_without_rows_has_no_batch() -> None:
    rows = torch.arange(2)[:, None]
    ranks = [Batches((rows, -rows), 5, rank=rank, world_size=4) for rank in range(4)]
    assert [order(rank) for rank in ranks] == [[0], [1], [], []]
    assert [len(list(rank)) for rank in ranks] == [len(rank) for rank in ranks] == [1, 1, 0, 0]


@pytest.mark.parametrize("seed", [None, 0])
def test_no_rows_are_no_batch(seed: int | None) -> None:
    loader = Batches((torch.empty(0, 3), torch.empty(0, 1)), 5, seed=seed)
    assert len(loader) == len(list(loader)) == 0
