"""Reads what somebody else may have written: files of a stated size, YAML that does not unfold, links that stay."""

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import yaml

from src.errors import ConfigError

MOST = {".yaml": 2**20, ".json": 2**26, ".csv": 2**28}
"""Bytes of a file by its ending: far more than a run leaves, and not more than memory holds."""
_MOST_NODES = 100_000  # values of a YAML, each alias counted as often as it stands
_DEEPEST = 50  # levels of a YAML: its parser would overflow the stack
_MOST_LINKS = 1_000_000  # entries of a folder that are looked at


class TooLargeError(ValueError):
    """A file that is larger than its kind ever is, or a YAML that unfolds to more than it ever holds."""


def read_bounded(path: Path) -> bytes:
    """A file's content.

    Raises:
        TooLargeError: where it is larger than `MOST` of its kind; a device or a pipe is never read.
        OSError: where it cannot be read.
    """
    most = MOST[path.suffix]
    if not path.is_file() and path.exists():
        raise TooLargeError(f"{path} is no plain file")
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise TooLargeError(f"{path} has more than {most:,} bytes")
    return content


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        ValueError: where it is none, is too large, or nests without end.
        OSError: where it cannot be read.
    """
    try:
        return json.loads(read_bounded(path))
    except RecursionError:
        raise ValueError(f"{path} nests too deeply") from None


def read_yaml(path: Path) -> Any:
    """What a YAML file holds, in Python's own types.

    Raises:
        ValueError: where it is too large or unfolds to too much.
        YAMLError: where it is none.
        OSError: where it cannot be read.
    """
    return parse_yaml(read_bounded(path))


def parse_yaml(content: bytes) -> Any:
    """The same of its content."""
    depth, has_aliases = 0, False
    for event in yaml.parse(content, yaml.CSafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        has_aliases |= isinstance(event, yaml.AliasEvent)
        if depth > _DEEPEST:
            raise TooLargeError(f"it nests more than {_DEEPEST} levels deep")
    node = yaml.compose(content, yaml.CSafeLoader) if has_aliases else None
    if node is not None and _size(node, {}) > _MOST_NODES:
        raise TooLargeError(f"its aliases unfold to more than {_MOST_NODES:,} values")
    return yaml.load(content, yaml.CSafeLoader)


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    """How many values a node holds once its aliases are written out."""
    if id(node) not in known:
        known[id(node)] = _MOST_NODES + 1  # one that holds itself has no end
        parts = node.value if isinstance(node, yaml.CollectionNode) else []
        pairs = [part if isinstance(part, tuple) else (part,) for part in parts]
        known[id(node)] = 1 + sum(_size(part, known) for pair in pairs for part in pair)
    return known[id(node)]


def check_links(folder: Path) -> None:
    """Makes sure that what lies in a folder lies there: a link that leads out is written through, and deleted through.

    Raises:
        ConfigError: at the first one that leads out.
    """
    whole, seen = folder.resolve(), 0
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path, seen = Path(place, name), seen + 1
            if path.is_symlink() and not _is_of_wandb(path) and not path.resolve().is_relative_to(whole):
                law = f"{folder} must hold its own files, and {path.relative_to(folder)} is a link that leads out of it"
                raise ConfigError(law, f"it leads to {path.resolve()}", "put what it leads to in its place")
        if seen > _MOST_LINKS:
            raise ConfigError(f"{folder} has more than {_MOST_LINKS:,} entries", remedy="ls outputs")


def _is_of_wandb(path: Path) -> bool:
    """Whether W&B has left a link: its are absolute, so that they lead to where a folder was before it was moved."""
    return "wandb" in path.parent.parts and (path.suffix == ".log" or path.name == "latest-run")


def check_checkpoint(folder: Path, name: str) -> Path:
    """The path of a run's checkpoint, which lies in its folder and unfolds to no more than it is long.

    Raises:
        ConfigError: where it lies elsewhere, is no checkpoint or is packed.
    """
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ConfigError(f"the checkpoint of {folder} must lie in it", name, "ls outputs/runs")
    try:
        with zipfile.ZipFile(path) as archive:
            packed = [part for part in archive.infolist() if part.file_size != part.compress_size]
    except (OSError, zipfile.BadZipFile, ValueError) as error:
        raise ConfigError(f"{path} is no checkpoint that can be read", str(error), "ls outputs/runs") from error
    if packed:
        raise ConfigError(f"{path} is packed, as no checkpoint of a run is", packed[0].filename, "ls outputs/runs")
    return path
