"""Several sweeps side by side."""

from collections.abc import Sequence

import plotly.graph_objects as go
import polars as pl

from src.report.against import is_log_objective
from src.report.theme import PALETTE, axis, escaped, figure, tint


def distribution_table(names: Sequence[str], objectives: Sequence[Sequence[float | None]]) -> pl.DataFrame:
    """The objective of every trial of every sweep.

    Args:
        names: of the sweeps.
        objectives: of each sweep's trials; those without one are left out.

    Returns:
        The columns `sweep` and `objective`.
    """
    rows = [(name, value) for name, values in zip(names, objectives, strict=True) for value in values]
    schema = {"sweep": pl.String, "objective": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row").drop_nulls()


def draw_distributions(table: pl.DataFrame, metric: str) -> go.Figure:
    """A box for each sweep: its middle half, and whiskers to the last trial within 1.5 times its height."""
    groups = [(str(name), rows["objective"]) for (name,), rows in table.group_by("sweep", maintain_order=True)]
    boxes = [
        go.Box(
            y=values.to_list(),
            name=escaped(name, 30),
            line={"color": PALETTE[place % len(PALETTE)]},
            fillcolor=tint(PALETTE[place % len(PALETTE)], 0.25),
            boxpoints="outliers",
            marker={"size": 4},
        )
        for place, (name, values) in enumerate(groups)
    ]
    is_log = is_log_objective(table["objective"].sort().to_list())
    return figure(boxes, {"type": "category"}, axis(metric, is_log=is_log), height=420, showlegend=False)
