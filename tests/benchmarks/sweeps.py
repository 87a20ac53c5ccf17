"""Wall time of a trial in a sweep: stacks, one trial at a time, and what people write; and how it grows.

Diabetes, 32 hidden units, batches of 32, 100 epochs. Every measurement is a command in a process of its own.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import joblib  # type: ignore[import-untyped]
import wandb

from src.lean_wandb import LEAN
from src.record import read_history
from tests.benchmarks.table import save, spread

ROOT = Path(__file__).parent.parent.parent
TANDEM = ["-m", "src.train", "-m"]
ONE_BY_ONE = [*TANDEM, "hydra.launcher.stack_size=1"]
ONE_STACK = [*TANDEM, "hydra.launcher.workers=1"]
PLAIN = ["-m", "tests.benchmarks.plain_app", "-m"]


def wall(command: list[str], trials: int, folder: str, *overrides: str) -> float:
    """Seconds that a sweep over seeds takes, from the start of its process to its end."""
    return wall_of(_sweep(command, trials, folder, *overrides))


def _sweep(command: list[str], trials: int, folder: str, *overrides: str) -> list[str]:
    return [*command, f"seed=range({trials})", f"hydra.sweep.dir={folder}", *overrides]


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
        plain = times["plain LightningModule, Hydra's basic launcher", tracking]
        ratio = median(theirs / ours for theirs, ours in zip(plain, taken, strict=True))
        rows.append((what, tracking, spread(taken), f"{ratio:.1f}x"))
    rows.append(("W&B alone, same runs and rows", "offline", spread(floors), ""))
    notes = (
        "Milliseconds of wall time per trial, start-up left out; 100 epochs of 10 steps, each validated; the ratio is "
        f"the median of {repeats} rounds, in each of which every way was measured once. Tandem trains "
        f"in {joblib.cpu_count()} processes, one for each core, unless it is told to take one."
    )
    save("sweeps", "Time of a trial in a sweep", ["what", "tracking", "ms a trial", "less than plain"], rows, notes)


def growth() -> None:
    """Writes `results/growth.md`: 16, 256 and 4,096 trials."""
    rows = []
    for trials in (16, 256, 4096):
        with tempfile.TemporaryDirectory() as folder:
            overrides = ("tracking=disabled", "trainer.max_epochs=20")
            seconds, peak = wall_and_peak(_sweep(TANDEM, trials, folder, *overrides))
        rows.append((trials, f"{seconds:.1f}", f"{seconds / trials * 1e3:.1f}", f"{peak:.0f}"))
    columns = ["trials", "seconds", "ms a trial, start-up counted", "peak memory, MiB"]
    notes = "20 epochs, no tracking. Memory is that of all processes together, what they share counted once."
    save("growth", "How a sweep grows", columns, rows, notes)


def wall_and_peak(words: list[str]) -> tuple[float, float]:
    """Seconds of `python <words>`, and the MiB that it and its children take at most, looked at twice a second."""
    started, peak = time.perf_counter(), 0.0
    environment = os.environ | _QUIET
    process = subprocess.Popen([sys.executable, *words], cwd=ROOT, stdout=subprocess.DEVNULL, env=environment)
    while process.poll() is None:
        peak = max(peak, sum(_memory_of(pid) for pid in _family(process.pid)))
        time.sleep(0.5)
    assert process.returncode == 0
    return time.perf_counter() - started, peak


def _family(pid: int) -> list[int]:
    children = [int(child) for path in Path(f"/proc/{pid}/task").glob("*/children") for child in _text(path).split()]
    return [pid, *(member for child in children for member in _family(child))]


def _memory_of(pid: int) -> float:
    """MiB, a page that several processes share divided among them (Pss, in KiB)."""
    found = re.search(r"^Pss:\s+(\d+)", _text(Path(f"/proc/{pid}/smaps_rollup")), re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # the process has just ended
        return ""


def main(repeats: int = 5) -> None:
    """Measures all."""
    compare(repeats)
    growth()


if __name__ == "__main__":
    main()
