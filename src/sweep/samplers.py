"""Optuna's samplers: which can search a space, how many suggestions they give at once, and how they are seeded."""

import math
import sys
from collections.abc import Mapping
from typing import Any

from optuna.distributions import CategoricalDistribution
from optuna.samplers import BaseSampler

from src.errors import ConfigError
from src.instantiate import instantiate
from src.sweep.options import Options
from src.sweep.space import Space

_DO_NOT_LEARN = ("RandomSampler", "QMCSampler", "GridSampler")
_KEEP_A_STATE = ("QMCSampler", "CmaEsSampler", "NSGAIISampler", "NSGAIIISampler")
"""These know more than the trials' values: a counter, a covariance, generations."""


def name_of(settings: Mapping[str, Any]) -> str:
    """The sampler's class."""
    return str(settings["_target_"]).rpartition(".")[2]


def check_sampler(settings: Mapping[str, Any], space: Space, num_objectives: int) -> None:
    """Says which spaces a sampler cannot search, instead of the random draws that Optuna falls back to.

    Raises:
        ConfigError: where it cannot search this one, or does not take its arguments.
    """
    name, choices = (
        name_of(settings),
        [k for k, d in space.distributions.items() if isinstance(d, CategoricalDistribution)],
    )
    if name == "CmaEsSampler" and choices:
        law = "hydra/sweeper/sampler=cmaes searches numbers, and no choices"
        raise ConfigError(law, choices[0], _OTHER)
    if name == "CmaEsSampler" and len(space.distributions) < 2:
        raise ConfigError("hydra/sweeper/sampler=cmaes searches two keys or more", list(space.distributions), _OTHER)
    if name == "CmaEsSampler" and num_objectives > 1:
        law = "hydra/sweeper/sampler=cmaes has one objective"
        raise ConfigError(law, f"{num_objectives} objectives", "hydra/sweeper/sampler=nsgaii")
    if name == "GridSampler":
        space.grid()
    else:
        make_sampler(settings, 0)


_OTHER = "hydra/sweeper/sampler=tpe"
_USUAL_TRIALS = 64


def settled(options: Options, settings: Mapping[str, Any], space: Space, num_objectives: int) -> None:
    """Checks the sampler and fills in what the options leave to it.

    Raises:
        ConfigError: where the sampler cannot search the space.
    """
    if "seed" in space.distributions:
        law = "seed is what a setting is repeated with, and no key to search"
        raise ConfigError(law, "seed", "hydra.sweeper.num_seeds=4")
    check_sampler(settings, space, num_objectives)
    whole = len(space.grid()) if name_of(settings) == "GridSampler" else None
    options.num_trials = min(options.num_trials or whole or _USUAL_TRIALS, whole or sys.maxsize)
    options.batch_size = options.batch_size or usual_batch(settings, space, options.num_trials)


def make_sampler(settings: Mapping[str, Any], seed: int) -> BaseSampler:
    """The sampler with its own arguments; a grid is told to Optuna point by point, so any sampler serves it.

    Raises:
        ConfigError: where there is no such sampler or it does not take its arguments.
    """
    if name_of(settings) == "GridSampler":
        settings = {"_target_": "optuna.samplers.RandomSampler"}
    given = {name: value for name, value in settings.items() if value is not None}
    try:
        sampler = instantiate(given, seed=seed)
    except Exception as error:  # whatever its own checks raise, wrapped by Hydra
        problem = " ".join(str(error.__cause__ or error).split())
        raise ConfigError("hydra.sweeper.sampler must be right for Optuna", problem, _OTHER) from error
    if not isinstance(sampler, BaseSampler):
        raise ConfigError("hydra.sweeper.sampler must be one of Optuna's", settings["_target_"], _OTHER)
    return sampler


def keeps_a_state(settings: Mapping[str, Any]) -> bool:
    """Whether a sampler must be asked anew for what it suggested, to be what it was before a kill."""
    return name_of(settings) in _KEEP_A_STATE


def usual_batch(settings: Mapping[str, Any], space: Space, num_trials: int) -> int:
    """How many suggestions train together before the sampler learns from them.

    A stack's time hardly grows with its trials, so a batch is as large as the sampler can still learn from: all for
    one that never learns, one generation for those that have some. TPE and samplers of which nothing is known get 16
    rounds, of 4 suggestions at least: in `experiments/search` 63 trials of TPE came out better in 16 rounds than in 2,
    though 12 repeats do not prove it. GP fits a model for each suggestion, which takes longer than the suggestion's
    training: it gets 8.
    """
    name = name_of(settings)
    if name == "CmaEsSampler":
        return settings.get("popsize") or 4 + int(3 * math.log(len(space.distributions)))
    if "population_size" in settings:
        return int(settings["population_size"])
    return 256 if name in _DO_NOT_LEARN else 8 if name == "GPSampler" else max(4, num_trials // 16)
