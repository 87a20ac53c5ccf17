"""Regressor: a net, its loss, its optimizer and its metrics as a LightningModule.

Shapes: B rows of a batch, N rows of a split, D features, O targets.
"""

import inspect
from collections.abc import Callable, Iterable
from functools import reduce
from typing import Any, Self

import lightning as L
import torch
from lightning.pytorch.plugins.precision import MixedPrecision
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from src.data.base import Scale
from src.data.laws import KeepsSplits
from src.errors import ConfigError
from src.schedules import Rates
from src.scores import Scores

Batch = tuple[Tensor, Tensor]
MakeOptimizer = Callable[[Iterable[nn.Parameter]], Optimizer]
MakeScheduler = Callable[[Optimizer, L.Trainer], dict[str, Any] | None]


class LeanModule(KeepsSplits, L.LightningModule):
    """A LightningModule on which Lightning spends less time around each step (measured by `make bench`)."""

    def add_rates(self, groups: list[dict[str, Any]]) -> None:
        """Notes the learning rates that a step is about to be made with."""

    def __setattr__(self, name: str, value: Any) -> None:
        # Lightning writes this name at every hook, 40 times a step, and nn.Module looks every write up in its tables.
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    def keep_scale(self, scale: Scale) -> None:
        """Registers how the data was standardised, to lie in the checkpoint as it is, whatever precision trains."""
        for name, value in vars(scale).items():
            self.register_buffer(name, value)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        exact = {name: getattr(self, name) for name in Scale.__annotations__ if hasattr(self, name)}
        super()._apply(fn, recurse)
        for name, value in exact.items():  # moved, but not rounded
            setattr(self, name, value.to(getattr(self, name).device))
        return self

    def optimizer_step(
        self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Callable[[], Any] | None = None
    ) -> None:
        self.add_rates(optimizer.optimizer.param_groups)
        # Lightning's own way leads through three wrappers, which matter for clipping and for scaled gradients only.
        scales = isinstance(self.trainer.precision_plugin, MixedPrecision)
        if self.trainer.gradient_clip_val is None and not scales:
            optimizer.optimizer.step(optimizer_closure)
        else:
            super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)


class Regressor(LeanModule):
    """Trains a net on standardised features and targets.

    Args:
        net: from features (B, D) to predictions (B, O).
        loss: from predictions and targets to a number; its `reduction` says whether rows are averaged or summed.
        optimizer: makes the optimizer of the net's parameters and the loss's own.
        scheduler: makes Lightning's scheduler config, or None.
        scale: how the data was standardised; it is kept in the checkpoint.
        monitor: the metric that Lightning's callbacks and schedulers are to know of.

    Attributes:
        metrics: the latest epoch's, such as `val/loss`, added split by split; whoever reads them empties them.
        rates: the learning rates of the epoch's steps so far.
        watched: whether callbacks of the user's look on. They may change weights around a validation, so the best
            checkpoint holds what was validated; and they may ask Lightning for any metric.
        origin: says of which run a checkpoint is, and of which epoch.
    """

    def __init__(
        self,
        net: nn.Module,
        loss: nn.Module,
        optimizer: MakeOptimizer,
        scheduler: MakeScheduler,
        scale: Scale,
        monitor: str,
    ) -> None:
        super().__init__()
        self.metrics: dict[str, float] = {}
        self.origin: Callable[[], dict[str, Any]] = dict
        self._monitor = monitor
        self.net = net
        self.loss = loss
        self._make_optimizer = optimizer
        self._make_scheduler = scheduler
        self.keep_scale(scale)
        self._exact_scale = {name: value.clone() for name, value in vars(scale).items()}
        self.rates = Rates()
        self.watched = False
        self._names = list(self.state_dict())
        self._validated: dict[str, Tensor] = {}
        reduction = getattr(loss, "reduction", "mean")
        self._scores = {split: Scores(scale.target_std, reduction) for split in ("train", "val", "test")}
        self._moved = nn.ModuleList(self._scores.values())  # to the device, with the net

    def forward(self, features: Tensor) -> Tensor:
        """Predictions (B, O) from features (B, D), both standardised."""
        return self.net(features)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        return self._step(batch, "train")

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._step(batch, "val")
        if self.watched and batch_idx == 0:
            self._validated = self._weights()

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self._step(batch, "test")

    # Lightning asks for the signature at every step; kept here, it is not worked out anew.
    training_step.__signature__ = inspect.signature(training_step)  # type: ignore[attr-defined]

    def on_fit_start(self) -> None:
        super().on_fit_start()
        scores = self._scores["train"]  # a checkpoint is read before the net is moved to its device
        scores.seen = [(a.to(self.device), b.to(self.device), c.to(self.device)) for a, b, c in scores.seen]

    def on_train_epoch_end(self) -> None:
        self._log("train")
        self._follow_objective()

    def on_validation_epoch_end(self) -> None:
        self._log("val")

    def on_test_epoch_end(self) -> None:
        self._log("test")

    def add_rates(self, groups: list[dict[str, Any]]) -> None:
        self.rates.add(groups)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        of_loss = self.loss.parameters() if isinstance(self.loss, nn.Module) else ()
        optimizer = self._make_optimizer([*self.net.parameters(), *of_loss])
        scheduler = self._make_scheduler(optimizer, self.trainer)
        return {"optimizer": optimizer, "lr_scheduler": scheduler} if scheduler else optimizer  # type: ignore

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds what a run that goes on needs to end the same: random state, and the epoch's outputs so far."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["run"] = self.origin()
        if "optimizer_states" not in checkpoint:  # the best checkpoint holds weights only
            if self.watched:
                checkpoint["state_dict"] = self._validated or self._weights()
            return
        checkpoint["state_dict"] |= self._exact_scale  # a mean of weights over time may take the scale along
        checkpoint["rates"] = self.rates.kept
        checkpoint["is_reshaped"] = self.watched and self.state_dict().keys() != set(self._names)
        checkpoint["random"] = torch.get_rng_state()
        checkpoint["random_cuda"] = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        checkpoint["seen"] = self._scores["train"].seen

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        if "random" not in checkpoint:
            return
        if checkpoint.get("is_reshaped"):
            law = "a run goes on with the net that it had, and a callback has changed its parts, as pruning does"
            raise ConfigError(law, remedy="train anew, from the first epoch")
        self.rates.kept = checkpoint.get("rates", [])
        torch.set_rng_state(checkpoint["random"].cpu())
        if checkpoint["random_cuda"] and torch.cuda.is_available():
            torch.cuda.set_rng_state_all([state.cpu() for state in checkpoint["random_cuda"]])
        self._scores["train"].seen = checkpoint["seen"]

    def _step(self, batch: Batch, split: str) -> Tensor:
        features, targets = batch
        predictions = self.net(features)
        loss = self.loss(predictions, targets)
        self._scores[split].add(loss, predictions, targets)
        return loss

    def _weights(self) -> dict[str, Tensor]:
        """The weights in use, by the names that a net has which no callback has changed: a pruned one has others."""
        state = self.state_dict()
        values: dict[str, Any] = {name: state.get(name) for name in self._names}
        values |= {name: reduce(getattr, name.split("."), self) for name in self._names if name not in state}
        return {name: value.detach().clone() for name, value in values.items()} | self._exact_scale

    def _follow_objective(self) -> None:
        """Tells schedulers that follow the objective of an epoch that has it.

        Lightning would, but only after the epoch's checkpoint: a run that went on from it would miss one.
        """
        for each in self.trainer.lr_scheduler_configs:
            if isinstance(each.scheduler, ReduceLROnPlateau) and self._monitor in self.metrics:
                each.scheduler.step(self.metrics[self._monitor])

    def _log(self, split: str) -> None:
        values = {f"{split}/{name}": value.item() for name, value in self._scores[split].summed_up().items()}
        self.metrics |= values
        for name, value in values.items():
            if self.watched or name == self._monitor:  # Lightning's own log costs more than an epoch's validation
                exact = torch.tensor(value, dtype=torch.float64, device=self.device)
                self.log(name, exact, sync_dist=self.trainer.world_size > 1)
