"""A study, round by round: ask the sampler for a batch, train it, tell what came out."""

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from optuna.trial import FrozenTrial, Trial, TrialState

from src import record as records
from src.config import Config
from src.naming import without_seed
from src.sweep.options import Options
from src.sweep.samplers import keeps_a_state, make_sampler, name_of
from src.sweep.space import Space
from src.sweep.study import Outcome, Suggestion, check_copy, directions, export, outcome, recorded

log = logging.getLogger(__name__)
_FEW = 10  # told suggestions; a share of fewer says little


class Search:
    """A study that goes on where its records end.

    Args:
        folder: the sweep folder.
        space: what is searched.
        cfg: the config of any trial.
        metrics: the objectives.
        options: the sweeper's, settled.
        sampler: Optuna's, with its arguments.
        launcher: trains the batches.

    Attributes:
        told: every suggestion whose outcome the study knows, in order.
        study: Optuna's.
    """

    def __init__(
        self,
        folder: Path,
        space: Space,
        cfg: Config,
        metrics: Sequence[str],
        options: Options,
        sampler: Mapping[str, Any],
        launcher: Launcher,
    ) -> None:
        self.folder, self.space, self.cfg, self.metrics, self.options = folder, space, cfg, list(metrics), options
        self._sampler, self._launcher = sampler, launcher
        self._asks_anew = keeps_a_state(sampler) or (space.is_finite and name_of(sampler) != "GridSampler")
        self._left = recorded(folder, space)
        self._folders = {
            _trial_of(s, r): f for s in self._left for r, f in zip(s.records, s.folders, strict=True) if r.is_over
        }
        self.told: list[tuple[Suggestion, Outcome]] = []
        self.study = self._new_study()
        if options.storage:
            check_copy(self.study, self._left, options.storage, folder.name)
        self._num_trials, self._batch_size = options.num_trials or 1, options.batch_size or 1

    @property
    def is_over(self) -> bool:
        """Whether the study has all its trials."""
        return len(self.told) >= self._num_trials

    def run(self) -> None:
        """Goes on until the study has all its trials or its time is over.

        Raises:
            SystemExit: where more trials failed than may.
        """
        timeout, started = self.options.timeout, time.monotonic()
        while not self.is_over:
            if timeout is not None and time.monotonic() - started >= timeout:
                log.warning(f"hydra.sweeper.timeout={timeout:g} s is over: no further trials begin")
                break
            self.next()

    def next(self) -> None:
        """One round.

        Raises:
            SystemExit: where more trials failed than may.
        """
        size = min(self._batch_size, self._num_trials - len(self.told))
        known = self._left[:size]
        if len(known) == size and not self._asks_anew and all(self._is_over(suggestion) for suggestion in known):
            self._take_in(known)
        else:
            trials = self._ask(size)
            batch = [Suggestion(trial.params, self.space.overrides(trial.params)) for trial in trials]
            asked = [suggestion.overrides for suggestion in batch]
            if all(suggestion.overrides in asked for suggestion in known):
                self._left = [suggestion for suggestion in self._left if suggestion.overrides not in asked]
                self._train(batch)
                for trial, suggestion in zip(trials, batch, strict=True):
                    self._tell(trial, suggestion)
            else:
                self._begin_anew()
        self._check_failures()
        if self.options.storage:
            export(self.study, self._frozen(self.told), self.options.storage, self.folder.name)

    def _frozen(self, told: Sequence[tuple[Suggestion, Outcome]]) -> list[FrozenTrial]:
        """What is known of suggestions, as it can be added to a study."""
        return [came_out.frozen(suggestion, self.space) for suggestion, came_out in told]

    def _new_study(self) -> optuna.Study:
        sampler = make_sampler(self._sampler, (self.options.seed + len(self.told)) % 2**32)
        return optuna.create_study(directions=directions(self.metrics), sampler=sampler)

    def _ask(self, size: int) -> list[Trial]:
        """The next suggestions: the same ones whenever the study knows the same trials."""
        if not self._asks_anew or not keeps_a_state(self._sampler):
            self.study.sampler = make_sampler(self._sampler, (self.options.seed + len(self.told)) % 2**32)
        if name_of(self._sampler) == "GridSampler":
            told = [suggestion.values for suggestion, _ in self.told]
            for values in [values for values in self.space.grid() if values not in told][:size]:
                self.study.enqueue_trial(values)
        return [self.study.ask(self.space.distributions) for _ in range(size)]

    def _train(self, batch: Sequence[Suggestion]) -> None:
        """Trains what has not ended, and leaves each suggestion with its trials' records."""
        jobs = {(*suggestion.overrides, *seed): None for suggestion in batch for seed in self._seeds}
        left = [job for job in jobs if job not in self._folders]
        if left:
            fixed = without_seed(self.space.fixed)
            done, total = len(self.told) * len(self._seeds), self._num_trials * len(self._seeds)
            self._launcher.part_of = (done, total)  # type: ignore[attr-defined]
            # The local launcher passes over what has ended, and goes on with a stack only if all of it is there.
            launched = list(jobs) if getattr(self._launcher, "skips_ended", False) else left
            returned = self._launcher.launch([[*fixed, *job] for job in launched], done)
            for job, ended in zip(launched, returned, strict=True):
                self._folders[job] = _folder_of(ended)
        for suggestion in batch:
            suggestion.folders = [self._folders[(*suggestion.overrides, *seed)] for seed in self._seeds]
            suggestion.records = [records.read(folder) for folder in suggestion.folders]

    @property
    def _seeds(self) -> list[list[str]]:
        """The override that sets a trial's seed; none where one run is made and no seed was typed."""
        if self.options.num_seeds == 1 and without_seed(self.space.fixed) == tuple(self.space.fixed):
            return [[]]
        return [[f"seed={self.cfg.seed + i}"] for i in range(self.options.num_seeds)]

    def _tell(self, trial: Trial, suggestion: Suggestion) -> None:
        came_out = outcome(suggestion, self.cfg.objective, self.metrics)
        for name, value in came_out.about.items():
            trial.set_user_attr(name, value)
        if came_out.state == TrialState.PRUNED:
            trial.report(came_out.curve[-1], len(came_out.curve))
        values = came_out.values if came_out.state == TrialState.COMPLETE else None
        self.study.tell(trial, values, state=came_out.state)
        self.told.append((suggestion, came_out))

    def _take_in(self, known: Sequence[Suggestion]) -> None:
        """Tells the study of suggestions that ended before, without asking for them."""
        told = [(suggestion, outcome(suggestion, self.cfg.objective, self.metrics)) for suggestion in known]
        self.study.add_trials(self._frozen(told))
        self.told += told
        self._left = self._left[len(known) :]

    def _begin_anew(self) -> None:
        """What was asked for with other settings of the sweeper is trained to its end and told as it came out."""
        log.warning("the sweeper's settings have changed: it learns from the earlier suggestions, and asks anew")
        known, self._left = self._left, []
        self._train(known)
        self.told += [(suggestion, outcome(suggestion, self.cfg.objective, self.metrics)) for suggestion in known]
        self.study = self._new_study()
        self.study.add_trials(self._frozen(self.told))

    def _is_over(self, suggestion: Suggestion) -> bool:
        return all((*suggestion.overrides, *seed) in self._folders for seed in self._seeds)

    def _check_failures(self) -> None:
        failed = [suggestion for suggestion, came_out in self.told if came_out.state == TrialState.FAIL]
        if len(failed) > self.options.max_failure_rate * max(len(self.told), _FEW):
            errors = [record.error for record in failed[0].records if record.status in records.UNSOUND]
            reason = next(iter(errors), f"it ended without a finite {' or '.join(self.metrics)}")
            allowed = f"more than hydra.sweeper.max_failure_rate={self.options.max_failure_rate:g} allows"
            raise SystemExit(
                f"the search has stopped: {len(failed)} of {len(self.told)} suggestions failed or diverged, "
                f"{allowed}; the first: {' '.join(failed[0].overrides)}: {reason}"
            )


def _folder_of(ended: JobReturn) -> Path:
    """A trial's folder; only our own launcher calls it the working directory."""
    hydra = ended.hydra_cfg.hydra if ended.hydra_cfg is not None else None
    return Path(str(hydra.runtime.output_dir if hydra else ended.working_dir))


def _trial_of(suggestion: Suggestion, record: records.Record) -> tuple[str, ...]:
    return (*suggestion.overrides, *(text for text in record.overrides if text not in without_seed(record.overrides)))
