"""Where a sweep may lie: its name stays inside `outputs/sweeps`."""

import re

from src.errors import ConfigError

_LONGEST = 128  # letters, as W&B takes them in a group
_MOST_BYTES = 200  # of the 255 that file systems take: what is written beside a folder has a longer name


def check_name(name: str | None) -> None:
    """A sweep's name is that of a folder in `outputs/sweeps`.

    Raises:
        ConfigError: where it is none, or leads elsewhere.
    """
    if name is None:
        return
    leads_out = name in (".", "..") or "/" in name or "\\" in name or name.startswith("~")
    odd = not name.isprintable() or name != name.strip() or not name
    is_long = len(name) > _LONGEST or len(name.encode(errors="replace")) > _MOST_BYTES
    if leads_out or odd or is_long:
        plain = re.sub(r"[^\w.-]+", "_", name).strip("._")[:50] or "mine"
        law = (
            f"sweep.name is one folder's name, of at most {_LONGEST} letters; hydra.sweep.dir=… puts a sweep elsewhere"
        )
        raise ConfigError(law, name, f"sweep.name={plain}")
