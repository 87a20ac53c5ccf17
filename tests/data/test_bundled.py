"""Claims about the datasets that come along."""

import subprocess
import sys

import numpy as np
import pytest

from src.data.bundled import Bundled, Diabetes, Linnerud
from src.laws import NUM_ROWS

COMMON = (0, 32, 0.15, 0.15, True)


@pytest.mark.parametrize(
    ("dataset", "shape", "targets"),
    [(Diabetes, (442, 10), ["progression"]), (Linnerud, (20, 3), ["weight", "waist", "pulse"])],
)
def test_a_bundled_dataset_has_the_rows_and_targets_it_names(
    dataset: type[Bundled], shape: tuple[int, int], targets: list[str]
) -> None:
    data = dataset(*COMMON)
    arrays = data.arrays(np.arange(3))
    assert (data.num_rows(), len(arrays.feature_names)) == arrays.features.shape == shape
    assert arrays.targets.shape == (shape[0], len(targets))
    assert arrays.target_names == targets
    assert np.isfinite(arrays.features).all()
    assert np.isfinite(arrays.targets).all()


@pytest.mark.parametrize("dataset", [Diabetes, Linnerud])
def test_the_check_of_a_config_knows_the_rows_of_a_bundled_dataset(dataset: type[Bundled]) -> None:
    assert dataset(*COMMON).num_rows() == NUM_ROWS[dataset.__name__]


def test_diabetes_is_in_clinical_units() -> None:
    arrays = Diabetes(*COMMON).arrays(np.arange(3))
    ages = arrays.features[:, arrays.feature_names.index("age")]
    assert (ages.min(), ages.max()) == (19, 79)
    assert (arrays.targets.min(), arrays.targets.max()) == (25, 346)


def test_scikit_learn_is_imported_only_to_load() -> None:
    code = "import src.data.bundled, sys; assert 'sklearn' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
