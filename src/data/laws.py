"""What holds of every dataset, one of the user's own too: found before a net is built.

Shapes: N rows, D features, O targets.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from src.data.split import SPLITS
from src.errors import ConfigError

Sums = dict[str, list[float]]
_ROUNDING = 1e-5  # by which sums of the same values differ between machines, at most


def checked_rows(rows: Mapping[str, Any], num_rows: int, owner: str) -> dict[str, np.ndarray]:
    """The row numbers of each split, as a dataset gives them; a split that it leaves out has none.

    Raises:
        ConfigError: where they are no row numbers, or where two splits share a row.
    """
    law = f"{owner}.split_rows() must give the row numbers of train, val and test"
    remedy = "a dict of arrays of whole numbers, from 0 to num_rows() - 1"
    if not isinstance(rows, Mapping) or not {*rows} <= {*SPLITS} or "train" not in rows:
        got = ", ".join(map(str, rows)) if isinstance(rows, Mapping) else type(rows).__name__
        raise ConfigError(law, got, remedy)
    found = {split: np.asarray(rows.get(split, ())) for split in SPLITS}
    for split, numbers in found.items():
        if numbers.ndim != 1 or (len(numbers) and numbers.dtype.kind not in "iu"):
            marks = f"np.flatnonzero({split})" if numbers.dtype.kind == "b" else remedy
            raise ConfigError(law, f"{split}: {numbers.dtype} {numbers.shape}", marks)
        if len(numbers) and not (numbers.min() >= 0 and numbers.max() < num_rows):
            raise ConfigError(law, f"{split}: {numbers.min()} to {numbers.max()} of {num_rows}", remedy)
    found = {split: numbers.astype(np.int64) for split, numbers in found.items()}
    if not len(found["train"]):
        raise ConfigError(f"{owner}.split_rows() must leave rows to train on", "no train rows", remedy)
    num_splits = np.zeros(num_rows, dtype=np.int8)
    for numbers in found.values():
        is_in = np.zeros(num_rows, dtype=bool)
        is_in[numbers] = True
        num_splits += is_in
    if (num_splits > 1).any():
        law = f"{owner}.split_rows() must give each row to one split: held-out rows are never trained on"
        raise ConfigError(law, f"row {num_splits.argmax()} is in several", "take it out of all but one")
    return found


def check_arrays(arrays: Any, num_rows: int, owner: str) -> None:
    """Checks what a dataset's `arrays` gives.

    Raises:
        ConfigError: for wrong shapes or types, values that are not finite, and names that do not fit.
    """
    _check_array(f"{owner}.arrays(): features", arrays.features, num_rows, arrays.feature_names)
    _check_array(f"{owner}.arrays(): targets", arrays.targets, num_rows, arrays.target_names)
    names = arrays.target_names
    if len({*names}) < len(names) or not all(isinstance(name, str) and name for name in names):
        raise ConfigError(f"{owner}.arrays(): target_names must be different texts", list(names), "rename one of them")


def _check_array(what: str, values: Any, num_rows: int, names: Sequence[str]) -> None:
    got = f"{type(values).__name__}"
    if isinstance(values, np.ndarray):
        got = f"{values.dtype} {_shape(values.shape)}"
    if not isinstance(values, np.ndarray) or not _is_numeric(values.dtype):
        raise ConfigError(f"{what} must be a numpy array of numbers", got, "values.astype(np.float64)")
    if values.ndim != 2 or len(values) != num_rows or not values.shape[1]:
        remedy = "values.reshape(-1, 1)" if values.shape == (num_rows,) else "a row for each of num_rows()"
        raise ConfigError(f"{what} must have the shape ({num_rows}, columns)", got, remedy)
    if len(names) != values.shape[1]:
        raise ConfigError(f"{what} need a name for each column", f"{len(names)} names for {got}", "name each column")
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        got = f"{names[column]} is {values[row, column]} in row {row}"
        raise ConfigError(f"{what} must be finite numbers", got, "fill the value in, or leave the row out")


def _is_numeric(dtype: np.dtype[Any]) -> bool:
    """Whether torch can scale it: no objects, texts, booleans, complex numbers."""
    return dtype.kind in "fi" and np.can_cast(dtype, np.float64)


def check_splits(data: Any) -> None:
    """Checks what is trained on, however it came about: features (N, D) and targets (N, O) of each split.

    Raises:
        ConfigError: for wrong shapes and values that are not finite.
    """
    owner, widths = type(data).__name__, (data.input_dim, data.output_dim)
    for split in SPLITS:
        pair = data.split(split)
        law = f"{owner}.split({split!r}) must give features (N, {widths[0]}) and targets (N, {widths[1]})"
        if not (isinstance(pair, tuple | list) and len(pair) == 2 and all(map(torch.is_tensor, pair))):
            raise ConfigError(law, type(pair).__name__, "a tuple of two tensors")
        shapes = [tuple(tensor.shape) for tensor in pair]
        if shapes != [(len(pair[0]), width) for width in widths]:
            got = " and ".join(map(_shape, shapes))
            raise ConfigError(law, got, "tensor.reshape(-1, 1) makes a column of (N,)")
        if not all(bool(torch.isfinite(tensor).all()) for tensor in pair):
            raise ConfigError(f"{owner}.split({split!r}) must hold finite numbers", "NaN or inf", "fill them in")


def sums_of(data: Any) -> Sums:
    """What tells a dataset's splits from others: rows, a weighted sum of all values, and the size of what it sums.

    The weights are drawn, so that a row elsewhere or another value makes another sum. It may differ by rounding from
    machine to machine, which a digest of the bytes could not.
    """
    return {split: _sums(*data.split(split)) for split in SPLITS}


def _sums(features: Tensor, targets: Tensor) -> list[float]:
    draw = torch.Generator().manual_seed(0)

    def drawn(number: int) -> Tensor:
        return torch.randn(number, generator=draw, dtype=torch.float64)

    columns = drawn(features.shape[1] + targets.shape[1]).to(features)
    of_rows = features @ columns[: features.shape[1]] + targets.to(features) @ columns[features.shape[1] :]
    of_rows = of_rows.double()
    return [len(of_rows), float(of_rows @ drawn(len(of_rows)).to(of_rows)), float(of_rows.norm())]


def check_same(trained: Sums | None, now: Sums, owner: str) -> None:
    """Checks that splits are those of the checkpoint: drawn anew, rows that were trained on would be tested.

    Args:
        trained: the checkpoint's; None in one that has none.
        now: the dataset's.
        owner: the dataset's class.

    Raises:
        ConfigError: where they differ.
    """
    for split, (rows, total, size) in (trained or {}).items():
        law = f"{owner} must give the splits that the run was trained on"
        remedy = "draw them by self.seed, in split_rows(), from data that does not change"
        if rows != now[split][0]:
            raise ConfigError(law, f"{split} has {now[split][0]:g} rows; it had {rows:g}", remedy)
        if abs(total - now[split][1]) > _ROUNDING * max(size, now[split][2]):
            raise ConfigError(law, f"{split} holds other rows, or other values in them", remedy)


class KeepsSplits:
    """A LightningModule's hooks: what tells the splits lies in its checkpoints, and it goes on with no others.

    Attributes:
        splits: of the data that it is trained on.
    """

    splits: Sums = {}  # noqa: RUF012
    _owner = ""
    _splits_before: Sums | None = None

    def keep_splits(self, data: Any) -> None:
        """Tells the module of its data."""
        self._owner, self.splits = type(data).__name__, sums_of(data)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds the splits."""
        checkpoint["splits"] = self.splits

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes the splits of what was trained so far."""
        self._splits_before = checkpoint.get("splits")

    def on_fit_start(self) -> None:
        """Compares them: later than they are read, since the dataset, read after them, may know what has changed."""
        if self.splits:
            check_same(self._splits_before, self.splits, self._owner)


def _shape(shape: Sequence[int]) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"
