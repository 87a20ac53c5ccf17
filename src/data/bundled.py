"""Two small datasets that come with scikit-learn: no download, a first run in seconds."""

from abc import abstractmethod
from functools import cached_property

import numpy as np

from src.data.base import Arrays, TabularData


class Bundled(TabularData):
    """A dataset that is loaded whole; its columns are finite numbers already."""

    @abstractmethod
    def load(self) -> Arrays:
        """The dataset in its own units."""

    def num_rows(self) -> int:
        """How many rows the dataset has."""
        return len(self._loaded.features)

    def arrays(self, train_rows: np.ndarray) -> Arrays:
        """The whole dataset; nothing in it is measured on `train_rows`."""
        return self._loaded

    @cached_property
    def _loaded(self) -> Arrays:
        return self.load()


class Diabetes(Bundled):
    """Disease progression a year later (25 to 346) from ten measurements of 442 patients, in clinical units.

    https://www4.stat.ncsu.edu/~boos/var.select/diabetes.html
    """

    def load(self) -> Arrays:
        """Features 442 x 10 (age, sex, bmi, blood pressure, six serum values) and targets 442 x 1."""
        from sklearn.datasets import load_diabetes  # a second to import, and only where it is used

        table = load_diabetes(scaled=False)
        return Arrays(table.data, table.target[:, None], list(table.feature_names), ["progression"])


class Linnerud(Bundled):
    """Weight (pounds), waist (inches) and pulse from three exercises of 20 men: several targets at once."""

    def load(self) -> Arrays:
        """Features 20 x 3 (chins, situps, jumps) and targets 20 x 3 (weight, waist, pulse)."""
        from sklearn.datasets import load_linnerud  # a second to import, and only where it is used

        table = load_linnerud()
        features, targets = ([name.lower() for name in group] for group in (table.feature_names, table.target_names))
        return Arrays(table.data, table.target, features, targets)
