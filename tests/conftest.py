"""What the tests share: composed configs, runs in a temporary folder, and commands as a user types them."""

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

_OTHERS_SAY: tuple[str, ...] = (
    "SLURM_", "OMPI_", "PMI_", "PMIX_", "JSM_", "LSB_", "TORCHELASTIC_", "PL_", "WANDB_", "HYDRA_",
    "RANK", "LOCAL_RANK", "GROUP_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT",
    "COLUMNS", "NO_COLOR", "FORCE_COLOR", "TTY_", "PYTHONIOENCODING", "PYTHONUNBUFFERED",
)  # fmt: skip
for name in [name for name in os.environ if name.startswith(_OTHERS_SAY)]:
    # A test says itself what is in the environment: then it is the same test on a laptop, on a login node and in a job.
    # What a run makes of such variables is tried in test_environment.py.
    del os.environ[name]  # before anything is imported that reads it

import pytest  # noqa: E402
from hydra import compose, initialize_config_dir  # noqa: E402
from omegaconf import DictConfig  # noqa: E402

from src import naming  # noqa: E402

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
        where = {"cwd": tmp_path, "env": environment} | options
        return subprocess.run(command, capture_output=True, text=True, timeout=240, **where)  # type: ignore[call-overload]

    return run
