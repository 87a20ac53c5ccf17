"""Classes of the user's own, or of a library: whether they are there and take what the config gives them.

All of it is read from their source, so that a mistake is found before torch is imported.
"""

import importlib.util
import os
import shlex
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from hydra._internal.target_policy import _authorize_target_name
from hydra.errors import InstantiationException
from omegaconf import DictConfig

from src import overrides, suggest
from src.errors import ConfigError
from src.groups import TARGETS
from src.signature import NotThereError, Signature, signature

_PLACES = {"optimizer": 1, "scheduler": 1}
"""Arguments that the code gives by their place: the weights, the optimizer."""
_NAMED = {"model": ("input_dim", "output_dim")}
"""Arguments that the code gives by their name."""
_OURS = {"scheduler": ("interval",)}
"""Keys that the code reads itself."""
A_CALLBACK = "'+callbacks.ema={_target_:lightning.pytorch.callbacks.EMAWeightAveraging,decay:0.99}'"


def check_target(group: str, node: DictConfig) -> None:
    """Checks a part of the config whose class is not one of the known ones.

    Raises:
        ConfigError: where the class is not there, is refused by Hydra, or does not take the keys.
    """
    target = str(node["_target_"])
    module = target.rpartition(".")[0]
    try:
        _authorize_target_name(target, target, group)
    except InstantiationException as error:
        law = f"{group}._target_ must not name what Hydra refuses to call"
        raise ConfigError(law, target, _example(group)) from error
    if not module or not _is_there(module):
        raise _not_there(group, target)
    try:
        takes = signature(target)
    except NotThereError as missing:
        names = [name for name in missing.names if name[:1] != "_"]
        raise _not_there(group, target, names, [str(key) for key in node]) from None
    # A scheduler that goes by steps is told how many there are.
    is_plain = "_args_" not in node and not target.endswith(".OneCycleLR")
    if takes is not None and is_plain:
        _check_arguments(group, target, [str(key) for key in node], takes)


def _not_there(group: str, target: str, own: Sequence[str] = (), keys: Sequence[str] = ()) -> ConfigError:
    """Names the class of the same module, or else of the known ones, that is spelled most alike."""
    module, _, name = target.rpartition(".")
    near = next(iter(get_close_matches(name, own, n=1, cutoff=0.6)), None)
    near = f"{module}.{near}" if near else suggest.closest(target, [known for known in TARGETS.get(group, {}) if known])
    takes = signature(near) if near and near not in TARGETS.get(group, {}) else None
    extra = [key for key in keys if key[:1] != "_" and key not in takes.names] if takes else []
    parts = [f"{group}._target_={near}", *(f"~{group}.{key}" for key in extra)]
    remedy = " ".join(parts) if near else f"{_example(group)}   # or the package.Class of your own"
    return ConfigError(f"{group}._target_ must name a class that can be imported", target, remedy)


def _example(group: str) -> str:
    return A_CALLBACK if group.startswith("callbacks.") else suggest.example(group)


def _is_there(module: str) -> bool:
    """Whether a module of ours, or another's package, is there; find_spec of a dotted name would import its parents."""
    package, *rest = module.split(".")
    if package != "src":
        return importlib.util.find_spec(package) is not None
    path = Path(__file__).parent.joinpath(*rest)
    return os.path.isdir(path) or os.path.isfile(f"{path}.py")


def _check_arguments(group: str, target: str, keys: Sequence[str], takes: Signature) -> None:
    ours = ("_target_", "_partial_", "_recursive_", "_convert_", *_OURS.get(group, ()))
    given = [key for key in keys if key not in ours]
    free = takes.names[_PLACES.get(group, 0) :]
    if group == "scheduler" and "optimizer" in takes.names:  # ChainedScheduler takes it last
        free = tuple(name for name in takes.names if name != "optimizer")
    if extra := [key for key in given if key not in free]:
        raise _not_taken(group, target, extra, [name for name in free if name not in given])
    if sizes := [name for name in _NAMED.get(group, ()) if name not in free]:
        law = f"{target} must take {' and '.join(sizes)}: a {group} is given the sizes of the data"
        raise ConfigError(law, f"{target}({', '.join(takes.names)})", f"def __init__(self, {', '.join(sizes)}, …)")
    known = (*given, *_NAMED.get(group, ()))
    if missing := [name for name in takes.required if name in free and name not in known]:
        law = f"{target} needs a value for {', '.join(missing)}"
        remedy = " ".join(f"+{group}.{name}=…" for name in missing)
        raise ConfigError(law, f"{', '.join(given) or 'nothing'}", remedy)


def _not_taken(group: str, target: str, extra: Sequence[str], free: Sequence[str]) -> ConfigError:
    """What was typed is spelled as the class has it, or left out; what came with the group's option is taken out."""
    law = f"{target} takes no {' or '.join(extra)}: it takes {', '.join(free) or 'nothing more'}"
    typed = [word for key in extra for word in overrides.typed(f"{group}.{key}")]
    if not typed:
        return ConfigError(law, f"{group}.{extra[0]}", " ".join(f"~{group}.{key}" for key in extra))
    word = str(typed[0].input_line)
    near = get_close_matches(typed[0].key_or_group.rpartition(".")[2], free, n=1, cutoff=0.6)
    names = {other.key_or_group for other in typed}
    untaken = [f"~{group}.{key}" for key in extra if f"{group}.{key}" not in names]
    others = shlex.join([*(other for other in sys.argv[1:] if other != word), *untaken])
    remedy = shlex.quote(f"+{group}.{near[0]}={word.partition('=')[2]}") if near else f"{suggest.COMMAND} {others}"
    return ConfigError(law, word, remedy)
