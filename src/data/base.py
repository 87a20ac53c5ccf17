"""What every dataset does: split, standardise, and hand out batches.

Shapes: N rows, D features, O targets.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

import lightning as L
import numpy as np
import torch
from torch import Tensor

from src.data.batches import Batches
from src.data.laws import check_arrays, checked_rows
from src.data.split import draw_split


@dataclass
class Arrays:
    """A dataset in the user's units.

    Attributes:
        features: N x D, finite.
        targets: N x O, finite.
        feature_names: D names.
        target_names: O names.
        row_numbers: N numbers of the rows in their file; None where they are 0, 1, 2, …
    """

    features: np.ndarray
    targets: np.ndarray
    feature_names: list[str]
    target_names: list[str]
    row_numbers: np.ndarray | None = None


@dataclass
class Scale:
    """How features and targets were standardised: `(value - mean) / std`, each mean and std of shape D or O.

    A feature that is constant in the rows measured has std inf, so it is 0 in every row.
    """

    feature_mean: Tensor
    feature_std: Tensor
    target_mean: Tensor
    target_std: Tensor

    @classmethod
    def measured_on(cls, arrays: Arrays, rows: np.ndarray, standardize: bool) -> "Scale":
        """The scale of some rows; mean 0 and std 1 where nothing is to be standardised."""
        features, targets = arrays.features[rows], arrays.targets[rows]
        if not standardize:
            return cls(*_unscaled(features.shape[1]), *_unscaled(targets.shape[1]))
        # A feature that is constant on the train split is 0 there, so its weights get no gradient and stay as they were
        # drawn: no other value may reach them later, and value / inf is 0. Not so a target: predictions are multiplied
        # by its std, and it is still judged by its distance from them.
        return cls(*_mean_std(features, if_constant=math.inf), *_mean_std(targets, if_constant=1.0))


class Common(TypedDict):
    """The arguments of `TabularData`, for a dataset that passes them on."""

    seed: int
    batch_size: int
    val_fraction: float
    test_fraction: float
    standardize: bool


class TabularData(L.LightningDataModule, ABC):
    """A dataset with train, validation and test splits drawn by `seed`.

    A dataset of one's own has `num_rows` and `arrays`, and `split_rows` where it draws its splits by itself: training
    and scoring both ask that one method which rows are in which split.

    Args:
        seed: draws the splits and the order of the batches.
        batch_size: rows of a training batch.
        val_fraction: share of the rows to validate on, 0 for none.
        test_fraction: share of the rows to test on, 0 for none.
        standardize: scale features and targets by the mean and standard deviation of the train split.

    Attributes:
        rows: the row numbers of each split, once it is set up.
    """

    def __init__(
        self, seed: int, batch_size: int, val_fraction: float, test_fraction: float, standardize: bool
    ) -> None:
        super().__init__()
        self.seed = seed
        self.batch_size = batch_size
        self.fractions = (val_fraction, test_fraction)
        self.standardize = standardize
        self.dtype = torch.float32
        self.rows: dict[str, np.ndarray] = {}
        self._tensors: dict[str, tuple[Tensor, Tensor]] = {}

    @abstractmethod
    def num_rows(self) -> int:
        """How many rows the dataset has."""

    @abstractmethod
    def arrays(self, train_rows: np.ndarray) -> Arrays:
        """The whole dataset; what is measured on data, such as a median, is measured on `train_rows` alone."""

    def split_rows(self) -> Mapping[str, np.ndarray]:
        """Row numbers of `train`, `val` and `test`, the same whenever it is asked: what is drawn is drawn by `seed`."""
        return draw_split(self.num_rows(), *self.fractions, self.seed)

    @property
    def input_dim(self) -> int:
        """D."""
        return len(self.feature_names)

    @property
    def output_dim(self) -> int:
        """O."""
        return len(self.target_names)

    def setup(self, stage: str = "") -> None:
        """Loads, splits and standardises, once."""
        if self._tensors:
            return
        owner, num_rows = type(self).__name__, self.num_rows()
        rows = checked_rows(self.split_rows(), num_rows, owner)
        arrays = self.arrays(rows["train"])
        check_arrays(arrays, num_rows, owner)
        self.feature_names, self.target_names = arrays.feature_names, arrays.target_names
        self.scale = Scale.measured_on(arrays, rows["train"], self.standardize)
        self._tensors = {split: self.scaled(arrays, chosen) for split, chosen in rows.items()}
        self.rows = rows

    def split(self, name: str) -> tuple[Tensor, Tensor]:
        """Standardised features N x D and targets N x O of `train`, `val` or `test`."""
        self.setup("fit")
        return self._tensors[name]

    def scaled(self, arrays: Arrays, rows: Any = slice(None), scale: Scale | None = None) -> tuple[Tensor, Tensor]:
        """Rows of a dataset, standardised by a scale, by default this dataset's own."""
        scale = scale or self.scale
        features = (torch.from_numpy(arrays.features[rows]) - scale.feature_mean).div_(scale.feature_std)
        targets = (torch.from_numpy(arrays.targets[rows]) - scale.target_mean).div_(scale.target_std)
        return features.to(self.dtype), targets.to(self.dtype)

    def train_dataloader(self) -> Batches:
        """The train split in batches, in another order at every epoch; always the same ones to be overfitted."""
        assert self.trainer is not None
        overfits = self.trainer.overfit_batches  # type: ignore[attr-defined]  # Lightning sets it out of sight
        return self._batches("train", self.batch_size, None if overfits else self.seed)

    def val_dataloader(self) -> Batches | list[Batches]:
        """The validation split, in its own order; none where it has no rows, which Lightning would warn of."""
        return self._whole("val") if len(self.split("val")[0]) else []

    def test_dataloader(self) -> Batches:
        """The test split, in its own order."""
        return self._whole("test")

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Nothing to do: `Batches` holds the data where it is used."""
        return batch

    def _whole(self, split: str) -> Batches:
        """A split in batches as large as memory takes without thought."""
        return self._batches(split, max(self.batch_size, 65_536), None)

    def _batches(self, split: str, batch_size: int, seed: int | None) -> Batches:
        trainer = self.trainer
        assert trainer is not None
        device = trainer.strategy.root_device
        tensors = tuple(tensor.to(device) for tensor in self.split(split))
        return Batches(
            tensors, batch_size, lambda: trainer.current_epoch, seed, trainer.global_rank, trainer.world_size
        )


def _unscaled(columns: int) -> tuple[Tensor, Tensor]:
    return torch.zeros(columns, dtype=torch.float64), torch.ones(columns, dtype=torch.float64)


def _mean_std(values: np.ndarray, if_constant: float) -> tuple[Tensor, Tensor]:
    # The std of a constant column as computed need not be 0: that of 0.1 is 1e-17.
    std = np.where(np.ptp(values, axis=0) > 0, values.std(axis=0), if_constant)
    return torch.from_numpy(values.mean(axis=0)), torch.from_numpy(std)
