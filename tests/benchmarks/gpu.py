"""Training steps of all trials per second, for stacks of 1 to 4,096 trials on a CUDA device.

Diabetes, 32 hidden units, batches of 32, 100 epochs of 10 steps, each validated; a step of K trials counts K times.
"""

import tempfile
from pathlib import Path

import torch

from src.record import read
from tests.benchmarks.sweeps import ONE_STACK, wall
from tests.benchmarks.table import save

SIZES = (1, 4, 16, 64, 256, 1024, 4096)


def trial_steps(size: int, *overrides: str) -> float:
    """Trial-steps per second of one stack, as its trials' records have it: validation counted, start-up not."""
    with tempfile.TemporaryDirectory() as folder:
        wall(ONE_STACK, size, folder, f"hydra.launcher.stack_size={size}", "tracking=disabled", *overrides)
        trial = read(next(path.parent for path in Path(folder).glob("*/record.json")))
    if size > 1:
        assert trial.stack is not None
        assert trial.stack["size"] == size, "all of them in one stack"
    return size * float(trial.timing["steps_per_second"])


def main() -> None:
    """Writes `results/gpu.md`; where there is no CUDA device it says so and writes nothing."""
    if not torch.cuda.is_available():
        print("gpu: skipped, this machine has no CUDA device", end="\n\n", flush=True)
        return
    rows = [(size, f"{trial_steps(size, 'trainer.accelerator=gpu'):,.0f}") for size in SIZES]
    notes = f"On one {torch.cuda.get_device_name()}; 100 epochs of 10 steps, each validated; no tracking."
    save("gpu", "Stacks on a GPU", ["trials in the stack", "trial-steps per second"], rows, notes)
