"""A result: a dated Markdown table with the machine and the versions that it was measured on."""

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles

from src.provenance import provenance

RESULTS = Path(__file__).parent / "results"


def spread(values: Sequence[float]) -> str:
    """Median and the range of the middle half."""
    low, _, high = quantiles(values, n=4)
    return f"{median(values):.4g} ({low:.4g}-{high:.4g})"


def save(name: str, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], notes: str = "") -> None:
    """Prints a table and writes it to `tests/benchmarks/results/<name>.md`."""
    lines = [f"# {title}", "", _machine(), "", *([notes, ""] if notes else [])]
    lines += ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines), end="\n\n", flush=True)


def _machine() -> str:
    about = provenance({}, "cpu")
    versions = ", ".join(f"{name} {about['packages'][name]}" for name in ("torch", "lightning", "wandb"))
    sha = (about["git"] or {}).get("sha", "no git")[:10]
    day = datetime.now(UTC).strftime("%Y-%m-%d")
    cpu = f"{about['cpu']}, {os.cpu_count()} cores, {platform.system()}"
    return f"Measured on {day} by `make bench` at {sha}: {cpu}; Python {about['python']}, {versions}."
