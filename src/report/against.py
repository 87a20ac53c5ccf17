"""The objective against each parameter: a point per trial, a line through the means of what was tried often."""

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
import polars as pl

from src.ranking import spread
from src.record import Record
from src.report.curves import even_choice
from src.report.parameters import Parameter, as_text, is_log_spaced
from src.report.theme import PALETTE, axis, escaped, figure, labels, tint

_POINTS = 800
_LEVELS = 40
_TICKS = 6


def against_table(parameter: Parameter, records: Sequence[Record], names: Sequence[str]) -> pl.DataFrame:
    """Each trial's value of a parameter and its objective.

    Args:
        parameter: its values, a trial each.
        records: of the trials, in the same order; those without an objective are left out.
        names: what to call them.

    Returns:
        The columns `value` (a number, or text), `objective`, `status` and `name`, sorted by value.
    """
    kind = pl.Float64 if parameter.is_number else pl.String
    values = parameter.values if parameter.is_number else [as_text(value) for value in parameter.values]
    told = [(record.objective, record.status) for record in records]
    rows = [(value, *pair, name) for value, pair, name in zip(values, told, names, strict=True)]
    schema = {"value": kind, "objective": pl.Float64, "status": pl.String, "name": pl.String}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    order = {level: place for place, level in enumerate(parameter.levels)}
    by = "value" if parameter.is_number else pl.col("value").replace_strict(order, return_dtype=pl.Int64)
    return frame.drop_nulls("objective").sort(by, "objective")


def mean_table(table: pl.DataFrame) -> pl.DataFrame:
    """The columns `value`, `mean` and `std` of every value that was tried more than once.

    The trials of a value differ in their other parameters too, and a search has chosen them: they are no independent
    sample from which an interval of the mean could be told.
    """
    groups = [(value, spread(rows["objective"])) for (value,), rows in table.group_by("value", maintain_order=True)]
    often = [(value, score) for value, score in groups if score.num > 1]
    return pl.DataFrame(
        {
            "value": [value for value, _ in often],
            "mean": [score.mean for _, score in often],
            "std": [score.std for _, score in often],
        },
        strict=False,
    )


def draw_against(parameter: Parameter, table: pl.DataFrame, metric: str) -> go.Figure:
    """Draws both tables."""
    shown = pl.DataFrame(even_choice(table.rows(named=True), _POINTS), schema=table.schema)
    points = go.Scatter(
        x=_on_axis(shown, parameter),
        y=shown["objective"].to_list(),
        text=[escaped(name) for name in shown["name"]],
        customdata=[escaped(status) for status in shown["status"]],
        mode="markers",
        marker={
            "color": tint(PALETTE[0], 0.5),
            "size": 6,
            "symbol": ["circle" if status == "finished" else "circle-open" for status in shown["status"]],
        },
        name="trial",
        hovertemplate="%{text}<br>%{y:.5g}, %{customdata}<extra></extra>",
    )
    traces = [points]
    if table["value"].n_unique() <= _LEVELS and (means := mean_table(table)).height:
        traces.append(_means(means, parameter))
    x = axis(parameter.key, is_log=parameter.is_log, **_ticks(parameter))
    if not parameter.is_number:
        x |= {"type": "category", "categoryorder": "array", "categoryarray": labels(parameter.levels, 30)}
    known = table["objective"].sort().to_list()
    return figure(traces, x, axis(metric, is_log=is_log_objective(known)), height=320, showlegend=False)


def _ticks(parameter: Parameter) -> dict[str, list[Any]]:
    """The values themselves, where they are few."""
    few = parameter.is_number and len(parameter.levels) <= _TICKS
    return {"tickvals": [float(level) for level in parameter.levels], "ticktext": parameter.levels} if few else {}


def _means(means: pl.DataFrame, parameter: Parameter) -> go.Scatter:
    return go.Scatter(
        x=_on_axis(means, parameter),
        y=means["mean"].to_list(),
        error_y={"array": means["std"].to_list(), "width": 3, "thickness": 1.5},
        mode="lines+markers" if parameter.is_number else "markers",
        line={"color": PALETTE[1], "width": 2},
        marker={"size": 8, "symbol": "diamond", "color": PALETTE[1]},
        name="mean",
        hovertemplate="mean %{y:.5g} ± %{error_y.array:.2g}<extra></extra>",
    )


def _on_axis(frame: pl.DataFrame, parameter: Parameter) -> list[float] | list[str]:
    names = dict(zip(parameter.levels, labels(parameter.levels, 30), strict=True))
    return [names[value] if isinstance(value, str) else value for value in frame["value"].to_list()]


def is_log_objective(known: Sequence[float]) -> bool:
    """Whether sorted objectives span so much that a linear axis would show the worst of them alone."""
    return is_log_spaced(known)
