"""A run folder's format: `record.json` and `metrics.csv`, written so that a reader never sees half a file.

Records are the only database: resume, report and evaluate read nothing else. What a record says was written by
anything at all until it has been checked: see `read`, and `src.consistency` for the files beside it.
"""

import csv
import hashlib
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
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from src.bounded import read_bounded, read_yaml
from src.durable import flush
from src.errors import ConfigError
from src.record_check import ANEW, SCHEMA, Damaged, no_number, one_line, seal, wrong
from src.rows import Row, columns_of, history_text, line_of, parse_history

UNSOUND = ("failed", "diverged")  # what W&B shows as failed
Prune = Callable[[int, float], bool]
"""Whether to drop a trial, from the number of its epochs so far and the objective of its best one."""


@dataclass
class Record:
    """What is known of a run.

    Attributes:
        key: hash of the task config.
        status: see `src.record_check.Status`.
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
        digests: of the files beside it, by their names in `src.consistency`, and of what came out.
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
    digests: dict[str, str] = field(default_factory=dict)
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
    """Replaces the folder's record in one step, sealed where the run has ended.

    That a run alone has ended is also known after a power cut; the records of a stack are flushed together.
    """
    record.digests.pop("record", None)
    values = _plain(record)
    if record.has_ended:
        values["digests"]["record"] = record.digests["record"] = seal(values)
    durable = record.has_ended and record.stack is None
    replace_file(folder / "record.json", json.dumps(values, indent=2) + "\n", durable)


def read(folder: Path) -> Record:
    """Reads a folder's record and checks every field of it.

    Raises:
        Damaged: where a record is there that cannot be read, or was changed after its run had ended.
        ConfigError: where there is none.
    """
    path = folder / "record.json"
    try:
        values = json.loads(read_bounded(path), parse_constant=no_number)
        problem = wrong(values)
    except FileNotFoundError as error:
        raise ConfigError(f"{folder} is no run folder: it has no record.json", remedy="ls outputs/runs") from error
    except (OSError, ValueError, RecursionError) as error:
        raise Damaged(f"{folder} has no record.json that can be read", one_line(error), ANEW) from error
    if problem:
        raise Damaged(f"{path} is damaged", problem, ANEW)
    return Record(**{name: value for name, value in values.items() if name in _NAMES})


_NAMES = {part.name for part in fields(Record)}


def _plain(record: Record) -> dict[str, Any]:
    return _finite({"schema": record.schema, **vars(record)})


def read_config(folder: Path) -> DictConfig:
    """The resolved config of a run, from its `.hydra/config.yaml`."""
    path = folder / ".hydra" / "config.yaml"
    if not path.is_file():
        raise ConfigError(f"{folder} is no run folder: it has no .hydra/config.yaml", remedy="ls outputs/runs")
    try:
        read_yaml(path)  # whether it can be read at all: OmegaConf's reader has no limits
        config = OmegaConf.load(path)
    except (OSError, ValueError, OmegaConfBaseException, YAMLError) as error:
        raise Damaged(f"{path} cannot be read", one_line(error), ANEW) from error
    if not isinstance(config, DictConfig):
        raise Damaged(f"{path} is no config", "a list", ANEW)
    return config


class History:
    """A run's `metrics.csv`: one row per epoch, on disk as soon as it is added.

    Args:
        folder: the run folder.
        rows: of the epochs before.
        writes: whether it is written to the disk; of several processes of a run, one does.

    Attributes:
        rows: of all epochs.
    """

    def __init__(self, folder: Path, rows: Sequence[Row] = (), writes: bool = True) -> None:
        self._path, self._writes = folder / "metrics.csv", writes
        self.rows = list(rows)
        self._columns = columns_of(self.rows)
        self._rewrite()

    @property
    def text(self) -> str:
        """What is in the file."""
        return "".join(self._lines)

    @property
    def digest(self) -> str:
        """The same as `digest_of` the file."""
        return self._sum.copy().hexdigest()

    def add(self, row: Row) -> None:
        """Appends an epoch's row; a metric that was not there before becomes a new column."""
        self.rows.append(row)
        if new := [name for name in row if name not in self._columns]:
            self._columns += new
            self._rewrite()
            return
        self._lines.append(line_of(self._columns, row))
        self._sum.update(self._lines[-1].encode())
        if self._writes:
            with self._path.open("a") as file:
                file.write(self._lines[-1])

    def _rewrite(self) -> None:
        self._lines = history_text(self.rows).splitlines(keepends=True)
        self._sum = hashlib.blake2b(self.text.encode(), digest_size=16)
        if self._writes:
            replace_file(self._path, self.text)


def write_history(folder: Path, rows: Sequence[Row]) -> str:
    """Writes a whole history at once, and returns what it wrote."""
    text = history_text(rows)
    replace_file(folder / "metrics.csv", text)
    return text


def read_history(folder: Path) -> list[Row]:
    """The rows of a run's `metrics.csv`; a row cut off by a kill is left out.

    Raises:
        Damaged: where they are no numbers.
    """
    path = folder / "metrics.csv"
    try:
        return parse_history(read_bounded(path).decode() if path.is_file() else "")
    except (OSError, ValueError, TypeError, AttributeError, csv.Error) as error:
        raise Damaged(f"{path} is damaged", one_line(error), ANEW) from error


def _finite(value: Any) -> Any:
    """JSON has no NaN: a number that is none becomes null."""
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def replace_file(path: Path, content: str | bytes, durable: bool = False) -> None:
    """Writes a file beside `path` and moves it over it: a reader sees the old file or the new one.

    Args:
        path: of the file.
        content: of the file.
        durable: whether that also holds after a power cut.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        try:
            temporary.write_bytes(data)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(data)
        if durable:
            flush([temporary])
        os.replace(temporary, path)
        if durable:
            flush([path])
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
