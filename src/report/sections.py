"""What the page of a sweep, of a run and of several sweeps is made of."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime

from src.metric_names import measured
from src.report import content
from src.report.content import Card
from src.report.folders import Sweep
from src.report.plots import comparison_plots, run_plots, sweep_plots
from src.report.sources import Source, source
from src.report.theme import Plot
from src.summary import SHOWN, metric_rows


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


def sweep_page(sweep: Sweep) -> Page:
    """A sweep: its best settings, all plots, where it comes from."""
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
        [source(sweep, "")],
        command=str(sweep.provenance.get("command") or ""),
        cards=content.sweep_cards(sweep),
        settings_columns=columns,
        settings=rows,
        settings_caption=f"Settings, the best first{more}",
        notes=_notes([sweep]),
    )


_AGAINST = (
    "A point for each trial (at most 800, evenly chosen), hollow where it did not finish; diamonds are the mean of the "
    "trials that share a value, with their standard deviation: they may differ in other parameters too. Axes are "
    "logarithmic where the search was, or where the values are spread so."
)


def _without_note(plot: Plot) -> Plot:
    return Plot(**{**vars(plot), "note": plot.note if plot.figure is None else ""})


def comparison_page(sweeps: Sequence[Sweep]) -> Page:
    """Several sweeps side by side."""
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
        [source(sweep, sweep.name) for sweep in sweeps],
        cards=cards,
        settings_columns=columns,
        settings=rows,
        settings_caption="The best settings of each",
        notes=[*_notes(sweeps), *_other_objectives(sweeps)],
    )


def run_page(run: Sweep) -> Page:
    """A single run: its curves and metrics."""
    record = run.records[0]
    return Page(
        "Run",
        run.name,
        [(record.status, 1)],
        [Group("curves", "Curves", run_plots(run))],
        [source(run, "")],
        command=str(run.provenance.get("command") or ""),
        cards=content.run_cards(run),
        metrics=metric_rows(measured(record.metrics)),
    )


def _notes(sweeps: Sequence[Sweep]) -> list[str]:
    """What a reader must know: the sweep goes on, or some of it cannot be read or compared."""
    notes = []
    for sweep in sweeps:
        running = sum(record.status == "running" for record in sweep.records)
        if running or sweep.num_waiting:
            told = f"{running} running, {sweep.num_waiting} waiting"
            notes.append(f"{sweep.name} has not ended: {told}. The same command again writes this page anew.")
        if sweep.unreadable:
            some = ", ".join(sweep.unreadable[:5]) + (", …" if len(sweep.unreadable) > 5 else "")
            notes.append(f"No record can be read in {len(sweep.unreadable)} of the folders of {sweep.name}: {some}")
        notes += filter(None, [content.left_out(sweep)])
    return notes


def _other_objectives(sweeps: Sequence[Sweep]) -> list[str]:
    objectives = {tuple(asdict(sweep.objective).values()): sweep.name for sweep in sweeps}
    if len(objectives) < 2:
        return []
    told = "; ".join(f"{name}: {direction} {metric}" for (metric, direction), name in objectives.items())
    return [f"These were not judged by the same objective, so their numbers cannot be compared: {told}"]
