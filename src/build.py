"""Builds what a run is made of: data, net, Trainer."""

import inspect
import logging
import sys
import warnings
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, EarlyStopping
from lightning.pytorch.profilers import PassThroughProfiler
from omegaconf import DictConfig
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from src.config import Config
from src.data.base import TabularData
from src.data.laws import check_splits
from src.errors import ConfigError
from src.instantiate import instantiate
from src.metric_names import split_of
from src.module import MakeScheduler, Regressor
from src.net_laws import check_net, settle
from src.processes import OwnProcesses
from src.readable import ReadableCheckpoints
from src.schedules import interval_of, make_scheduler

# Lightning 2.6 makes a torch LeafSpec, which torch 2.13 deprecates: a user can do nothing about it.
warnings.filterwarnings("ignore", message=r".*LeafSpec.* is deprecated", category=FutureWarning, module="lightning")
for name in ("lightning.pytorch", "lightning.fabric"):
    logging.getLogger(name).setLevel(logging.WARNING)  # its news are devices found and tips; set at import, so here
_TRAINER = {name: argument.default for name, argument in inspect.signature(L.Trainer).parameters.items()}
_LEFT_OUT: dict[str, Any] = {
    "logger": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
}


@dataclass
class Run:
    """What a config builds.

    Attributes:
        data: splits and scale, set up.
        module: the net with its loss and optimizer.
        trainer: Lightning's Trainer.
    """

    data: TabularData
    module: Regressor
    trainer: L.Trainer


def build(cfg: Config, callbacks: list[Callback] | None = None, folder: Path | None = None) -> Run:
    """Builds the data, the net with weights drawn by `cfg.seed`, and the Trainer.

    Args:
        cfg: the checked config.
        callbacks: the Trainer's.
        folder: the run folder, where callbacks of the user's write what they write.

    Raises:
        ConfigError: where this machine lacks what the Trainer is asked for, or the data, the net or the loss breaks a
            law.
        InstantiationException: where a class of the config is not there or does not take its arguments.
    """
    trainer = build_trainer(cfg, callbacks or [], folder)
    data = build_data(cfg)
    return Run(data, build_module(cfg, data), trainer)


def build_module(cfg: Config, data: TabularData) -> Regressor:
    """The net, with weights drawn by `cfg.seed`, with its loss and optimizer."""
    L.seed_everything(cfg.seed, verbose=False)
    net = instantiate(cfg.model, input_dim=data.input_dim, output_dim=data.output_dim)
    settle(net, data)
    loss, optimizer = instantiate(cfg.loss), partial(instantiate, cfg.optimizer, group="optimizer")
    check_net(net, loss, data)
    module = Regressor(net, loss, optimizer, _scheduler(cfg), data.scale, cfg.objective.metric)
    module.keep_splits(data)
    # Lightning reads a checkpoint, and callbacks copy weights, before it takes a net to float64: they would be rounded.
    return module.double() if data.dtype == torch.float64 else module


def build_data(cfg: Config) -> TabularData:
    """The dataset, loaded, split and standardised in the precision that is trained in.

    Raises:
        ConfigError: where it breaks one of the laws of `src.data.laws`.
    """
    dtype = torch.float64 if cfg.trainer.precision.startswith("64") else torch.float32
    data = set_up(make_data(cfg.data), dtype)
    if split_of(cfg.objective.metric) == "val" and not len(data.split("val")[0]):
        law = f"objective.metric={cfg.objective.metric} needs a validation split"
        raise ConfigError(law, f"{type(data).__name__} has no val rows", "objective.metric=train/loss")
    return data


def make_data(config: DictConfig) -> TabularData:
    """The dataset, not yet loaded."""
    L.seed_everything(config.get("seed", 0), verbose=False)  # what a class of the user's own draws comes out the same
    return instantiate(config)


def set_up(data: TabularData, dtype: torch.dtype) -> TabularData:
    """Loads, splits and standardises, for training as for scoring."""
    data.dtype = dtype
    data.setup("fit")
    data.setup("test")
    check_splits(data)
    return data


def build_trainer(cfg: Config, callbacks: list[Callback], folder: Path | None = None) -> L.Trainer:
    """Lightning's Trainer, without the parts that the journal does with less work at every step.

    Raises:
        ConfigError: where this machine lacks what the Trainer is asked for.
    """
    torch.set_num_threads(cfg.num_threads)
    # All arguments are given: what is left out, Lightning takes from PL_TRAINER_... in the environment.
    settings = _TRAINER | vars(cfg.trainer) | _LEFT_OUT | {"callbacks": callbacks, "accelerator": _accelerator(cfg)}
    settings |= {"profiler": cfg.trainer.profiler or _NoProfiler(), "enable_checkpointing": bool(callbacks)}
    settings["plugins"] = [OwnProcesses(cfg.num_threads), ReadableCheckpoints()]
    settings["default_root_dir"] = folder and folder / "callbacks"
    if cfg.data.get("val_fraction") == 0:
        settings["limit_val_batches"] = 0
    try:
        return L.Trainer(**settings)
    except MisconfigurationException as error:
        if cfg.trainer.accelerator == "gpu" and not torch.cuda.is_available():
            law = "trainer.accelerator=gpu needs a CUDA device, and torch finds none on this machine"
            raise ConfigError(law, remedy="trainer=cpu") from error
        raise ConfigError(f"Lightning's Trainer refuses this: {' '.join(str(error).split())}") from error
    except RuntimeError as error:
        if "more than one stateful callback" not in str(error):
            raise
        law = "a run has one callback of a class with the same settings, early_stopping among them"
        raise ConfigError(law, f"callbacks: {', '.join(cfg.callbacks)}", "early_stopping.patience=null") from error


def num_parameters(net: nn.Module) -> int:
    """The numbers that training sets."""
    return sum(weights.numel() for weights in net.parameters() if weights.requires_grad)


def early_stopping(cfg: Config) -> list[Callback]:
    """Lightning's callback, if a run is to stop early."""
    stop, metric = cfg.early_stopping, cfg.objective.metric
    if stop.patience is None:
        return []
    return [
        EarlyStopping(
            metric,
            stop.min_delta,
            stop.patience,
            mode=cfg.objective.direction[:3],
            check_on_train_epoch_end=split_of(metric) == "train",
        )
    ]


def _scheduler(cfg: Config) -> MakeScheduler:
    """Makes a scheduler as Lightning is to step it, see `interval_of`."""

    def make(optimizer: torch.optim.Optimizer, trainer: L.Trainer) -> dict[str, Any] | None:
        if cfg.scheduler._target_ is None:
            return None
        extra = {}
        if cfg.scheduler._target_.endswith(".OneCycleLR"):
            extra["total_steps"] = int(trainer.estimated_stepping_batches)
            # That sets up the data before Lightning knows of a checkpoint's place in it: let it be set up again.
            trainer.fit_loop._combined_loader = None
        scheduler = make_scheduler(cfg.scheduler, optimizer, **extra)
        made = {"scheduler": scheduler, "interval": interval_of(cfg.scheduler)}
        if isinstance(scheduler, ReduceLROnPlateau):  # `Regressor` steps it
            made |= {"monitor": cfg.objective.metric, "frequency": sys.maxsize}
        return made

    return make


def device_name(cfg: Config) -> str:
    """What a run is trained on: `cpu`, or a GPU's name."""
    on_gpu = _accelerator(cfg) == "cuda" and torch.cuda.is_available()
    return torch.cuda.get_device_name() if on_gpu else "cpu"


def _accelerator(cfg: Config) -> str:
    """Lightning's name of it; its own `auto` would take Apple's GPUs, which lack the float64 of the scales."""
    if cfg.trainer.accelerator == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return "cuda" if cfg.trainer.accelerator == "gpu" else cfg.trainer.accelerator


class _NoProfiler(PassThroughProfiler):
    """Profiles nothing, at a tenth of what it costs Lightning's own to profile nothing 25 times a step."""

    def profile(self, action_name: str) -> AbstractContextManager[None]:  # type: ignore[override]
        return _NOTHING


_NOTHING = nullcontext()
