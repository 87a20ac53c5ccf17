"""What happens in a stack: every trial's history, best and last weights, early stopping and divergence.

Shapes: K trials, K' of them still training, M metrics.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor

from src.config import Config
from src.halving import Halving
from src.journal import Journal
from src.progress import SweepProgress
from src.record import Row
from src.stack import Stack

_STATE = (
    "best_epoch", "best_weights", "last_weights", "steps", "_waits", "_best", "_loss_at_best", "_to_beat", "_epochs",
    "_over", "pruned",
)  # fmt: skip


class StackJournal(Journal):
    """Keeps K trials apart: a trial that stops early or diverges leaves the stack, the others go on as they were.

    Args:
        last_checkpoint: the stack's.
        cfg: any trial's config.
        progress: the sweep's.
        halving: what trials are compared by, None to drop none.
        settings: (K,) which of the settings a trial has; trials of one setting differ in their seed, and stay or go
            together.

    Attributes:
        best_epoch: (K,) the epoch of the best objective, -1 while there is none.
        best_weights: the weights at that epoch, each (K, ...).
        last_weights: the weights that a trial ended with, each (K, ...).
        steps: (K,) training steps that a trial made.
        pruned: (K,) which trials were dropped.
    """

    def __init__(
        self,
        last_checkpoint: Path,
        cfg: Config,
        progress: SweepProgress,
        halving: Halving | None = None,
        settings: Sequence[int] = (),
    ) -> None:
        super().__init__(last_checkpoint, cfg)
        self._progress = progress
        self._stopping, self._loss = cfg.early_stopping, cfg.objective.loss
        self._halving, self._settings = halving, torch.tensor(settings, dtype=torch.long)
        self._epochs: list[dict[str, Any]] = []
        self._restored: dict[str, Any] = {}
        self._over = False

    def begin(self, trainer: L.Trainer) -> None:
        stack = trainer.lightning_module
        assert isinstance(stack, Stack)
        size, device = stack.size, stack.trials.device
        self.best_epoch = torch.full((size,), -1, device=device)
        self.pruned = torch.zeros(size, dtype=torch.bool, device=device)
        self.steps, self._waits = torch.zeros((2, size), dtype=torch.long, device=device).unbind()
        worst = torch.full((3, size), math.inf, device=device, dtype=torch.float64)
        self._best, self._loss_at_best, self._to_beat = worst.unbind()
        self.best_weights = [torch.zeros(size, *weights.shape[1:]).to(weights) for weights in stack.weights]
        self.last_weights = [torch.zeros_like(weights) for weights in self.best_weights]
        for name, value in self._restored.items():
            setattr(self, name, _moved(value, device))
        trainer.should_stop = self._over

    def epoch_ended(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        assert isinstance(module, Stack)
        metrics, module.metrics = module.metrics, {}
        self._add_rows(trainer, module, metrics)
        ended = ~metrics["train/loss"].isfinite()
        if self.metric in metrics:
            objective = metrics[self.metric].double()
            self._keep_best(module, objective * self.sign, metrics[self._loss].double(), trainer.current_epoch)
            ended |= self._out_of_patience(module.trials, objective * self.sign)
            module.follow_objective(objective)
        ended |= self._falls_behind(module.trials, ~ended, trainer.current_epoch + 1)
        self._progress.show_epoch(trainer.current_epoch, self.sign * float(self._best.min()))
        if ended.any():
            self._let_go(trainer, module, ended)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, Stack)
        self._keep_last(pl_module, torch.ones_like(pl_module.trials, dtype=torch.bool))
        super().on_train_end(trainer, pl_module)

    def rows(self, size: int) -> list[list[Row]]:
        """Every trial's history, as a run alone has it."""
        rows: list[list[Row]] = [[] for _ in range(size)]
        for epoch in self._epochs:
            names, shared = epoch["names"], {"epoch": epoch["epoch"], "trainer/global_step": epoch["step"]}
            for trial, values in zip(epoch["trials"].tolist(), epoch["values"].T.tolist(), strict=True):
                rows[trial].append(shared | dict(zip(names, values, strict=True)))
        return rows

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"stack": {name: getattr(self, name) for name in _STATE}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._restored = state_dict["stack"]

    def _add_rows(self, trainer: L.Trainer, stack: Stack, metrics: dict[str, Tensor]) -> None:
        columns = {"lr": stack.mean_rates()} | metrics
        self._epochs.append({
            "epoch": trainer.current_epoch,
            "step": trainer.global_step,
            "names": list(columns),
            "trials": stack.trials.cpu(),
            "values": torch.stack([values.double() for values in columns.values()]).cpu(),
        })  # fmt: skip

    def _keep_best(self, stack: Stack, cost: Tensor, loss: Tensor, epoch: int) -> None:
        """As `Objective.costs` orders epochs: `cost` (K',), then `loss` (K',), the less the better."""
        loss = loss.where(loss.isfinite(), math.inf)
        best, loss_at_best = self._best[stack.trials], self._loss_at_best[stack.trials]
        better = cost.isfinite() & ((cost < best) | (cost == best) & (loss < loss_at_best))
        trials = stack.trials[better]
        self._best[trials], self._loss_at_best[trials] = cost[better], loss[better]
        self.best_epoch[trials] = epoch
        _copy_rows(self.best_weights, trials, stack.weights, better)

    def _out_of_patience(self, trials: Tensor, objective: Tensor) -> Tensor:
        """As Lightning's EarlyStopping decides for one run: (K',) true for the trials that stop."""
        if self._stopping.patience is None:
            return torch.zeros_like(trials, dtype=torch.bool)
        better = objective + self._stopping.min_delta < self._to_beat[trials]
        self._to_beat[trials] = torch.where(better, objective, self._to_beat[trials])
        self._waits[trials] = torch.where(better, 0, self._waits[trials] + 1)
        return (self._waits[trials] >= self._stopping.patience) | ~objective.isfinite()

    def _falls_behind(self, trials: Tensor, candidates: Tensor, epochs: int) -> Tensor:
        """(K',) true for the candidates (K',) whose setting, by the mean of its seeds, does not pass this rung."""
        if self._halving is None or epochs not in self._halving.rungs:
            return torch.zeros_like(candidates)
        settings = self._settings.to(trials.device)
        means = torch.stack([self._best[settings == setting].mean() for setting in settings[trials].unique()])
        going_on = self._halving.going_on(epochs, (self.sign * means).tolist())
        behind = ~torch.tensor(going_on, device=trials.device)[settings[trials].unique(return_inverse=True)[1]]
        self.pruned[trials[behind & candidates]] = True
        return behind & candidates

    def _let_go(self, trainer: L.Trainer, stack: Stack, ended: Tensor) -> None:
        self._keep_last(stack, ended)
        staying = (~ended).nonzero().flatten()
        if len(staying):
            stack.keep(staying)
        else:
            self._over = trainer.should_stop = True

    def _keep_last(self, stack: Stack, which: Tensor) -> None:
        self.steps[stack.trials[which]] = self._steps
        _copy_rows(self.last_weights, stack.trials[which], stack.weights, which)


def _copy_rows(into: Sequence[Tensor], trials: Tensor, weights: Any, which: Tensor) -> None:
    for kept, current in zip(into, weights, strict=True):
        kept[trials] = current.detach()[which]


def _moved(value: Any, device: torch.device) -> Any:
    if torch.is_tensor(value):
        return value.to(device)
    if isinstance(value, list) and value and torch.is_tensor(value[0]):
        return [part.to(device) for part in value]
    return value
