"""Adam, AdamW and SGD for stacked parameters: every hyperparameter has one value per trial.

The updates are those of `torch.optim` (https://docs.pytorch.org/docs/stable/optim.html), trial by trial.
Shapes: K trials; a stacked parameter is (K, ...), a hyperparameter (K,).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from src.config import Config

Coefficients = dict[str, Tensor]


class Stacked(Optimizer, ABC):
    """What the stacked optimizers share: hyperparameters as tensors, and trials that leave.

    Args:
        params: stacked parameters (K, ...).
        hyperparameters: by name, a tensor (K,) in float64: 1 - beta2 would lose four digits in float32.
    """

    def __init__(self, params: Iterable[Tensor], hyperparameters: Mapping[str, Tensor]) -> None:
        self.names = tuple(hyperparameters)
        super().__init__(params, {"steps": 0, **hyperparameters})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Updates every trial once; `closure` computes the gradients first."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            group["steps"] += 1
            coefficients = self._coefficients(group)
            for param in group["params"]:
                shape = (-1, *[1] * (param.dim() - 1))
                shaped = {name: values.to(param.dtype).view(shape) for name, values in coefficients.items()}
                self._update(param, param.grad, shaped, self.state[param])
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes a saved state over; torch moves what belongs to a parameter to its device, and not these numbers."""
        super().load_state_dict(state_dict)
        for group in self.param_groups:
            for name in self.names:
                group[name] = group[name].to(group["params"][0].device)

    def keep(self, params: Iterable[Tensor], staying: Tensor) -> None:
        """Goes on with fewer trials.

        Args:
            params: the shortened parameters (K', ...), in the old order.
            staying: (K',) the positions that stay.
        """
        (group,) = self.param_groups
        for name in self.names:
            group[name] = group[name][staying]
        old, group["params"] = group["params"], list(params)
        for was, now in zip(old, group["params"], strict=True):
            self.state[now] = {name: value[staying] for name, value in self.state.pop(was, {}).items()}

    @abstractmethod
    def _coefficients(self, group: dict[str, Any]) -> Coefficients:
        """What the update multiplies by, each (K,), once a step."""

    @abstractmethod
    def _update(self, param: Tensor, grad: Tensor, by: Coefficients, state: dict[str, Tensor]) -> None:
        """Updates one parameter (K, ...) in place."""


class StackedAdam(Stacked):
    """Adam (Kingma & Ba, https://arxiv.org/abs/1412.6980) with one value of each hyperparameter per trial.

    Args:
        params: stacked parameters (K, ...).
        lr: (K,).
        beta1: (K,).
        beta2: (K,).
        eps: (K,).
        weight_decay: (K,), added to the gradient.
    """

    decoupled = False

    def __init__(
        self, params: Iterable[Tensor], lr: Tensor, beta1: Tensor, beta2: Tensor, eps: Tensor, weight_decay: Tensor
    ) -> None:
        values = {"lr": lr, "beta1": beta1, "beta2": beta2, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, values)
        self._decays = bool(weight_decay.any())

    def _coefficients(self, group: dict[str, Any]) -> Coefficients:
        # In torch's order: the square root is divided by sqrt(1 - beta2^t), the step by 1 - beta1^t.
        lr, beta1, beta2, steps = group["lr"], group["beta1"], group["beta2"], group["steps"]
        return {
            "to_mean": 1 - beta1,
            "to_square": 1 - beta2,
            "size": -lr / (1 - beta1**steps),
            "root": (1 - beta2**steps).rsqrt(),
            "eps": group["eps"],
            "decay": 1 - lr * group["weight_decay"] if self.decoupled else group["weight_decay"],
        }

    def _update(self, param: Tensor, grad: Tensor, by: Coefficients, state: dict[str, Tensor]) -> None:
        if not state:
            state |= {"mean": torch.zeros_like(param), "square": torch.zeros_like(param)}
        if self._decays and self.decoupled:
            param.mul_(by["decay"])
        elif self._decays:
            grad = torch.addcmul(grad, by["decay"], param)
        state["mean"].lerp_(grad, by["to_mean"])
        state["square"].lerp_(grad.square(), by["to_square"])
        scale = state["square"].sqrt().mul_(by["root"]).add_(by["eps"])
        param.addcdiv_(state["mean"] * by["size"], scale)


class StackedAdamW(StackedAdam):
    """Adam whose decay shrinks the weights instead of adding to the gradient (https://arxiv.org/abs/1711.05101)."""

    decoupled = True


class StackedSGD(Stacked):
    """Stochastic gradient descent with momentum, one value of each hyperparameter per trial.

    Args:
        params: stacked parameters (K, ...).
        lr: (K,).
        momentum: (K,).
        weight_decay: (K,), added to the gradient.
        nesterov: look ahead along the momentum; the same for all trials.
    """

    def __init__(
        self, params: Iterable[Tensor], lr: Tensor, momentum: Tensor, weight_decay: Tensor, nesterov: bool = False
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self._decays, self._moves, self._nesterov = bool(weight_decay.any()), bool(momentum.any()), nesterov

    def _coefficients(self, group: dict[str, Any]) -> Coefficients:
        return {"size": -group["lr"], "momentum": group["momentum"], "decay": group["weight_decay"]}

    def _update(self, param: Tensor, grad: Tensor, by: Coefficients, state: dict[str, Tensor]) -> None:
        if self._decays:
            grad = torch.addcmul(grad, by["decay"], param)
        if self._moves:
            state["mean"] = torch.addcmul(grad, state["mean"], by["momentum"]) if state else grad.clone()
            grad = torch.addcmul(grad, state["mean"], by["momentum"]) if self._nesterov else state["mean"]
        param.addcmul_(grad, by["size"])


def hyperparameters(cfgs: Sequence[Config], trials: Tensor) -> dict[str, Tensor]:
    """The optimizer's numbers by the stacked optimizer's names, each (K',) in float64 on the trials' device."""
    numbers: dict[str, list[float]] = {}
    for cfg in (cfgs[trial] for trial in trials.tolist()):
        values = {name: value for name, value in cfg.optimizer.items() if name not in ("_target_", "fused", "nesterov")}
        if "betas" in values:
            values["beta1"], values["beta2"] = values.pop("betas")
        for name, value in values.items():
            numbers.setdefault(str(name), []).append(float(value))
    return {name: torch.tensor(value, dtype=torch.float64, device=trials.device) for name, value in numbers.items()}
