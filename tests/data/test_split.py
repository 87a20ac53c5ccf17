"""Claims about the splits."""

import numpy as np
import pytest

from src.data.split import SPLITS, draw_split, split_sizes
from src.errors import ConfigError


@pytest.mark.parametrize(("num_rows", "val", "test"), [(442, 0.15, 0.15), (20, 0.15, 0.15), (64, 0.0, 0.5), (7, 0, 0)])
def test_splits_are_disjoint_and_complete(num_rows: int, val: float, test: float) -> None:
    rows = draw_split(num_rows, val, test, seed=0)
    assert list(rows) == list(SPLITS)
    assert sorted(np.concatenate(list(rows.values()))) == list(range(num_rows))
    assert [len(rows[name]) for name in SPLITS] == list(split_sizes(num_rows, val, test))


def test_the_same_seed_draws_the_same_split_and_another_seed_another() -> None:
    first, again, other = (draw_split(100, 0.2, 0.2, seed) for seed in (3, 3, 4))
    for name in SPLITS:
        assert (first[name] == again[name]).all()
        assert set(first[name]) != set(other[name])


def test_rows_are_shuffled_before_they_are_split() -> None:
    assert (np.diff(draw_split(100, 0.2, 0.2, seed=0)["train"]) < 0).any()


def test_a_fraction_of_zero_leaves_its_split_out() -> None:
    assert split_sizes(10, 0, 0.2) == (8, 0, 2)
    assert split_sizes(10, 0.2, 0) == (8, 2, 0)


@pytest.mark.parametrize(
    ("num_rows", "val", "test", "message"),
    [
        (100, 0.5, 0.5, "data.val_fraction and data.test_fraction must leave rows"),
        (10, 0.1, 0.2, "the val split needs at least 2 rows"),
        (10, 0.2, 0.1, "data.test_fraction"),
        (1, 0, 0, "the train split needs at least 2 rows"),
    ],
)
def test_a_split_that_cannot_be_is_an_error(num_rows: int, val: float, test: float, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        split_sizes(num_rows, val, test)
