"""Which parameters matter: how much worse a random forest guesses a trial when one parameter is shuffled."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
import polars as pl

from src.report.parameters import Parameter, as_text
from src.report.theme import PALETTE, axis, figure, labels

LEAST_TRIALS = 12
_MOST_TRIALS = 1500
_FOLDS, _TREES, _SHUFFLES = 3, 40, 3


def importance_table(parameters: Sequence[Parameter], objectives: Sequence[float | None]) -> pl.DataFrame:
    """Permutation importances of a random forest (Breiman 2001), on trials that it was not grown on.

    A forest and not Optuna's fANOVA or PED-ANOVA: it takes grids, repeated seeds, text and keys that some trials lack
    as they are, where a study must be told a distribution for each; scikit-learn is there already. The objective goes
    in by its rank, so that a few trials with a loss of 1e8 do not decide alone.

    Args:
        parameters: two or more.
        objectives: the trials'; those without one are left out.

    Returns:
        The columns `key` and `importance`, the most important first: how much worse the forest gets, as a share of
        all parameters' sum. `explained` is how much of the ranks' variance it explains with all of them.
    """
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.model_selection import KFold
    from threadpoolctl import threadpool_limits

    known = np.flatnonzero([value is not None for value in objectives])
    random = np.random.default_rng(0)
    known = random.permutation(known)[:_MOST_TRIALS]
    inputs = np.column_stack([_codes(parameter) for parameter in parameters])[known]
    ranks = _ranks(np.array(objectives, dtype=float)[known])
    lost, explained = np.zeros(len(parameters)), 0.0
    with threadpool_limits(1):
        for train, test in KFold(_FOLDS).split(inputs):
            forest = RandomForestRegressor(_TREES, min_samples_leaf=2, random_state=0).fit(inputs[train], ranks[train])
            full = forest.score(inputs[test], ranks[test])
            explained += full / _FOLDS
            for column in range(len(parameters)):
                shuffled = [_shuffled(inputs[test], column, random) for _ in range(_SHUFFLES)]
                scores = [forest.score(rows, ranks[test]) for rows in shuffled]
                lost[column] += (full - float(np.mean(scores))) / _FOLDS
    shares = lost.clip(0) / max(float(lost.clip(0).sum()), 1e-12)
    table = pl.DataFrame({"key": [p.key for p in parameters], "importance": shares, "explained": explained})
    return table.sort("importance", descending=True)


def draw_importances(table: pl.DataFrame) -> go.Figure:
    """A bar for each parameter, the most important on top."""
    rows = table.reverse()
    bars = go.Bar(
        x=rows["importance"].to_list(),
        y=labels(rows["key"].to_list(), 40),
        orientation="h",
        marker={"color": PALETTE[0]},
        hovertemplate="%{y}: %{x:.3f}<extra></extra>",
        texttemplate="%{x:.2f}",
        textposition="outside",
    )
    most = float(rows["importance"].to_numpy().max(initial=0.01))
    x = axis("importance (they sum to 1)", range=[0, 1.15 * most])  # room for the numbers
    return figure([bars], x, {"type": "category"}, height=120 + 34 * rows.height, showlegend=False)


def _codes(parameter: Parameter) -> np.ndarray:
    if parameter.is_number:
        return np.array(parameter.values, dtype=float)
    order = {level: place for place, level in enumerate(parameter.levels)}
    return np.array([order[as_text(value)] for value in parameter.values], dtype=float)


def _ranks(values: np.ndarray) -> np.ndarray:
    _, places = np.unique(values, return_inverse=True)
    return places / max(places.max(), 1)


def _shuffled(inputs: np.ndarray, column: int, random: np.random.Generator) -> np.ndarray:
    rows = inputs.copy()
    rows[:, column] = random.permutation(rows[:, column])
    return rows
