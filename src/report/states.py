"""What became of the trials, over time."""

from collections.abc import Sequence
from datetime import datetime

import plotly.graph_objects as go
import polars as pl

from src.record import Record
from src.record_check import STATUSES
from src.report.curves import even_choice
from src.report.theme import STATUS, axis, figure, tint

_MOMENTS = 300


def states_table(records: Sequence[Record], now: datetime) -> pl.DataFrame:
    """How many trials were in each state at each moment that something changed.

    Args:
        records: of the trials; one that does not say when it started is left out.
        now: where the time axis ends for trials that are still running.

    Returns:
        The columns `seconds` (since the first start) and one for each status, with the number of trials.
    """
    spans = [(record.status, *span) for record in records if (span := record.span)]
    if not spans:
        return pl.DataFrame(schema={"seconds": pl.Float64} | dict.fromkeys(STATUSES, pl.Int64))
    first = min(start for _, start, _ in spans)
    changes: list[tuple[float, str, int]] = [(0.0, "running", 0)]
    for status, start, end in spans:
        changes.append(((start - first).total_seconds(), "running", 1))
        if status != "running":
            ended = (end - first).total_seconds()
            changes += [(ended, "running", -1), (ended, status, 1)]
    if any(status == "running" for status, _, _ in spans):
        changes.append(((now - first).total_seconds(), "running", 0))
    changes.append((1.05 * max(second for second, _, _ in changes), "running", 0))  # so that the end can be seen
    frame = pl.DataFrame(changes, schema={"seconds": pl.Float64, "status": pl.String, "change": pl.Int64}, orient="row")
    counts = [pl.col("change").filter(pl.col("status") == status).sum().alias(status) for status in STATUSES]
    table = frame.group_by("seconds").agg(counts).sort("seconds").with_columns(pl.col(STATUSES).cum_sum())
    return pl.DataFrame(even_choice(table.rows(named=True), _MOMENTS), schema=table.schema)


def draw_states(table: pl.DataFrame) -> go.Figure:
    """Stacked steps, a colour for each state that occurred."""
    seconds = table["seconds"].to_list()
    last = max(seconds, default=0)
    scale, unit = next(((scale, unit) for scale, unit in _UNITS if last >= 2 * scale), (1.0, "seconds"))
    traces = [
        go.Scatter(
            x=[second / scale for second in seconds],
            y=table[status].to_list(),
            name=status,
            stackgroup="trials",
            mode="lines",
            line={"shape": "hv", "width": 1, "color": STATUS[status]},
            fillcolor=tint(STATUS[status], 0.55),
            hovertemplate="%{y} " + status + "<extra></extra>",
        )
        for status in ("finished", "pruned", "diverged", "failed", "running")
        if table[status].max()
    ]
    y = axis("trials", rangemode="tozero")
    return figure(traces, axis(f"{unit} since the first trial started"), y, height=300, hovermode="x unified")


_UNITS = ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes"))
