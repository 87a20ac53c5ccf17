"""Claims about scaling."""

from pathlib import Path

import numpy as np
import pytest
import torch

from src.data.base import Arrays, Scale, TabularData
from src.data.split import SPLITS, draw_split


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
def test_a_feature_that_is_constant_on_the_train_split_is_zero_on_every_row(constant: float) -> None:
    features = np.full((50, 2), constant)
    features[:, 1] = noise(1)[:, 0]
    features[draw_split(50, 0.2, 0.2, seed=0)["val"], 0] = [-1e30, *range(8), 1e30]
    data = Fixed(features, noise(1))
    for split in SPLITS:
        assert (data.split(split)[0][:, 0] == 0).all()
        assert data.split(split)[0][:, 1].abs().max() > 1


def test_a_constant_target_keeps_its_distance_from_the_train_split() -> None:
    targets = np.full((50, 1), 7.0)
    targets[draw_split(50, 0.2, 0.2, seed=0)["val"]] = 9
    data = Fixed(noise(2), targets)
    assert data.split("train")[1].eq(0).all()
    assert data.split("val")[1].eq(2).all()
    assert data.scale.target_std.isfinite().all()


def test_a_constant_feature_stays_without_standardize() -> None:
    assert Fixed(np.full((50, 1), 3.0), noise(1), standardize=False).split("train")[0].eq(3).all()


def test_the_scale_of_a_constant_feature_survives_a_checkpoint(tmp_path: Path) -> None:
    data = Fixed(np.full((50, 1), 3.0), noise(1))
    data.setup()
    torch.save(vars(data.scale), tmp_path / "scale.ckpt")
    scale = Scale(**torch.load(tmp_path / "scale.ckpt", weights_only=True))
    other = Arrays(np.array([[8.0]]), np.zeros((1, 1)), ["x0"], ["y"])
    assert data.scaled(other, scale=scale)[0].eq(0).all()


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
