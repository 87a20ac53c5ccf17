"""Batches as slices of tensors.

Shapes: N rows, D features, O targets.
"""

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

_CACHE_BYTES = 2**20


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
        """Batches in an order, gathered a cacheful at a time: fewer gathers than batches, no copy of all data."""
        if not len(self):  # no rows would be split into one batch of none
            return
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
