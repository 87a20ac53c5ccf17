"""What a folder that somebody sent may name: classes that cannot run what the sender wrote.

A config names classes, and Python runs whatever a name leads to. Of a config that lies in a folder only these are made:
nets, losses, optimizers, schedulers, callbacks and metrics of torch, Lightning and torchmetrics, and classes whose
source lies in this checkout. All else is a claim, and is refused unless this user trained with it (`src.own`) or says
`trust=<name>`. Claims are found in the text alone: nothing is imported, and no environment variable is read.
"""

import ast
import importlib.util
import json
import re
import shlex
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import ListConfig
from yaml import YAMLError

from src.bounded import check_links, read_json, read_yaml
from src.errors import ConfigError
from src.own import is_signed, sign
from src.record import replace_file

ROOT = Path(__file__).resolve().parent.parent
_SIGNED = Path(".hydra") / "own.json"
_LIBRARIES = re.compile(
    r"(torch\.nn\.(modules\.\w+\.)?"
    r"|torch\.optim\.(\w+\.)?"
    r"|lightning\.pytorch\.callbacks\.(\w+\.)?"
    r"|torchmetrics\.(\w+\.)*"
    r"|optuna\.(samplers|pruners)\.)[A-Z]\w*"
)
_PLAIN = re.compile(r"\$\{\.*[\w.\[\]]+\}")  # another key of the same config
_OURS = re.compile(r"\$\{mode:[\w.]*\}")  # conf/scheduler/plateau.yaml
_RESOLVER = re.compile(r"\$\{([^${}:]*):?")
_PLACES = re.compile(r"dir|path|file|root", re.IGNORECASE)


def check_trusted(folder: Path, trusted: Sequence[str], again: Sequence[str]) -> None:
    """Refuses a run folder that is not this user's own, and whose config could run what its sender wrote.

    Args:
        folder: the run's.
        trusted: packages, classes and resolvers that the user named.
        again: the words of the command, to which the remedy is added.

    Raises:
        ConfigError: at the first claim.
    """
    config = folder / ".hydra" / "config.yaml"
    if not config.is_file():
        return  # which is told where it is read
    check_links(folder)
    try:
        found = list(claims(read_yaml(config)))
    except (OSError, ValueError, YAMLError) as error:
        problem = " ".join(str(error).split())
        raise ConfigError(f"{config} must be a config as a run leaves it", problem, "ls outputs/runs") from error
    unknown = [claim for claim in found if not is_trusted(claim, trusted)]
    if unknown and not _is_own(folder, found):
        law = f"{folder} is not a run of yours on this machine, and its config names what could run any code"
        remedy = shlex.join([*again, f"trust={name_of(unknown[0])}"])
        raise ConfigError(law, unknown[0], f"{remedy}   # if you trust it")


def without_trust(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """A command's words without those that say `trust=`, and what these name."""
    named = [word for word in argv if word.startswith("trust=")]
    return [word for word in argv if word not in named], [name for word in named for name in names_in(word[6:])]


def names_in(given: Any) -> list[str]:
    """What `trust=` names: one package, class or resolver, or a list of them."""
    texts = given if isinstance(given, list | ListConfig) else str(given or "").strip("[]").split(",")
    return [str(text).strip() for text in texts]


def sign_config(folder: Path, values: Any) -> None:
    """Says in a run's folder that the user of this machine chose what its config names; nothing where all is known."""
    if found := list(claims(values)):
        replace_file(folder / _SIGNED, json.dumps({"own": sign(_text(found))}) + "\n")


def may_claim(text: str) -> bool:
    """Whether a config, as YAML has it in block style, may hold claims: of thousands of trials few do."""
    targets = [target for target in _TARGET.findall(text) if target != "null"]
    return "${" in text or "\ncallbacks: {}" not in text or not all(map(_is_known, targets))


_TARGET = re.compile(r"_target_: *(.*)")


def _is_own(folder: Path, found: Sequence[str]) -> bool:
    try:
        signed = read_json(folder / _SIGNED)
    except (OSError, ValueError):
        return False
    return isinstance(signed, dict) and is_signed(_text(found), signed.get("own"))


def _text(found: Sequence[str]) -> str:
    """Claims with the files that they lead to now: a class of the same name elsewhere is another one."""
    names = sorted(set(found))
    return json.dumps([[name, str(_origin(name_of(name)))] for name in names])


def name_of(claim: str) -> str:
    """What `trust=` takes for a claim."""
    return claim.rpartition("=")[2] if "_target_=" in claim else _resolver(claim) or claim.partition("=")[0]


def _resolver(claim: str) -> str:
    unknown = _RESOLVER.findall(_OURS.sub("", _PLAIN.sub("", claim)))
    return unknown[-1] if unknown else ""


def is_trusted(claim: str, trusted: Sequence[str]) -> bool:
    """Whether the user named it, or a package that it is in."""
    name = name_of(claim)
    return any(name == known or name.startswith(f"{known}.") for known in trusted if known)


def claims(value: Any, key: str = "") -> Iterator[str]:
    """What in a config could run code, read a variable or write elsewhere, each as `key=value`."""
    if isinstance(value, dict):
        for name, part in value.items():
            if "${" in str(name):
                yield f"{key}.{name}"
            yield from claims(part, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list):
        for place, part in enumerate(value):
            yield from claims(part, f"{key}[{place}]")
    elif key.endswith("_target_"):
        if value is not None and not _is_known(str(value)):
            yield f"{key}={value}"
    elif isinstance(value, str):
        writes = key.startswith("callbacks.") and _PLACES.search(key.rpartition(".")[2])
        if writes or "${" in _OURS.sub("", _PLAIN.sub("", value)):
            yield f"{key}={value}"


@cache
def _is_known(target: str) -> bool:
    """Whether a class cannot do more than be a part of a training."""
    if _LIBRARIES.fullmatch(target):
        return True
    module, _, name = target.rpartition(".")
    file = _own_file(module)
    return file is not None and _defines(file, name)


def _own_file(module: str) -> Path | None:
    """The source of a module of this checkout, where Python would find it; None for what runs or packages left."""
    origin = _origin(module)
    if origin is None or not origin.is_relative_to(ROOT):
        return None
    file = ROOT.joinpath(*module.split("."))
    file = file / "__init__.py" if file.is_dir() else file.with_suffix(".py")
    inside = file.resolve()
    if not inside.is_file() or not inside.is_relative_to(ROOT):
        return None
    parts = inside.relative_to(ROOT).parts
    foreign = any(part in ("outputs", "site-packages") or part.startswith(".") for part in parts)
    above = [folder for folder in inside.parents if folder.is_relative_to(ROOT)]
    return None if foreign or any(is_left(folder) for folder in above) else inside


def is_left(folder: Path) -> bool:
    """Whether a folder is a run's or a sweep's: data, and no place for code."""
    return any((folder / name).exists() for name in ("record.json", "sweep.json", ".hydra"))


def _origin(module: str) -> Path | None:
    """Where Python would find a module's package, without an import of it."""
    try:
        spec = importlib.util.find_spec(module.partition(".")[0])
    except (ImportError, ValueError):
        return None
    places = (
        [spec.origin] if spec and spec.has_location else list(spec.submodule_search_locations or []) if spec else []
    )
    return Path(places[0]).resolve() if places and places[0] else None


def _defines(file: Path, name: str) -> bool:
    """Whether a source defines a class that is one of something: a net, a dataset, a callback, and no mere function."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return False
    return any(isinstance(node, ast.ClassDef) and node.name == name and node.bases for node in tree.body)
