"""How every plot looks: one palette that reads on white and on black, and a plotly template for each of the two."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

# Of middle lightness: at least 3 to 1 against both backgrounds, told apart by colour-blind readers in this order.
PALETTE = ("#2f7ed8", "#d9730d", "#1a9c7b", "#c2528b", "#8a6fdf", "#998a1b", "#3b9fc4", "#c4533f")
QUIET = "rgba(128, 128, 128, 0.28)"
STATUS = {
    "finished": "#1a9c7b",
    "running": "#2f7ed8",
    "waiting": "#8a9099",
    "pruned": "#998a1b",
    "diverged": "#d9730d",
    "failed": "#c4533f",
}
SCALE = ((0.0, "#2166ac"), (0.35, "#5b9bd0"), (0.65, "#c9a66b"), (1.0, "#c7601a"))
"""From the best to the worst, for lines."""
GROUND = ((0.0, "#8cbcec"), (0.5, "#e9e4da"), (1.0, "#eba56b"))
"""The same for areas, light enough for dark text in them."""
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


@dataclass(frozen=True)
class Plot:
    """A plot of the page.

    Attributes:
        name: its id in the page.
        title: what it shows.
        figure: None where there is nothing to draw; `note` says why.
        note: how to read it.
        is_wide: whether it takes the page's whole width.
    """

    name: str
    title: str
    figure: go.Figure | None
    note: str = ""
    is_wide: bool = False


def escaped(text: str, longest: int = 80) -> str:
    """Text for a label: plotly would take `<b>` and `&lt;` in it for markup."""
    cut = text if len(text) <= longest else text[: longest - 1] + "…"
    return cut.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def labels(texts: Sequence[str], longest: int) -> list[str]:
    """Labels of categories, each different: two that are cut to the same one are numbered."""
    seen: dict[str, int] = {}
    made = []
    for label in (escaped(text, longest) for text in texts):
        seen[label] = seen.get(label, 0) + 1
        made.append(label if seen[label] == 1 else f"{label} ({seen[label]})")
    return made


def tint(colour: str, share: float) -> str:
    """A colour of the palette, `share` opaque."""
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {share})"


def axis(title: str, is_log: bool = False, **more: Any) -> dict[str, Any]:
    """An axis with its title; a logarithmic one marks powers of ten."""
    log = {"type": "log", "exponentformat": "power"} if is_log else {}
    return {"title": {"text": escaped(title)}, **log, **more}


def log_ticks(least: float, most: float) -> dict[str, Any]:
    """Where a logarithmic axis has its ticks: powers of ten, between them 2 and 5 where those would be few."""
    return {"dtick": 1} if most / least > 300 else {"dtick": "D2", "tickformat": "~g"}


def figure(traces: Sequence[Any], x: dict[str, Any], y: dict[str, Any], **layout: Any) -> go.Figure:
    """A figure of the page; its colours come from the template that the page chooses."""
    layout = {"height": 360, "margin": {"l": 8, "r": 12, "t": 12, "b": 8}} | layout
    return go.Figure(list(traces), go.Layout(xaxis=x, yaxis=y, **layout))


def templates() -> dict[str, Any]:
    """The light and the dark template, as plotly's JSON."""
    return {
        "light": _template("#1f2933", "rgba(31, 41, 51, 0.10)", "#ffffff"),
        "dark": _template("#d7dde4", "rgba(215, 221, 228, 0.13)", "#1b2027"),
    }


def _template(text: str, grid: str, ground: str) -> dict[str, Any]:
    axis = {
        "gridcolor": grid,
        "zerolinecolor": grid,
        "linecolor": grid,
        "automargin": True,
        "title": {"standoff": 8, "font": {"size": 12}},
        "tickfont": {"size": 11},
    }
    layout = go.Layout(
        font={"family": FONT, "size": 12, "color": text},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        colorway=PALETTE,
        xaxis=axis,
        yaxis=axis,
        hoverlabel={"bgcolor": ground, "font": {"color": text, "family": FONT}, "bordercolor": grid},
        legend={"orientation": "h", "yanchor": "top", "y": -0.18, "x": 0, "font": {"size": 11}},
        hovermode="closest",
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": grid, "activecolor": text, "orientation": "h"},
    )
    return go.layout.Template(layout=layout).to_plotly_json()
