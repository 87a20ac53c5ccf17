"""What was typed for a run or a trial, as its folder keeps it, and the commands that begin from there."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from src.bounded import read_yaml
from src.commands import command
from src.experiments import from_anywhere
from src.groups import TARGETS
from src.metric_names import split_of
from src.naming import without_seed
from src.overrides import parse, written
from src.places import here, place, rebased, stands, stood
from src.ranking import BOOKKEEPING
from src.record import Record

_KEPT = re.compile(r"\+*hydra\.(searchpath|job\.chdir)=")  # of Hydra's own settings, those that a run is made from
_TRACKED = re.compile(r"[+~]*tracking(?!\.name\b)[.=]")
_SWEPT = re.compile(r"[+~]*(seed|optimizer\.lr|resume)\b")


def words_of(folder: Path) -> list[str]:
    """What else than keys and groups was typed, as far as a run's config is composed from it; flags come first."""
    hydra = _hydra(folder)
    sources = hydra.get("runtime", {}).get("config_sources", [])
    folders = [source["path"] for source in sources if source.get("provider") == "command-line"]
    name = hydra.get("job", {}).get("config_name") or "train"
    flags = [f"--config-dir={place(Path(path))}" for path in folders]
    flags += [f"--config-name={name}"] if name != "train" else []
    typed = [text for text in hydra.get("overrides", {}).get("hydra", []) if _KEPT.match(text)]
    return [*flags, *_found(folder, typed)]


def starts_sweeps(folder: Path) -> bool:
    """Whether the config by itself asks for a sweep, as an experiment can: without that, one run is asked for."""
    hydra = _hydra(folder)
    typed, added = hydra.get("overrides", {}).get("hydra", []), "hydra.mode=MULTIRUN"
    by_flag = added in typed and added not in sys.argv  # Hydra adds it for -m, where the config says nothing
    return "hydra.mode=RUN" in typed or (hydra.get("mode") == "MULTIRUN" and not by_flag)


def train_again(folder: Path, record: Record) -> str:
    """The command for one run with a trial's setting, as it can be pasted into a shell."""
    chosen = [text for text in without_seed(record.overrides) if tracked([text]) or not BOOKKEEPING.match(text)]
    return command("train", *words_of(folder), *mode(folder), *_found(folder, chosen))


def once_more(folder: Path, record: Record) -> str:
    """The command that trains the very same run again, wherever its folder is."""
    return command("train", *words_of(folder), *mode(folder), *_found(folder, record.overrides))


def tracked(overrides: Sequence[str]) -> list[str]:
    """What was typed for how runs are tracked, but for the name of one."""
    return [text for text in overrides if _TRACKED.match(text)]


def mode(folder: Path) -> list[str]:
    """What makes one run of a config that asks for a sweep."""
    return ["hydra.mode=RUN"] if starts_sweeps(folder) else []


def sweep_around(folder: Path, record: Record) -> str:
    """The command for a sweep around a run: all that was typed for it, but for what is swept."""
    flags = [text for text in words_of(folder) if text.startswith("--")]
    typed = [text for text in words_of(folder) if text not in flags]
    typed += _found(folder, [text for text in record.overrides if not _SWEPT.match(text)])
    choice = _hydra(folder).get("runtime", {}).get("choices", {}).get("hydra/sweeper", "grid")
    if choice == "optuna":  # which averages over seeds by itself
        swept = ["optimizer.lr=tag(log,interval(1e-4,1e-2))"]
    else:
        swept = [*(["optimizer.lr=1e-4,1e-3,1e-2"] if _has_rate(folder) else []), "seed=range(16)"]
    return command("train", *flags, "-m", *typed, *swept)


def score(folder: Path, record: Record) -> str:
    """What scores a run: its test split, or where it has none its train split."""
    split = [] if "test" in map(split_of, record.metrics) else ["split=train"]
    return command("evaluate", written("run", place(folder)), *split)


def as_it_stood(config: DictConfig, folder: Path) -> DictConfig:
    """A run's config as it is read where the user stands now: its files are found from where they were typed.

    Args:
        config: the run's.
        folder: the run's.
    """
    cwd = _hydra(folder).get("runtime", {}).get("cwd")
    base = stood(Path(cwd), folder) if cwd else here()
    for name in TARGETS if base != here() else ():
        config[name] = rebased(OmegaConf.to_container(config[name]), base)
    return config


def _found(folder: Path, typed: Sequence[str]) -> list[str]:
    """What was typed for a run, with the files that it names as they are typed where the user stands now."""
    cwd = _hydra(folder).get("runtime", {}).get("cwd")
    base = stood(Path(cwd), folder) if cwd else stands()
    if base == stands():
        return list(typed)
    found = []
    for text in typed:
        override = parse(text)
        value, key = override.value(), override.key_or_group
        moved = rebased(value, base, key) if isinstance(value, str | list) else value
        if key == "experiment" and isinstance(value, str) and moved == value:
            moved = from_anywhere(value, search_path(folder), base)
        found.append(text if moved == value else written(override.get_key_element(), moved))
    return found


def search_path(folder: Path) -> list[Path]:
    """The folders in which a run's groups were looked for."""
    sources = _hydra(folder).get("runtime", {}).get("config_sources", [])
    return [Path(source["path"]) for source in sources if source.get("schema") == "file"]


def _has_rate(folder: Path) -> bool:
    return "lr" in (_yaml(folder / ".hydra" / "config.yaml").get("optimizer") or {"lr": None})


def _hydra(folder: Path) -> dict[str, Any]:
    """Hydra's own part of a run's config; empty where it cannot be read: what is printed is then what is known."""
    part = _yaml(folder / ".hydra" / "hydra.yaml").get("hydra")
    return part if isinstance(part, dict) else {}


def _yaml(path: Path) -> dict[str, Any]:
    try:
        loaded = read_yaml(path)
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return loaded if isinstance(loaded, dict) else {}
