"""A study and its suggestions: Optuna's memory, rebuilt from the records that the suggestions' trials left."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import optuna
import yaml
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from src import record as records
from src.config import Objective
from src.consistency import check_files
from src.errors import ConfigError
from src.naming import without_seed
from src.ranking import BOOKKEEPING
from src.record import Record
from src.record_check import Damaged
from src.sweep.folder import read_sweep
from src.sweep.pruning import best_so_far
from src.sweep.space import Space, Values

optuna.logging.set_verbosity(optuna.logging.WARNING)


@dataclass
class Suggestion:
    """One point of the search space and the trials that train it, one for each seed.

    Attributes:
        values: by the key as it is typed.
        overrides: the same as they are typed.
        records: of its trials, as far as they were begun.
        folders: of the records.
    """

    values: Values
    overrides: list[str]
    records: list[Record] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)


@dataclass
class Outcome:
    """What Optuna is told of a suggestion.

    Attributes:
        state: complete, pruned or failed.
        values: the mean over its seeds, one for each objective; None where it failed.
        curve: the mean over its seeds of the objective of the best epoch so far.
        about: what else is kept: the keys, the standard deviation over seeds.
    """

    state: TrialState
    values: list[float] | None
    curve: list[float]
    about: dict[str, Any]

    def frozen(self, suggestion: Suggestion, space: Space) -> FrozenTrial:
        """The same as a trial that Optuna has not asked for."""
        return create_trial(
            state=self.state,
            params=dict(suggestion.values),
            distributions=space.distributions,
            values=self.values if self.state == TrialState.COMPLETE else None,
            intermediate_values=dict(enumerate(self.curve, start=1)),
            user_attrs=self.about,
        )


def outcome(suggestion: Suggestion, objective: Objective, metrics: Sequence[str]) -> Outcome:
    """What became of a suggestion all of whose trials have ended.

    One seed that failed or diverged makes it a failed one, one that was pruned a pruned one.

    Args:
        suggestion: with its records.
        objective: what a run is judged by.
        metrics: the study's objectives.
    """
    states = {record.status for record in suggestion.records}
    table = [[_value(record, objective, metric) for metric in metrics] for record in suggestion.records]
    sound = not states & {"failed", "diverged"} and all(math.isfinite(value) for row in table for value in row)
    columns = list(zip(*table, strict=True))
    about: dict[str, Any] = {"keys": [record.key for record in suggestion.records]}
    if not sound:
        return Outcome(TrialState.FAIL, None, [], about)
    about |= {f"std of {m}": stdev(c) for m, c in zip(metrics, columns, strict=True) if len(c) > 1}
    curves = zip(*(best_so_far(folder, objective) for folder in suggestion.folders), strict=False)
    state = TrialState.PRUNED if "pruned" in states else TrialState.COMPLETE
    return Outcome(state, [fmean(column) for column in columns], [fmean(values) for values in curves], about)


def directions(metrics: Sequence[str]) -> list[StudyDirection]:
    """What is better in each objective."""
    return [StudyDirection.MAXIMIZE if metric.endswith("r2") else StudyDirection.MINIMIZE for metric in metrics]


def recorded(sweep: Path, space: Space) -> list[Suggestion]:
    """The suggestions that earlier launches left, in the order in which they were made.

    Those outside the space, or with other fixed settings, are left out.
    """
    found: dict[tuple[str, ...], Suggestion] = {}
    fixed = _trained(space.fixed)
    keys = set()
    for folder in _folders(sweep):
        record, overrides = _read(folder)
        values = space.values(overrides)
        own = [text for text in without_seed(overrides) if text.split("=")[0] not in space.distributions]
        if values is None or _trained(own) != fixed:
            continue
        texts = space.overrides(values)
        suggestion = found.setdefault(tuple(texts), Suggestion(values, texts))
        if record is not None and record.key not in keys:  # a copy of a trial's folder is no further trial
            keys.add(record.key)
            suggestion.records.append(record)
            suggestion.folders.append(folder)
    return list(found.values())


def _read(folder: Path) -> tuple[Record | None, list[str]]:
    """A trial's record and overrides; no record where it is damaged, and the launcher trains it again."""
    try:
        record = records.read(folder)
        check_files(folder, record, "config", "history")
    except Damaged:
        return None, _overrides(folder / ".hydra" / "overrides.yaml")
    return record, record.overrides


def _overrides(path: Path) -> list[str]:
    try:
        texts = yaml.safe_load(path.read_bytes())
    except (OSError, ValueError, yaml.YAMLError):
        return []
    return [str(text) for text in texts] if isinstance(texts, list) else []


def export(study: optuna.Study, trials: Sequence[FrozenTrial], storage: str, name: str) -> None:
    """Copies what is new of a study to an Optuna storage, for `optuna-dashboard`.

    Args:
        study: the study.
        trials: all of its trials.
        storage: a database URL such as `sqlite:///study.db`, or the path of a journal file.
        name: of the copy.

    Raises:
        ConfigError: where the storage cannot be written.
    """
    with _writing():
        copy = _copy(study, storage, name)
        copy.add_trials(trials[len(copy.get_trials(deepcopy=False)) :])


def check_copy(study: optuna.Study, known: Sequence[Suggestion], storage: str, name: str) -> None:
    """Makes sure before training that a study can be copied, and that the copy there is holds none but this study.

    Args:
        study: the study.
        known: the suggestions that earlier launches left.
        storage: as `export` takes it.
        name: of the copy.

    Raises:
        ConfigError: where the storage cannot be written, or has trials of another study.
    """
    with _writing():
        copied = _copy(study, storage, name).get_trials(deepcopy=False)
    keys = {record.key for suggestion in known for record in suggestion.records}
    others = [key for trial in copied for key in trial.user_attrs.get("keys", []) if key not in keys]
    if others:
        law = f"hydra.sweeper.storage holds another study named {name}: its trials are none of this search's"
        raise ConfigError(law, f"trial {others[0]}", "another sweep.name, or another hydra.sweeper.storage")


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # SQLAlchemy's, the file system's, Optuna's
        law = "hydra.sweeper.storage must be a database's URL or a journal file that can be written"
        raise ConfigError(law, " ".join(str(error).split()), "hydra.sweeper.storage=sqlite:///study.db") from error


def _copy(study: optuna.Study, storage: str, name: str) -> optuna.Study:
    place = storage if "://" in storage else _journal(storage)
    return optuna.create_study(storage=place, study_name=name, directions=study.directions, load_if_exists=True)


def _journal(path: str) -> Any:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    return JournalStorage(JournalFileBackend(path))


def _value(record: Record, objective: Objective, metric: str) -> float:
    value = record.objective if metric == objective.metric else record.metrics.get(metric)
    return math.nan if value is None else float(value)


def _trained(overrides: Sequence[str]) -> set[str]:
    return {text for text in without_seed(overrides) if not BOOKKEEPING.match(text)}


def _folders(sweep: Path) -> list[Path]:
    """The trials' folders in the order in which they were asked for."""
    try:
        keys = read_sweep(sweep).get("keys", [])
    except Damaged:  # the launcher writes it anew
        keys = []
    order = {key: place for place, key in enumerate(keys)}
    found = [path.parent for path in sweep.glob("*/record.json")]
    return sorted(found, key=lambda folder: (order.get(folder.name, len(order)), folder.name))
