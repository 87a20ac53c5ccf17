"""Loss curves of settings, with their spread over seeds as bands."""

import math
from collections.abc import Sequence
from typing import Any, TypeVar

import plotly.graph_objects as go
import polars as pl

from src.report.theme import PALETTE, QUIET, axis, escaped, figure, log_ticks, tint

BEST = len(PALETTE)
_QUIET_LINES = 40
_EPOCHS = 150
_LOG_FROM = 30.0  # times the lowest
_ENDS = (("low", 0.0), ("high", 0.97), ("high", 1.0))
"""The lowest, the highest but for a few, and the highest of the bands."""
Item = TypeVar("Item")


def curve_table(histories: pl.DataFrame, setting_of_trial: Sequence[int], metric: str) -> pl.DataFrame:
    """A metric's mean over each setting's trials, epoch by epoch.

    An epoch is left out where fewer than half of the setting's trials reached it: a mean over the few that are left
    would jump. Of the settings behind the best ones an even choice is kept, of many epochs too.

    Args:
        histories: as `read_histories` gives them.
        setting_of_trial: each trial's setting, 0 for the best.
        metric: a column of `histories`; where there is none, the table is empty.

    Returns:
        The columns `setting`, `epoch`, `mean`, `low`, `high` (one standard deviation, within the lowest and the
        highest) and `num`, sorted.
    """
    known = histories if metric in histories.columns else histories.with_columns(pl.lit(None, pl.Float64).alias(metric))
    others = sorted(set(setting_of_trial) - set(range(BEST)))
    kept = pl.DataFrame(
        {"trial": range(len(setting_of_trial)), "setting": setting_of_trial},
        schema={"trial": pl.Int64, "setting": pl.Int64},
    ).filter(pl.col("setting").is_in([*range(BEST), *even_choice(others, _QUIET_LINES)]))
    rows = known.select("trial", "epoch", value=metric).drop_nulls().join(kept, on="trial")
    rows = rows.filter(pl.col("epoch").is_in(even_choice(rows["epoch"].unique().sort().to_list(), _EPOCHS)))
    value = pl.col("value")
    return (
        rows.group_by("setting", "epoch")
        .agg(mean=value.mean(), std=value.std().fill_null(0), least=value.min(), most=value.max(), num=pl.len())
        .filter(pl.col("num") * 2 >= pl.col("num").max().over("setting"))
        .with_columns(
            low=pl.max_horizontal(pl.col("mean") - pl.col("std"), "least"),
            high=pl.min_horizontal(pl.col("mean") + pl.col("std"), "most"),
        )
        .select("setting", "epoch", "mean", "low", "high", "num")
        .sort("setting", "epoch")
    )


def draw_curves(table: pl.DataFrame, names: Sequence[str], labels: Sequence[str], metric: str) -> go.Figure:
    """The best settings in colour with their bands, the others thin and grey behind them.

    Args:
        table: of `curve_table`.
        names: of the settings, the best first, told when a curve is pointed at.
        labels: what the legend calls the best ones.
        metric: the axis' title.
    """
    curves = {int(str(setting)): rows for (setting,), rows in table.group_by("setting", maintain_order=True)}
    quiet = [rows for setting, rows in curves.items() if setting >= BEST]
    best = [(setting, rows) for setting, rows in curves.items() if setting < BEST]
    traces = [_grey(quiet)] if quiet else []
    traces += [_band(setting, rows) for setting, rows in best if rows["num"].max() != 1]
    traces += [_line(setting, rows, names[setting], labels[setting]) for setting, rows in best]
    return figure(traces, axis("epoch"), _y_axis(table, metric), height=400)


def _y_axis(table: pl.DataFrame, metric: str) -> dict[str, Any]:
    """Where most of the curves are: a first epoch that is far off would press the rest into one line."""
    low, usual, high = ((table[name].quantile(share) or 0.0) for name, share in _ENDS)
    if high - low > 3 * (usual - low) > 0:
        high = usual + 0.5 * (usual - low)
    is_log = low > 0 and high / low > _LOG_FROM
    ends = [math.log10(low), math.log10(high)] if is_log else [low, high]
    room = 0.04 * (ends[1] - ends[0])
    ticks = log_ticks(low, high) if is_log else {}
    return axis(metric, is_log=is_log, hoverformat=".5g", range=[ends[0] - room, ends[1] + room], **ticks)


def _grey(curves: Sequence[pl.DataFrame]) -> go.Scatter:
    """All quiet lines as one trace, with gaps between them."""
    x = [epoch for rows in curves for epoch in [*rows["epoch"], None]]
    y = [mean for rows in curves for mean in [*rows["mean"], None]]
    line = {"color": QUIET, "width": 1}
    return go.Scatter(x=x, y=y, mode="lines", line=line, name="others", hoverinfo="skip")


def _band(setting: int, rows: pl.DataFrame) -> go.Scatter:
    back = rows.reverse()
    return go.Scatter(
        x=[*rows["epoch"], *back["epoch"]],
        y=[*rows["high"], *back["low"]],
        fill="toself",
        fillcolor=tint(PALETTE[setting], 0.16),
        line={"width": 0},
        legendgroup=str(setting),
        showlegend=False,
        hoverinfo="skip",
        mode="lines",
    )


def _line(setting: int, rows: pl.DataFrame, name: str, label: str) -> go.Scatter:
    return go.Scatter(
        x=rows["epoch"].to_list(),
        y=rows["mean"].to_list(),
        customdata=rows.select("low", "high", "num").to_numpy(),
        mode="lines" if rows.height > 1 else "markers",
        line={"color": PALETTE[setting], "width": 2},
        name=escaped(label, 40),
        text=[escaped(name)] * rows.height,
        legendgroup=str(setting),
        hovertemplate="epoch %{x}<br>%{y:.5g}<br>%{customdata[0]:.5g} to %{customdata[1]:.5g}, "
        "trials %{customdata[2]}<extra>%{text}</extra>",
    )


def even_choice(items: Sequence[Item], most: int) -> list[Item]:
    """At most `most` of them, evenly apart, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    return [items[round(place * (len(items) - 1) / (most - 1))] for place in range(most)]
