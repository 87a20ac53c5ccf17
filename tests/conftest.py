"""What the tests share: composed configs, runs in a temporary folder, and commands as a user types them."""

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from src import naming

ROOT = Path(__file__).parent.parent
SMALL = ("trainer.max_epochs=4", "tracking=disabled", "trainer.accelerator=cpu")

fresh = multiprocessing.get_context("forkserver")
"""Processes of their own that have the heavy imports behind them."""
fresh.set_forkserver_preload(["src.run", "src.sweep.running", "src.report.page", "src.scoring"])

naming.register()


def composed(*overrides: str) -> DictConfig:
    """The config that `python -m src.train <overrides>` composes."""
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("train", list(overrides))


def write_hydra_folder(folder: Path, config: DictConfig) -> None:
    """What Hydra leaves in a run folder, as far as it is read again."""
    from omegaconf import OmegaConf

    (folder / ".hydra").mkdir(parents=True)
    OmegaConf.save(config, folder / ".hydra" / "config.yaml")


@pytest.fixture
def shell(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `python -m <module> <words>` in a temporary folder, without a terminal, an account or a key."""

    def run(module: str, *words: str, **options: object) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
        environment |= {"PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
        command = [sys.executable, "-m", module, *words]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240)

    return run
