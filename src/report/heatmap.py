"""The mean objective over two parameters."""

import math
from collections.abc import Sequence

import plotly.graph_objects as go
import polars as pl

from src.ranking import shown
from src.report.parameters import Parameter, as_text
from src.report.theme import GROUND, axis, figure, labels

_CELLS = 12


def heat_table(across: Parameter, up: Parameter, objectives: Sequence[float | None]) -> pl.DataFrame:
    """The mean objective of every pair of values; numbers of many values are put into bins.

    Returns:
        The columns `x`, `y` (places in `levels` of each parameter), `mean` and `num`; pairs never tried are absent.
    """
    columns = {"x": _places(across), "y": _places(up), "objective": objectives}
    frame = pl.DataFrame(columns, schema={"x": pl.Int64, "y": pl.Int64, "objective": pl.Float64})
    value = pl.col("objective")
    return frame.drop_nulls().group_by("x", "y").agg(mean=value.mean(), num=pl.len()).sort("x", "y")


def levels(parameter: Parameter) -> list[str]:
    """What the cells along a parameter are called, in their order."""
    if not _has_bins(parameter):
        return parameter.levels
    return [f"≥ {low:.2g}" for low in _edges(parameter)[:-1]]


def draw_heat(table: pl.DataFrame, across: Parameter, up: Parameter, direction: str) -> go.Figure:
    """Draws the table: a cell's colour is its place among all, so that one that is far off does not hide the rest."""
    x_names, y_names = levels(across), levels(up)
    cells = {(row["x"], row["y"]): row for row in table.rows(named=True)}
    grid = [[cells.get((x, y)) for x in range(len(x_names))] for y in range(len(y_names))]
    order = table["mean"].rank("dense", descending=direction != "minimize") - 1
    places = dict(zip(cells, order, strict=True))
    heat = go.Heatmap(
        x=labels(x_names, 24),
        y=labels(y_names, 24),
        z=[[places.get((x, y)) for x in range(len(x_names))] for y in range(len(y_names))],
        text=[["" if cell is None else shown(cell["mean"]) for cell in row] for row in grid],
        customdata=[[0 if cell is None else cell["num"] for cell in row] for row in grid],
        texttemplate="%{text}" if max(len(x_names), 1) <= 8 else None,
        hovertemplate="%{x}, %{y}<br>%{text} over %{customdata} trials<extra></extra>",
        textfont={"color": "#1f2933"},
        hoverongaps=False,
        xgap=2,
        ygap=2,
        colorscale=[list(stop) for stop in GROUND],
        showscale=False,
    )
    x, y = (axis(parameter.key, type="category", showgrid=False) for parameter in (across, up))
    return figure([heat], x, y, height=max(280, 140 + 34 * len(y_names)))


def _has_bins(parameter: Parameter) -> bool:
    return parameter.is_number and len(parameter.levels) > _CELLS


def _edges(parameter: Parameter) -> list[float]:
    """Of bins of one width, on the parameter's own axis."""
    numbers = [value for value in parameter.values if isinstance(value, float)]
    ends = [math.log(end) if parameter.is_log else end for end in (min(numbers), max(numbers))]
    marks = [ends[0] + (ends[1] - ends[0]) * place / _CELLS for place in range(_CELLS + 1)]
    return [math.exp(mark) for mark in marks] if parameter.is_log else marks


def _places(parameter: Parameter) -> list[int]:
    if not _has_bins(parameter):
        order = {level: place for place, level in enumerate(parameter.levels)}
        return [order[as_text(value)] for value in parameter.values]
    inner = _edges(parameter)[1:-1]
    return [sum(edge <= value for edge in inner) for value in parameter.values if isinstance(value, float)]
