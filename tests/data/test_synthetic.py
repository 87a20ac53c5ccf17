"""Claims about random data."""

import numpy as np
import pytest

from src.data.base import Arrays, Common
from src.data.synthetic import Synthetic


def drawn(
    num_rows: int = 64,
    input_dim: int = 1000,
    output_dim: int = 10,
    teacher_dim: int | None = None,
    noise: float = 0.1,
    seed: int = 0,
) -> Arrays:
    """The arrays of a synthetic dataset; by default the sizes of the PyTorch notes."""
    common: Common = {"seed": seed, "batch_size": 32, "val_fraction": 0.15, "test_fraction": 0.15, "standardize": True}
    return Synthetic(num_rows, input_dim, output_dim, teacher_dim, noise, **common).arrays(np.arange(num_rows))


@pytest.mark.parametrize("sizes", [(64, 1000, 10), (1, 1, 1), (5, 2, 3)])
@pytest.mark.parametrize("teacher_dim", [None, 4])
def test_any_size_can_be_drawn(sizes: tuple[int, int, int], teacher_dim: int | None) -> None:
    arrays = drawn(*sizes, teacher_dim=teacher_dim)
    assert arrays.features.shape == (sizes[0], sizes[1])
    assert arrays.targets.shape == (sizes[0], sizes[2])
    assert (len(arrays.feature_names), len(arrays.target_names)) == sizes[1:]
    assert arrays.features.dtype == arrays.targets.dtype == np.float64
    assert np.isfinite(arrays.targets).all()


def test_without_a_teacher_features_and_targets_are_standard_normal_and_unrelated() -> None:
    arrays = drawn(20_000, 3, 2)
    for values in (arrays.features, arrays.targets):
        np.testing.assert_allclose(values.mean(0), 0, atol=0.05)
        np.testing.assert_allclose(values.std(0), 1, atol=0.05)
    np.testing.assert_allclose(np.corrcoef(arrays.features.T, arrays.targets.T) - np.eye(5), 0, atol=0.05)


@pytest.mark.parametrize("teacher_dim", [None, 8])
def test_the_seed_draws_everything(teacher_dim: int | None) -> None:
    first, again, other = (drawn(teacher_dim=teacher_dim, seed=seed) for seed in (1, 1, 2))
    for name in ("features", "targets"):
        assert (getattr(first, name) == getattr(again, name)).all()
        assert (getattr(first, name) != getattr(other, name)).all()


@pytest.mark.parametrize("noise", [0.1, 0.5])
def test_noise_is_a_share_of_each_clean_targets_deviation(noise: float) -> None:
    clean, noisy = (drawn(20_000, 5, 3, teacher_dim=8, noise=level).targets for level in (0, noise))
    np.testing.assert_allclose((noisy - clean).std(0), noise * clean.std(0), rtol=0.05)


def test_a_teachers_targets_bend_with_their_features() -> None:
    arrays = drawn(5_000, 3, 1, teacher_dim=8, noise=0)
    inputs = np.column_stack([arrays.features, np.ones(5_000)])
    residual = arrays.targets - inputs @ np.linalg.lstsq(inputs, arrays.targets)[0]
    share = float(residual.std() / arrays.targets.std())
    assert 0.05 < share < 0.95  # a line explains some of it, not all
    assert np.linalg.matrix_rank(arrays.features) == 3


def test_a_teachers_targets_stay_near_one_at_any_width() -> None:
    for input_dim, teacher_dim in [(2, 2000), (1000, 2), (300, 300)]:
        assert 0.2 < drawn(500, input_dim, 20, teacher_dim=teacher_dim, noise=0).targets.std() < 5
