"""Wall time of a trial in a sweep: stacks, one trial at a time, and what people write; and how it grows.

Diabetes, 32 hidden units, batches of 32, 100 epochs. Every measurement is a command in a process of its own.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import joblib  # type: ignore[import-untyped]
import wandb

from src.record import read_history
from src.tracking import LEAN
from tests.benchmarks.table import save, spread

ROOT = Path(__file__).parent.parent.parent
TANDEM = ["-m", "src.train", "-m"]
ONE_BY_ONE = [*TANDEM, "hydra.launcher.stack_size=1"]
ONE_STACK = [*TANDEM, "hydra.launcher.workers=1"]
PLAIN = ["-m", "tests.benchmarks.plain_app", "-m"]


def wall(command: list[str], trials: int, folder: str, *overrides: str) -> float:
    """Seconds that a sweep over seeds takes, from the start of its process to its end."""
    return wall_of([*command, f"seed=range({trials})", f"hydra.sweep.dir={folder}", *overrides])


def wall_of(words: list[str]) -> float:
    """Seconds of `python <words>`."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *words], cwd=ROOT, check=True, capture_output=True, env=os.environ | _QUIET)
    return time.perf_counter() - started


_QUIET = {"WANDB_SILENT": "true", "WANDB_MODE": "offline"}


def per_trial(command: list[str], trials: int, *overrides: str) -> float:
    """Milliseconds of a trial, start-up left out: a sweep of one such trial is what it costs to begin."""
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as many:
        start_up = wall(command, 2, one, *overrides)
        return (wall(command, trials, many, *overrides) - start_up) / (trials - 2) * 1e3


def floor(runs: int) -> float:
    """Milliseconds that W&B alone needs to record a trial: the same lean run, the same 100 rows."""
    with tempfile.TemporaryDirectory() as folder:
        wall(TANDEM, 2, folder, "tracking=disabled")
        rows = read_history(next(path.parent for path in Path(folder).rglob("metrics.csv")))
        started = time.perf_counter()
        for number in range(runs):
            place = Path(folder) / str(number)
            place.mkdir()
            settings = wandb.Settings(**LEAN)
            run = wandb.init(mode="offline", project="floor", dir=place, reinit="create_new", settings=settings)
            for row in rows:
                run.log(row, step=int(row["epoch"]))
            run.finish()
        return (time.perf_counter() - started) / runs * 1e3


def compare(repeats: int) -> None:
    """Writes `results/sweeps.md`."""
    ways = {
        ("plain LightningModule, Hydra's basic launcher", "none"): (PLAIN, 6, "tracked=false"),
        ("plain LightningModule, Hydra's basic launcher", "offline"): (PLAIN, 6, "tracked=true"),
        ("Tandem, stack_size=1", "none"): (ONE_BY_ONE, 6, "tracking=disabled"),
        ("Tandem, stack_size=1", "offline"): (ONE_BY_ONE, 6, "tracking=offline"),
        ("Tandem, 256 trials as one stack, workers=1", "none"): (ONE_STACK, 256, "tracking=disabled"),
        ("Tandem, 256 trials as one stack, workers=1", "offline"): (ONE_STACK, 256, "tracking=offline"),
        ("Tandem, 256 trials as stacks", "none"): (TANDEM, 256, "tracking=disabled"),
        ("Tandem, 256 trials as stacks", "offline"): (TANDEM, 256, "tracking=offline"),
    }
    times: dict[tuple[str, str], list[float]] = {way: [] for way in ways}
    floors = []
    for _ in range(repeats):
        for way, (command, trials, override) in ways.items():
            times[way].append(per_trial(command, trials, override))
        floors.append(floor(32))
    rows = []
    for (what, tracking), taken in times.items():
        plain = median(times["plain LightningModule, Hydra's basic launcher", tracking])
        rows.append((what, tracking, spread(taken), f"{plain / median(taken):.1f}x"))
    rows.append(("W&B alone, same runs and rows", "offline", spread(floors), ""))
    notes = (
        "Milliseconds of wall time per trial, start-up left out; 100 epochs of 10 steps, each validated. Tandem trains "
        f"in {joblib.cpu_count()} processes, one for each core, unless it is told to take one."
    )
    save("sweeps", "Time of a trial in a sweep", ["what", "tracking", "ms a trial", "less than plain"], rows, notes)


def growth() -> None:
    """Writes `results/growth.md`: 16, 256 and 4,096 trials."""
    rows = []
    for trials in (16, 256, 4096):
        with tempfile.TemporaryDirectory() as folder:
            seconds = wall(TANDEM, trials, folder, "tracking=disabled", "trainer.max_epochs=20")
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024  # of the largest child so far
        rows.append((trials, f"{seconds:.1f}", f"{seconds / trials * 1e3:.1f}", f"{peak:.0f}"))
    columns = ["trials", "seconds", "ms a trial, start-up counted", "peak memory, MiB"]
    save("growth", "How a sweep grows", columns, rows, "20 epochs, no tracking.")


def main(repeats: int = 3) -> None:
    """Measures all."""
    compare(repeats)
    growth()


if __name__ == "__main__":
    main()
