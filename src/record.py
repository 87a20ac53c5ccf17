"""A run folder's format: `record.json` and `metrics.csv`, written so that a reader never sees half a file.

Records are the only database: resume, report and evaluate read nothing else.
"""

import csv
import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError

from src.bounded import read_bounded, read_json, read_yaml
from src.errors import ConfigError

SCHEMA = 1
STATUSES = ("running", "finished", "failed", "diverged", "pruned")
UNSOUND = ("failed", "diverged")  # what W&B shows as failed
Row = dict[str, float]
Prune = Callable[[int, float], bool]
"""Whether to drop a trial, from the number of its epochs so far and the objective of its best one."""


@dataclass
class Record:
    """What is known of a run.

    Attributes:
        key: hash of the task config.
        status: one of `STATUSES`.
        overrides: what the user typed.
        objective: the objective at the best epoch, None while there is none.
        metrics: the best epoch's metrics and the test split's, in the user's units.
        checkpoint: the best checkpoint's path inside the run folder.
        wandb: mode, id, group and url of the W&B run.
        stack: size, position and keys of the stack that the run was trained in; None for a run alone.
        timing: when it was first started and when it ended (ISO 8601), seconds of the process that ended it, steps,
            steps_per_second, share of time outside training steps.
        provenance: see `src.provenance`.
        error: what went wrong.
    """

    key: str
    overrides: list[str]
    status: str = "running"
    objective: float | None = None
    metrics: dict[str, float | None] = field(default_factory=dict)
    checkpoint: str | None = None
    wandb: dict[str, str | None] = field(default_factory=dict)
    stack: dict[str, Any] | None = None
    timing: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    error: str | None = None
    schema: int = SCHEMA

    @property
    def has_ended(self) -> bool:
        """Whether the run is over for good: the same config would come out the same."""
        return self.status in ("finished", "diverged", "pruned")

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes of the run unless it is started again."""
        return self.status != "running"

    @property
    def span(self) -> tuple[datetime, datetime] | None:
        """When it was first started and when it ended, stops in between included; None where it never started."""
        started, ended = self.timing.get("started"), self.timing.get("ended")
        if not isinstance(started, str):
            return None
        begun = datetime.fromisoformat(started)
        if isinstance(ended, str):
            return begun, datetime.fromisoformat(ended)
        return begun, begun + timedelta(seconds=float(self.timing.get("seconds") or 0))  # an older record


def now() -> str:
    """This moment, as records say it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def write(folder: Path, record: Record) -> None:
    """Replaces the folder's record in one step."""
    values = {"schema": record.schema, **vars(record)}
    replace_file(folder / "record.json", json.dumps(_finite(values), indent=2) + "\n")


def read(folder: Path) -> Record:
    """Reads a folder's record.

    Raises:
        ConfigError: where there is no record, or one of another schema.
    """
    try:
        values = read_json(folder / "record.json")
        if values["schema"] != SCHEMA:
            raise ConfigError(f"{folder} was written by another version of Tandem", f"schema {values['schema']}")
        known = {field.name for field in fields(Record)}
        return Record(**{name: value for name, value in values.items() if name in known})
    except (OSError, ValueError, KeyError, TypeError) as error:
        law = f"{folder} is no run folder: it has no record.json that can be read"
        raise ConfigError(law, remedy="ls outputs/runs") from error


def read_config(folder: Path) -> DictConfig:
    """The resolved config of a run, from its `.hydra/config.yaml`."""
    path = folder / ".hydra" / "config.yaml"
    if not path.is_file():
        raise ConfigError(f"{folder} is no run folder: it has no .hydra/config.yaml", remedy="ls outputs/runs")
    try:
        read_yaml(path)  # whether it can be read at all: OmegaConf's reader has no limits
        config = OmegaConf.load(path)
    except (OSError, ValueError, YAMLError) as error:
        law = f"{path} must be a config as a run leaves it"
        raise ConfigError(law, " ".join(str(error).split()), "ls outputs/runs") from error
    if not isinstance(config, DictConfig):
        raise ConfigError(f"{path} must be a config as a run leaves it", "a list", "ls outputs/runs")
    return config


class History:
    """A run's `metrics.csv`: one row per epoch, on disk as soon as it is added.

    Args:
        folder: the run folder.
        keep_below: rows of earlier epochs are kept, later ones dropped; 0 starts anew.
    """

    def __init__(self, folder: Path, keep_below: int = 0) -> None:
        self._path = folder / "metrics.csv"
        self.rows = [row for row in read_history(folder) if row["epoch"] < keep_below] if keep_below else []
        self._columns: list[str] = list(dict.fromkeys(name for row in self.rows for name in row))
        self._rewrite()

    def add(self, row: Row) -> None:
        """Appends an epoch's row; a metric that was not there before becomes a new column."""
        self.rows.append(row)
        if new := [name for name in row if name not in self._columns]:
            self._columns += new
            self._rewrite()
            return
        with self._path.open("a") as file:
            file.write(_line(self._columns, row))

    def _rewrite(self) -> None:
        replace_file(self._path, _table(self._columns, self.rows))


def write_history(folder: Path, rows: Sequence[Row]) -> None:
    """Writes a whole history at once."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    replace_file(folder / "metrics.csv", _table(columns, rows))


def read_history(folder: Path) -> list[Row]:
    """The rows of a run's `metrics.csv`; a row cut off by a kill is left out."""
    path = folder / "metrics.csv"
    text = read_bounded(path).decode() if path.is_file() else ""
    whole = text[: text.rfind("\n") + 1].splitlines()
    return [{name: _number(cell) for name, cell in row.items() if cell} for row in csv.DictReader(whole)]


def _table(columns: Sequence[str], rows: Sequence[Row]) -> str:
    head = [",".join(columns) + "\n"] if columns else []
    return "".join([*head, *(_line(columns, row) for row in rows)])


def _line(columns: Sequence[str], row: Row) -> str:
    return ",".join(repr(row[name]) if name in row else "" for name in columns) + "\n"


def _number(cell: str) -> float:
    return int(cell) if cell.lstrip("-").isdigit() else float(cell)


def _finite(value: Any) -> Any:
    """JSON has no NaN: a number that is none becomes null."""
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def replace_file(path: Path, content: str | bytes) -> None:
    """Writes a file beside `path` and moves it over it: a reader sees the old file or the new one."""
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        try:
            temporary.write_bytes(data)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(data)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
