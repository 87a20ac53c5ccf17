"""From a composed config to a checked one: every key known, every type and range right, or a `ConfigError`."""

import importlib.util
import math
import os
import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException, ValidationError

from src.config import TARGETS, Config, known_keys
from src.data.split import split_sizes
from src.errors import GROUPS, ConfigError, closest, die, example, setting, unknown_key

METRICS = ("train/loss", "train/mae", "train/r2", "val/loss", "val/mae", "val/r2")
_TYPES = {"int": "a whole number", "float": "a number", "bool": "true or false", "list": "a list", "tuple": "a list"}
_BOUNDS = {
    "at_least": (lambda value, bound: value >= bound, "at least"),
    "above": (lambda value, bound: value > bound, "above"),
    "at_most": (lambda value, bound: value <= bound, "at most"),
    "below": (lambda value, bound: value < bound, "below"),
}


class CheckBeforeRun(Callback):
    """Hydra callback: a wrong config ends the process before a folder is made or torch is imported."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Checks the config of a single run, and that its folder is free."""
        # Hydra turns a callback's exceptions into warnings, but lets SystemExit through.
        try:
            check(config)
            _check_folder(Path(config.hydra.run.dir))
        except ConfigError as error:
            die(error)


def _check_folder(folder: Path) -> None:
    """A run is never written over; the further processes of a DDP run share the folder of the first."""
    if (folder / "record.json").exists() and "LOCAL_RANK" not in os.environ:
        raise ConfigError("hydra.run.dir holds a run already", str(folder), f"python -m src.train resume={folder}")


def check(cfg: DictConfig) -> Config:
    """Checks a composed config.

    Args:
        cfg: what Hydra composed, with or without its own `hydra` node.

    Returns:
        The same values, typed.

    Raises:
        ConfigError: at the first key that is unknown, missing, of the wrong type or out of range.
    """
    known = [field.name for field in fields(Config)]
    for name in cfg:
        if name not in known and name != "hydra":
            raise unknown_key(str(name))
    values: dict[str, Any] = {}
    for field in fields(Config):
        node = _node(cfg, field.name)
        if field.name in TARGETS:
            values[field.name] = _group(field.name, node)
        elif is_dataclass(field.type):
            values[field.name] = OmegaConf.to_object(into_schema(field.type, _mapping(field.name, node), field.name))
    plain = {field.name: _node(cfg, field.name) for field in fields(Config) if field.name not in values}
    values |= {name: into_schema(Config, OmegaConf.create(plain), "")[name] for name in plain}
    checked = Config(**values)
    _check_together(checked)
    return checked


def into_schema(schema: Any, node: DictConfig, prefix: str) -> DictConfig:
    """Merges values into a dataclass: unknown keys, wrong types, missing values, ranges.

    Args:
        schema: the dataclass.
        node: the values.
        prefix: the key under which they stand; empty at the top, where only the keys in `node` are checked.

    Raises:
        ConfigError: at the first value that is wrong.
    """
    dotted = f"{prefix}." if prefix else ""
    base = OmegaConf.structured(schema)
    known = {field.name: field for field in fields(schema)}
    given = [str(key) for key in node]  # `in node` does not see a missing value
    for key in given:
        if key not in known:
            raise unknown_key(f"{dotted}{key}")
        if not OmegaConf.is_missing(node, key):
            _assign(f"{dotted}{key}", base, known[key], node[key])
    for field in fields(schema):
        if prefix or field.name in given:
            _check_field(f"{dotted}{field.name}", base, field)
    return base


def _assign(key: str, base: DictConfig, field: Any, value: Any) -> None:
    try:
        nested = is_dataclass(field.type) and isinstance(value, DictConfig)
        base[field.name] = into_schema(field.type, value, key) if nested else value
    except (ValidationError, ConfigKeyError) as error:
        wanted = _wanted(field)
        remedy = example(key)
        if wanted.startswith("a whole number") and isinstance(value, float) and value.is_integer():
            remedy = setting(key, int(value))
        if wanted.startswith("a list") and "numbers" not in wanted and isinstance(value, str | int):
            remedy = setting(key, f"[{value}]")
        raise ConfigError(f"{key} must be {wanted}", value, remedy) from error


def _node(cfg: DictConfig, name: str) -> Any:
    """A part of the config with its interpolations resolved."""
    try:
        node = OmegaConf.select(cfg, name, throw_on_missing=True)
        return OmegaConf.create(OmegaConf.to_container(node, resolve=True)) if OmegaConf.is_config(node) else node
    except MissingMandatoryValue as error:
        raise ConfigError(f"{name} is missing: it must be given a value", remedy=example(name)) from error
    except OmegaConfBaseException as error:
        key = str(error.full_key or name)
        problem = str(error).splitlines()[0]
        law = f"{key} must refer to a key that is there, and have a value that can be worked out"
        raise ConfigError(law, problem, example(key)) from error


def _mapping(name: str, node: Any) -> DictConfig:
    if isinstance(node, DictConfig):
        return node
    if name in GROUPS:
        raise ConfigError(f"{name} must be chosen", node, example(name))
    keys = [key for key in known_keys() if key.startswith(f"{name}.")]
    raise ConfigError(f"{name} is not a value: it holds {', '.join(keys)}", node, example(keys[0]))


def _group(name: str, node: Any) -> DictConfig:
    """Checks a part of the config that names a class by `_target_`."""
    node = _mapping(name, node)
    if "_target_" not in node:
        raise ConfigError(f"{name}._target_ must name a class", OmegaConf.to_container(node), example(name))
    target = node["_target_"]
    if target in TARGETS[name]:
        return DictConfig(OmegaConf.to_container(into_schema(TARGETS[name][target], node, name)))
    _check_target(name, target)
    return node


def _check_target(name: str, target: Any) -> None:
    """A user's own class: its package must be there; the class itself is looked up when the run is built."""
    module = str(target).rpartition(".")[0]
    package = module.split(".")[0]
    # find_spec of a dotted name imports its parents: fine for our own light packages, not for torch.
    if not module or not importlib.util.find_spec(module if package == "src" else package):
        near = closest(str(target), [known for known in TARGETS[name] if known])
        remedy = f"{name}._target_={near}" if near else f"{example(name)}   (or the package.Class of your own)"
        raise ConfigError(f"{name}._target_ must name a class that can be imported", target, remedy)


def _check_field(key: str, node: DictConfig, field: Any) -> None:
    if OmegaConf.is_missing(node, field.name):
        raise ConfigError(f"{key} is missing: it must be given a value", remedy=example(key))
    value = node[field.name]
    if options := field.metadata.get("options"):
        _check_choice(key, value, ["null" if option is None else option for option in options])
    if str(field.type).startswith("tuple") and len(value) != len(get_args(field.type)):
        raise ConfigError(f"{key} must be {_wanted(field)}", value, example(key))
    if bounds := field.metadata.get("bounds"):
        for number in value if OmegaConf.is_list(value) else [value]:
            _check_bounds(key, number, bounds)


def _check_choice(key: str, value: Any, options: list[str]) -> None:
    name = "null" if value is None else str(value)
    if name not in options:
        near = closest(name, options)
        raise ConfigError(f"{key} is one of: {', '.join(options)}", value, setting(key, near) if near else example(key))


def _check_bounds(key: str, value: Any, bounds: dict[str, float]) -> None:
    if value is None or isinstance(value, bool):
        return
    finite = isinstance(value, int | float) and math.isfinite(value)
    if not finite or not all(_BOUNDS[name][0](value, bound) for name, bound in bounds.items()):
        law = " and ".join(f"{_BOUNDS[name][1]} {bound}" for name, bound in bounds.items())
        raise ConfigError(f"{key} must be a number {law}", value, example(key))


def _wanted(field: Any) -> str:
    """A field's type in words."""
    kind = re.sub(r"<class '(.*)'>", r"\1", str(field.type))
    if kind.startswith("tuple"):
        return f"a list of {len(get_args(field.type))} numbers"
    words = next((word for start, word in _TYPES.items() if kind.startswith(start)), "text")
    return words + (" or null" if "None" in kind else "")


def _check_together(cfg: Config) -> None:
    """Laws that hold between keys."""
    _check_objective(cfg)
    _check_end(cfg)
    _check_trainer(cfg)
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
    if metric.startswith("val/") and cfg.data.get("val_fraction") == 0:
        law = f"objective.metric={metric} needs a validation split"
        raise ConfigError(law, "data.val_fraction=0", "objective.metric=train/loss")


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
    for key in ("limit_train_batches", "limit_val_batches", "limit_test_batches", "overfit_batches"):
        value = getattr(trainer, key)
        if isinstance(value, float) and value > 1:
            law = f"trainer.{key} is a share from 0.0 to 1.0, or a whole number of batches"
            raise ConfigError(law, value, f"trainer.{key}={math.ceil(value)}")
    if trainer.precision.startswith("16") and trainer.gradient_clip_val and cfg.optimizer.get("fused"):
        law = f"optimizer.fused=true cannot clip gradients under trainer.precision={trainer.precision}"
        raise ConfigError(law, f"trainer.gradient_clip_val={trainer.gradient_clip_val}", "optimizer.fused=null")


def _check_data(data: DictConfig) -> None:
    if data._target_ == "src.data.table.Table":
        from src.data.frame import read_table  # polars is imported for a table only

        rows = read_table(data.path, data.target, data.features).num_rows
    else:
        rows = data.get("num_rows") or {"Diabetes": 442, "Linnerud": 20}[data._target_.rsplit(".", 1)[-1]]
    split_sizes(rows, data.val_fraction, data.test_fraction)


def _null(value: Any) -> str:
    return "null" if value is None else str(value)
