"""What every dataset does: split, standardise, and hand out batches as slices of tensors.

Shapes: N rows, B rows of a batch, D features, O targets.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor

from src.data.split import draw_split

_CACHE_BYTES = 2**20

@dataclass
class Arrays:
    """A dataset in the user's units.

    Attributes:
        features: N x D, finite.
        targets: N x O, finite.
        feature_names: D names.
        target_names: O names.
    """

    features: np.ndarray
    targets: np.ndarray
    feature_names: list[str]
    target_names: list[str]


@dataclass
class Scale:
    """How features and targets were standardised: `(value - mean) / std`, each mean and std of shape D or O."""

    feature_mean: Tensor
    feature_std: Tensor
    target_mean: Tensor
    target_std: Tensor

    @classmethod
    def measured_on(cls, arrays: Arrays, rows: np.ndarray, standardize: bool) -> "Scale":
        """The scale of some rows; mean 0 and std 1 where nothing is to be standardised."""
        return cls(*_mean_std(arrays.features[rows], standardize), *_mean_std(arrays.targets[rows], standardize))


class Batches:
    """Batches of tensors that fit in memory: one permutation an epoch, then slices; no per-sample Python work.

    It takes the place of a DataLoader, and can go on in the middle of an epoch (`state_dict`).

    Args:
        tensors: features N x D and targets N x O, on the device where they are used.
        batch_size: rows of a batch; the last batch of an epoch may be smaller.
        epoch: the number of the epoch that is being trained.
        seed: with the epoch it draws the order; None keeps the rows as they are.
        rank: this process among `world_size`; each takes every `world_size`-th row of the order.
    """

    def __init__(
        self,
        tensors: tuple[Tensor, ...],
        batch_size: int,
        epoch: Callable[[], int] = lambda: 0,
        seed: int | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.tensors = tensors
        self.batch_size = batch_size
        self._epoch = epoch
        self._seed = seed
        self._rank, self._world_size = rank, world_size
        self._position = (0, 0)  # epoch, batches of it handed out
        self._resume_at = (-1, 0)

    def __len__(self) -> int:
        return math.ceil(self._num_rows() / self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        epoch = self._epoch()
        start = self._resume_at[1] if epoch == self._resume_at[0] else 0
        self._resume_at = (-1, 0)
        for number, batch in enumerate(self._slices(self._order(epoch))):
            if number >= start:
                self._position = (epoch, number + 1)
                yield batch

    def state_dict(self) -> dict[str, int]:
        """Where in which epoch the batches stand."""
        return {"epoch": self._position[0], "batch": self._position[1]}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Lets the next pass over that epoch start after the batches that were handed out."""
        self._position = self._resume_at = (state["epoch"], state["batch"])

    def _slices(self, order: Tensor | None) -> Iterator[tuple[Tensor, ...]]:
        """Batches in an order, gathered a cacheful at a time: fewer gathers than batches, no second copy of the data."""
        if order is None:
            yield from zip(*(tensor.split(self.batch_size) for tensor in self.tensors), strict=True)
            return
        row_bytes = sum(tensor[:1].nbytes for tensor in self.tensors)
        batches = max(1, _CACHE_BYTES // (row_bytes * self.batch_size))
        for rows in order.split(batches * self.batch_size):
            gathered = (tensor.index_select(0, rows).split(self.batch_size) for tensor in self.tensors)
            yield from zip(*gathered, strict=True)

    def _num_rows(self) -> int:
        rows = len(self.tensors[0])
        shared = math.ceil(rows / self._world_size)  # each process trains on equally many rows
        return shared if self._seed is not None else len(range(self._rank, rows, self._world_size))

    def _order(self, epoch: int) -> Tensor | None:
        """The rows that this process takes, or None for all of them as they are."""
        rows = len(self.tensors[0])
        if self._seed is None and self._world_size == 1:
            return None
        if self._seed is None:
            order = np.arange(rows)[self._rank :: self._world_size]
        else:
            drawn = np.random.default_rng([self._seed, epoch]).permutation(rows)
            order = np.resize(drawn, self._num_rows() * self._world_size)[self._rank :: self._world_size]
        return torch.from_numpy(order).to(self.tensors[0].device)


class TabularData(L.LightningDataModule, ABC):
    """A dataset with train, validation and test splits drawn by `seed`.

    Args:
        seed: draws the splits and the order of the batches.
        batch_size: rows of a training batch.
        val_fraction: share of the rows to validate on, 0 for none.
        test_fraction: share of the rows to test on, 0 for none.
        standardize: scale features and targets by the mean and standard deviation of the train split.
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
        self._tensors: dict[str, tuple[Tensor, Tensor]] = {}

    @abstractmethod
    def num_rows(self) -> int:
        """How many rows the dataset has."""

    @abstractmethod
    def arrays(self, train_rows: np.ndarray) -> Arrays:
        """The whole dataset; what is measured on data, such as a median, is measured on `train_rows` alone."""

    @property
    def input_dim(self) -> int:
        return len(self.feature_names)

    @property
    def output_dim(self) -> int:
        return len(self.target_names)

    def setup(self, stage: str = "") -> None:
        """Loads, splits and standardises, once."""
        if self._tensors:
            return
        rows = draw_split(self.num_rows(), *self.fractions, self.seed)
        arrays = self.arrays(rows["train"])
        self.feature_names, self.target_names = arrays.feature_names, arrays.target_names
        self.scale = Scale.measured_on(arrays, rows["train"], self.standardize)
        self._tensors = {split: self.scaled(arrays, chosen) for split, chosen in rows.items()}

    def split(self, name: str) -> tuple[Tensor, Tensor]:
        """Standardised features N x D and targets N x O of `train`, `val` or `test`."""
        self.setup()
        return self._tensors[name]

    def scaled(self, arrays: Arrays, rows: Any = slice(None), scale: Scale | None = None) -> tuple[Tensor, Tensor]:
        """Rows of a dataset, standardised by a scale, by default this dataset's own."""
        scale = scale or self.scale
        features = (torch.from_numpy(arrays.features[rows]) - scale.feature_mean) / scale.feature_std
        targets = (torch.from_numpy(arrays.targets[rows]) - scale.target_mean) / scale.target_std
        return features.to(self.dtype), targets.to(self.dtype)

    def train_dataloader(self) -> Batches:
        return self._batches("train", self.batch_size, self.seed)

    def val_dataloader(self) -> Batches:
        return self._whole("val")

    def test_dataloader(self) -> Batches:
        return self._whole("test")

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


def _mean_std(values: np.ndarray, standardize: bool) -> tuple[Tensor, Tensor]:
    mean, std = np.zeros(values.shape[1]), np.ones(values.shape[1])
    if standardize:
        mean, std = values.mean(axis=0), values.std(axis=0)
    # A constant column carries nothing: it becomes 0. Its std as computed need not be 0: that of 0.1 is 1e-17.
    return torch.from_numpy(mean), torch.from_numpy(np.where(np.ptp(values, axis=0) > 0, std, 1.0))
