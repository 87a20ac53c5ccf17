"""Thousands of trials: `make soak`."""

import random
import time
from pathlib import Path

import pytest

from src.report.write import write_report
from tests.report.folders import write_sweep, write_trial

RATES = [10 ** (-5 + place / 4) for place in range(16)]


def campaign(folder: Path, num_epochs: int = 100) -> Path:
    """4,096 trials: 16 rates x 4 widths x 4 decays x 16 seeds, every metric of a real history."""
    draw = random.Random(0)
    write_sweep(folder)
    for number in range(4096):
        rate, width, decay, seed = RATES[number % 16], 8 << number // 16 % 4, 10.0 ** -(number // 64 % 4), number // 256
        words = (
            f"optimizer.lr={rate:.3g}",
            f"model.hidden_dim={width}",
            f"optimizer.weight_decay={decay}",
            f"seed={seed}",
        )
        best = 0.5 + draw.random() * 0.1 + rate
        history = [
            {
                name: best + draw.random() + 1 / (1 + epoch)
                for name in ("lr", "val/loss", "val/mae", "val/r2", "train/loss", "train/mae", "train/r2")
            }
            | {"epoch": epoch, "trainer/global_step": epoch * 10}
            for epoch in range(num_epochs)
        ]
        write_trial(folder / f"k{number}", *words, objective=best, history=history)
    return folder


@pytest.mark.soak
def test_report_of_4096_trials_with_100_epochs_each_takes_under_10_s_and_15_mb(tmp_path: Path) -> None:
    folder = campaign(tmp_path / "sweep")
    started = time.perf_counter()
    report = write_report([folder])
    seconds, megabytes = time.perf_counter() - started, report.page.stat().st_size / 1e6
    print(f"4,096 trials: {seconds:.1f} s, {megabytes:.1f} MB")
    assert report.table.height == 4096
    assert seconds < 10
    assert megabytes < 15
