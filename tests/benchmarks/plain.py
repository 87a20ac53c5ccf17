"""What people write: a LightningModule that logs every step, a DataLoader, a WandbLogger. The yardstick for speed."""

from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.loggers import WandbLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from src.models import TwoLayerNet


class PlainModule(L.LightningModule):
    """The module of the tutorials."""

    def __init__(self, input_dim: int, hidden_dim: int, output_dim: int, lr: float) -> None:
        super().__init__()
        self.net = TwoLayerNet(input_dim, hidden_dim, output_dim)
        self.loss = nn.MSELoss()
        self.lr = lr

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        loss = self.loss(self.net(batch[0]), batch[1])
        self.log("train/loss", loss, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self.log("val/loss", self.loss(self.net(batch[0]), batch[1]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.lr)


def plain_loaders(
    train: tuple[Tensor, Tensor], val: tuple[Tensor, Tensor], batch_size: int
) -> tuple[DataLoader, DataLoader]:
    """Shuffled training batches and validation batches, collated sample by sample as DataLoader does."""
    return (
        DataLoader(TensorDataset(*train), batch_size=batch_size, shuffle=True),
        DataLoader(TensorDataset(*val), batch_size=batch_size),
    )


def plain_fit(
    module: PlainModule, loaders: tuple[DataLoader, DataLoader], max_epochs: int, folder: Path, tracked: bool
) -> None:
    """Trains as the tutorials do, tracked by an offline WandbLogger or by nothing."""
    logger = WandbLogger(save_dir=folder, offline=True, project="plain") if tracked else False
    trainer = L.Trainer(
        max_epochs=max_epochs,
        logger=logger,
        default_root_dir=folder,
        accelerator="cpu",
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, loaders[0], loaders[1])
