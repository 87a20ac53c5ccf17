"""What a search costs: stacked rounds, one trial at a time, random draws, halving, and Optuna's own part.

Diabetes, 32 hidden units, batches of 32, offline tracking. Every study is a command in a process of its own.
"""

import tempfile
import time
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution

from src.record import read_history
from tests.benchmarks.sweeps import wall_of
from tests.benchmarks.table import save

SPACE = {"optimizer.lr": (1e-5, 1e-1), "optimizer.weight_decay": (1e-6, 1e-1)}
WORDS = ["-m", "src.train", "-m", "hydra/sweeper=optuna", "trainer.max_epochs=50"]
ALONE = 48
"""Trials of the study that trains one at a time; its time for a trial is multiplied."""


def study(trials: int, *words: str) -> tuple[float, int]:
    """Seconds of a study from the start of its process to its end, and the epochs of all of its trials."""
    space = [f"{key}=tag(log,interval({low},{high}))" for key, (low, high) in SPACE.items()]
    with tempfile.TemporaryDirectory() as folder:
        command = [*WORDS, f"hydra.sweeper.num_trials={trials}", f"hydra.sweeper.batch_size={min(32, trials)}"]
        seconds = wall_of([*command, f"hydra.sweep.dir={folder}", *words, *space])
        return seconds, sum(len(read_history(path.parent)) for path in Path(folder).glob("*/record.json"))


def optuna_alone(trials: int) -> float:
    """Seconds that TPE takes to suggest as many trials in the same rounds, with nothing trained."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space: dict[str, BaseDistribution] = {key: FloatDistribution(*ends, log=True) for key, ends in SPACE.items()}
    sampler = optuna.samplers.TPESampler(seed=0)
    subject = optuna.create_study(sampler=sampler)
    started = time.perf_counter()
    for _ in range(0, trials, 32):
        for trial in [subject.ask(space) for _ in range(32)]:
            subject.tell(trial, abs(trial.params["optimizer.lr"] - 1e-3))
    return time.perf_counter() - started


def main() -> None:
    """Writes `results/search.md`."""
    one, _ = study(1)
    rows: list[tuple[object, ...]] = []
    ways: dict[str, tuple[int, tuple[str, ...]]] = {
        "TPE, rounds of 32 as stacks": (512, ()),
        "random, rounds of 256 as stacks": (512, ("hydra/sweeper/sampler=random", "hydra.sweeper.batch_size=256")),
        "TPE, one trial at a time": (ALONE, ("hydra.launcher.stack_size=1",)),
        "243 trials as one stack, no pruner": (243, ("hydra.sweeper.batch_size=243",)),
        "243 trials as one stack, halving, eta 3": (
            243,
            ("hydra.sweeper.batch_size=243", "hydra/sweeper/pruner=halving"),
        ),
    }
    for what, (trials, words) in ways.items():
        seconds, epochs = study(trials, *words)
        rows.append((what, trials, f"{seconds:.1f}", f"{(seconds - one) / (trials - 1) * 1e3:.0f}", epochs))
    rows.append(("Optuna's own part of TPE", 512, f"{optuna_alone(512):.1f}", "", ""))
    notes = "50 epochs a trial, offline tracking; ms a trial leave a study of one trial out."
    save("search", "What a search costs", ["study", "trials", "seconds", "ms a trial", "trial-epochs"], rows, notes)


if __name__ == "__main__":
    main()
