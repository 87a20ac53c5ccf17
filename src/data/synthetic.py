"""Random data of any size: pure noise as in the PyTorch notes, or targets that a small network can learn.

Shapes: N rows, D features, H hidden units of the teacher, O targets.
"""

from typing import Unpack

import numpy as np

from src.data.base import Arrays, Common, TabularData


class Synthetic(TabularData):
    """Standard normal features; the targets are noise too, or come from a random two-layer ReLU network.

    Args:
        num_rows: N, at least 1.
        input_dim: D, at least 1.
        output_dim: O, at least 1.
        teacher_dim: H, the hidden units of the network that makes the targets; None draws them standard normal.
        noise: standard deviation of the noise on a teacher's targets, in units of each target's own.
        common: the arguments of `TabularData`; `seed` draws the rows too.
    """

    def __init__(
        self,
        num_rows: int,
        input_dim: int,
        output_dim: int,
        teacher_dim: int | None,
        noise: float,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(**common)
        self._shape = (num_rows, input_dim, output_dim)
        self.teacher_dim = teacher_dim
        self.noise = noise

    def num_rows(self) -> int:
        """N."""
        return self._shape[0]

    def arrays(self, train_rows: np.ndarray) -> Arrays:
        """Features N x D and targets N x O, drawn by `seed`; nothing is measured on `train_rows`."""
        num_rows, input_dim, output_dim = self._shape
        # A child of the seed: the seed itself draws the splits, and rows must not depend on where they land.
        rng = np.random.default_rng(np.random.SeedSequence(self.seed).spawn(1)[0])
        features = rng.standard_normal((num_rows, input_dim))
        if self.teacher_dim is None:
            targets = rng.standard_normal((num_rows, output_dim))
        else:
            clean = teach(features, self.teacher_dim, output_dim, rng)
            targets = clean + self.noise * clean.std(axis=0) * rng.standard_normal(clean.shape)
        return Arrays(features, targets, _numbered("x", input_dim), _numbered("y", output_dim))


def teach(features: np.ndarray, teacher_dim: int, output_dim: int, rng: np.random.Generator) -> np.ndarray:
    """Targets N x O of features N x D by a random network with one ReLU layer.

    Weights are scaled by their inputs (https://arxiv.org/abs/1502.01852), so targets stay near 1 at any D and H.
    """
    input_dim = features.shape[1]
    into = rng.standard_normal((input_dim, teacher_dim)) * np.sqrt(2 / input_dim)
    out = rng.standard_normal((teacher_dim, output_dim)) * np.sqrt(1 / teacher_dim)
    # A bias: without one the network only scales with its input, an easier function than it looks.
    return np.maximum(features @ into + rng.standard_normal(teacher_dim), 0) @ out


def _numbered(letter: str, count: int) -> list[str]:
    return [f"{letter}{number}" for number in range(count)]
