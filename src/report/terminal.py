"""The report in a terminal."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from src.metric_names import measured
from src.places import short
from src.report.content import left_out, state_counts
from src.report.folders import Sweep
from src.report.write import Report
from src.summary import (
    SHOWN,
    duration,
    fitted,
    importances_table,
    metrics_table,
    printable,
    settings_table,
    time_taken,
)


def show(report: Report, console: Console) -> None:
    """Prints the best settings, of several sweeps each sweep's best, and where the files are."""
    if len(report.sweeps) > 1:
        console.print(_comparison(report.sweeps, console.width))
    for sweep in report.sweeps if len(report.sweeps) == 1 else []:
        if sweep.is_run:
            console.print(Text(printable(_title(sweep)), style="bold"))
            console.print(metrics_table(measured(sweep.records[0].metrics), "", console.width))
        else:
            title = printable(_title(sweep))
            console.print(settings_table(sweep.settings, sweep.objective.metric, title, console.width))
            if len(sweep.settings) > SHOWN:
                console.print(f"and {len(sweep.settings) - SHOWN} more settings", highlight=False)
            if sweep.importances is not None:
                console.print(importances_table(sweep.importances, sweep.objective.metric, console.width))
    unreadable = [f"{sweep.name}/{name}" for sweep in report.sweeps for name in sweep.unreadable]
    if unreadable:
        told = f"no record can be read in {len(unreadable)} of the folders: {printable(', '.join(unreadable[:3]))}"
        console.print(Text(told), highlight=False)
    for note in filter(None, map(left_out, report.sweeps)):
        console.print(Text(printable(note)), highlight=False)
    for path in (report.page, *report.table_files):
        console.print(Text(str(short(path))), soft_wrap=True)


def _title(sweep: Sweep) -> str:
    states = ", ".join(f"{count} {state}" for state, count in state_counts([sweep]))
    seconds = duration(time_taken(sweep.records))
    trials = "" if sweep.is_run else f"{len(sweep.records)} trials: "
    return f"{sweep.name} · {trials}{states}{f' · {seconds}' if seconds else ''}"


def _comparison(sweeps: list[Sweep], width: int) -> Table:
    rows = [["sweep", "best setting", "trials", sweeps[0].objective.metric, "95 % interval", "time"]]
    for sweep in sweeps:
        seconds = duration(time_taken(sweep.records))
        if not sweep.settings:
            rows.append([sweep.name, "", "0", "", "", seconds])
            continue
        best = sweep.settings[0]
        num = str(len(best.trials))
        rows.append([sweep.name, best.short, num, str(best.score), best.score.interval, seconds])
    return fitted("the best setting of each", rows, width, num_texts=2)
