"""Parallel coordinates: a line for each setting, from parameter to parameter to the objective."""

import math
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
import polars as pl

from src.report.curves import even_choice
from src.report.parameters import Parameter, as_text, is_log_spaced
from src.report.theme import SCALE, escaped

MOST_LINES = 600
_TICKS = 9


def parallel_table(parameters: Sequence[Parameter], means: Sequence[float | None]) -> pl.DataFrame:
    """The settings that have an objective, the best first; of many an even choice.

    Args:
        parameters: whose values are the settings', a value each.
        means: the settings' mean objectives, the best first.

    Returns:
        A column for each key, on the axis that it is drawn on (a power of ten, or the place of a level), and last
        `objective`.
    """
    columns: dict[str, list[Any]] = {parameter.key: _places(parameter) for parameter in parameters}
    frame = pl.DataFrame(columns | {"objective": list(means)}, strict=False).drop_nulls("objective")
    return pl.DataFrame(even_choice(frame.rows(named=True), MOST_LINES), schema=frame.schema)


def draw_parallel(table: pl.DataFrame, parameters: Sequence[Parameter], metric: str) -> go.Figure:
    """Draws the table; the colour is the setting's place, from the best to the worst."""
    objectives = table["objective"].to_list()
    last = _logarithms(objectives) if is_log_spaced(sorted(objectives)) else objectives
    ends = {"values": last} | (_powers(last) if last is not objectives else {})
    axes = [{"label": escaped(p.key, 30), "values": table[p.key].to_list()} | _ticks(p) for p in parameters]
    scale = [list(stop) for stop in SCALE]
    lines = go.Parcoords(
        dimensions=[*axes, {"label": escaped(metric, 30)} | ends],
        line={"color": list(range(len(objectives))), "colorscale": scale, "showscale": False},
        unselected={"line": {"opacity": 0.06}},
        labelfont={"size": 12},
        tickfont={"size": 11},
        rangefont={"size": 10},
    )
    return go.Figure([lines], go.Layout(height=420, margin={"l": 64, "r": 64, "t": 56, "b": 24}))


def _places(parameter: Parameter) -> list[Any]:
    if parameter.is_log:
        return _logarithms([value for value in parameter.values if isinstance(value, float)])
    if parameter.is_number:
        return list(parameter.values)
    order = {level: place for place, level in enumerate(parameter.levels)}
    return [order[as_text(value)] for value in parameter.values]


def _ticks(parameter: Parameter) -> dict[str, Any]:
    numbers = sorted({value for value in parameter.values if isinstance(value, float)})
    if not parameter.is_number:
        names = [level if len(level) <= 18 else f"{level[:17]}…" for level in parameter.levels]
        shown = even_choice(list(enumerate(names)), 2 * _TICKS)
        return {"tickvals": [place for place, _ in shown], "ticktext": [name for _, name in shown]}
    if len(numbers) <= _TICKS:
        places = _logarithms(numbers) if parameter.is_log else numbers
        return {"tickvals": places, "ticktext": [as_text(number) for number in numbers]}
    return _powers(_logarithms(numbers)) if parameter.is_log else {}


def _powers(logarithms: Sequence[float]) -> dict[str, Any]:
    powers = even_choice(range(math.floor(min(logarithms)), math.ceil(max(logarithms)) + 1), _TICKS)
    return {"tickvals": powers, "ticktext": [f"{10.0**power:g}" for power in powers]}


def _logarithms(values: Sequence[float]) -> list[float]:
    return [math.log10(value) for value in values]
