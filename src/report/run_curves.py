"""The curves of a single run: a plot for each metric, a line for each split."""

from dataclasses import replace

import plotly.graph_objects as go
import polars as pl

from src.metric_names import MetricName, split_of
from src.report.curves import even_choice
from src.report.theme import PALETTE, axis, escaped, figure

_SPLITS = {"train": PALETTE[0], "val": PALETTE[1], "test": PALETTE[2]}
_POINTS = 2000


def run_curve_table(history: pl.DataFrame, name: str) -> pl.DataFrame:
    """One metric's columns of a run's history.

    Args:
        history: as `read_histories` gives it.
        name: of the metric without its split, such as `loss`; `lr` for the learning rate.

    Returns:
        `epoch` and each of the metric's columns, such as `train/loss` and `val/loss`.
    """
    columns = [column for column in history.columns if column == name or _without_split(column) == name]
    table = history.select("epoch", *columns).filter(pl.any_horizontal(pl.col(columns).is_not_null()))
    return table.filter(pl.col("epoch").is_in(even_choice(table["epoch"].to_list(), _POINTS)))


def metric_names(history: pl.DataFrame) -> list[str]:
    """What was measured in each epoch, without the split; `lr` where it changes."""
    names = list(dict.fromkeys(filter(None, map(_without_split, history.columns))))
    names.sort(key=lambda name: name != "loss")
    return names + (["lr"] if "lr" in history.columns and history["lr"].n_unique() > 1 else [])


def draw_run_curves(table: pl.DataFrame, name: str, best_epoch: float | None) -> go.Figure:
    """Draws the table, and a line at the best epoch."""
    traces = [
        go.Scatter(
            x=table["epoch"].to_list(),
            y=table[column].to_list(),
            name=escaped(split_of(column)),
            mode="lines" if table.height > 1 else "markers",
            connectgaps=True,
            line={"color": _SPLITS.get(split_of(column), PALETTE[3]), "width": 2},
            hovertemplate="epoch %{x}: %{y:.5g}<extra>%{fullData.name}</extra>",
        )
        for column in table.columns[1:]
    ]
    drawn = figure(traces, axis("epoch"), axis(name, hoverformat=".5g"), height=340)
    if best_epoch is not None and name != "lr":
        drawn.add_vline(best_epoch, line={"dash": "dot", "width": 1, "color": "#8a9099"}, annotation_text="best epoch")
    return drawn


def _without_split(column: str) -> str:
    """A metric's name without its split; empty for a column that belongs to none."""
    name = MetricName.parse(column)
    return str(replace(name, split="")) if name.split in _SPLITS else ""
