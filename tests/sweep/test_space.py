"""A search space is what Hydra's words say, and a suggestion comes back from its overrides to the last bit."""

import math

import optuna
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from src.halving import Halving
from src.sweep.space import Space, parse


def space_of(*words: str) -> Space:
    return parse(OverridesParser.create().parse_overrides(list(words)))


@pytest.mark.parametrize(
    ("word", "distribution"),
    [
        ("a=choice(x,3,[1,2])", CategoricalDistribution(["x", "3", "[1,2]"])),
        ("a=x,3,'it is'", CategoricalDistribution(["x", "3", "'it is'"])),
        ("a=range(1,10)", IntDistribution(1, 9)),
        ("a=range(1,10,4)", IntDistribution(1, 9, step=4)),
        ("a=range(9,1,-4)", IntDistribution(5, 9, step=4)),
        ("a=range(0,1,0.25)", FloatDistribution(0, 0.75, step=0.25)),
        ("a=interval(1,10)", FloatDistribution(1, 10)),
        ("a=int(interval(1,10))", IntDistribution(1, 10)),
        ("a=tag(log,interval(1e-5,0.1))", FloatDistribution(1e-5, 0.1, log=True)),
        ("a=tag(log,int(interval(1,100)))", IntDistribution(1, 100, log=True)),
    ],
)
def test_hydras_words_become_optunas_distributions(word: str, distribution: BaseDistribution) -> None:
    assert space_of(word, "b=2", "+c.d=text") == Space({"a": distribution}, ["b=2", "+c.d=text"])


def test_suggestion_comes_back_from_its_overrides_to_the_last_bit() -> None:
    space = space_of("a=tag(log,interval(1e-9,1e9))", "+b=int(interval(1,99))", "c=x,'a, b',[1,2]", "d=range(0,1,0.1)")
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(200):
        values = study.ask(space.distributions).params
        assert space.values(["e=1", *space.overrides(values), "seed=4"]) == values


def test_overrides_outside_the_space_are_none_of_its_suggestions() -> None:
    space = space_of("a=interval(0,1)", "b=x,y")
    assert space.values(["a=0.5", "b=x"]) == {"a": 0.5, "b": "x"}
    for other in (["a=0.5"], ["a=2.0", "b=x"], ["a=0.5", "b=z"], ["a=high", "b=x"]):
        assert space.values(other) is None


def test_grid_is_every_combination_and_ends_where_hydra_ends() -> None:
    space = space_of("a=range(1,6,2)", "b=range(0,0.3,0.1)", "c=x,y")
    grid = space.grid()
    assert len(grid) == 3 * 3 * 2
    assert {values["a"] for values in grid} == {1, 3, 5}
    assert sorted({float(str(values["b"])) for values in grid}) == pytest.approx([0, 0.1, 0.2])


def test_corners_reach_both_ends_of_each_key_and_every_choice() -> None:
    corners = space_of("a=interval(0,1)", "b=x,y,z").corners()
    assert {text for corner in corners for text in corner} == {"a=0.0", "a=1.0", "b=x", "b=y", "b=z"}


@pytest.mark.parametrize(
    ("epochs", "least", "rungs"),
    [
        (81, 1, [1, 3, 9, 27]),
        (100, None, [12, 36]),
        (9, None, [1, 3]),
        (243, None, [27, 81]),
        (3, 9, []),
        (1, None, []),
    ],
)
def test_rungs_are_eta_apart_and_end_before_the_last_epoch(epochs: int, least: int | None, rungs: list[int]) -> None:
    assert Halving(3, least, epochs).rungs == rungs


@pytest.mark.parametrize("eta", [2, 3, 4, 8])
def test_last_rung_is_the_first_multiple_of_eta_from_one_in_eta_of_the_epochs_on(eta: int) -> None:
    for epochs in range(eta**2, 1000):
        rungs = Halving(eta, None, epochs).rungs
        assert len(rungs) == 2, epochs
        assert 0 <= rungs[-1] - epochs / eta < eta, epochs


@pytest.mark.parametrize("sign", [1, -1])
def test_best_third_of_all_that_reached_a_rung_goes_on(sign: int) -> None:
    halving = Halving(3, 1, 9, sign)
    values = [sign * value for value in (5.0, 1.0, 9.0, 2.0, 8.0, 7.0)]
    assert halving.going_on(1, values) == [False, True, False, True, False, False]
    assert halving.going_on(1, [sign * 1.5]) == [True], "the second of seven"
    assert halving.going_on(1, [sign * 6.0]) == [False]


def test_what_is_not_finite_never_goes_on_and_one_alone_does() -> None:
    assert Halving(3, 1, 9).going_on(1, [math.nan, math.inf]) == [False, False]
    assert Halving(3, 1, 9).going_on(1, [4.0]) == [True]


def test_243_trials_cost_less_than_a_third_of_their_epochs() -> None:
    halving, staying, spent, before = Halving(3, None, 100), [float(i) for i in range(243)], 0, 0
    for rung in [*halving.rungs, 100]:
        spent += len(staying) * (rung - before)
        before = rung
        if rung in halving.rungs:
            staying = [value for value, goes in zip(staying, halving.going_on(rung, staying), strict=True) if goes]
    assert spent / (243 * 100) < 0.3
