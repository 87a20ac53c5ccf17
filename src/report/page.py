"""The page: one file that holds its data, its style and its scripts, and asks no network for anything."""

import json
import secrets
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import polars as pl
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from src.report.content import trial_rows
from src.report.folders import Sweep
from src.report.sections import comparison_page, run_page, sweep_page
from src.report.theme import PALETTE, templates
from src.secrecy import UNSEEN

_HERE = Path(__file__).parent


def render(sweeps: Sequence[Sweep], table: pl.DataFrame, table_name: str) -> str:
    """The page of a run, of a sweep, or of several side by side.

    Args:
        sweeps: what it is about.
        table: of `trial_table`.
        table_name: of its file, beside the page.
    """
    is_run = len(sweeps) == 1 and sweeps[0].is_run
    page = run_page(sweeps[0]) if is_run else sweep_page(sweeps[0]) if len(sweeps) == 1 else comparison_page(sweeps)
    shows_trials = not is_run
    page.table_name = table_name if shows_trials else ""
    figures = {plot.name: plot.figure for group in page.groups for plot in group.plots if plot.figure}
    data = {name: _without_template(json.loads(figure.to_json())) for name, figure in figures.items()}
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: value.translate(UNSEEN) if type(value) is str else value,
    )
    return environment.get_template("page.html.j2").render(
        page=page,
        nonce=secrets.token_urlsafe(16),  # a script that was smuggled in does not know it, and does not run
        swatches={str(place): colour for place, colour in enumerate(PALETTE, start=1)},
        style=(_HERE / "page.css").read_text(),
        script=(_HERE / "page.js").read_text(),
        plotly=(files("plotly") / "package_data" / "plotly.min.js").read_text(),
        plots=for_script({"plots": data, "templates": templates()}),
        trials=for_script(trial_rows(table, sweeps[0].objective.metric)) if shows_trials else "",
    )


def for_script(values: Any) -> str:
    """JSON that can stand inside a script element, whatever the texts in it are."""
    text = json.dumps(values, separators=(",", ":"), ensure_ascii=False, allow_nan=False).translate(UNSEEN)
    for letter in "<>&":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


def _without_template(drawn: dict[str, Any]) -> dict[str, Any]:
    """Plotly gives every figure its own template; the page has one for all of them."""
    drawn["layout"].pop("template", None)
    return drawn
