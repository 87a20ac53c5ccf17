"""The plots of a page: which there are for a sweep, for a run and for several sweeps."""

from collections.abc import Sequence
from datetime import UTC, datetime

import polars as pl

from src.record import Record
from src.report.against import against_table, draw_against
from src.report.compare import distribution_table, draw_distributions
from src.report.curves import curve_table, draw_curves
from src.report.folders import Sweep
from src.report.heatmap import draw_heat, heat_table
from src.report.histories import read_histories
from src.report.importances import LEAST_TRIALS, draw_importances
from src.report.parallel import MOST_LINES, draw_parallel, parallel_table
from src.report.parameters import Parameter, parameters
from src.report.run_curves import draw_run_curves, metric_names, run_curve_table
from src.report.states import draw_states, states_table
from src.report.theme import Plot

_MOST_AXES = 8
_MOST_PARAMETERS = 12


def sweep_plots(sweep: Sweep) -> list[Plot]:
    """All plots of a sweep; what cannot be drawn says why."""
    records = [record for setting in sweep.settings for record in setting.trials]
    objectives = [record.objective for record in records]
    num_known = sum(value is not None for value in objectives)
    weights, importances = _importances(sweep, num_known)
    found = list(sweep.parameters)
    found.sort(key=lambda parameter: -weights.get(parameter.key, 0))
    plots = [*_curves([sweep]), _parallel(sweep, found)]
    if num_known:
        names = [setting.short for setting in sweep.settings for _ in setting.trials]
        plots += [_against(p, records, names, sweep) for p in found[:_MOST_PARAMETERS]]
    return [*plots, importances, _heat(sweep, found, objectives), _states(sweep)]


def comparison_plots(sweeps: Sequence[Sweep]) -> list[Plot]:
    """Each sweep's best setting overlaid, and the objectives of all trials."""
    values = [[record.objective for record in sweep.records] for sweep in sweeps]
    table = distribution_table([sweep.name for sweep in sweeps], values)
    if table.is_empty():
        return [*_curves(sweeps), Plot("distributions", "Objectives", None, "No trial has an objective yet.")]
    drawn = draw_distributions(table, sweeps[0].objective.metric)
    note = "The objective of every trial: box and median for the middle half of the trials, points for those far out."
    return [*_curves(sweeps), Plot("distributions", "Objectives", drawn, note)]


def run_plots(run: Sweep) -> list[Plot]:
    """The curves of a single run."""
    history = read_histories([run.folder])
    best = run.records[0].timing.get("best_epoch")
    drawn = [(name, draw_run_curves(run_curve_table(history, name), name, best)) for name in metric_names(history)]
    if history.is_empty() or not drawn:
        return [Plot("curves", "Curves", None, "No epoch has ended yet.")]
    return [Plot(f"curve-{place}", name, plot) for place, (name, plot) in enumerate(drawn)]


def _curves(sweeps: Sequence[Sweep]) -> list[Plot]:
    """One sweep: its settings. Several: the best setting of each."""
    metric = sweeps[0].objective.metric
    several = len(sweeps) > 1
    chosen = [(sweep, setting) for sweep in sweeps for setting in sweep.settings[: 1 if several else None]]
    names = [f"{sweep.name}: {s.short}" if several else s.short for sweep, s in chosen]
    labels = [sweep.name if several else str(place) for place, (sweep, _) in enumerate(chosen, start=1)]
    folders = [sweep.trial_folder(record) for sweep, setting in chosen for record in setting.trials]
    places = [place for place, (_, setting) in enumerate(chosen) for _ in setting.trials]
    histories = read_histories(folders, {metric, "train/loss"})
    plots = []
    for place, name in enumerate(dict.fromkeys([metric, "train/loss"])):
        table = curve_table(histories, places, name)
        drawn = draw_curves(table, names, labels, name) if table.height else None
        note = _CURVES if several else f"{_CURVES} {_OF_A_SWEEP}"
        plots.append(Plot(f"curves-{place}", name, drawn, note if drawn else f"No epoch has measured {name} yet."))
    return plots


_CURVES = (
    "Mean over the trials of a setting; the band is one standard deviation over its seeds, within their lowest and "
    "highest. Epochs that fewer than half of a setting's trials reached are left out, and at most 150 are drawn. A "
    "double click shows all that was measured."
)
_OF_A_SWEEP = (
    "The numbers are the settings' places in the table above: the eight best are coloured, an even choice of at most "
    "40 others is grey."
)


def _parallel(sweep: Sweep, found: Sequence[Parameter]) -> Plot:
    means = [setting.score.mean for setting in sweep.settings]
    if not found or all(mean is None for mean in means):
        return Plot("parallel", "Parallel coordinates", None, _NOT_VARIED)
    of_settings = parameters([setting.trials[0] for setting in sweep.settings], sweep.argv)
    order = {parameter.key: place for place, parameter in enumerate(found)}
    shown = sorted(of_settings, key=lambda parameter: order.get(parameter.key, 0))[:_MOST_AXES]
    table = parallel_table(shown, means)
    left_out = (
        f" {len(found) - len(shown)} parameters that matter least are left out." if len(found) > len(shown) else ""
    )
    note = f"A line for each setting{f', {MOST_LINES} of {len(means)}' if len(means) > table.height else ''}, "
    note += (
        f"blue for the best and orange for the worst. Drag along an axis to choose lines, click it to undo.{left_out}"
    )
    drawn = draw_parallel(table, shown, sweep.objective.metric)
    return Plot("parallel", "Parallel coordinates", drawn, note, is_wide=True)


_NOT_VARIED = "No parameter was varied, or no trial has an objective yet."


def _against(parameter: Parameter, records: Sequence[Record], names: Sequence[str], sweep: Sweep) -> Plot:
    table = against_table(parameter, records, names)
    drawn = draw_against(parameter, table, sweep.objective.metric)
    return Plot(f"against-{parameter.key}", parameter.key, drawn)


def _importances(sweep: Sweep, num_known: int) -> tuple[dict[str, float], Plot]:
    title, table = "Parameter importances", sweep.importances
    if table is None and len(sweep.parameters) < 2:
        return {}, Plot("importances", title, None, "Fewer than two parameters were varied: there is nothing to weigh.")
    if table is None:
        note = f"Importances need {LEAST_TRIALS} trials that have an objective; there are {num_known}."
        return {}, Plot("importances", title, None, note)
    explained = float(table["explained"][0])
    note = (
        "How much worse a random forest guesses the rank of trials that it has not seen when one parameter is shuffled "
        f"among them. With all parameters it explains {max(explained, 0):.0%} of the ranks' variance; the rest is the "
        f"seed and what it cannot learn.{' That is too little to trust the bars.' if explained < 0.2 else ''}"
    )
    weights = dict(zip(table["key"], table["importance"], strict=True))
    return weights, Plot("importances", title, draw_importances(table.head(_MOST_PARAMETERS)), note)


def _heat(sweep: Sweep, found: Sequence[Parameter], objectives: Sequence[float | None]) -> Plot:
    if len(found) < 2 or all(value is None for value in objectives):
        return Plot(
            "heat", "Two parameters", None, "A heat map needs two parameters and trials that have an objective."
        )
    across, up = found[:2]
    table: pl.DataFrame = heat_table(across, up, objectives)
    drawn = draw_heat(table, across, up, sweep.objective.direction)
    note = f"Mean {sweep.objective.metric} of the trials of each pair: from blue for the best to orange for the "
    note += "worst by their place among all; an empty cell was not tried."
    return Plot("heat", "Two parameters", drawn, note)


def _states(sweep: Sweep) -> Plot:
    table = states_table(sweep.records, datetime.now(UTC))
    if table.is_empty():
        return Plot("states", "States over time", None, "No trial has started yet.")
    return Plot("states", "States over time", draw_states(table), "The trials of a stack start and end together.")
