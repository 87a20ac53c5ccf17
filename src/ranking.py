"""Which setting of a sweep is best: the one place where trials are folded into settings, and settings ranked.

The table in the terminal, the report's page, its files and W&B's summary all show what is computed here.

How trials count: every trial that has an objective counts, with its objective at its best epoch, also one that
diverged or was pruned later; one that has none (failed, still running) counts for nothing. A setting of which any
trial did not finish stands after those of which all did, however good the rest of its trials are.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from src.config import Objective
from src.naming import without_seed
from src.record import Record


@dataclass(frozen=True)
class Spread:
    """What several numbers have in common.

    Attributes:
        num: how many there are.
        mean: None where there are none.
        std: sample standard deviation, None below two numbers.
        low: lower end of the mean's 95 % interval (Student's t), None below two numbers.
        high: upper end.
    """

    num: int
    mean: float | None = None
    std: float | None = None
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        """Such as `0.5132 ± 0.0123`."""
        return "" if self.mean is None else shown(self.mean) + ("" if self.std is None else f" ± {shown(self.std)}")

    @property
    def interval(self) -> str:
        """Such as `0.5066 to 0.5198`; empty where there is none."""
        return "" if self.low is None or self.high is None else f"{shown(self.low)} to {shown(self.high)}"


@dataclass(frozen=True)
class Setting:
    """Trials that differ in their seed alone.

    Attributes:
        name: what sets it apart from the sweep's others.
        short: the same as one reads it: `lr=0.01`, the last part of each key where that says which key it is, and
            numbers that a search drew with four digits.
        trials: its trials' records.
        score: their objectives.
        is_whole: whether all of them finished and have an objective.
    """

    name: str
    short: str
    trials: list[Record]
    score: Spread
    is_whole: bool


def spread(values: Iterable[float | None]) -> Spread:
    """Mean, standard deviation and 95 % interval of those that are numbers."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    if len(known) < 2:
        return Spread(len(known), known[0] if known else None)
    from scipy.special import stdtrit  # slow to import, and a single run needs none

    try:
        mean, std = fmean(known), stdev(known)
    except OverflowError:  # losses of 1e200: their squares are no numbers any more
        return Spread(len(known), fmean(known))
    half = float(stdtrit(len(known) - 1, 0.975)) * std / math.sqrt(len(known))
    return Spread(len(known), mean, std, mean - half, mean + half)


def ranked(records: Sequence[Record], objective: Objective) -> list[Setting]:
    """A sweep's settings, the best mean first; those that are not whole come last."""
    hidden = same_for_all([record.overrides for record in records])
    settings: dict[tuple[str, ...], list[Record]] = {}
    for record in records:
        chosen = tuple(text for text in without_seed(record.overrides) if not BOOKKEEPING.match(text))
        settings.setdefault(chosen, []).append(record)
    told = [[text for text in texts if text not in hidden] for texts in settings]
    short = leaves(text.partition("=")[0] for texts in told for text in texts)
    folded = [_setting(texts, short, trials) for texts, trials in zip(told, settings.values(), strict=True)]
    return sorted(folded, key=lambda setting: (not setting.is_whole, *mean_costs(setting.trials, objective)))


def mean_costs(trials: Sequence[Record], objective: Objective) -> tuple[float, float]:
    """What settings are ordered by: `Objective.costs` of their trials' means."""
    losses = _mean(trial.metrics.get(objective.loss) for trial in trials)
    mean = _mean(trial.objective for trial in trials)
    return objective.costs({objective.loss: losses, objective.metric: mean})  # they may be one and the same


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None and math.isfinite(value)]
    return fmean(known) if known else None


def _setting(texts: Sequence[str], keys: Mapping[str, str], trials: list[Record]) -> Setting:
    score = spread(trial.objective for trial in trials)
    is_whole = score.num == len(trials) and all(trial.status == "finished" for trial in trials)
    pairs = [text.partition("=") for text in texts]
    short = " ".join(keys[key] + equals + rounded(value) for key, equals, value in pairs)
    return Setting(" ".join(texts) or "all", short or "all", trials, score, is_whole)


def rounded(value: str) -> str:
    """A number as long as a person types one: a search draws them with 17 digits."""
    try:
        return f"{float(value):.4g}" if len(value) > _LONG else value
    except ValueError:
        return value


def leaves(keys: Iterable[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """Each key's last part, or the whole key where two, or one and a name that is taken, would be called the same."""
    whole = dict.fromkeys(keys)
    last = {key: key.rpartition(".")[2] for key in {*whole, "seed", *taken}}
    counts = Counter(leaf.casefold() for leaf in last.values())
    return {key: last[key] if counts[last[key].casefold()] == 1 else key for key in whole}


def best_trial(setting: Setting, objective: Objective) -> Record | None:
    """A setting's best trial, a finished one if there is any; None where none has an objective."""
    known = [trial for trial in setting.trials if trial.objective is not None]
    return min(known, key=lambda trial: (trial.status != "finished", *mean_costs([trial], objective)), default=None)


def same_for_all(overrides: Sequence[Sequence[str]]) -> set[str]:
    """Overrides that do not tell one trial of a sweep from another, or are no part of what is trained."""
    every = {text for texts in overrides for text in texts}
    shared = set(overrides[0]).intersection(*overrides) if len(overrides) > 1 else set()
    return shared | {text for text in every if BOOKKEEPING.match(text)}


_LONG = 8  # characters of a number that a person typed, at most
BOOKKEEPING = re.compile(r"\+*(tracking|sweep|resume|hydra|checkpoint)\b")


def shown(value: float) -> str:
    """A number as a person reads it: four decimals, powers of ten where those would say nothing."""
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:.4f}"
    return f"{value:.3e}"
