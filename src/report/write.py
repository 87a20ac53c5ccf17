"""Writes a report beside the records: `report.html`, `table.csv` and `table.parquet`."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import polars as pl

from src.cells import csv_of
from src.record import replace_file
from src.report.folders import Sweep, read_folders
from src.report.table import trial_table


@dataclass(frozen=True)
class Report:
    """What was written.

    Attributes:
        sweeps: what it is about.
        table: a row per trial.
        page: the page's path; `table_files` are the table's.
    """

    sweeps: list[Sweep]
    table: pl.DataFrame
    page: Path
    table_files: tuple[Path, Path]


def write_report(folders: Sequence[Path], output: Path | None = None) -> Report:
    """Reads the records of runs or sweeps and writes the page and the table.

    Args:
        folders: run or sweep folders. One: the files are `report.html`, `table.csv` and `table.parquet` in it. Several:
            `comparison.html` and so on in the first, so that its own report stays.
        output: another folder for the files.

    Raises:
        ConfigError: where a folder is neither a run's nor a sweep's.
        OSError: where the files cannot be written.
    """
    sweeps = read_folders(folders)
    from src.report.page import render  # plotly is slow to import

    place = (output or folders[0]).resolve()
    page, csv, parquet = (place / name for name in _names(len(sweeps) > 1))
    table = trial_table(sweeps, place)
    html = render(sweeps, table, csv.name)
    place.mkdir(parents=True, exist_ok=True)
    buffer = BytesIO()
    table.write_parquet(buffer)
    for path, content in ((csv, csv_of(table)), (parquet, buffer.getvalue()), (page, html.encode())):
        replace_file(path, content)
    return Report(sweeps, table, page, (csv, parquet))


def _names(several: bool) -> tuple[str, str, str]:
    names = ("report.html", "table.csv", "table.parquet")
    return ("comparison.html", "comparison.csv", "comparison.parquet") if several else names
