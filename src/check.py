"""From a composed config to a checked one: every key known, every type and range right, or a `ConfigError`."""

import math
import re
from dataclasses import field, fields, is_dataclass, make_dataclass
from functools import cache
from typing import Any, get_args

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import (
    ConfigKeyError,
    MissingMandatoryValue,
    OmegaConfBaseException,
    ValidationError,
)

from src.config import Config
from src.errors import Carried, ConfigError
from src.groups import TARGETS
from src.laws import check_together
from src.suggest import GROUPS, closest, example, known_keys, right, setting, unknown_key
from src.targets import A_CALLBACK, check_target

_TYPES = {"int": "a whole number", "float": "a number", "bool": "true or false", "list": "a list", "tuple": "a list"}
_BOUNDS = {
    "at_least": (lambda value, bound: value >= bound, "at least"),
    "above": (lambda value, bound: value > bound, "above"),
    "at_most": (lambda value, bound: value <= bound, "at most"),
    "below": (lambda value, bound: value < bound, "below"),
}


def check(cfg: DictConfig) -> Config:
    """Checks a composed config.

    Args:
        cfg: what Hydra composed, with or without its own `hydra` node.

    Returns:
        The same values, typed.

    Raises:
        ConfigError: at the first key that is unknown, missing, of the wrong type or out of range.
    """
    return check_values(_values(cfg))


def typed(cfg: DictConfig) -> Config:
    """The same without the laws between keys: they ask for the data, which may have gone since a run was trained.

    Raises:
        ConfigError: as `check` does.
    """
    return _typed(_values(cfg))[0]


def _values(cfg: DictConfig) -> dict[str, Any]:
    for name in cfg:
        if name not in _PARTS and name != "hydra":
            raise unknown_key(str(name))
    return {name: resolved(cfg, name) for name in _PARTS}


def _typed(values: dict[str, Any]) -> tuple[Config, dict[str, str]]:
    """The typed config, and each part as text."""
    texts = {name: repr(values.get(name)) for name in _PARTS}
    return Config(**{name: _checked(name, text, values.get(name)) for name, text in texts.items()}), texts


def check_values(values: dict[str, Any]) -> Config:
    """Checks a config that is resolved already, given as plain values.

    The trials of a sweep differ in a few values: a part that was checked before is not checked again.

    Raises:
        ConfigError: as `check` does.
    """
    checked, texts = _typed(values)
    if (together := tuple(text for name, text in texts.items() if name != "seed")) not in _lawful:
        check_together(checked)
        _lawful.add(together)
    return checked


_PARTS = {part.name: part for part in fields(Config)}
_lawful: set[tuple[str, ...]] = set()


_known: dict[tuple[str, str], Any] = {}
_MOST_KNOWN = 10_000


def _checked(name: str, text: str, value: Any) -> Any:
    """One part of the config; `text` tells its values from others, keys that are numbers from text too."""
    if (name, text) not in _known:
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        _known[name, text] = _check_part(name, value)
    return _known[name, text]


def _check_part(name: str, value: Any) -> Any:
    part = _PARTS[name]
    node = OmegaConf.create(value) if isinstance(value, dict) else value
    if name in TARGETS:
        return _group(name, node)
    if name == "callbacks":
        return _callbacks(node)
    if is_dataclass(part.type):
        return OmegaConf.to_object(into_schema(part.type, _mapping(name, node), name))
    return into_schema(_alone(name), OmegaConf.create({name: value}), "")[name]


@cache
def _alone(name: str) -> type:
    """A schema of one top-level key: a hundred seeds are checked without building the whole schema for each."""
    known = _PARTS[name]
    return make_dataclass("Alone", [(name, known.type, field(default=known.default, metadata=known.metadata))])


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
    known = {part.name: part for part in fields(schema)}
    given = [str(key) for key in node]  # `in node` does not see a missing value
    for key in given:
        if key not in known:
            raise unknown_key(f"{dotted}{key}")
        if not OmegaConf.is_missing(node, key):
            _assign(f"{dotted}{key}", base, known[key], node[key])
    for part in fields(schema):
        if prefix or part.name in given:
            _check_field(f"{dotted}{part.name}", base, part)
    return base


def takes(schema: Any, name: str, value: Any) -> bool:
    """Whether a key of a schema takes a value."""
    if name not in {part.name for part in fields(schema)}:
        return False
    try:
        into_schema(schema, OmegaConf.create({name: value}), "")
    except (ConfigError, OmegaConfBaseException):
        return False
    return True


def _assign(key: str, base: DictConfig, field: Any, value: Any) -> None:
    try:
        if field.type is bool and value not in (0, 1, None) and not isinstance(value, str):
            raise ValidationError("OmegaConf would take any number for true")
        nested = is_dataclass(field.type) and isinstance(value, DictConfig)
        base[field.name] = into_schema(field.type, value, key) if nested else value
    except (ValidationError, ConfigKeyError) as error:
        wanted = _wanted(field)
        remedy = example(key)
        if wanted.startswith("a whole number") and isinstance(value, float) and value.is_integer():
            remedy = setting(key, int(value))
        if wanted.startswith("a list") and "numbers" not in wanted and isinstance(value, str | int):
            remedy = setting(key, [value])
        raise ConfigError(f"{key} must be {wanted}", value, remedy) from error


def resolved(cfg: DictConfig, name: str) -> Any:
    """A part of the config as plain values, its interpolations resolved."""
    try:
        node = OmegaConf.select(cfg, name, throw_on_missing=True)
        return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
    except MissingMandatoryValue as error:
        raise ConfigError(f"{name} is missing: it must be given a value", remedy=example(name)) from error
    except Carried as carried:
        if not isinstance(carried.error, RecursionError):
            raise
        law = f"{name}: ${{key:}} stands for all of the config, and cannot be a part of it"
        raise ConfigError(law, remedy=example(name)) from carried
    except OmegaConfBaseException as error:
        key = str(error.full_key or name)
        raise unresolved(key, error, example(key)) from error


def unresolved(key: str, error: Exception, remedy: str) -> ConfigError:
    """The error for an interpolation that leads nowhere."""
    law = f"{key} must refer to a key that is there, and have a value that can be worked out"
    return ConfigError(law, str(error).splitlines()[0], remedy)


def _mapping(name: str, node: Any) -> DictConfig:
    if isinstance(node, DictConfig):
        return node
    if name in GROUPS:
        raise ConfigError(f"{name} must be chosen", node, example(name))
    keys = [key for key in known_keys() if key.startswith(f"{name}.")]
    raise ConfigError(f"{name} is not a value: it holds {', '.join(keys)}", node, right(keys[0], str(node)))


def _group(name: str, node: Any) -> DictConfig:
    """Checks a part of the config that names a class by `_target_`."""
    node = _mapping(name, node)
    if "_target_" not in node:
        raise ConfigError(f"{name}._target_ must name a class", OmegaConf.to_container(node), example(name))
    target = node["_target_"]
    if target in TARGETS[name]:
        return DictConfig(OmegaConf.to_container(into_schema(TARGETS[name][target], node, name)))
    from src.targets import check_target  # for classes of the user's own only

    check_target(name, node)
    return node


def _callbacks(node: Any) -> DictConfig:
    """Checks what callbacks are named; one that is null is left out."""
    if node is not None and not isinstance(node, DictConfig):
        raise ConfigError("callbacks holds classes by names of your own", node, A_CALLBACK)
    given = {str(name): value for name, value in (node or {}).items() if value is not None}
    for name, value in given.items():
        if not isinstance(value, DictConfig) or "_target_" not in value:
            got = f"callbacks.{name}={OmegaConf.to_container(value) if OmegaConf.is_config(value) else value}"
            raise ConfigError(f"callbacks.{name}._target_ must name a class", got, A_CALLBACK)
        check_target(f"callbacks.{name}", value)
    return DictConfig(given)


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
