"""Claims about scaling."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from src.data.base import Arrays, Scale, TabularData
from src.data.laws import check_same, check_splits, sums_of
from src.data.split import SPLITS, draw_split
from src.errors import ConfigError


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


class Laws(Fixed):
    """A user's own dataset, spoilt by whoever sets its arrays or its rows."""

    own_rows: object = None

    def __init__(self) -> None:
        super().__init__(noise(2), noise(1))

    def split_rows(self) -> Any:
        return super().split_rows() if self.own_rows is None else self.own_rows


def nan_at(values: np.ndarray) -> np.ndarray:
    values[3, -1] = np.nan
    return values


@pytest.mark.parametrize(
    ("name", "values", "law"),
    [
        ("targets", noise(1)[:, 0], r"targets must have the shape \(50, columns\)\n  got: float64 \(50,\)\n.*reshape"),
        ("targets", noise(1)[:40], r"targets must have the shape \(50, columns\)\n  got: float64 \(40, 1\)"),
        ("features", noise(2).reshape(50, 2, 1), r"features must have the shape \(50, columns\)"),
        ("features", noise(2).astype(object), "features must be a numpy array of numbers\n  got: object"),
        ("features", noise(2) > 5, "features must be a numpy array of numbers\n  got: bool"),
        ("features", torch.zeros(50, 2), "features must be a numpy array of numbers\n  got: Tensor"),
        ("features", nan_at(noise(2)), "features must be finite numbers\n  got: x1 is nan in row 3"),
        ("targets", nan_at(noise(1)), "targets must be finite numbers\n  got: y is nan in row 3"),
        ("target_names", ["y", "z"], "targets need a name for each column\n  got: 2 names"),
        ("target_names", [""], "target_names must be different texts"),
    ],
)
def test_arrays_that_would_be_trained_on_as_something_else_are_refused(name: str, values: object, law: str) -> None:
    data = Laws()
    setattr(data._arrays, name, values)
    with pytest.raises(ConfigError, match=rf"Laws.arrays\(\): {law}"):
        data.setup()


@pytest.mark.parametrize(
    ("rows", "law"),
    [
        ({"train": [0, 1, 2], "val": [2, 3]}, "give each row to one split.*\n  got: row 2 is in several"),
        ({"train": [0, 1], "val": [50]}, "give the row numbers of train, val and test\n  got: val: 50 to 50 of 50"),
        ({"train": [0, 1], "val": [-1]}, "give the row numbers of train, val and test\n  got: val: -1 to -1 of 50"),
        ({"train": np.arange(50) < 9}, r"give the row numbers of train, val and test\n  got: train: bool \(50,\)"),
        ({"train": [], "val": [1]}, "leave rows to train on"),
        ({"training": [1, 2]}, "give the row numbers of train, val and test\n  got: training"),
        ([[0, 1], [2]], "give the row numbers of train, val and test\n  got: list"),
    ],
)
def test_splits_that_are_no_row_numbers_or_share_rows_are_refused(rows: object, law: str) -> None:
    data = Laws()
    data.own_rows = rows
    with pytest.raises(ConfigError, match=rf"Laws.split_rows\(\) must {law}"):
        data.setup()


def test_splits_set_up_by_hand_hold_to_the_same_laws() -> None:
    data = Laws()
    data.setup()
    features, targets = data.split("train")
    for pair, law in (
        ((features, targets[:, 0]), r"\(N, 2\) and targets \(N, 1\)\n  got: \(30, 2\) and \(30,\)"),
        ((features, targets[:9]), r"\(N, 2\) and targets \(N, 1\)\n  got: \(30, 2\) and \(9, 1\)"),
        ((features / 0, targets), "must hold finite numbers"),
        (None, "got: NoneType"),
    ):
        data._tensors["train"] = pair  # type: ignore[assignment]
        with pytest.raises(ConfigError, match=law):
            check_splits(data)


def test_sums_tell_another_order_or_value_and_not_rounding() -> None:
    data = Laws()
    trained = sums_of(data)
    features, targets = data._tensors["train"]
    data._tensors["train"] = (features * (1 + 1e-7), targets)
    check_same(trained, sums_of(data), "Laws")
    swapped = features[[1, 0, *range(2, 30)]]
    for other in ((swapped, targets), (features, targets + 1e-3), (features[:-1], targets[:-1])):
        data._tensors["train"] = other
        with pytest.raises(ConfigError, match="Laws must give the splits that the run was trained on"):
            check_same(trained, sums_of(data), "Laws")
