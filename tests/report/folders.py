"""Sweep folders as a launch leaves them, without a training."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from src import record as records
from src.record import Record, Row

CONFIG: dict[str, Any] = {
    "seed": 0,
    "objective": {"metric": "val/loss", "direction": "minimize"},
    "tracking": {"mode": "disabled", "tags": []},
}
SOURCE = {
    "command": "python -m src.train -m",
    "host": "here",
    "device": "cpu",
    "git": {"sha": "d8f06c2", "dirty": False, "changed": [], "diff": ""},
    "packages": {"torch": "2.13.0"},
    "python": "3.11",
}


def write_trial(folder: Path, *overrides: str, objective: float | None = None, **values: Any) -> Record:
    """A trial's folder, with a history that falls to its objective; `history=` and any field of the record besides."""
    history: Sequence[Row] = values.pop("history", None) or falling(objective)
    config = values.pop("config", CONFIG)
    metrics = {"val/loss": objective, "test/r2": None if objective is None else 1 - objective}
    defaults = {
        "status": "finished",
        "objective": objective,
        "metrics": {} if objective is None else metrics,
        "timing": {"started": "2026-01-02T03:04:05+00:00", "seconds": 2.0, "best_epoch": 2},
        "provenance": SOURCE,
    }
    record = Record(folder.name, list(overrides), **(defaults | values))
    records.write(folder, record)
    if history:
        records.write_history(folder, history)
    (folder / ".hydra").mkdir(exist_ok=True)
    (folder / ".hydra" / "config.yaml").write_text(yaml.safe_dump(config))
    return record


def falling(objective: float | None, num_epochs: int = 3) -> list[Row]:
    """A history that ends at the objective."""
    if objective is None:
        return []
    losses = [objective * (num_epochs - epoch) for epoch in range(num_epochs)]
    return [{"epoch": epoch, "val/loss": loss, "train/loss": loss / 2} for epoch, loss in enumerate(losses)]


def write_sweep(folder: Path, keys: Sequence[str] = (), argv: Sequence[str] = ("-m", "seed=range(2)")) -> Path:
    """The sweep's own file; `keys` are those that were asked for."""
    folder.mkdir(parents=True, exist_ok=True)
    values = {"schema": 1, "argv": list(argv), "cwd": str(folder), "keys": list(keys), "provenance": SOURCE}
    (folder / "sweep.json").write_text(json.dumps(values))
    return folder


def grid(folder: Path, rates: Sequence[float] = (1e-3, 1e-2, 1e-1), widths: Sequence[int] = (8, 16)) -> Path:
    """A finished sweep over a rate, which matters, and a width, which does not, with four seeds each."""
    write_sweep(folder, argv=["-m", "optimizer.lr=...", "model.hidden_dim=..."])
    for rate in rates:
        for width in widths:
            for seed in range(4):
                words = (f"optimizer.lr={rate}", f"model.hidden_dim={width}", f"seed={seed}")
                noise = 1e-4 * width + 1e-3 * (seed * seed % 5)
                write_trial(folder / f"k{rate}-{width}-{seed}", *words, objective=1 + 10 * rate + noise)
    return folder
