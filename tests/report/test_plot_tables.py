"""What the plots show, asserted as data."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from src.record import Record
from src.report.against import against_table, draw_against, mean_table
from src.report.compare import distribution_table
from src.report.content import time_taken
from src.report.curves import BEST, curve_table, even_choice
from src.report.heatmap import heat_table, levels
from src.report.importances import importance_table
from src.report.parallel import draw_parallel, parallel_table
from src.report.parameters import Parameter
from src.report.states import states_table


def numbers(key: str, values: list[float], is_log: bool = False) -> Parameter:
    return Parameter(key, list(values), is_number=True, is_log=is_log)


def records(*objectives: float | None, status: str = "finished") -> list[Record]:
    return [Record("", [], status, objective) for objective in objectives]


def histories(*runs: Sequence[float | None]) -> pl.DataFrame:
    rows = [(trial, float(epoch), loss) for trial, losses in enumerate(runs) for epoch, loss in enumerate(losses)]
    return pl.DataFrame(rows, schema={"trial": pl.Int64, "epoch": pl.Float64, "val/loss": pl.Float64}, orient="row")


def test_curve_is_the_mean_over_seeds_and_its_band_one_deviation_within_what_was_measured() -> None:
    table = curve_table(histories([4, 1], [2, 1], [8, 8]), [0, 0, 1], "val/loss")
    assert table.rows() == [(0, 0, 3, 2, 4, 2), (0, 1, 1, 1, 1, 2), (1, 0, 8, 8, 8, 1), (1, 1, 8, 8, 8, 1)]


def test_curve_ends_where_fewer_than_half_of_the_trials_go_on() -> None:
    table = curve_table(histories([1, 1, 9], [1, 1], [1]), [0, 0, 0], "val/loss")
    assert table["epoch"].to_list() == [0, 1]


def test_long_curves_and_many_settings_are_thinned_out_but_not_the_best_ones() -> None:
    runs = [[float(place)] * 1000 for place in range(200)]
    table = curve_table(histories(*runs), list(range(200)), "val/loss")
    shown = table["setting"].unique().sort().to_list()
    assert shown[:BEST] == list(range(BEST))
    assert len(shown) == BEST + 40
    assert table["epoch"].n_unique() == 150
    assert table["epoch"].max() == 999


def test_metric_that_was_never_measured_has_no_curve() -> None:
    assert curve_table(histories([1, 2]), [0], "train/loss").is_empty()
    assert curve_table(histories([None, None]), [0], "val/loss").is_empty()


def test_even_choice_keeps_both_ends() -> None:
    assert even_choice(range(10), 4) == [0, 3, 6, 9]
    assert even_choice("abc", 4) == ["a", "b", "c"]


def test_objective_against_a_parameter_leaves_out_trials_without_one() -> None:
    table = against_table(numbers("lr", [3, 1, 2, 1]), records(1.0, 2.0, None, 4.0), list("abcd"))
    assert table.select("value", "objective", "name").rows() == [(1, 2, "b"), (1, 4, "d"), (3, 1, "a")]
    means = mean_table(table)
    assert means["value"].to_list() == [1]
    assert means["mean"].to_list() == [3]


def test_mean_of_trials_that_share_a_value_has_their_deviation_and_no_interval() -> None:
    parameter = numbers("lr", [1, 1, 1, 2])
    table = against_table(parameter, records(1.0, 3.0, 5.0, 9.0), list("abcd"))
    assert mean_table(table).to_dict(as_series=False) == {"value": [1], "mean": [3], "std": [2]}
    _, means = draw_against(parameter, table, "val/loss").data
    assert list(means.error_y.array) == [2]


def test_levels_stand_in_their_order_whatever_the_trials_are() -> None:
    parameter = Parameter("wd", [1e-3, 0.0, 1e-5], is_number=False, is_log=False)
    table = against_table(parameter, records(1.0, 2.0, 3.0), list("abc"))
    assert table["value"].to_list() == ["0", "1e-05", "0.001"]


def test_trial_that_did_not_finish_is_a_hollow_point() -> None:
    trials = [*records(1.0), *records(2.0, status="pruned")]
    parameter = numbers("lr", [1, 2])
    (points,) = draw_against(parameter, against_table(parameter, trials, ["a", "b"]), "val/loss").data
    assert list(points.marker.symbol) == ["circle", "circle-open"]


@pytest.mark.parametrize("is_log", [True, False])
def test_axis_of_a_log_parameter_is_logarithmic(is_log: bool) -> None:
    parameter = numbers("lr", [1e-4, 1e-2], is_log)
    drawn = draw_against(parameter, against_table(parameter, records(1.0, 2.0), ["a", "b"]), "val/loss")
    assert (drawn.layout.xaxis.type == "log") is is_log


def test_forest_finds_the_parameter_that_matters_and_says_how_much_it_explains() -> None:
    random = np.random.default_rng(0)
    rates, widths = random.uniform(size=200).tolist(), random.choice([8.0, 16.0], size=200).tolist()
    names = Parameter("name", list(random.choice(["a", "b"], size=200)), is_number=False, is_log=False)
    objectives = [rate**2 + (name == "b") for rate, name in zip(rates, names.values, strict=True)]
    table = importance_table([numbers("width", widths), numbers("rate", rates), names], [*objectives[:-1], None])
    assert table["key"][2] == "width"
    assert table["importance"].sum() == pytest.approx(1)
    assert table["importance"][2] < 0.02
    assert table["explained"][0] > 0.9


def test_importances_are_not_decided_by_one_trial_that_is_far_off() -> None:
    random = np.random.default_rng(0)
    rates, widths = random.uniform(size=(2, 100)).tolist()
    objectives = [rate if place else 1e30 for place, rate in enumerate(rates)]
    table = importance_table([numbers("width", widths), numbers("rate", rates)], objectives)
    assert table["key"][0] == "rate"
    assert table["importance"][0] > 0.9


def test_heat_map_holds_the_mean_of_every_pair_that_was_tried() -> None:
    across, up = numbers("lr", [1, 2, 2, 1]), Parameter("name", ["b", "a", "a", "b"], is_number=False, is_log=False)
    assert heat_table(across, up, [1.0, 2.0, 4.0, None]).rows() == [(0, 1, 1, 1), (1, 0, 3, 2)]
    assert (levels(across), levels(up)) == (["1", "2"], ["a", "b"])


def test_heat_map_puts_many_numbers_into_bins_of_their_own_axis() -> None:
    values = [10 ** (place / 10) for place in range(61)]
    across = numbers("lr", values, is_log=True)
    table = heat_table(across, numbers("b", values), [1.0] * 61)
    assert len(levels(across)) == 12
    assert table["num"].sum() == 61
    assert table.group_by("x").agg(pl.col("num").sum())["num"].to_list() == pytest.approx([5] * 12, abs=1)
    assert (table["x"].min(), table["x"].max()) == (0, 11)


def test_parallel_coordinates_have_a_line_for_each_setting_that_has_an_objective() -> None:
    rate = numbers("lr", [1e-2, 1e-4, 1.0], is_log=True)
    name = Parameter("name", ["b", "a", None], is_number=False, is_log=False)
    table = parallel_table([rate, name], [0.1, 0.2, None])
    assert table.to_dict(as_series=False) == {"lr": [-2, -4], "name": [2, 1], "objective": [0.1, 0.2]}
    (lines,) = draw_parallel(table, [rate, name], "val/loss").data
    assert [dimension.label for dimension in lines.dimensions] == ["lr", "name", "val/loss"]
    assert list(lines.dimensions[1].ticktext) == ["(default)", "a", "b"]


def test_states_are_counted_at_every_moment_that_something_changed() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    ended = [("finished", 0, 2), ("failed", 1, 3), ("running", 4, None)]
    records = [
        Record("", [], status, timing={"started": (start + timedelta(seconds=begun)).isoformat(), "seconds": long})
        for status, begun, long in ended
    ]
    table = states_table([*records, Record("", [])], start + timedelta(seconds=10))
    told = table.select("seconds", "running", "finished", "failed").rows()
    assert told[:6] == [(0, 1, 0, 0), (1, 2, 0, 0), (2, 1, 1, 0), (4, 1, 1, 1), (10, 1, 1, 1), (10.5, 1, 1, 1)]


def test_run_that_was_stopped_and_went_on_ends_when_it_ended_and_not_after_its_last_process_alone() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    stopped = {"started": start.isoformat(), "seconds": 2.0, "ended": (start + timedelta(hours=9)).isoformat()}
    older = {"started": (start + timedelta(hours=1)).isoformat(), "seconds": 60.0}
    records = [Record("", [], "finished", timing=timing) for timing in (stopped, older, {})]
    assert time_taken(records) == 9 * 3600
    assert time_taken(records[1:]) == 60
    told = states_table(records, start).select("seconds", "running", "finished").rows()
    assert told[:4] == [(0, 1, 0), (3600, 2, 0), (3660, 1, 1), (9 * 3600, 0, 2)]


def test_distributions_hold_every_objective_under_its_sweep() -> None:
    table = distribution_table(["a", "b"], [[1.0, None], [3.0]])
    assert table.rows() == [("a", 1.0), ("b", 3.0)]


def test_long_names_that_begin_alike_stay_different_categories() -> None:
    alike = ["a" * 100 + end for end in "xyz"]
    parameter = Parameter("data.path", list(alike), is_number=False, is_log=False)
    drawn = draw_against(parameter, against_table(parameter, records(1.0, 2.0, 3.0), alike), "val/loss")
    assert len(set(drawn.data[0].x)) == 3
    assert set(drawn.data[0].x) == set(drawn.layout.xaxis.categoryarray)
