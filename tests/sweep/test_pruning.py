"""What a pruner knows of the trials before is what their records say became of them."""

from pathlib import Path

import pytest

from src.check import check
from src.record import Prune, Record, write, write_history
from src.sweep.pruning import Pruning
from tests.conftest import composed

MEDIAN = {"_target_": "optuna.pruners.MedianPruner", "n_startup_trials": 2}


def prune_after(folder: Path, *trials: tuple[str, float]) -> Prune:
    """Optuna's median pruner, where trials with these statuses and objectives ended before."""
    for number, (status, value) in enumerate(trials):
        write_history(folder / str(number), [{"epoch": 0, "val/loss": value}])
        write(folder / str(number), Record(str(number), [f"optimizer.lr={number}"], status))
    prune = Pruning(MEDIAN, folder, check(composed())).of_trial()
    assert prune is not None
    return prune


def test_trial_is_compared_with_those_that_finished_and_not_with_the_losers(tmp_path: Path) -> None:
    losers = [("pruned", 0.9), ("pruned", 0.8), ("diverged", 0.9)]
    prune = prune_after(tmp_path, ("finished", 0.1), ("finished", 0.3), *losers)
    assert prune(1, 0.5)
    assert not prune_after(tmp_path, ("finished", 0.1), ("finished", 0.3), *losers)(1, 0.15)


@pytest.mark.parametrize("status", ["pruned", "diverged"])
def test_losers_do_not_end_the_time_in_which_none_is_dropped(tmp_path: Path, status: str) -> None:
    assert not prune_after(tmp_path, ("finished", 0.1), (status, 0.9))(1, 0.7)


def test_setting_counts_as_a_loser_where_one_of_its_seeds_was_dropped(tmp_path: Path) -> None:
    for seed, status in enumerate(("finished", "pruned")):
        write_history(tmp_path / f"seed{seed}", [{"epoch": 0, "val/loss": 0.9}])
        write(tmp_path / f"seed{seed}", Record(f"seed{seed}", ["optimizer.lr=9", f"seed={seed}"], status))
    assert not prune_after(tmp_path, ("finished", 0.1))(1, 0.95)
