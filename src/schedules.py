"""Learning rates over time: when a scheduler moves on, what an epoch was trained with, and those of a stack.

In a stack they are worked out trial by trial by torch's own schedulers, on optimizers of one number.

Shapes: K trials.
"""

from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Any

import torch
from omegaconf import DictConfig, ListConfig
from torch import Tensor

from src.config import Config
from src.instantiate import instantiate

_AFTER_EACH_BATCH = ("OneCycleLR", "CyclicLR")


def interval_of(scheduler: DictConfig) -> str:
    """When a scheduler moves on: after each `step` or each `epoch`.

    `scheduler.interval` says it for any but the three that `conf/scheduler` has; without it those move on
    after a step that torch documents so, which are OneCycleLR and CyclicLR.
    """
    name = str(scheduler._target_).rpartition(".")[2]
    return scheduler.get("interval") or ("step" if name in _AFTER_EACH_BATCH else "epoch")


def make_scheduler(scheduler: DictConfig, optimizer: torch.optim.Optimizer, **extra: Any) -> Any:
    """A scheduler of an optimizer; one that is made of others (`schedulers: [...]`) gets them made first."""
    own = DictConfig({name: value for name, value in scheduler.items() if name not in ("interval", "schedulers")})
    parts = scheduler.get("schedulers")
    if not isinstance(parts, ListConfig):
        return instantiate(own, optimizer, group="scheduler", **extra)
    made = [make_scheduler(part, optimizer) for part in parts]
    return instantiate(own, group="scheduler", _partial_=True)(optimizer=optimizer, schedulers=made)


class Rates:
    """The learning rates that the steps of an epoch are made with.

    Attributes:
        kept: of each stretch of steps in a row with the same rates, the rates by parameter group and the steps.
    """

    def __init__(self) -> None:
        self.kept: list[tuple[list[float], int]] = []

    def add(self, groups: Sequence[dict[str, Any]]) -> None:
        """Notes the rates of a step."""
        now, kept = [float(group["lr"]) for group in groups], self.kept
        if kept and kept[-1][0] == now:
            kept[-1] = (now, kept[-1][1] + 1)
        else:
            kept.append((now, 1))

    def means(self) -> dict[str, float]:
        """Each parameter group's mean over the epoch's steps, `lr`, `lr/1`, ...; the next epoch starts empty."""
        kept, self.kept = self.kept, []
        of_groups = zip(*(rates for rates, _ in kept), strict=True)
        steps = [count for _, count in kept]
        means = [fmean(rates, steps) if len(rates) > 1 else rates[0] for rates in of_groups]
        return {f"lr/{number}" if number else "lr": mean for number, mean in enumerate(means)}


class Schedules:
    """One scheduler per trial; trials with the same numbers share one, unless it follows their objective.

    Args:
        cfgs: the trials' configs; they differ in numbers only.
        total_steps: counts the optimizer steps of the whole training, asked by schedulers that step with them.

    Attributes:
        interval: `step`, `epoch`, `objective` (once an epoch, by the objective) or None for a constant rate.
    """

    def __init__(self, cfgs: Sequence[Config], total_steps: Callable[[], int]) -> None:
        name = str(cfgs[0].scheduler._target_ or "").rsplit(".", 1)[-1]
        intervals = {"": None, "OneCycleLR": "step", "ReduceLROnPlateau": "objective"}
        self.interval = intervals.get(name, "epoch")
        extra = {"total_steps": total_steps()} if self.interval == "step" else {}
        shared: dict[str, int] = {}
        self._of_trial: list[int] = []
        self._pairs: list[tuple[torch.optim.Optimizer, Any]] = []
        for position, cfg in enumerate(cfgs if self.interval else []):
            numbers = str(position if self.interval == "objective" else (cfg.optimizer, cfg.scheduler))
            if numbers not in shared:
                shared[numbers] = len(self._pairs)
                self._pairs.append(_pair(cfg.optimizer, cfg.scheduler, extra))
            self._of_trial.append(shared[numbers])

    def step(self, trials: Tensor, objective: Tensor | None = None) -> None:
        """Moves on by one step or epoch.

        Args:
            trials: (K',) the trials that are still training.
            objective: (K',) their objectives, for a scheduler that follows them.
        """
        if objective is None:
            for _, scheduler in self._pairs:
                scheduler.step()
            return
        for trial, value in zip(trials.tolist(), objective.tolist(), strict=True):
            self._pairs[self._of_trial[trial]][1].step(value)

    def values(self, trials: Tensor) -> dict[str, Tensor]:
        """What the schedulers have set so far, by the stacked optimizer's names, each (K',) in float64."""
        if not self._pairs:
            return {}
        groups = [optimizer.param_groups[0] for optimizer, _ in self._pairs]
        values = {"lr": [group["lr"] for group in groups]}
        if self.interval == "step":  # one-cycle moves the momentum too
            values |= {"beta1": [group["betas"][0] for group in groups]} if "betas" in groups[0] else {}
            values |= {"momentum": [group["momentum"] for group in groups]} if "momentum" in groups[0] else {}
        chosen = torch.tensor(self._of_trial)[trials.cpu()]
        return {
            name: torch.tensor(numbers, dtype=torch.float64)[chosen].to(trials.device)
            for name, numbers in values.items()
        }

    def state_dict(self) -> list[dict[str, Any]]:
        """Everything the schedulers know, as plain numbers."""
        return [{"optimizer": one.state_dict(), "scheduler": two.state_dict()} for one, two in self._pairs]

    def load_state_dict(self, state: list[dict[str, Any]]) -> None:
        """Goes on where `state_dict` was taken."""
        for (optimizer, scheduler), saved in zip(self._pairs, state, strict=True):
            optimizer.load_state_dict(saved["optimizer"])
            scheduler.load_state_dict(saved["scheduler"])


def _pair(optimizer: DictConfig, scheduler: DictConfig, extra: dict[str, Any]) -> tuple[torch.optim.Optimizer, Any]:
    shadow = instantiate(optimizer, [torch.zeros(1, requires_grad=True)])
    made = make_scheduler(scheduler, shadow, **extra)
    shadow.step()  # torch warns of a scheduler whose optimizer has made no step since
    return shadow, made
