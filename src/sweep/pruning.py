"""Dropping trials that fall behind: what the sweeper's pruner means for a stack, and for a trial alone."""

import math
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from src import record as records
from src.config import Config, Objective
from src.consistency import check_files
from src.errors import ConfigError
from src.halving import Halving
from src.metric_names import split_of
from src.naming import without_seed
from src.record import Prune
from src.record_check import Damaged

if TYPE_CHECKING:  # optuna is slow to import, and few pruners need it
    from optuna.trial import FrozenTrial

_HALVING = "src.halving.Halving"
_COMPARE_BY_MARKS = ("SuccessiveHalvingPruner", "HyperbandPruner")
"""These of Optuna's leave marks in a study's trials, which no record has: they would never drop one."""


class Pruning:
    """A sweep's pruner. What it knows of the trials before, it reads from their records.

    Args:
        settings: of the pruner, as they are configured.
        sweep: the sweep folder.
        cfg: the config of any trial.

    Raises:
        ConfigError: where the settings are wrong.
    """

    def __init__(self, settings: Mapping[str, Any] | None, sweep: Path, cfg: Config) -> None:
        self._settings = {name: value for name, value in (settings or {}).items() if value is not None}
        self._sweep, self._objective, self._max_epochs = sweep, cfg.objective, cfg.trainer.max_epochs
        self._validates_every = cfg.trainer.check_val_every_n_epoch
        self.drops = "_target_" in self._settings
        if self.drops:
            self._check()

    @property
    def why_alone(self) -> str | None:
        """Why trials cannot be stacked under this pruner."""
        stacks = not self.drops or self._settings["_target_"] == _HALVING
        return None if stacks else f"a stack does not honour pruner {self._settings['_target_']}"

    def of_stack(self) -> Halving | None:
        """What a stack compares its trials by, knowing those that ended before it."""
        if not self.drops:
            return None
        halving = self._halving()
        for _, curve in self._curves():
            for rung in halving.rungs:
                if rung <= len(curve):
                    halving.add(rung, [curve[rung - 1]])
        return halving

    def of_trial(self) -> Prune | None:
        """What decides for a trial that trains alone."""
        if not self.drops:
            return None
        if self._settings["_target_"] != _HALVING:
            return self._optuna_decides()
        halving = self.of_stack()
        assert halving is not None
        return lambda epochs, value: epochs in halving.rungs and not halving.going_on(epochs, [value])[0]

    def _halving(self) -> Halving:
        settings = {name: value for name, value in self._settings.items() if name != "_target_"}
        return Halving(settings["eta"], settings.get("min_epochs"), int(self._max_epochs or 0), self._objective.sign)

    def _curves(self) -> list[tuple[set[str], list[float]]]:
        """Of the settings that ended before: what became of its seeds, and the mean of their curves."""
        settings: dict[tuple[str, ...], list[tuple[str, list[float]]]] = {}
        for path in sorted(self._sweep.glob("*/record.json")):
            record = _read(path.parent, path.stat().st_mtime_ns)
            if record and record.has_ended and (curve := best_so_far(path.parent, self._objective)):
                settings.setdefault(without_seed(record.overrides), []).append((record.status, curve))
        seeds = (zip(*setting, strict=True) for setting in settings.values())
        return [(set(statuses), [mean(values) for values in zip(*curves, strict=False)]) for statuses, curves in seeds]

    def _optuna_decides(self) -> Prune:
        """One of Optuna's own pruners, in a study of the trials that ended before."""
        import optuna

        from src.instantiate import instantiate

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.RandomSampler(seed=0)
        minimize = self._objective.direction == "minimize"
        study = optuna.create_study(
            sampler=sampler, pruner=instantiate(self._settings), direction="minimize" if minimize else "maximize"
        )
        study.add_trials([_frozen(statuses, curve) for statuses, curve in self._curves()])
        trial = study.ask()

        def prune(epochs: int, value: float) -> bool:
            trial.report(value, epochs)
            return trial.should_prune()

        return prune

    def _check(self) -> None:
        if not self._max_epochs or self._max_epochs < 1:
            law = "hydra/sweeper/pruner compares trials after so many epochs: it needs trainer.max_epochs"
            raise ConfigError(law, self._max_epochs, "trainer.max_epochs=100")
        if name := next((name for name in _COMPARE_BY_MARKS if name in str(self._settings)), None):
            law = f"hydra.sweeper.pruner cannot be Optuna's {name}; Tandem has successive halving of its own"
            raise ConfigError(law, self._settings["_target_"], "hydra/sweeper/pruner=halving")
        if self._settings["_target_"] != _HALVING:
            return
        for name, least in (("eta", 2), ("min_epochs", 1)):
            value = self._settings.get(name)
            if value is not None and not (isinstance(value, int) and value >= least):
                law = f"hydra.sweeper.pruner.{name} must be a whole number at least {least}"
                raise ConfigError(law, value, f"hydra.sweeper.pruner.{name}=3")
        self._check_first_rung()

    def _check_first_rung(self) -> None:
        first, every = next(iter(self._halving().rungs), math.inf), self._validates_every
        if split_of(self._objective.metric) == "val" and every > first:
            law = f"hydra/sweeper/pruner=halving compares trials after {first} epochs: they must have been validated"
            remedy = f"hydra.sweeper.pruner.min_epochs={every}"
            raise ConfigError(law, f"trainer.check_val_every_n_epoch={every}", remedy)


def _frozen(statuses: set[str], curve: Sequence[float]) -> "FrozenTrial":
    """A setting that ended before, as Optuna's pruners see it: they compare with complete trials only."""
    from optuna.trial import TrialState, create_trial

    steps = dict(enumerate(curve, start=1))
    if statuses != {"finished"}:
        state = TrialState.FAIL if "diverged" in statuses else TrialState.PRUNED
        return create_trial(state=state, intermediate_values=steps)
    return create_trial(value=curve[-1], intermediate_values=steps)


def best_so_far(folder: Path, objective: Objective) -> list[float]:
    """A trial's curve: after each epoch the best objective up to it, infinitely bad while there is none."""
    better, worst = (min, math.inf) if objective.direction == "minimize" else (max, -math.inf)
    curve: list[float] = []
    for row in _history(folder):
        values = [value for value in (row.get(objective.metric), *curve[-1:]) if value is not None and value == value]
        curve.append(better(values, default=worst))
    return curve


@cache
def _history(folder: Path) -> list[records.Row]:
    return records.read_history(folder)


@cache
def _read(folder: Path, changed: int) -> records.Record | None:
    """A trial's record; None where it is damaged, and is trained again."""
    try:
        record = records.read(folder)
        check_files(folder, record, "history")
    except Damaged:
        return None
    return record
