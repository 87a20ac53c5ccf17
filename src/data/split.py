"""Train, validation and test splits, drawn by one seed."""

from typing import TYPE_CHECKING

from src.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np

SPLITS = ("train", "val", "test")


def split_sizes(num_rows: int, val_fraction: float, test_fraction: float) -> tuple[int, int, int]:
    """How many rows train, validation and test get; a fraction of 0 leaves its split out.

    Raises:
        ConfigError: where a split that was asked for would have fewer than 2 rows (R² needs two).
    """
    if val_fraction + test_fraction >= 1:
        law = "data.val_fraction and data.test_fraction must leave rows to train on: their sum must be below 1"
        raise ConfigError(law, f"{val_fraction} + {test_fraction}", "data.val_fraction=0.15 data.test_fraction=0.15")
    val, test = round(num_rows * val_fraction), round(num_rows * test_fraction)
    sizes = (num_rows - val - test, val, test)
    wanted = (True, val_fraction > 0, test_fraction > 0)
    for name, size, is_wanted in zip(SPLITS, sizes, wanted, strict=True):
        if is_wanted and size < 2:
            law = f"the {name} split needs at least 2 rows"
            key = "data.val_fraction" if name == "val" else "data.test_fraction"
            raise ConfigError(
                law, f"{size} of {num_rows} rows", f"more rows, or another {key}   # 0 leaves a split out"
            )
    return sizes


def draw_split(num_rows: int, val_fraction: float, test_fraction: float, seed: int) -> dict[str, "np.ndarray"]:
    """Row numbers of each split: one permutation drawn by `seed`, cut in three."""
    import numpy as np  # the laws of a config need none of it, and a command that only checks one starts at once

    sizes = split_sizes(num_rows, val_fraction, test_fraction)
    order = np.random.default_rng(seed).permutation(num_rows)
    return dict(zip(SPLITS, np.split(order, np.cumsum(sizes)[:-1]), strict=True))
