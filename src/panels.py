"""What a W&B workspace shows of a sweep: its panels follow from what the sweep changed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_SEEN = ("seed", "data.seed")
"""Changed to repeat a setting, not to compare settings: no axis of a plot."""


@dataclass
class Swept:
    """What sweeps changed.

    Attributes:
        values: the values of each key, as they were typed.
        metric: the objective.
        direction: whether less or more of it is better.
        groups: the sweeps that are shown; empty shows every run of the project.
    """

    values: Mapping[str, Sequence[str]]
    metric: str
    direction: str
    groups: Sequence[str]

    @property
    def parameters(self) -> list[str]:
        """The keys to compare."""
        return [key for key in self.values if key not in _SEEN]

    def is_log(self, key: str) -> bool:
        """Whether values span so much that only a logarithmic axis shows them apart."""
        try:
            numbers = [float(value) for value in self.values[key]]
        except ValueError:
            return False
        return min(numbers) > 0 and max(numbers) >= 10 * min(numbers) and math.isfinite(max(numbers))


def workspace(entity: str, project: str, name: str, swept: Swept) -> Any:
    """The workspace, not yet saved.

    Args:
        entity: user or team.
        project: W&B's.
        name: the workspace's.
        swept: what there is to show.
    """
    import wandb_workspaces.workspaces as ws

    only = [ws.Metric("JobType") == "train"]
    if swept.groups:
        only.append(ws.Metric("Group").isin(list(swept.groups)))
    order = [ws.Ordering(ws.Summary("objective"), ascending=swept.direction == "minimize")]
    return ws.Workspace(
        entity=entity,
        project=project,
        name=name,
        sections=[
            ws.Section(name="Curves", panels=_curves(swept), is_open=True),
            ws.Section(name="Parameters", panels=_parameters(swept), is_open=True),
            ws.Section(name="Runs side by side", panels=_comparer()),
        ],
        settings=ws.WorkspaceSettings(x_axis="epoch", max_runs=100),
        runset_settings=ws.RunsetSettings(filters=only, order=order, groupby=[ws.Metric("Group")]),
    )


def _curves(swept: Swept) -> list[Any]:
    """The objective of every sweep, and of the settings of each parameter: mean and range of their runs."""
    import wandb_workspaces.reports.v2 as wr

    def plot(title: str, groupby: Any, metric: str = swept.metric) -> Any:
        return wr.LinePlot(
            title=title, x="epoch", y=[metric], groupby=groupby, groupby_aggfunc="mean", groupby_rangefunc="minmax"
        )

    trained = swept.metric.replace("val/", "train/")
    curves = [
        plot(f"{metric} by sweep", wr.Metric("Group"), metric) for metric in dict.fromkeys((swept.metric, trained))
    ]
    return [*curves, *(plot(f"{swept.metric} by {key}", wr.Config(key)) for key in swept.parameters)]


def _parameters(swept: Swept) -> list[Any]:
    import wandb_workspaces.reports.v2 as wr

    best = wr.SummaryMetric("objective")
    columns = [
        *(wr.ParallelCoordinatesPlotColumn(wr.Config(key), log=swept.is_log(key)) for key in swept.values),
        wr.ParallelCoordinatesPlotColumn(best, display_name=swept.metric),
    ]
    scatters = [
        wr.ScatterPlot(title=f"{swept.metric} against {key}", x=wr.Config(key), y=best, log_x=swept.is_log(key))
        for key in swept.parameters
    ]
    parallel = wr.ParallelCoordinatesPlot(columns=columns, title="Every trial")
    return [parallel, wr.ParameterImportancePlot(with_respect_to="objective"), *scatters]


def _comparer() -> list[Any]:
    import wandb_workspaces.reports.v2 as wr

    return [wr.RunComparer(diff_only="split")]
