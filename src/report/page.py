"""The page: one file that holds its data, its style and its scripts, and asks no network for anything."""

import json
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import polars as pl
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from src.report import content
from src.report.content import Card, Source
from src.report.folders import Sweep
from src.report.plots import comparison_plots, run_plots, sweep_plots
from src.report.theme import PALETTE, Plot, templates
from src.summary import SHOWN

_HERE = Path(__file__).parent


@dataclass
class Group:
    """A section of plots."""

    id: str
    title: str
    plots: list[Plot]
    note: str = ""
    is_small: bool = False


@dataclass
class Page:
    """What the template shows."""

    kind: str
    title: str
    states: list[tuple[str, int]]
    groups: list[Group]
    sources: list[Source]
    command: str = ""
    cards: list[Card] = field(default_factory=list)
    settings_columns: list[str] = field(default_factory=list)
    settings: list[list[str]] = field(default_factory=list)
    settings_caption: str = ""
    num_text_columns: int = 2
    metrics: list[list[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    table_name: str = ""
    filter_example: str = "seed<4"
    how_it_counts: str = content.HOW_IT_COUNTS
    written: str = field(default_factory=lambda: datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S %Z"))

    @property
    def sections(self) -> list[tuple[str, str]]:
        """Ids and titles, in their order."""
        trials = [("trials", "Trials")] if self.table_name else []
        groups = [(group.id, group.title) for group in self.groups]
        return [("summary", "Summary"), *groups, *trials, ("provenance", "Provenance")]

    @property
    def table_link(self) -> str:
        """Where the table lies, seen from the page."""
        return f"./{self.table_name}"


def render(sweeps: Sequence[Sweep], table: pl.DataFrame, table_name: str) -> str:
    """The page of a run, of a sweep, or of several side by side.

    Args:
        sweeps: what it is about.
        table: of `trial_table`.
        table_name: of its file, beside the page.
    """
    is_run = len(sweeps) == 1 and sweeps[0].is_run
    page = _run(sweeps[0]) if is_run else _sweep(sweeps[0]) if len(sweeps) == 1 else _comparison(sweeps)
    shows_trials = not is_run
    page.table_name = table_name if shows_trials else ""
    figures = {plot.name: plot.figure for group in page.groups for plot in group.plots if plot.figure}
    data = {name: _without_template(json.loads(figure.to_json())) for name, figure in figures.items()}
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("page.html.j2").render(
        page=page,
        nonce=secrets.token_urlsafe(16),  # a script that was smuggled in does not know it, and does not run
        swatches={str(place): colour for place, colour in enumerate(PALETTE, start=1)},
        style=(_HERE / "page.css").read_text(),
        script=(_HERE / "page.js").read_text(),
        plotly=(files("plotly") / "package_data" / "plotly.min.js").read_text(),
        plots=for_script({"plots": data, "templates": templates()}),
        trials=for_script(content.trial_rows(table, sweeps[0].objective.metric)) if shows_trials else "",
    )


def for_script(values: Any) -> str:
    """JSON that can stand inside a script element, whatever the texts in it are."""
    text = json.dumps(values, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


def _without_template(drawn: dict[str, Any]) -> dict[str, Any]:
    """Plotly gives every figure its own template; the page has one for all of them."""
    drawn["layout"].pop("template", None)
    return drawn


def _sweep(sweep: Sweep) -> Page:
    plots = {plot.name: plot for plot in sweep_plots(sweep)}
    curves = [plot for name, plot in plots.items() if name.startswith("curves-")]
    against = [plot for name, plot in plots.items() if name.startswith("against-")]
    groups = [
        Group("curves", "Loss curves", [_without_note(plot) for plot in curves], curves[0].note),
        Group("parallel", "Parallel coordinates", [plots["parallel"]]),
        Group("parameters", "Objective against parameters", against, _AGAINST, is_small=len(against) > 2),
        Group("importances", "What matters", [plots["importances"], plots["heat"]]),
        Group("states", "States over time", [plots["states"]]),
    ]
    columns, rows = content.setting_rows([sweep])
    more = f", the best {SHOWN} of {len(sweep.settings)}" if len(sweep.settings) > SHOWN else ""
    return Page(
        "Sweep",
        sweep.name,
        content.state_counts([sweep]),
        [group for group in groups if group.plots],
        [content.source(sweep, "")],
        command=str(sweep.provenance.get("command") or ""),
        cards=content.sweep_cards(sweep),
        settings_columns=columns,
        settings=rows,
        settings_caption=f"Settings, the best first{more}",
        notes=_notes([sweep]),
    )


_AGAINST = (
    "A point for each trial (at most 800, evenly chosen), hollow where it did not finish; diamonds are the mean of the "
    "trials that share a value, with its 95 % interval. Axes are logarithmic where the search was, or where the values "
    "are spread so."
)


def _without_note(plot: Plot) -> Plot:
    return Plot(**{**vars(plot), "note": plot.note if plot.figure is None else ""})


def _comparison(sweeps: Sequence[Sweep]) -> Page:
    plots = comparison_plots(sweeps)
    columns, rows = content.setting_rows(sweeps)
    cards = [
        Card(sweep.name, str(sweep.settings[0].score) or "no objective yet", sweep.settings[0].short)
        for sweep in sweeps
        if sweep.settings
    ]
    groups = [
        Group("curves", "The best setting of each", [_without_note(plot) for plot in plots[:-1]], plots[0].note),
        Group("distributions", "Objectives", plots[-1:]),
    ]
    return Page(
        "Comparison",
        " · ".join(sweep.name for sweep in sweeps),
        content.state_counts(sweeps),
        groups,
        [content.source(sweep, sweep.name) for sweep in sweeps],
        cards=cards,
        settings_columns=columns,
        settings=rows,
        settings_caption="The best settings of each",
        notes=[*_notes(sweeps), *_other_objectives(sweeps)],
    )


def _run(run: Sweep) -> Page:
    record = run.records[0]
    return Page(
        "Run",
        run.name,
        [(record.status, 1)],
        [Group("curves", "Curves", run_plots(run))],
        [content.source(run, "")],
        command=str(run.provenance.get("command") or ""),
        cards=content.run_cards(run),
        metrics=content.metric_rows(record),
    )


def _notes(sweeps: Sequence[Sweep]) -> list[str]:
    """What a reader must know: the sweep goes on, or some of it cannot be read."""
    notes = []
    for sweep in sweeps:
        running = sum(record.status == "running" for record in sweep.records)
        if running or sweep.num_waiting:
            told = f"{running} running, {sweep.num_waiting} waiting"
            notes.append(f"{sweep.name} has not ended: {told}. The same command again writes this page anew.")
        if sweep.unreadable:
            some = ", ".join(sweep.unreadable[:5]) + (", …" if len(sweep.unreadable) > 5 else "")
            notes.append(f"No record can be read in {len(sweep.unreadable)} of the folders of {sweep.name}: {some}")
    return notes


def _other_objectives(sweeps: Sequence[Sweep]) -> list[str]:
    objectives = {tuple(asdict(sweep.objective).values()): sweep.name for sweep in sweeps}
    if len(objectives) < 2:
        return []
    told = "; ".join(f"{name}: {direction} {metric}" for (metric, direction), name in objectives.items())
    return [f"These were not judged by the same objective, so their numbers cannot be compared: {told}"]
