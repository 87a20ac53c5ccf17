"""Settings: how trials are folded and which setting is the best."""

import numpy as np
import pytest
from scipy import stats

from src.config import Objective
from src.ranking import Setting, Spread, best_trial, ranked, shown, spread
from src.record import Record

LOSS = Objective("val/loss", "minimize")


def trial(objective: float | None, *overrides: str, status: str = "finished") -> Record:
    return Record(" ".join(overrides), list(overrides), status, objective)


def test_spread_is_the_t_interval_of_the_mean() -> None:
    values = np.random.default_rng(0).normal(size=7).tolist()
    found = spread(values)
    interval = stats.t.interval(0.95, 6, np.mean(values), stats.sem(values))
    assert (found.num, found.mean, found.std) == pytest.approx((7, np.mean(values), np.std(values, ddof=1)))
    assert (found.low, found.high) == pytest.approx(interval, rel=1e-9)


@pytest.mark.parametrize("values", [[], [None], [float("nan"), float("inf")]])
def test_spread_of_nothing_is_nothing(values: list[float | None]) -> None:
    assert spread(values) == Spread(0)
    assert (str(spread(values)), spread(values).interval) == ("", "")


def test_one_trial_has_a_mean_and_no_interval() -> None:
    assert spread([0.5, None]) == Spread(1, 0.5)
    assert str(spread([0.5])) == "0.5000"


@pytest.mark.parametrize("status", ["diverged", "pruned", "running", "failed"])
def test_setting_of_which_a_trial_did_not_finish_stands_after_those_of_which_all_did(status: str) -> None:
    records = [trial(0.1, "a=1", "seed=0"), trial(0.2, "a=1", "seed=1", status=status), trial(9.0, "a=2", "seed=0")]
    first, second = ranked(records, LOSS)
    assert (first.name, first.is_whole) == ("a=2", True)
    assert (second.name, second.is_whole) == ("a=1", False)
    assert second.score.mean == pytest.approx(0.15), "it counts by its best epoch all the same"
    best = best_trial(second, LOSS)
    assert best is not None
    assert best.objective == 0.1


def test_trials_and_settings_that_tie_are_told_apart_by_their_loss_and_then_by_their_order() -> None:
    r2 = Objective("val/r2", "maximize")

    def tied(name: str, loss: float | None, value: float | None = 0.5) -> Record:
        return Record(name, [f"a={name}", "seed=0"], "finished", value, metrics={"val/loss": loss, "val/r2": value})

    nan, inf = float("nan"), float("inf")
    records = [tied("x", 3.0), tied("y", nan), tied("z", 2.0), tied("v", 2.0), tied("w", 0.1, 0.4), tied("u", 0.1, inf)]
    assert [setting.name for setting in ranked(records[:5], r2)] == ["a=z", "a=v", "a=x", "a=y", "a=w"]
    assert ranked(records, r2)[-1].name == "a=u", "what is no finite number is no result"
    assert best_trial(Setting("s", "s", records, spread([]), True), r2) is records[2]


def test_settings_without_any_objective_come_last_and_in_their_order() -> None:
    records = [trial(None, f"a={place}", status="failed") for place in (3, 1)] + [trial(5.0, "a=2", status="pruned")]
    assert [setting.name for setting in ranked(records, LOSS)] == ["a=2", "a=3", "a=1"]
    assert best_trial(ranked(records, LOSS)[-1], LOSS) is None


def test_how_a_trial_is_tracked_does_not_set_it_apart() -> None:
    records = [trial(0.1, "a=1", "seed=0", "tracking=disabled"), trial(0.2, "a=1", "seed=1", "sweep.name=s")]
    assert [len(setting.trials) for setting in ranked(records, LOSS)] == [2]


def test_short_names_leave_out_what_does_not_tell_keys_apart() -> None:
    words = ["optimizer.lr={}", "data.seed={}", "model.a={}", "loss.a={}"]
    records = [trial(1.0, *(word.format(value) for word in words)) for value in (1, 2)]
    assert ranked(records, LOSS)[0].short == "lr=1 data.seed=1 model.a=1 loss.a=1"


def test_short_names_round_what_a_search_drew() -> None:
    records = [trial(1.0, "optimizer.lr=0.004233509462848479"), trial(2.0, "optimizer.lr=a_long_word")]
    assert [setting.short for setting in ranked(records, LOSS)] == ["lr=0.004234", "lr=a_long_word"]
    assert ranked(records, LOSS)[0].name == "optimizer.lr=0.004233509462848479"


def test_numbers_are_readable_at_any_size() -> None:
    assert [shown(value) for value in (0, 0.5, -12.25, 3e-6, 2e8)] == [
        "0.0000",
        "0.5000",
        "-12.2500",
        "3.000e-06",
        "2.000e+08",
    ]


def test_losses_too_large_to_square_have_a_mean_all_the_same() -> None:
    assert spread([1e200, 3e200]).mean == pytest.approx(2e200)
