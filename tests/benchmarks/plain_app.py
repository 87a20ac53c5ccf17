"""A sweep as people write it: `python -m tests.benchmarks.plain_app -m seed='range(8)' hydra.sweep.dir=...`.

A plain LightningModule with a DataLoader and a WandbLogger, under Hydra's basic launcher; every job finishes its W&B
run, as it must for its runs not to merge.
"""

from dataclasses import dataclass
from pathlib import Path

import hydra
import lightning as L
import torch
import wandb
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig

from src.build import build_data
from src.check import check
from tests.benchmarks.plain import PlainModule, plain_fit, plain_loaders
from tests.conftest import composed


@dataclass
class PlainConfig:
    seed: int = 0
    lr: float = 1e-3
    max_epochs: int = 100
    tracked: bool = True


ConfigStore.instance().store(name="plain", node=PlainConfig)
torch.set_num_threads(1)  # as Tandem has it; at this size a second thread only waits
DATA = build_data(check(composed()))  # loaded once, for all jobs


@hydra.main(version_base="1.3", config_path=None, config_name="plain")
def main(cfg: PlainConfig) -> None:
    L.seed_everything(cfg.seed, verbose=False)
    loaders = plain_loaders(DATA.split("train"), DATA.split("val"), batch_size=32)
    module = PlainModule(DATA.input_dim, 32, DATA.output_dim, cfg.lr)
    plain_fit(module, loaders, cfg.max_epochs, Path(HydraConfig.get().runtime.output_dir), cfg.tracked)
    if cfg.tracked:
        wandb.finish()


if __name__ == "__main__":
    main()
