"""What a sweep varies, and on which axis it is seen."""

import pytest

from src.record import Record
from src.report.parameters import Parameter, as_text, parameters


def found(key: str, *values: object, argv: tuple[str, ...] = ()) -> Parameter:
    (parameter,) = parameters([Record("", [f"{key}={value}", "sweep.name=s"]) for value in values], argv)
    return parameter


def test_only_what_differs_is_a_parameter_and_the_seed_is_none() -> None:
    words = [["a.b=1", "c=x", f"seed={seed}", f"tracking.tags=[{seed}]"] for seed in (0, 1)]
    assert parameters([Record("", texts) for texts in words]) == []


@pytest.mark.parametrize(
    "values", [(1e-4, 1e-3, 1e-2), (1e-5, 1e-1), (3e-4, 1e-3, 3e-3, 1e-2, 3e-2), ("1e-4", "0.01", "1e-3")]
)
def test_values_spread_over_decades_are_seen_on_a_log_axis(values: tuple[object, ...]) -> None:
    assert found("optimizer.lr", *values).is_log


@pytest.mark.parametrize("values", [(16, 32, 64, 128), (1, 50, 100), (0.1, 0.2, 0.3), (-1, 100), (1, 26, 51, 76, 101)])
def test_others_on_a_linear_one(values: tuple[object, ...]) -> None:
    parameter = found("model.hidden_dim", *values)
    assert parameter.is_number
    assert not parameter.is_log


@pytest.mark.parametrize(("word", "is_log"), [("tag(log,interval(1,9))", True), ("interval(1,9)", False)])
def test_search_over_logarithms_is_seen_on_a_log_axis_whatever_it_drew(word: str, is_log: bool) -> None:
    assert found("optimizer.lr", 1.5, 2.5, 7, argv=("-m", f"optimizer.lr={word}")).is_log is is_log


def test_zero_beside_decades_makes_categories() -> None:
    parameter = found("optimizer.weight_decay", 1e-3, 0, 1e-5, "1e-1")
    assert not parameter.is_number
    assert parameter.levels == ["0", "1e-05", "0.001", "0.1"]


def test_text_and_missing_values_are_categories() -> None:
    records = [Record("", ["model=deep"]), Record("", ["model=wide", "+x.y=1"]), Record("", ["~x.y", "model=wide"])]
    by_key = {parameter.key: parameter for parameter in parameters(records)}
    assert by_key["model"].levels == ["deep", "wide"]
    assert by_key["x.y"].values == [None, 1.0, None]
    assert by_key["x.y"].levels == ["(default)", "1"]


def test_values_are_told_as_they_are_typed() -> None:
    assert [as_text(value) for value in (64.0, 1e-05, "[0.9,0.99]", None)] == ["64", "1e-05", "[0.9,0.99]", "(default)"]
