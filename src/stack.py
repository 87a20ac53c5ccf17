"""Stack: K trials that differ only in seed and optimizer numbers, trained as one batched LightningModule.

Shapes: K trials, B rows of a batch, N rows of a split, D features, O targets.
"""

from collections.abc import Callable, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.func import stack_module_state
from torchmetrics.functional import mean_absolute_error

from src.config import Config
from src.data.base import Scale
from src.module import Batch, LeanModule
from src.optim import Stacked, StackedAdam, StackedAdamW, StackedSGD, hyperparameters
from src.schedules import Schedules
from src.scores import r_squared
from src.stacked_net import StackedNet, losses

OPTIMIZERS = {"torch.optim.Adam": StackedAdam, "torch.optim.AdamW": StackedAdamW, "torch.optim.SGD": StackedSGD}
Seen = list[tuple[Tensor, Tensor, Tensor]]


class Stack(LeanModule):
    """K nets with the same data, batches and loss, and hyperparameters and weights of their own.

    Args:
        nets: K nets of one architecture; any that `torch.func.vmap` takes.
        loss: from predictions and targets to a number, for one trial.
        cfgs: the K trials' configs.
        scale: how the data was standardised.

    Attributes:
        size: K.
        keys: of the K trials.
        names: of the weights, as a net alone has them.
        constants: the nets' buffers, each (K, ...); training changes none of them (see `why_not`).
        trials: (K',) which of the K trials are still training.
        metrics: the latest epoch's, each (K',); whoever reads them empties them.
    """

    def __init__(self, nets: Sequence[nn.Module], loss: nn.Module, cfgs: Sequence[Config], scale: Scale) -> None:
        super().__init__()
        params, buffers = stack_module_state(list(nets))
        self.names = list(params)
        self.weights = nn.ParameterList(_parameter(value.detach(), value) for value in params.values())
        self.trials: Tensor
        self.target_std: Tensor
        self.register_buffer("trials", torch.arange(len(nets)))
        self.keep_scale(scale)
        self.metrics: dict[str, Tensor] = {}
        self.size = len(nets)
        self.keys: list[str] = []
        self.constants = buffers
        self._buffers_of_nets = buffers
        self._net = StackedNet(nets, len(scale.feature_mean))
        own = {id(value): name for name, value in [*nets[0].named_parameters(), *nets[0].named_buffers()]}
        state = nets[0].state_dict(keep_vars=True)
        self._names_in_state = {name: own[id(value)] for name, value in state.items()}  # tied weights have two names
        self._loss = loss
        self._reduction = getattr(loss, "reduction", "mean")
        self._cfgs = list(cfgs)
        self._seen: dict[str, Seen] = {"train": [], "val": [], "test": []}
        self._rates: list[Tensor] = []

    def forward(self, features: Tensor) -> Tensor:
        """Predictions (K', B, O) of every trial on the same features (B, D), both standardised."""
        weights = dict(zip(self.names, self.weights, strict=True))
        return self._net(weights, self._buffers_of_nets, features, self.training, self.trials)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        return self._step(batch, "train").sum()  # no trial's loss depends on another's weights

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._step(batch, "val")

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self._step(batch, "test")

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        if self._schedules.interval == "step":
            self._move_schedules()

    def add_rates(self, groups: list[dict[str, Any]]) -> None:
        if self._schedules.interval == "step" or not self._rates:
            self._rates.append(groups[0]["lr"])

    def mean_rates(self) -> Tensor:
        """(K',) each trial's mean learning rate over the epoch's steps; the next epoch starts empty."""
        rates, self._rates = self._rates, []
        return rates[0] if len(rates) == 1 else torch.stack(rates).mean(0)

    def on_train_epoch_end(self) -> None:
        # `max_steps` may end a training within an epoch, which no scheduler counts then.
        if self._schedules.interval == "epoch" and self.trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            self._move_schedules()
        self._sum_up("train")

    def on_validation_epoch_end(self) -> None:
        self._sum_up("val")

    def on_test_epoch_end(self) -> None:
        self._sum_up("test")

    def configure_optimizers(self) -> Stacked:
        self._schedules = Schedules(self._cfgs, self._total_steps)
        # A scheduler sets numbers before the first step, one-cycle even a momentum where the config has none.
        numbers = hyperparameters(self._cfgs, self.trials) | self._schedules.values(self.trials)
        fixed = {"nesterov": self._cfgs[0].optimizer.nesterov} if "momentum" in numbers else {}
        return OPTIMIZERS[self._cfgs[0].optimizer._target_](self._trained(), **numbers, **fixed)

    def configure_gradient_clipping(
        self,
        optimizer: Any,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clips each trial's gradient as `torch.nn.utils` clips one."""
        if gradient_clip_val is None:
            return
        gradients = [weights.grad for weights in self.weights if weights.grad is not None]
        if gradient_clip_algorithm == "value":
            for gradient in gradients:
                gradient.clamp_(-gradient_clip_val, gradient_clip_val)
            return
        norms = torch.stack([gradient.flatten(1).norm(dim=1) for gradient in gradients]).norm(dim=0)
        factors = (gradient_clip_val / (norms + 1e-6)).clamp(max=1)
        for gradient in gradients:
            gradient.mul_(factors.view(-1, *[1] * (gradient.dim() - 1)))

    def follow_objective(self, objective: Tensor) -> None:
        """Tells schedulers that follow the objective (K',) of the epoch that has ended."""
        if self._schedules.interval == "objective":
            self._move_schedules(objective)

    def keep(self, staying: Tensor) -> None:
        """Goes on with fewer trials: their tensors shrink, so their compute is saved where no dropout draws for them.

        Args:
            staying: (K'',) positions among the trials that are still training.
        """
        self.trials = self.trials[staying]
        self.weights = nn.ParameterList(_parameter(weights.detach()[staying], weights) for weights in self.weights)
        self._buffers_of_nets = {name: value[staying] for name, value in self._buffers_of_nets.items()}
        if self._trainer is not None and self._trainer.optimizers:
            optimizer = self._trainer.optimizers[0]
            assert isinstance(optimizer, Stacked)
            optimizer.keep(self._trained(), staying)

    def load(self, weights: Sequence[Tensor]) -> None:
        """Takes all K trials back in, each with given weights (K, ...)."""
        self.trials = torch.arange(self.size, device=self.trials.device)
        self.weights = nn.ParameterList(nn.Parameter(value) for value in weights)
        self._buffers_of_nets = self.constants

    def state_of(self, position: int, weights: Sequence[Tensor]) -> dict[str, Tensor]:
        """What `Regressor.state_dict` has for one trial, from all trials' weights, each (K, ...)."""
        tensors = dict(zip(self.names, weights, strict=True)) | self.constants
        net = {f"net.{name}": tensors[own][position].clone() for name, own in self._names_in_state.items()}
        of_loss = self._loss.state_dict() if isinstance(self._loss, nn.Module) else {}
        own = {f"loss.{name}": value.clone() for name, value in of_loss.items()}
        return net | own | {name: getattr(self, name) for name in Scale.__annotations__}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["run"] = {"keys": self.keys}
        checkpoint["random"] = torch.get_rng_state()
        checkpoint["random_cuda"] = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        checkpoint["schedules"] = self._schedules.state_dict()
        checkpoint["seen"] = self._seen["train"]
        checkpoint["rates"] = self._rates

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        torch.set_rng_state(checkpoint["random"].cpu())
        if checkpoint["random_cuda"] and torch.cuda.is_available():
            torch.cuda.set_rng_state_all([state.cpu() for state in checkpoint["random_cuda"]])
        self._seen["train"] = checkpoint["seen"]
        self._rates = checkpoint.get("rates", [])
        self.keep(checkpoint["state_dict"]["trials"].to(self.trials.device))
        for i, weights in enumerate(self.weights):  # Lightning loads before it converts: float64 would be rounded
            weights.data = weights.data.to(checkpoint["state_dict"][f"weights.{i}"].dtype)
        self._saved_schedules = checkpoint["schedules"]

    def on_fit_start(self) -> None:
        super().on_fit_start()
        if hasattr(self, "_saved_schedules"):
            self._schedules.load_state_dict(self._saved_schedules)
            # A checkpoint is read before the stack is moved to its device.
            self._seen["train"] = [
                (a.to(self.device), b.to(self.device), c.to(self.device)) for a, b, c in self._seen["train"]
            ]
            self._rates = [rates.to(self.device) for rates in self._rates]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Moves and converts the nets' buffers too, whose dotted names a module cannot register."""
        self.constants = {name: fn(value) for name, value in self.constants.items()}
        self._buffers_of_nets = {name: fn(value) for name, value in self._buffers_of_nets.items()}
        super()._apply(fn, recurse)
        return self

    def _total_steps(self) -> int:
        steps = self.trainer.estimated_stepping_batches
        # That sets up the data before Lightning knows of a checkpoint's place in it: let it be set up again.
        self.trainer.fit_loop._combined_loader = None
        return int(steps)

    def _trained(self) -> list[nn.Parameter]:
        return [weights for weights in self.weights if weights.requires_grad]

    def _step(self, batch: Batch, split: str) -> Tensor:
        features, targets = batch
        predictions = self(features)
        of_each = losses(self._loss, predictions, targets)
        self._seen[split].append((of_each.detach(), predictions.detach(), targets))
        return of_each

    def _sum_up(self, split: str) -> None:
        values = scores(self._seen[split], self.target_std, self._reduction)
        self.metrics |= {f"{split}/{name}": value for name, value in values.items()}
        self._seen[split] = []

    def _move_schedules(self, objective: Tensor | None = None) -> None:
        self._schedules.step(self.trials, objective)
        self.trainer.optimizers[0].param_groups[0].update(self._schedules.values(self.trials))


def _parameter(value: Tensor, like: Tensor) -> nn.Parameter:
    return nn.Parameter(value, requires_grad=like.requires_grad)


def scores(seen: Seen, target_std: Tensor, reduction: str) -> dict[str, Tensor]:
    """`loss`, `mae` and `r2` of every trial, each (K',), as `src.module.Scores` has them for one.

    Args:
        seen: of every batch the losses (K',), predictions (K', B, O) and targets (B, O).
        target_std: (O,), what a standardised target is multiplied by.
        reduction: how the loss sums up rows, `mean` or `sum`.
    """
    losses, predictions, targets = zip(*seen, strict=True)
    weights = losses[0].new_tensor([len(batch) for batch in targets]).unsqueeze(1)
    stacked = torch.stack(losses)
    loss = stacked.sum(0) if reduction == "sum" else (stacked * weights).sum(0) / weights.sum()
    precise = torch.promote_types(predictions[0].dtype, torch.float32)
    predicted = torch.cat(predictions, dim=1).to(precise)
    num_trials, num_rows, num_outputs = predicted.shape
    # Trials stand beside each other as outputs do: torchmetrics then sums each up by itself.
    predicted = predicted.transpose(0, 1).reshape(num_rows, -1)
    of_all = torch.cat(targets).to(precise)
    actual = of_all.repeat(1, num_trials)
    std = target_std.to(predicted).repeat(num_trials)
    mae = mean_absolute_error(predicted * std, actual * std, num_outputs=num_trials * num_outputs)
    residuals = (predicted - actual).double().square().sum(0).view(num_trials, num_outputs)
    r2 = r_squared(residuals, of_all.double().square().sum(0), of_all.double().sum(0), num_rows)
    return {"loss": loss, "mae": mae.view(num_trials, num_outputs).mean(1), "r2": r2.mean(1)}
