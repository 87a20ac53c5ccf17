"""A config error, and what it suggests: the key that was probably meant, a value that is right, as one types it."""

import json
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

from src.config import Config
from src.groups import TARGETS
from src.secrecy import hidden

_UNSET: Any = object()
_CONF = Path(__file__).parent.parent / "conf"
_ALSO = {"learning_rate": "lr", "wd": "weight_decay", "gpus": "devices", "hidden_size": "hidden_dim"}
"""What other libraries call a key, where no spelling is near."""
ENTRY = Path(sys.argv[0]).stem if (_CONF / f"{Path(sys.argv[0]).stem}.yaml").is_file() else "train"
COMMAND = f"python -m src.{ENTRY}"
GROUPS = [*sorted(path.name for path in _CONF.iterdir() if path.is_dir() and path.name != "hydra"), "experiment"]


class ConfigError(Exception):
    """A mistake in what the user typed or configured.

    Args:
        law: what must hold, naming the config key.
        got: the value received.
        remedy: what to type instead.
    """

    def __init__(self, law: str, got: Any = _UNSET, remedy: str = "") -> None:
        lines = [f"error: {law}"]
        if got is not _UNSET:
            lines.append(f"  got: {_shown(got)}")
        if remedy:
            lines.append(f"  try: {remedy}")
        super().__init__(hidden("\n".join(lines)))


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
    """A setting as it is typed in a shell; the value `…` stands for any."""
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return f"{key}=…" if text == "…" else shlex.quote(f"{key}={text}")


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


def unknown_key(key: str) -> ConfigError:
    """The error for a key that the config does not have, with the one that was probably meant."""
    if key.startswith("callbacks."):
        return ConfigError(f"{key} is new to the config, and + adds it", typed(key), shlex.quote(f"+{typed(key)}"))
    path, _, leaf = key.replace(".", "/").rpartition("/")
    if path.startswith("hydra/sweeper/") and "hydra/sweeper=optuna" not in sys.argv:
        path, leaf = "hydra/sweeper", path.split("/")[2]  # what it belongs to is missing first of all
    group = path if path.startswith("hydra/") else path.replace("/", ".")
    word = typed(key)
    value = word.partition("=")[2] or "…"
    found = sorted(file.stem for file in (_CONF / path).glob("*.yaml")) if path else []
    if option := next((option for option in found if _offers(f"{path}/{option}", leaf)), None):
        law = f"{key} is not a key of the chosen {group}; {group}={option} has it"
        return ConfigError(law, word, f"{group}={option} {setting(key, value)}")
    part = "hydra" if group.startswith("hydra") else "job"
    near = nearest_key(key) if part == "job" else None
    remedy = f"{COMMAND} --cfg {part}   (shows every key)"
    if near:
        remedy = choose(near, value) if near in GROUPS else setting(near, value)
    return ConfigError(f"there is no config key {key}", word, remedy)


def _offers(name: str, leaf: str) -> bool:
    """Whether a file of `conf/` has the key, or the group."""
    node = _load(name)
    return leaf in node or any(leaf in entry for entry in node.get("defaults", []) if isinstance(entry, dict))


def nearest_key(key: str) -> str | None:
    """The key or group that was probably meant; None where none is near."""
    group, _, leaf = key.rpartition(".")
    return closest(f"{group}.{_ALSO.get(leaf, leaf)}".lstrip("."), [*settable_keys(), *GROUPS])


def choose(group: str, option: str = "", among: Iterable[str] = ()) -> str:
    """A group's setting that is right: the option most like `option`, or else its default."""
    among = list(among) or options(group)
    return f"{group}={closest(option, among) or default(group) or next(iter(among), '…')}"


def options(group: str) -> list[str]:
    """The options that a group has in `conf/`."""
    return sorted(path.stem for path in (_CONF / group).glob("*.yaml")) if group in GROUPS else []


def default(group: str) -> str | None:
    """The option that a group has where none is chosen."""
    entries = [entry for entry in _load(ENTRY)["defaults"] if isinstance(entry, dict)]
    return next((entry[group] for entry in entries if group in entry), None)


def typed(key: str) -> str:
    """The argument that sets `key`, as it was typed."""
    return next((word for word in sys.argv[1:] if re.split("=|@", word.lstrip("+~"))[0] == key), key)


def settable_keys() -> list[str]:
    """The keys that can be set one by one."""
    if ENTRY == "train":
        keys = list(known_keys())
    else:
        main = _load(ENTRY)
        keys = [*main, *(f"{group}.{leaf}" for group, node in main.items() if isinstance(node, dict) for leaf in node)]
    return [key for key in keys if not any(other.startswith(f"{key}.") for other in keys)]


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
    node = OmegaConf.to_container(OmegaConf.load(_CONF / f"{name}.yaml"))
    assert isinstance(node, dict)
    return {str(key): value for key, value in node.items()}


def _shown(value: Any) -> str:
    plain = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
    text = plain if isinstance(plain, str) and plain.strip() else json.dumps(plain, default=str, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= 120 else text[:117] + "..."
