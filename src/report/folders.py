"""What lies in a run's or a sweep's folder, read as it is at this moment: trials may still be running."""

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from src import record as records
from src.bounded import parse_yaml, read_bounded, read_json, read_yaml
from src.config import Objective
from src.consistency import changed, check_files, opened
from src.errors import ConfigError
from src.ranking import Setting, ranked
from src.record import Record
from src.record_check import Damaged
from src.report.parameters import Parameter, parameters


@dataclass
class Sweep:
    """A sweep's records, or a single run's.

    Attributes:
        folder: where they lie.
        name: what it is called in the report.
        records: of every trial that left one and has the objective of most, in the order of the sweep.
        is_run: whether it is a single run.
        config: the first such trial's resolved config, empty where there is none.
        argv: what was typed after `python -m src.train`.
        provenance: of the sweep's last launch, or of the run.
        num_waiting: trials that were asked for and have no record yet.
        unreadable: folders inside whose record cannot be read or is not of what lies beside it, and why.
        left_out: the objectives of the other trials: their numbers cannot be compared with these.
    """

    folder: Path
    name: str
    records: list[Record]
    is_run: bool = False
    config: dict[str, Any] = field(default_factory=dict)
    argv: list[str] = field(default_factory=list)
    provenance: dict[str, Any] = field(default_factory=dict)
    num_waiting: int = 0
    unreadable: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    @cached_property
    def objective(self) -> Objective:
        """What its trials are compared by."""
        chosen = self.config.get("objective")
        chosen = chosen if isinstance(chosen, dict) else {}
        return Objective(str(chosen.get("metric", "objective")), str(chosen.get("direction", "minimize")))

    @cached_property
    def settings(self) -> list[Setting]:
        """Its settings, the best first."""
        return ranked(self.records, self.objective)

    @cached_property
    def parameters(self) -> list[Parameter]:
        """What differs between its trials, in the order of its settings."""
        return parameters([record for setting in self.settings for record in setting.trials], self.argv)

    @cached_property
    def importances(self) -> pl.DataFrame | None:
        """Of its parameters, see `importance_table`: computed once, for the page and the terminal.

        None below two parameters or `LEAST_TRIALS` trials with an objective.
        """
        from src.report.importances import LEAST_TRIALS, importance_table  # plotly and scikit-learn are slow to import

        objectives = [record.objective for setting in self.settings for record in setting.trials]
        num_known = sum(value is not None for value in objectives)
        is_enough = len(self.parameters) > 1 and num_known >= LEAST_TRIALS
        return importance_table(self.parameters, objectives) if is_enough else None

    def trial_folder(self, record: Record) -> Path:
        """Where a trial lies."""
        return self.folder if self.is_run else self.folder / record.key


def read_folders(folders: Sequence[Path]) -> list[Sweep]:
    """Reads every folder, each once.

    Raises:
        ConfigError: where one is neither a run's nor a sweep's.
    """
    sweeps = [_read(folder) for folder in dict.fromkeys(folder.resolve() for folder in folders)]
    names = [sweep.name for sweep in sweeps]
    for sweep in sweeps:
        if names.count(sweep.name) > 1:  # two folders of one name are told apart by where they lie
            sweep.name = os.path.relpath(sweep.folder)
    return sweeps


def _read(folder: Path) -> Sweep:
    if not folder.is_dir():
        raise ConfigError("there is no such folder", str(folder), "ls outputs/sweeps outputs/runs")
    if (folder / "record.json").is_file():
        record = _trial(folder)
        return Sweep(folder, folder.name, [record], True, _config(folder), provenance=record.provenance)
    left = {name: value for name, value in _json(folder / "sweep.json").items() if _is_right(name, value)}
    places = sorted(Path(entry.path) for entry in os.scandir(folder) if _is_trial(entry))
    sweep = _sweep(folder, left, places)
    if not left and not sweep.records:
        law = f"{folder} is neither a run folder nor a sweep folder: no record.json and no sweep.json can be read in it"
        raise ConfigError(law, remedy="ls outputs/sweeps outputs/runs")
    return sweep


def _is_right(name: str, value: Any) -> bool:
    return isinstance(value, dict if name == "provenance" else list) or name not in ("argv", "keys", "provenance")


def _sweep(folder: Path, left: dict[str, Any], places: Sequence[Path]) -> Sweep:
    found, unreadable = {}, {}
    asked = [str(key) for key in left.get("keys", [])]
    for place in places:
        try:
            found[place.name] = _trial(place, is_named_by_key=bool(asked))
        except ConfigError as error:
            unreadable[place.name] = _reason(error)
    order = {key: position for position, key in enumerate(asked)}
    trials = sorted(found.items(), key=lambda item: order.get(item[0], len(order)))
    others = _other_objectives(folder, [key for key, _ in trials])
    trials = [(key, record) for key, record in trials if key not in others]
    source = left.get("provenance") or next((record.provenance for _, record in trials), {})
    sweep = Sweep(folder, folder.name, [record for _, record in trials], provenance=source)
    sweep.unreadable = [f"{name} ({reason})" for name, reason in unreadable.items()]
    sweep.left_out = list(others.values())
    sweep.config = next((config for key, _ in trials if (config := _config(folder / key))), {})
    sweep.argv = [str(word) for word in left.get("argv", [])]
    sweep.num_waiting = sum(key not in found and key not in unreadable for key in asked)
    return sweep


def _trial(folder: Path, is_named_by_key: bool = False) -> Record:
    record = records.read(folder)
    if is_named_by_key and record.key != folder.name:
        raise Damaged("it is another trial's, or a copy", record.key)
    check_files(folder, record, "history")
    if changed(folder, record, "config"):  # also where only how it was tracked has changed
        opened(folder)
    record.key = folder.name  # in a folder of runs, the time stands before the key
    if git := record.provenance.get("git"):
        git.pop("diff", None)  # as long as the change itself, once for every trial
    return record


def _reason(error: ConfigError) -> str:
    """What is wrong, in a few words."""
    lines = [line.strip() for line in str(error).splitlines()]
    return next((line.removeprefix("got: ") for line in lines if line.startswith("got: ")), lines[0])[:80]


def _is_trial(entry: "os.DirEntry[str]") -> bool:
    return entry.is_dir() and os.path.isfile(os.path.join(entry.path, "record.json"))


def _config(folder: Path) -> dict[str, Any]:
    """A run's resolved config; empty where it cannot be read."""
    try:
        loaded = read_yaml(folder / ".hydra" / "config.yaml")
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return loaded if isinstance(loaded, dict) else {}


def _other_objectives(folder: Path, keys: Sequence[str]) -> dict[str, str]:
    """The trials that are judged by something else than most of them, and by what."""
    found = {key: objective for key in keys if (objective := _objective(folder / key))}
    most = Counter(found.values()).most_common(1)
    return {key: objective for key, objective in found.items() if objective != most[0][0]}


_OBJECTIVE = re.compile(rb"^objective:.*\n(?:[ \t].*\n?)*", re.MULTILINE)


def _objective(folder: Path) -> str | None:
    """What a run is judged by, such as `minimize val/loss`; None where its config does not say."""
    try:
        found = _OBJECTIVE.search(read_bounded(folder / ".hydra" / "config.yaml"))
    except (OSError, ValueError):
        return None
    return _parsed_objective(found[0]) if found else None


@cache
def _parsed_objective(block: bytes) -> str | None:
    """The same from the few lines of a config that say it: whole configs of thousands of runs take seconds to parse."""
    try:
        chosen = parse_yaml(block)["objective"]
        return f"{chosen['direction']} {chosen['metric']}"
    except (yaml.YAMLError, ValueError, TypeError, KeyError):
        return None


def _json(path: Path) -> dict[str, Any]:
    try:
        loaded = read_json(path)
    except (OSError, ValueError):
        return {}
    return loaded if isinstance(loaded, dict) else {}
