"""The report in a terminal."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from src.places import short
from src.report.content import duration, left_out, state_counts, time_taken
from src.report.folders import Sweep
from src.report.write import Report
from src.summary import SHOWN, SPLITS, metrics_table, printable, settings_table


def show(report: Report, console: Console) -> None:
    """Prints the best settings, of several sweeps each sweep's best, and where the files are."""
    if len(report.sweeps) > 1:
        console.print(_comparison(report.sweeps))
    for sweep in report.sweeps if len(report.sweeps) == 1 else []:
        if sweep.is_run:
            measured = {name: value for name, value in sweep.records[0].metrics.items() if name.split("/")[0] in SPLITS}
            console.print(Text(printable(_title(sweep)), style="bold"))
            console.print(metrics_table(measured, ""))
        else:
            console.print(settings_table(sweep.settings, sweep.objective.metric, printable(_title(sweep))))
            if len(sweep.settings) > SHOWN:
                console.print(f"and {len(sweep.settings) - SHOWN} more settings", highlight=False)
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


def _comparison(sweeps: list[Sweep]) -> Table:
    table = Table(title="the best setting of each", title_justify="left", title_style="bold")
    for column in ("sweep", "best setting"):
        table.add_column(column, overflow="fold")
    for column in ("trials", sweeps[0].objective.metric, "95 % interval", "time"):
        table.add_column(Text(column), justify="right", no_wrap=True)
    for sweep in sweeps:
        name, seconds = Text(printable(sweep.name)), duration(time_taken(sweep.records))
        if not sweep.settings:
            table.add_row(name, "", "0", "", "", seconds)
            continue
        best = sweep.settings[0]
        num = str(len(best.trials))
        table.add_row(name, Text(printable(best.short)), num, str(best.score), best.score.interval, seconds)
    return table
