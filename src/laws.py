"""The laws that hold between keys; `check` has found each key right by itself before."""

import math
import os
import re
import shlex
import sys
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from src import ranks
from src.config import Config
from src.data.split import split_sizes
from src.errors import ConfigError
from src.groups import TARGETS
from src.metric_names import split_of
from src.suggest import COMMAND, closest
from src.tracking_laws import check_tracking

METRICS = ("train/loss", "train/mae", "train/r2", "val/loss", "val/mae", "val/r2")
NUM_ROWS = {"Diabetes": 442, "Linnerud": 20}
"""Rows of the bundled datasets, known without loading them."""


def check_together(cfg: Config) -> None:
    """Checks each law between keys.

    Raises:
        ConfigError: at the first law that is broken.
    """
    _check_objective(cfg)
    _check_end(cfg)
    _check_trainer(cfg)
    check_tracking(cfg.tracking, cfg.sweep.name)
    _check_own_classes(cfg)
    if cfg.optimizer.get("nesterov") and not cfg.optimizer.get("momentum"):
        law = "optimizer.nesterov=true needs optimizer.momentum above 0"
        raise ConfigError(law, cfg.optimizer.get("momentum"), "optimizer.momentum=0.9")
    if cfg.data._target_ in TARGETS["data"]:
        _check_data(cfg.data)


def _check_objective(cfg: Config) -> None:
    metric, direction = cfg.objective.metric, cfg.objective.direction
    if metric not in METRICS:
        near = closest(metric.removeprefix("test/"), METRICS) or METRICS[3]
        law = f"objective.metric is one of: {', '.join(METRICS)}   (a test metric judges once, at the end)"
        raise ConfigError(law, metric, f"objective.metric={near}")
    right = "maximize" if metric.endswith("r2") else "minimize"
    if direction != right:
        law = f"objective.direction must be {right}: that is what is better in objective.metric={metric}"
        raise ConfigError(law, direction, f"objective.direction={right}")
    if split_of(metric) == "val":
        _check_validation(cfg, f"objective.metric={metric}")


def _check_validation(cfg: Config, objective: str) -> None:
    """An objective on the validation split needs one, and a validation before the run is over."""
    trainer, every = cfg.trainer, cfg.trainer.check_val_every_n_epoch
    if cfg.data.get("val_fraction") == 0:
        law = f"{objective} needs a validation split"
        raise ConfigError(law, "data.val_fraction=0", "objective.metric=train/loss")
    if trainer.fast_dev_run:  # Lightning then validates once, whatever the other keys say
        return
    if trainer.limit_val_batches == 0 and not trainer.overfit_batches:  # that sets the one to the other
        law = f"{objective} needs a validation"
        raise ConfigError(law, "trainer.limit_val_batches=0", "trainer.limit_val_batches=1.0")
    if 0 < (trainer.max_epochs or 0) < every:
        law = f"{objective} needs a validation within trainer.max_epochs={trainer.max_epochs}"
        raise ConfigError(law, f"trainer.check_val_every_n_epoch={every}", "trainer.check_val_every_n_epoch=1")


def _check_end(cfg: Config) -> None:
    trainer = cfg.trainer
    endless = trainer.max_epochs in (None, -1) and trainer.max_steps == -1
    if endless and trainer.max_time is None:
        law = "a run needs an end: trainer.max_epochs, trainer.max_steps or trainer.max_time"
        raise ConfigError(law, f"trainer.max_epochs={_null(trainer.max_epochs)}", "trainer.max_epochs=100")
    if endless and str(cfg.scheduler._target_).endswith("OneCycleLR"):
        law = "scheduler=one_cycle spreads over all steps: it needs trainer.max_epochs or trainer.max_steps"
        raise ConfigError(law, f"trainer.max_time={trainer.max_time}", "trainer.max_epochs=100")
    for key in ("max_epochs", "max_steps"):
        if getattr(trainer, key) == 0:
            raise ConfigError(f"trainer.{key} must be at least 1, or -1 for no such end", 0, f"trainer.{key}=100")
    if trainer.max_time is not None and not re.fullmatch(r"\d+:\d\d:\d\d:\d\d", trainer.max_time):
        law = "trainer.max_time is days:hours:minutes:seconds"
        raise ConfigError(law, trainer.max_time, "trainer.max_time=00:01:30:00")


def _check_trainer(cfg: Config) -> None:
    trainer = cfg.trainer
    parts = trainer.devices if isinstance(trainer.devices, list) else [trainer.devices]
    numbers = parts and all(re.fullmatch(r"-1|\d+", str(part)) for part in parts) and trainer.devices not in (0, "0")
    if trainer.devices != "auto" and not numbers:
        law = "trainer.devices is auto, how many (-1 for all), or a list of device numbers"
        raise ConfigError(law, trainer.devices, "trainer.devices=1")
    if runs_on_cpu(trainer.accelerator) and trainer.devices != "auto":
        _check_cpu_devices(trainer.devices)
    for key in ("limit_train_batches", "limit_val_batches", "limit_test_batches", "overfit_batches"):
        value = getattr(trainer, key)
        if isinstance(value, float) and value > 1:
            law = f"trainer.{key} is a share from 0.0 to 1.0, or a whole number of batches"
            raise ConfigError(law, value, f"trainer.{key}={math.ceil(value)}")
    if trainer.precision.startswith("16") and trainer.gradient_clip_val and cfg.optimizer.get("fused"):
        law = f"optimizer.fused=true cannot clip gradients under trainer.precision={trainer.precision}"
        raise ConfigError(law, f"trainer.gradient_clip_val={trainer.gradient_clip_val}", "optimizer.fused=null")
    _check_processes(cfg)


def _check_processes(cfg: Config) -> None:
    """A run that takes several processes starts them itself, on this machine."""
    if cfg.trainer.num_nodes > 1:
        law = "trainer.num_nodes must be 1: a run starts its processes itself, on one machine"
        raise ConfigError(law, cfg.trainer.num_nodes, "trainer.num_nodes=1")
    if needs_processes(cfg) and ranks.STARTED_BY:
        name, number, by = ranks.STARTED_BY
        law = f"a run on several devices starts its processes itself: it is started once, without {by}"
        raise ConfigError(law, f"{name}={number}", f"env -u {name} {COMMAND} {shlex.join(sys.argv[1:])}")


def needs_processes(cfg: Config) -> bool:
    """Whether a run needs more than one process or device, as DDP does."""
    devices = cfg.trainer.devices
    one = devices in (1, "1") or (isinstance(devices, list) and len(devices) == 1)
    return not one or cfg.trainer.strategy != "auto"


def _check_own_classes(cfg: Config) -> None:
    """What is known of classes whose keys are not."""
    if str(cfg.optimizer._target_).endswith(".SparseAdam"):
        law = "torch.optim.SparseAdam takes sparse gradients alone, and those of a net on a table are dense"
        raise ConfigError(law, f"optimizer._target_={cfg.optimizer._target_}", "optimizer=adam")
    interval = cfg.scheduler.get("interval")
    if interval not in (None, "step", "epoch"):
        law = "scheduler.interval is when the scheduler moves on: step or epoch"
        raise ConfigError(law, interval, "++scheduler.interval=epoch")
    for name, node in cfg.callbacks.items():
        check_callback_class(f"callbacks.{name}", str(node["_target_"]).rpartition(".")[2])
    if cfg.callbacks and cfg.trainer.strategy == "fsdp":
        law = "callbacks need the whole of a net, which trainer.strategy=fsdp divides"
        raise ConfigError(law, f"callbacks.{next(iter(cfg.callbacks))}", "trainer.strategy=ddp")


def check_callback_class(key: str, name: str) -> None:
    """Refuses callbacks that set what the config sets: the record would say what was not trained."""
    if name in _FINDERS:
        law = f"{key} must leave the config as it is: {name} changes {_FINDERS[name]} while it trains"
        raise ConfigError(law, name, f"python -m src.train -m {_FINDERS[name]}=…   # a sweep, or hydra/sweeper=optuna")


_FINDERS = {"LearningRateFinder": "optimizer.lr", "BatchSizeFinder": "data.batch_size"}


def _check_cpu_devices(devices: Any) -> None:
    """On a CPU each device is a process."""
    most = max(8, os.cpu_count() or 1)  # a few to a core is how DDP is tried out
    if isinstance(devices, list) or not 1 <= int(devices) <= most:
        law = f"trainer.devices on a CPU is how many processes train: 1 to {most} on this machine"
        raise ConfigError(law, devices, "trainer.devices=1")


def runs_on_cpu(accelerator: str) -> bool:
    """Whether a run is trained on the CPU, as far as that can be known before torch is imported."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    gpus = not hidden and any(Path(path).exists() for path in ("/dev/nvidiactl", "/proc/driver/nvidia", "/dev/dxg"))
    return accelerator == "cpu" or (accelerator == "auto" and not gpus)


def _check_data(data: DictConfig) -> None:
    if data._target_ == "src.data.table.Table":
        from src.data.frame import read_table  # polars is imported for a table only

        if data.decimal is not None and data.decimal == data.thousands:
            law = "data.decimal and data.thousands must be two different marks"
            raise ConfigError(law, data.decimal, "data.thousands=null")
        rows = read_table(data.path, data.target, data.features, data.decimal, data.thousands).num_rows
    else:
        rows = data.get("num_rows") or NUM_ROWS[data._target_.rsplit(".", 1)[-1]]
    split_sizes(rows, data.val_fraction, data.test_fraction)


def _null(value: Any) -> str:
    return "null" if value is None else str(value)
