"""A table of 200,000 rows and 51 columns: what reading and training on it takes beside polars and torch by hand.

python -m tests.benchmarks.large
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import polars as pl

ROOT = Path(__file__).parent.parent.parent
ROWS, COLUMNS = 200_000, 50


def write_numbers(path: Path) -> None:
    """Random numbers, as polars writes them."""
    _numbers().write_csv(path)


def write_mixed(path: Path) -> None:
    """The same with two columns of text and two with missing numbers."""
    draw = np.random.default_rng(1)
    rows, is_missing = _numbers(), draw.random(ROWS) < 0.05
    rows = rows.with_columns(
        x3=draw.choice(["red", "green", "blue"], ROWS),
        x4=draw.choice(["a", "b", "c d"], ROWS),
        x5=rows["x5"].set(pl.Series(is_missing), None),
        x6=rows["x6"].set(pl.Series(~is_missing), None),
    )
    rows.write_csv(path)


def _numbers() -> pl.DataFrame:
    values = np.random.default_rng(0).standard_normal((ROWS, COLUMNS))
    rows = pl.DataFrame(values, [f"x{i}" for i in range(COLUMNS)])
    return rows.with_columns(y=values.sum(axis=1))


def by_hand(path: str) -> None:
    """Types inferred by polars, medians, 0/1 columns, splits, one scale, one epoch of the same net."""
    import torch
    from torch import nn

    torch.set_num_threads(1)
    rows = pl.read_csv(path)
    target, rows = rows["y"].to_numpy().reshape(-1, 1), rows.drop("y")
    text = [column.name for column in rows if column.dtype == pl.String]
    gaps = [column.name for column in rows if column.name not in text and column.null_count()]
    rows = rows.with_columns(pl.col(name).is_null().cast(pl.Float64).alias(f"{name}_missing") for name in gaps)
    rows = rows.with_columns(pl.col(name).fill_null(pl.col(name).median()) for name in gaps)
    features = (rows.to_dummies(text) if text else rows).to_numpy()
    order, held_out = np.random.default_rng(0).permutation(len(features)), round(0.15 * len(features))
    train, *others = np.split(order, [len(order) - 2 * held_out, len(order) - held_out])

    def scaled(values: np.ndarray, chosen: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(((values[chosen] - values[train].mean(0)) / values[train].std(0)).astype(np.float32))

    splits = [(scaled(features, chosen), scaled(target, chosen)) for chosen in (train, *others)]
    net, loss = nn.Sequential(nn.Linear(features.shape[1], 32), nn.ReLU(), nn.Linear(32, 1)), nn.MSELoss()
    optimizer = torch.optim.Adam(net.parameters(), fused=True)
    inputs, wanted = splits[0]
    for batch in torch.randperm(len(inputs)).split(32):
        optimizer.zero_grad()
        loss(net(inputs[batch]), wanted[batch]).backward()
        optimizer.step()
    with torch.inference_mode():
        print([float(loss(net(inputs), wanted)) for inputs, wanted in splits])


def measured(words: list[str], folder: str) -> tuple[float, float, float]:
    """Seconds, seconds of CPU and peak memory in MiB of a process."""
    started = time.time()
    process = subprocess.Popen(
        [sys.executable, *words], cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{words} ended with {status}")
    return time.time() - started, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main(rounds: int = 3) -> None:
    """Measures both on both tables, interleaved, and writes `results/large.md`."""
    from tests.benchmarks.table import save

    rows: list[tuple[object, ...]] = []
    for name, write in {"numbers": write_numbers, "with text and gaps": write_mixed}.items():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "large.csv"
            write(path)
            size = path.stat().st_size // 2**20
            options = [f"data.path={path}", "data.target=y", "trainer.max_epochs=1", "tracking=disabled"]
            ways = {
                "polars and torch by hand": ["-m", "tests.benchmarks.large", str(path)],
                "python -m src.train": ["-m", "src.train", "data=table", *options],
            }
            taken: dict[str, list[tuple[float, float, float]]] = {way: [] for way in ways}
            for _ in range(rounds):
                for way, words in ways.items():
                    taken[way].append(measured(words, folder))
        yardstick: list[float] = []
        for way, figures in taken.items():
            middle = [median(figure) for figure in zip(*figures, strict=True)]
            yardstick = yardstick or middle
            ratios = [f"{value:.3g} ({value / base:.2f}x)" for value, base in zip(middle, yardstick, strict=True)]
            rows.append((f"{name}, {size} MiB", way, *ratios))
    notes = (
        f"{ROWS:,} rows, {COLUMNS} features, one epoch in batches of 32; fresh processes, interleaved, {rounds} each."
    )
    save("large", "A large CSV", ["table", "way", "seconds", "CPU seconds", "peak MiB"], rows, notes)


if __name__ == "__main__":
    by_hand(sys.argv[1]) if sys.argv[1:] else main()
