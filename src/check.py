"""From a composed config to a checked one: every key known, every type and range right, or a `ConfigError`."""

import importlib.util
import math
import re
from dataclasses import fields, is_dataclass
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException, ValidationError

from src.config import TARGETS, Config
from src.data.split import split_sizes
from src.errors import ConfigError, closest, die, unknown_key

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
        # Hydra turns a callback's exceptions into warnings, but lets SystemExit through.
        try:
            check(config)
        except ConfigError as error:
            die(error)


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
            values[field.name] = OmegaConf.to_object(_typed(field.type, _mapping(field.name, node), field.name))
    plain = {field.name: _node(cfg, field.name) for field in fields(Config) if field.name not in values}
    values |= {name: _typed(Config, OmegaConf.create(plain), "")[name] for name in plain}
    checked = Config(**values)
    _check_together(checked)
    return checked


def _node(cfg: DictConfig, name: str) -> Any:
    """A part of the config with its interpolations resolved."""
    try:
        node = OmegaConf.select(cfg, name, throw_on_missing=True)
        return OmegaConf.create(OmegaConf.to_container(node, resolve=True)) if OmegaConf.is_config(node) else node
    except OmegaConfBaseException as error:
        law = f"{error.full_key or name} could not be worked out: {str(error).splitlines()[0]}"
        raise ConfigError(law) from error


def _mapping(name: str, node: Any) -> DictConfig:
    if not isinstance(node, DictConfig):
        raise ConfigError(f"{name} must be chosen, or hold its keys", node, f"python -m src.train {name}=…   (--help)")
    return node


def _group(name: str, node: Any) -> DictConfig:
    """Checks a part of the config that names a class by `_target_`."""
    node = _mapping(name, node)
    if "_target_" not in node:
        raise ConfigError(f"{name}._target_ must name a class", dict(node), f"{name}={_first_option(name)}")
    target = node["_target_"]
    if target in TARGETS[name]:
        typed = _typed(TARGETS[name][target], node, name)
        return OmegaConf.create(OmegaConf.to_container(typed))
    _check_target(name, str(target))
    return node


def _first_option(name: str) -> str:
    return {"model": "two_layer_net", "data": "diabetes", "loss": "mse", "optimizer": "adam"}.get(name, "none")


def _check_target(name: str, target: str) -> None:
    """A user's own class: its package must be there; the class itself is looked up when the run is built."""
    module = target.rpartition(".")[0]
    package = module.split(".")[0]
    # find_spec of a dotted name imports its parents: fine for our own light packages, not for torch.
    if not module or not importlib.util.find_spec(module if package == "src" else package):
        near = closest(target, [str(known) for known in TARGETS[name]])
        raise ConfigError(f"{name}._target_ must name a class that can be imported", target, near or "package.Class")


def _typed(schema: Any, node: DictConfig, prefix: str) -> DictConfig:
    """Merges values into a schema: unknown keys, wrong types, missing values, ranges."""
    dotted = f"{prefix}." if prefix else ""
    base = OmegaConf.structured(schema)
    names = {field.name for field in fields(schema)}
    for key in node:
        if key not in names:
            raise unknown_key(f"{dotted}{key}")
        try:
            base[key] = node[key]
        except (ValidationError, ConfigKeyError) as error:
            raise ConfigError(f"{dotted}{key} must be {_wanted(schema, str(key))}", node[key]) from error
    for field in fields(schema):
        if prefix or field.name in node:
            _check_field(f"{dotted}{field.name}", base, field)
    return base


def _check_field(key: str, node: DictConfig, field: Any) -> None:
    if OmegaConf.is_missing(node, field.name):
        raise ConfigError(f"{key} is missing: it must be given a value", remedy=f"{key}=…")
    value = node[field.name]
    options = field.metadata.get("options")
    if options and value not in options:
        near = closest(str(value), [str(option) for option in options])
        law = f"{key} is one of: {', '.join('null' if option is None else option for option in options)}"
        raise ConfigError(law, value, f"{key}={near or options[0]}")
    if bounds := field.metadata.get("bounds"):
        for number in value if OmegaConf.is_list(value) else [value]:
            _check_bounds(key, number, bounds)


def _check_bounds(key: str, value: Any, bounds: dict[str, float]) -> None:
    if value is None or isinstance(value, bool):
        return
    law = " and ".join(f"{_BOUNDS[name][1]} {bound}" for name, bound in bounds.items())
    finite = isinstance(value, int | float) and math.isfinite(value)
    if not finite or not all(_BOUNDS[name][0](value, bound) for name, bound in bounds.items()):
        raise ConfigError(f"{key} must be a number {law}", value)


def _wanted(schema: Any, key: str) -> str:
    """A field's type in words."""
    kind = str(next(field.type for field in fields(schema) if field.name == key))
    name = re.sub(r"<class '(.*)'>", r"\1", kind)
    words = next((word for start, word in _TYPES.items() if name.startswith(start)), "text")
    return words + (" or null" if "None" in name else "")


def _check_together(cfg: Config) -> None:
    """Laws that hold between keys."""
    _check_objective(cfg)
    _check_trainer(cfg)
    if cfg.optimizer.get("nesterov") and not cfg.optimizer.get("momentum"):
        raise ConfigError("optimizer.nesterov needs optimizer.momentum above 0", remedy="optimizer.momentum=0.9")
    if cfg.data._target_ in TARGETS["data"]:
        _check_data(cfg.data)


def _check_objective(cfg: Config) -> None:
    metric = cfg.objective.metric
    if not re.fullmatch(r"(train|val)/\w+", metric):
        law = "objective.metric is a training or validation metric (the test split judges a run once, at its end)"
        raise ConfigError(law, metric, "objective.metric=val/loss")
    if metric.startswith("val/") and cfg.data.get("val_fraction") == 0:
        raise ConfigError(f"objective.metric={metric} needs a validation split", "data.val_fraction=0", "objective.metric=train/loss")


def _check_trainer(cfg: Config) -> None:
    trainer = cfg.trainer
    if trainer.max_epochs in (None, -1) and trainer.max_steps == -1 and trainer.max_time is None:
        raise ConfigError("a run needs an end: trainer.max_epochs, trainer.max_steps or trainer.max_time", remedy="trainer.max_epochs=100")
    if trainer.max_epochs == 0 or trainer.max_steps == 0:
        raise ConfigError("a run takes at least one epoch and one step", remedy="trainer.max_epochs=100")
    if trainer.max_time is not None and not re.fullmatch(r"\d+:\d\d:\d\d:\d\d", trainer.max_time):
        raise ConfigError("trainer.max_time is days:hours:minutes:seconds", trainer.max_time, "trainer.max_time=00:01:30:00")
    devices = trainer.devices
    parts = devices if isinstance(devices, list) else [devices]
    whole = [str(part).lstrip("-").isdigit() and str(part) != "0" or isinstance(devices, list) and part == 0 for part in parts]
    if devices != "auto" and (not parts or not all(whole)):
        raise ConfigError("trainer.devices is auto, how many, or a list of device numbers", devices, "trainer.devices=1")
    if trainer.precision.startswith("16") and trainer.gradient_clip_val and cfg.optimizer.get("fused"):
        law = "a fused optimizer cannot clip gradients under trainer.precision=16-mixed"
        raise ConfigError(law, remedy="optimizer.fused=null   (or trainer.precision=bf16-mixed)")


def _check_data(data: DictConfig) -> None:
    if data._target_ == "src.data.table.Table":
        from src.data.frame import read_table  # polars is imported for a table only

        rows = read_table(data.path, data.target, data.features).num_rows
    else:
        rows = data.get("num_rows") or {"Diabetes": 442, "Linnerud": 20}[data._target_.rsplit(".", 1)[-1]]
    split_sizes(rows, data.val_fraction, data.test_fraction)
