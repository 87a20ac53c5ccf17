"""What was typed for a run or a trial, as its folder keeps it, and the commands that begin from there."""

import os
import re
import sys
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from src.commands import command
from src.naming import without_seed
from src.overrides import written
from src.places import here, place
from src.ranking import BOOKKEEPING
from src.record import Record

_KEPT = re.compile(r"\+*hydra\.(searchpath|job\.chdir)=")  # of Hydra's own settings, those that a run is made from
_SWEPT = re.compile(r"[+~]*(seed|optimizer\.lr|resume)\b")


def words_of(folder: Path) -> list[str]:
    """What else than keys and groups was typed, as far as a run's config is composed from it; flags come first."""
    hydra = _hydra(folder)
    sources = hydra.get("runtime", {}).get("config_sources", [])
    folders = [source["path"] for source in sources if source.get("provider") == "command-line"]
    name = hydra.get("job", {}).get("config_name") or "train"
    flags = [f"--config-dir={place(Path(path))}" for path in folders]
    flags += [f"--config-name={name}"] if name != "train" else []
    typed = hydra.get("overrides", {}).get("hydra", [])
    return [*flags, *(text for text in typed if _KEPT.match(text))]


def starts_sweeps(folder: Path) -> bool:
    """Whether the config by itself asks for a sweep, as an experiment can: without that, one run is asked for."""
    hydra = _hydra(folder)
    typed, added = hydra.get("overrides", {}).get("hydra", []), "hydra.mode=MULTIRUN"
    by_flag = added in typed and added not in sys.argv  # Hydra adds it for -m, where the config says nothing
    return "hydra.mode=RUN" in typed or (hydra.get("mode") == "MULTIRUN" and not by_flag)


def train_again(folder: Path, record: Record) -> str:
    """The command for one run with a trial's setting, as it can be pasted into a shell."""
    chosen = [text for text in without_seed(record.overrides) if not BOOKKEEPING.match(text)]
    return command("train", *words_of(folder), *mode(folder), *chosen)


def mode(folder: Path) -> list[str]:
    """What makes one run of a config that asks for a sweep."""
    return ["hydra.mode=RUN"] if starts_sweeps(folder) else []


def sweep_around(folder: Path, record: Record) -> str:
    """The command for a sweep around a run: all that was typed for it, but for what is swept."""
    flags = [text for text in words_of(folder) if text.startswith("--")]
    typed = [text for text in words_of(folder) if text not in flags]
    typed += [text for text in record.overrides if not _SWEPT.match(text)]
    choice = _hydra(folder).get("runtime", {}).get("choices", {}).get("hydra/sweeper", "grid")
    grid = ["hydra/sweeper=grid"] if choice != "grid" else []
    rates = ["optimizer.lr=1e-4,1e-3,1e-2"] if _has_rate(folder) else []
    return command("train", *flags, "-m", *typed, *grid, *rates, "seed=range(16)")


def score(folder: Path, record: Record) -> str:
    """What scores a run: its test split, or where it has none its train split."""
    split = [] if any(name.startswith("test/") for name in record.metrics) else ["split=train"]
    return command("evaluate", written("run", place(folder)), *split)


def as_it_stood(config: DictConfig, folder: Path) -> DictConfig:
    """A run's config whose `data.path` is found from wherever the user stands now: from where it was typed, if it is.

    Args:
        config: the run's.
        folder: the run's.
    """
    path, cwd = OmegaConf.select(config, "data.path"), _hydra(folder).get("runtime", {}).get("cwd")
    if isinstance(path, str) and cwd and Path(cwd) != here():
        typed = Path(cwd) / os.path.expanduser(path)
        if typed.is_file():
            config.data.path = str(typed)
    return config


def _has_rate(folder: Path) -> bool:
    return "lr" in (_yaml(folder / ".hydra" / "config.yaml").get("optimizer") or {"lr": None})


def _hydra(folder: Path) -> dict[str, Any]:
    """Hydra's own part of a run's config; empty where it cannot be read: what is printed is then what is known."""
    part = _yaml(folder / ".hydra" / "hydra.yaml").get("hydra")
    return part if isinstance(part, dict) else {}


def _yaml(path: Path) -> dict[str, Any]:
    try:
        loaded = yaml.load(path.read_bytes(), yaml.CSafeLoader)
    except (OSError, yaml.YAMLError):
        return {}
    return loaded if isinstance(loaded, dict) else {}
