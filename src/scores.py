"""What an epoch comes to: loss, MAE and R² of one split.

Shapes: B rows of a batch, O targets.
"""

import torch
from torch import Tensor, nn
from torchmetrics import MeanAbsoluteError, Metric, R2Score, SumMetric


class Scores(nn.Module):
    """Loss, MAE and R² of one split's epoch, summed up once at its end.

    The loss is in the units that the net is trained in, MAE in the user's units (its mean over the targets where
    there are several). R² does not depend on the units.

    Args:
        target_std: (O,), what a standardised target is multiplied by.
        reduction: how the loss sums up rows, `mean` or `sum`.
    """

    def __init__(self, target_std: Tensor, reduction: str) -> None:
        super().__init__()
        # Loss and rows by themselves: torchmetrics' mean forgets the weights where NaN is not to be dropped.
        self.loss, self.rows = SumMetric(nan_strategy="disable"), SumMetric(nan_strategy="disable")
        self.mae = MeanAbsoluteError()
        self.r2 = _R2()
        self.target_std = target_std
        self.averages = reduction != "sum"
        self.seen: list[tuple[Tensor, Tensor, Tensor]] = []

    def add(self, loss: Tensor, predictions: Tensor, targets: Tensor) -> None:
        """Keeps a batch: its loss, predictions (B, O) and targets (B, O).

        An optimizer such as LBFGS asks for a batch's loss several times in a step; the first counts.
        """
        if not (self.seen and self.seen[-1][2] is targets):
            self.seen.append((loss.detach(), predictions.detach(), targets))

    def summed_up(self) -> dict[str, Tensor]:
        """The epoch's `loss`, `mae` and `r2`; the next epoch starts empty."""
        losses, predictions, targets = zip(*self.seen, strict=True)
        rows = torch.tensor([len(batch) for batch in targets], device=losses[0].device)
        precise = torch.promote_types(predictions[0].dtype, torch.float32)  # sums of half precision overflow
        metrics: dict[str, Metric] = {"loss": self.loss, "rows": self.rows, "mae": self.mae, "r2": self.r2}
        for metric in metrics.values():
            if metric.dtype != precise:
                metric.set_dtype(precise)  # the Trainer's precision does not reach metrics: they stay in float32
        self.loss.update(torch.stack(losses).to(precise) * (rows if self.averages else 1))
        self.rows.update(rows)
        predicted, actual = torch.cat(predictions).to(precise), torch.cat(targets).to(precise)
        std = self.target_std.to(predicted)
        self.mae.update(predicted * std, actual * std)
        self.r2.update(predicted, actual)
        values = {name: metric.compute() for name, metric in metrics.items()}
        self.seen = []
        for metric in metrics.values():
            metric.reset()
        count = values.pop("rows")
        values["loss"] = values["loss"] / count if self.averages else values["loss"]
        return values


class _R2(R2Score):
    """R² from sums in float64, for targets of any size: torchmetrics' own takes sums below 1e-4 for 0."""

    def update(self, preds: Tensor, target: Tensor) -> None:
        super().update(preds.double(), target.double())

    def compute(self) -> Tensor:
        return r_squared(self.residual, self.sum_squared_error, self.sum_error, self.total).mean()


def r_squared(residuals: Tensor, squares: Tensor, sums: Tensor, rows: Tensor | int) -> Tensor:
    """R² (..., O) of each target; NaN below two rows.

    Args:
        residuals: (..., O) sums of squared residuals.
        squares: (O,) sums of squared targets.
        sums: (O,) sums of targets.
        rows: how many were summed up, in float64.
    """
    if rows < 2:
        return torch.full_like(residuals, torch.nan)
    total = squares - sums.square() / rows
    is_constant = total <= 1e-14 * squares  # below that it is rounding
    return torch.where(is_constant, (residuals == 0).to(residuals), 1 - residuals / total)
