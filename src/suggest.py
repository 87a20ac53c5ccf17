"""What an error suggests: the key that was probably meant, a value that is right, as one types it."""

import re
import shlex
import sys
from collections.abc import Iterable
from dataclasses import fields
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from src import overrides
from src.commands import command
from src.config import Config
from src.errors import ConfigError
from src.groups import TARGETS

CONF = Path(__file__).parent.parent / "conf"
_ALSO = {
    "learning_rate": "lr",
    "wd": "weight_decay",
    "gpus": "devices",
    "hidden_size": "hidden_dim",
    "n_trials": "num_trials",
    "max_trials": "num_trials",
    "trials": "num_trials",
    "n_jobs": "workers",
}
"""What other libraries call a key, where no spelling is near."""
ENTRY = Path(sys.argv[0]).stem if (CONF / f"{Path(sys.argv[0]).stem}.yaml").is_file() else "train"
COMMAND = command(ENTRY)
_FOLDERS = sorted(path.name for path in CONF.iterdir() if path.is_dir() and path.name != "hydra")
GROUPS = [*_FOLDERS, "experiment"] if ENTRY == "train" else []
ONE_OF = [group for group in GROUPS if group not in ("debug", "experiment")]
"""Groups whose options exclude one another."""


def closest(word: str, among: Iterable[str]) -> str | None:
    """The one most like `word`, by its whole name or by its last part; None where none is near."""
    names = {option.lower(): option for option in among}
    group, _, leaf = word.lower().rpartition(".")
    near = get_close_matches(word.lower(), names, n=1, cutoff=0.75)
    for pool in ([name for name in names if name.startswith(f"{group}.")], list(names)):
        leaves = {name.rsplit(".", 1)[-1]: name for name in reversed(pool)}
        parts = [part for part in leaves if len(leaf) > 1 and leaf in part]
        near = near or [leaves[part] for part in get_close_matches(leaf, leaves, n=1, cutoff=0.65) or parts]
    return names[near[0]] if near else None


def setting(key: str, value: Any) -> str:
    """A setting as it is typed in a shell, with quotes where Hydra needs them; the value `…` stands for any."""
    return f"{key}=…" if value == "…" else shlex.quote(overrides.written(key, value))


def right(key: str, text: str) -> str:
    """A setting that is right: the value as it was typed, or an example where the key does not take that."""
    if text == "…" or not is_known(key):
        return f"{key}=…" if text == "…" else shlex.quote(f"{key}={text}")
    if key in GROUPS and not fits(key, text):
        return choose(key, text)
    return shlex.quote(f"{key}={text}") if fits(key, text) else example(key)


def example(key: str) -> str:
    """A setting that is right: the value that `conf/` gives to `key`, or to the key that it follows."""
    if key in GROUPS:
        return choose(key)
    group, _, leaf = key.partition(".")
    main = _load(ENTRY)
    nodes = [main.get(group), *(_load(f"{group}/{option}") for option in (default(group), *options(group)) if option)]
    values = [node[leaf] for node in nodes if isinstance(node, dict) and leaf in node]
    value = [*values, main.get(key, "…")][0]
    followed = re.fullmatch(r"\$\{([\w.]+)\}", str(value))
    return example(followed[1]) if followed else setting(key, "…" if value == "???" else value)


def unknown_key(key: str, among: Iterable[str] = ()) -> ConfigError:
    """The error for a key that the config does not have, with the one that was probably meant.

    Args:
        key: as it was typed.
        among: keys that the config has besides those of the schema.
    """
    if key.startswith("callbacks."):
        return ConfigError(f"{key} is new to the config, and + adds it", typed(key), shlex.quote(f"+{typed(key)}"))
    word = typed(key)
    value = word.partition("=")[2] or "…"
    law = f"there is no config key {key}"
    if "/" in key and key.replace("/", ".") in settable_keys():
        return ConfigError("a key stands behind its group with a dot", word, right(key.replace("/", "."), value))
    if GROUPS and chosen_by(key):
        return _of_another_option(key, word, value)
    part = "hydra" if re.match("hydra[./]", key) else "job"
    near = nearest_key(key, among)
    return ConfigError(law, word, right(near, value) if near else f"{COMMAND} --cfg {part}   # shows every key")


def _of_another_option(key: str, word: str, value: str) -> ConfigError:
    group, option = chosen_by(key)  # type: ignore[misc]
    law = f"{key} is not a key of the chosen {group}; {group}={option} has it"
    part, _, leaf = key.rpartition(".")
    if part == "hydra.sweeper.sampler" and leaf in _load("hydra/sweeper/optuna"):
        key = f"hydra.sweeper.{leaf}"  # the sampler's only by its name
    others = [f"{group}.{name}" for name, given in _load(f"{group}/{option}").items() if given == "???"]
    missing = [f"{other}=…" for other in others if other != key and not overrides.typed(other)]
    remedy = right(key, value) if is_known(key) else shlex.quote(f"{key}={value}")
    return ConfigError(law, word, " ".join([f"{group}={option}", remedy, *missing]))


def chosen_by(key: str) -> tuple[str, str] | None:
    """The group and its option with which there is this key; None where no option has it."""
    path, _, leaf = key.replace(".", "/").rpartition("/")
    if path.startswith("hydra/sweeper/") and "optuna" not in _chosen("hydra/sweeper"):
        path, leaf = "hydra/sweeper", path.split("/")[2]  # what it belongs to is missing first of all
    group = path if path.startswith("hydra/") else path.replace("/", ".")
    found = sorted(file.stem for file in (CONF / path).glob("*.yaml")) if path and not has_own_class(group) else []
    others = [option for option in found if option not in _chosen(group) and _offers(f"{path}/{option}", leaf)]
    return (group, others[0]) if others else None


def has_own_class(group: str) -> bool:
    """Whether a group names a class whose keys are not known: one of the user's, or another of a library's."""
    if group not in TARGETS or not GROUPS:
        return False
    targets = [value for word in overrides.typed(f"{group}._target_") for value in overrides.values(word)]
    own = [option for option in _chosen(group) if option not in options(group)]
    return bool(own or [target for target in targets if target not in TARGETS.get(group, {})])


def _chosen(group: str) -> list[Any]:
    """The options of a group that were typed, or its default."""
    return [value for word in overrides.typed(group) for value in overrides.values(word)] or [default(group)]


def _offers(name: str, leaf: str) -> bool:
    """Whether a file of `conf/` has the key, or the group."""
    node = _load(name)
    return leaf in node or any(leaf in entry for entry in node.get("defaults", []) if isinstance(entry, dict))


def nearest_key(key: str, among: Iterable[str] = ()) -> str | None:
    """The key or group that was probably meant; None where none is near."""
    group, _, leaf = key.rpartition(".")
    own = [] if key.startswith("hydra.") else [*settable_keys(), *GROUPS]
    return closest(f"{group}.{_ALSO.get(leaf, leaf)}".lstrip("."), [*own, *among])


def meant(key: str) -> str:
    """The key that was probably meant where it is known to be none: `key` itself where that may be one."""
    return key if may_be(key) else nearest_key(key) or key


def may_be(key: str) -> bool:
    """Whether a key may be in the config, as far as that is known without composing it."""
    group = key.rpartition(".")[0]
    return is_known(key) or bool(re.match("[+~]|hydra[./]", key)) or has_own_class(group)


def is_known(key: str) -> bool:
    """Whether there is such a key, or such a group, in what the project itself configures."""
    return key in settable_keys() or key in GROUPS


def choose(group: str, option: str = "", among: Iterable[str] = ()) -> str:
    """A group's setting that is right: the option most like `option`, or else its default."""
    among = list(among) or options(group)
    name = Path(option).name.removesuffix(".yaml")
    return setting(group, closest(name, among) or default(group) or next(iter(among), "…"))


def options(group: str) -> list[str]:
    """The options that a group has in `conf/`."""
    if group == "experiment":
        return sorted(path.parent.name for path in CONF.parent.glob("experiments/*/config.yaml"))
    return sorted(path.stem for path in (CONF / group).glob("*.yaml")) if group in GROUPS else []


def default(group: str) -> str | None:
    """The option that a group has where none is chosen."""
    entries = [entry for entry in _load(ENTRY)["defaults"] if isinstance(entry, dict)]
    return next((entry[group] for entry in entries if group in entry), None)


def typed(key: str) -> str:
    """The setting of `key`, as it was typed."""
    return next((str(word.input_line) for word in reversed(overrides.typed(key))), key)


def settable_keys() -> list[str]:
    """The keys that can be set one by one."""
    if ENTRY == "train":
        keys = list(known_keys())
    else:
        main = _load(ENTRY)
        keys = [*main, *(f"{group}.{leaf}" for group, node in main.items() if isinstance(node, dict) for leaf in node)]
    return [key for key in keys if not any(other.startswith(f"{key}.") for other in keys)]


def fits(key: str, text: str) -> bool:
    """Whether a key may take a value, or all the values of a sweep, as one types them."""
    from src.check import takes  # it uses what is here

    override = overrides.parsed(f"{key}={text}")
    if override is None:
        return False
    leaf, schemas = key.rpartition(".")[2], known_keys().get(key, [])
    values = overrides.values(override)
    if key in GROUPS:
        return all(value in options(key) for value in values)
    return all(any(takes(schema, leaf, value) for schema in schemas) for value in values) if schemas else True


def known_keys() -> dict[str, list[Any]]:
    """Every key of the schema, such as `optimizer.lr`, with the classes that have it."""
    keys: dict[str, list[Any]] = {}
    for top in fields(Config):
        nested: list[Any] = list(TARGETS.get(top.name, {}).values()) or [top.type]
        keys.setdefault(top.name, []).append(Config)
        for schema in nested:
            for leaf in getattr(schema, "__dataclass_fields__", ()):
                keys.setdefault(f"{top.name}.{leaf}", []).append(schema)
    return keys


@cache
def _load(name: str) -> dict[str, Any]:
    node = OmegaConf.to_container(OmegaConf.load(CONF / f"{name}.yaml"))
    assert isinstance(node, dict)
    return {str(key): value for key, value in node.items()}
