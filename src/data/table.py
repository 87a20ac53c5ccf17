"""A user's CSV or Parquet table as a dataset; the rules are told in `frame.py` and `encoding.py`."""

import logging
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Unpack

import numpy as np
import polars as pl

from src.commands import command
from src.data.base import Arrays, Common, Scale, TabularData
from src.data.encoding import Encoding, encode, feature_names, measure
from src.data.frame import Frame, read_rows, read_table
from src.data.new_file import read_as_trained, unknown_note
from src.errors import ConfigError
from src.overrides import written

log = logging.getLogger(__name__)


class Table(TabularData):
    """Rows of a file, encoded by what its train split holds; a checkpoint carries the encoding and the file's digest.

    Args:
        path: a CSV or Parquet file with a header.
        target: the column to predict, or several.
        features: the columns to predict from; None takes every column but the targets.
        decimal: the decimal mark of a text file; None finds it out.
        thousands: the mark between thousands in a text file; None takes any.
        common: the arguments of `TabularData`.
    """

    def __init__(
        self,
        path: str,
        target: str | Sequence[str],
        features: Sequence[str] | None = None,
        decimal: str | None = None,
        thousands: str | None = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(**common)
        self.path = path
        self.target = target
        self.features = features
        self.marks = (decimal, thousands)
        self.encoding: Encoding | None = None
        self._digest: str | None = None

    def num_rows(self) -> int:
        """Rows of the file whose targets are all there."""
        return self._frame().num_rows

    def arrays(self, train_rows: np.ndarray) -> Arrays:
        """The file in numbers, encoded by its train rows, or by the checkpoint that was loaded before.

        Raises:
            ConfigError: for every mistake in the file, and for another file than that of the checkpoint.
        """
        frame = self._frame()
        self._keep_digest(frame.digest)
        self.encoding = self.encoding or measure(frame, train_rows)
        others = np.setdiff1d(np.arange(frame.num_rows), train_rows)
        strange = [
            note
            for how in self.encoding["features"]
            for note in unknown_note(frame.rows[how["name"]].gather(others), how, 0.1)
        ]
        for note in (*frame.notes, *strange):
            log.info("%s: %s", self.path, note)
        return _arrays(frame.rows, frame.numbers, self.encoding)

    def arrays_of(self, path: str) -> Arrays:
        """Another file in numbers, by the encoding of this one; all its rows, in their order.

        Args:
            path: a CSV or Parquet file with the feature columns; it may have others, and may lack the targets.

        Returns:
            N x D finite features, and N x O targets that are NaN where the file has none.

        Raises:
            ConfigError: for every mistake in the file.
        """
        if self.encoding is None:
            self.setup()
        assert self.encoding is not None
        rows, numbers = read_rows(path)
        read, notes = read_as_trained(rows, numbers, self.encoding)
        for note in notes:
            log.info("%s: %s", path, note)
        return _arrays(read, numbers, self.encoding)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint needs to predict from another file without this one; loads with weights_only=True."""
        self.setup()
        return {
            "encoding": self.encoding,
            "feature_names": self.feature_names,
            "target_names": self.target_names,
            "scale": asdict(self.scale),
            "digest": self._digest,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes the encoding of a checkpoint, which its weights were trained on.

        Raises:
            ConfigError: where another file than the checkpoint's was read before.
        """
        self._keep_digest(state_dict.get("digest"))
        self.encoding = state_dict["encoding"]
        self.feature_names, self.target_names = state_dict["feature_names"], state_dict["target_names"]
        self.scale = Scale(**state_dict["scale"])

    def _keep_digest(self, digest: str | None) -> None:
        """Of the file that is split: drawn anew from another one, rows that were trained on would be tested."""
        if None not in (digest, self._digest) and digest != self._digest:
            law = "data.path must hold the file that the run was trained on: its splits are drawn from it"
            score = command("evaluate", "run=…", written("data.path", self.path))
            remedy = f"put it back, or train again, or {score}   # as new data"
            raise ConfigError(law, f"{self.path} has changed", remedy)
        self._digest = digest or self._digest

    def _frame(self) -> Frame:
        return read_table(self.path, self.target, self.features, *self.marks)


def _arrays(rows: pl.DataFrame, numbers: pl.Series, encoding: Encoding) -> Arrays:
    features, targets = encode(rows, encoding)
    return Arrays(features, targets, feature_names(encoding), list(encoding["targets"]), numbers.to_numpy())
