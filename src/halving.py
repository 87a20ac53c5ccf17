"""Which trials go on at a rung: successive halving, in a stack all at once and trial by trial as they come.

Jamieson and Talwalkar, 2016 (https://arxiv.org/abs/1502.07943); with trials that come one after another it is
Li et al., 2018 (https://arxiv.org/abs/1810.05934).
"""

import math
from collections.abc import Sequence


class Halving:
    """At each rung the best one in `eta` goes on, among all that have reached it.

    Args:
        eta: at least 2.
        min_epochs: the first rung; None for `max_epochs / eta^2`, rounded up: a last rung just before the end saves
            nothing.
        max_epochs: of a trial that goes on to its end.
        sign: 1 where less is better, -1 where more is.

    Attributes:
        rungs: epochs after which trials are compared: each `eta` times the one before.
    """

    def __init__(self, eta: int, min_epochs: int | None, max_epochs: int, sign: int = 1) -> None:
        self._eta, self._sign = eta, sign
        first = min_epochs or math.ceil(max_epochs / eta**2)
        count = max(0, math.ceil(round(math.log(max_epochs / first, eta), 9)))
        self.rungs = [first * eta**i for i in range(count)]
        self._reached: dict[int, list[float]] = {rung: [] for rung in self.rungs}

    def add(self, rung: int, values: Sequence[float]) -> None:
        """Takes in what others had reached at a rung: the objective of their best epoch so far."""
        self._reached[rung] += [self._cost(value) for value in values]

    def going_on(self, rung: int, values: Sequence[float]) -> list[bool]:
        """Which of the trials that reach a rung together go on; they count among those that reached it before.

        Args:
            rung: one of `rungs`.
            values: the objective of their best epoch so far; one that is not finite never goes on.
        """
        self.add(rung, values)
        costs = [self._cost(value) for value in values]
        reached = sorted(self._reached[rung])
        limit = reached[max(1, len(reached) // self._eta) - 1]
        return [math.isfinite(cost) and cost <= limit for cost in costs]

    def _cost(self, value: float) -> float:
        return self._sign * value if math.isfinite(value) else math.inf
