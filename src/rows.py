"""A history as text: what stands in `metrics.csv`, without losing a digit."""

import csv
from collections.abc import Sequence

Row = dict[str, float]


def history_text(rows: Sequence[Row]) -> str:
    """Rows as they stand in `metrics.csv`."""
    columns = columns_of(rows)
    head = [",".join(columns) + "\n"] if columns else []
    return "".join([*head, *(line_of(columns, row) for row in rows)])


def history_until(epochs: int, rows: Sequence[Row], text: str) -> str:
    """What `history_text` says of the first epochs, from what it says of all."""
    if columns_of(rows[:epochs]) != columns_of(rows):
        return history_text(rows[:epochs])
    return "".join(text.splitlines(keepends=True)[: epochs + 1])


def parse_history(text: str) -> list[Row]:
    """The rows in what `history_text` returned."""
    whole = text[: text.rfind("\n") + 1].splitlines()
    return [{name: _number(cell) for name, cell in row.items() if cell} for row in csv.DictReader(whole)]


def columns_of(rows: Sequence[Row]) -> list[str]:
    """The columns of a history, in the order in which they came."""
    found: Row = {}
    for row in rows:
        found.update(row)
    return list(found)


def line_of(columns: Sequence[str], row: Row) -> str:
    """A row as it stands in the file."""
    return ",".join(repr(row[name]) if name in row else "" for name in columns) + "\n"


def _number(cell: str) -> float:
    return int(cell) if cell.lstrip("-").isdigit() else float(cell)
