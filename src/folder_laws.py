"""Where a run or a sweep may lie: a name stays inside its folder, and neither is put into one of the other kind."""

import re
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from src.errors import ConfigError

_LONGEST = 200  # bytes, of the 255 that file systems take: what is written beside a folder has a longer name


def check_name(name: str | None) -> None:
    """A sweep's name is that of a folder in `outputs/sweeps`.

    Raises:
        ConfigError: where it is none, or leads elsewhere.
    """
    if name is None:
        return
    leads_out = name in (".", "..") or "/" in name or "\\" in name or name.startswith("~")
    odd = not name.isprintable() or name != name.strip() or not name
    if leads_out or odd or len(name.encode(errors="replace")) > _LONGEST:
        plain = re.sub(r"[^\w.-]+", "_", name).strip("._")[:50] or "mine"
        law = f"sweep.name is one folder's name, of at most {_LONGEST} bytes; hydra.sweep.dir=… puts a sweep elsewhere"
        raise ConfigError(law, name, f"sweep.name={plain}")


def check_folder(config: DictConfig, key: str, foreign: str) -> None:
    """A run's folder is no sweep's and the other way round.

    Args:
        config: with Hydra's part.
        key: `hydra.run.dir` or `hydra.sweep.dir`.
        foreign: the file that the other kind has: `sweep.json` or `record.json`.

    Raises:
        ConfigError: where it is.
    """
    try:
        folder = Path(str(OmegaConf.select(config, key)))
    except OmegaConfBaseException:  # which is told where the key that it refers to is checked
        return
    if (folder / foreign).exists():
        kind, other = ("run", "sweep") if foreign == "record.json" else ("sweep", "run")
        law = f"{key} must be a {other}'s folder, and this is a {kind}'s"
        raise ConfigError(law, str(folder), f"{key}={folder}_{other}")
