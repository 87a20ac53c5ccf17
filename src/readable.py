"""How checkpoints are written: each is read back at once, so that none turns out useless when it is needed."""

import io
import pickle
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from src.errors import ConfigError

_REFUSED = (pickle.PicklingError, pickle.UnpicklingError, AttributeError, TypeError, RuntimeError)


class ReadableCheckpoints(TorchCheckpointIO):
    """Writes checkpoints that load with `weights_only=True`, or says what in them does not."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Writes a checkpoint and reads it back; its tensors are mapped, not read, so that takes no time.

        Raises:
            ConfigError: where it cannot be written, or would not load.
        """
        try:
            file = io.BytesIO()
            torch.save(checkpoint, file)
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_bytes(file.getbuffer())
            torch.load(path, map_location="cpu", mmap=True, weights_only=True)
        except _REFUSED as error:
            found = next(_unreadable(checkpoint), None)
            if found is None:
                raise
            key, value = found
            law = f"a checkpoint holds tensors, numbers, text, lists and mappings of them; not so its {key}"
            got = f"{type(value).__module__}.{type(value).__qualname__}: {value!r}"
            remedy = "give or keep a plain one: float(...), str(...), list(...), dict(...)"
            raise ConfigError(law, got, remedy) from error


def _unreadable(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """The innermost parts of a value that do not come back from a checkpoint, with their keys."""
    if type(value) in (dict, OrderedDict):
        for name, part in value.items():
            yield from _unreadable(name, f"{key} (a key of it)") if not isinstance(name, str | int) else ()
            yield from _unreadable(part, f"{key}.{name}" if key else str(name))
    elif type(value) in (list, tuple):
        for place, part in enumerate(value):
            yield from _unreadable(part, f"{key}[{place}]")
    elif not _comes_back(value):
        yield key, value


def _comes_back(value: Any) -> bool:
    file = io.BytesIO()
    try:
        torch.save(value, file)
        file.seek(0)
        torch.load(file, map_location="cpu", weights_only=True)
    except _REFUSED:
        return False
    return True
