"""From a sweep's overrides to checked configs: one Hydra composition for each choice of groups, not for each trial."""

import copy
import json
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, cast

import yaml
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from src import secrecy
from src.bounded import TooLargeError, parse_yaml, read_bounded
from src.check import check, check_values
from src.config import Config
from src.naming import check_same, key
from src.suggest import unknown_key
from src.trust import may_claim, sign_config

Plain = dict[str, Any]


@dataclass
class Job:
    """One job of a sweep, composed and checked.

    Attributes:
        number: Hydra's number of it.
        overrides: what the sweep set for it.
        values: its resolved config.
        stored: the same as it is written: what comes from the environment is kept by its name.
        cfg: the same, checked.
        key: hash of it.
        folder: its run folder.
        hydra: Hydra's own part of the config.
    """

    number: int
    overrides: list[str]
    values: dict[str, Any]
    stored: dict[str, Any]
    cfg: Config
    key: str
    folder: Path
    hydra: dict[str, Any]


def compose_jobs(
    loader: ConfigLoader, config: DictConfig, sweep: Path, job_overrides: Sequence[Sequence[str]], first: int
) -> list[Job]:
    """Composes and checks every job of a sweep.

    Composing is slow (some 50 ms) and most jobs differ in values alone: what Hydra composed for one of them is
    copied for the others, and their values are set as Hydra would set them.

    Args:
        loader: Hydra's.
        config: the sweep's own config.
        sweep: the sweep folder.
        job_overrides: of every job.
        first: the first job's number.

    Raises:
        ConfigError: at the first job whose config is wrong.
    """
    composed = cache(lambda texts: _composed(loader, config, texts))
    jobs: list[Job] = []
    by_key: dict[str, Config] = {}
    for number, overrides in enumerate(job_overrides, start=first):
        structure = tuple(text for text in overrides if not _sets_a_value(text, config))
        task, hydra = composed(structure)
        settings = [_parsed(text) for text in overrides if text not in structure]
        if all(_holds(task, setting.key_or_group) for setting in settings):
            plain = _with_values(task, settings)
        else:
            plain = copy.deepcopy(composed(tuple(overrides))[0])
        values = _resolved(plain)
        if unknown := [name for name in values if name not in Config.__dataclass_fields__]:
            raise unknown_key(unknown[0])
        values["sweep"]["name"] = values["sweep"]["name"] or sweep.name.strip()
        stored = _stored(plain, values)
        cfg = check_values(values)
        own_key = key(cfg)
        if own_key in by_key:
            check_same(cfg, by_key[own_key], f"trial {own_key}")
        by_key[own_key] = cfg
        jobs.append(Job(number, list(overrides), values, stored, cfg, own_key, sweep / own_key, hydra))
    return jobs


def write_hydra_files(job: Job) -> None:
    """Leaves in the run folder what Hydra leaves there: the config (resolved), the overrides, and its own settings."""
    folder = job.folder / ".hydra"
    folder.mkdir(parents=True, exist_ok=True)
    config = _as_yaml(job.stored)
    (folder / "config.yaml").write_text(config)
    if may_claim(config):
        sign_config(job.folder, job.stored)
    (folder / "overrides.yaml").write_text(_dumped(job.overrides))
    (folder / "hydra.yaml").write_text("hydra:\n" + textwrap.indent(_as_yaml(hydra_part(job)), "  "))


def _as_yaml(values: Plain) -> str:
    """Text of a config; what most of a thousand trials have the same is put into text once."""
    if len(_texts) > _MOST_TEXTS:
        _texts.clear()
    parts = [(repr(part), part) for part in ({name: value} for name, value in values.items())]
    return "".join(_texts.get(known) or _texts.setdefault(known, _dumped(part)) for known, part in parts)


def _dumped(content: Any) -> str:
    return yaml.dump(content, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True)


_texts: dict[str, str] = {}
_MOST_TEXTS = 10_000


def config_in(folder: Path) -> dict[str, Any] | None:
    """The config that an earlier launch left in a trial's folder; it is resolved, and YAML alone is fast."""
    path = folder / ".hydra" / "config.yaml"
    if not path.is_file():
        return None
    try:
        text = read_bounded(path).decode()
        return _by_parts(text)
    except TooLargeError:
        return None
    except (yaml.YAMLError, TypeError, ValueError):
        pass
    try:
        values = parse_yaml(text.encode())
    except (yaml.YAMLError, ValueError):
        return None
    return values if isinstance(values, dict) else None


def _by_parts(text: str) -> dict[str, Any]:
    """The same: of a thousand trials' configs most parts are the same text, and each text is read once.

    Raises:
        YAMLError, TypeError, ValueError: where a part cannot be read by itself.
    """
    return {name: value for part in re.split(r"^(?=\w)", text, flags=re.MULTILINE) for name, value in _part(part)}


@lru_cache(maxsize=10_000)
def _part(text: str) -> Any:
    return dict(parse_yaml(text.encode()) or {}).items()


def hydra_part(job: Job) -> dict[str, Any]:
    """Hydra's own part of the config, as it is for this job."""
    hydra = copy.copy(job.hydra)
    hydra["overrides"] = hydra["overrides"] | {"task": job.overrides}
    hydra["job"] = hydra["job"] | {
        "id": str(job.number),
        "num": job.number,
        "override_dirname": ",".join(job.overrides),
    }
    hydra["runtime"] = hydra["runtime"] | {"output_dir": str(job.folder.resolve())}
    return hydra


@cache
def _parsed(text: str) -> Override:
    return OverridesParser.create().parse_override(text)


def _sets_a_value(text: str, config: DictConfig) -> bool:
    """Whether an override gives a plain value to a key, and does not choose from a group or add to the config."""
    override = _parsed(text)
    plain = not (override.is_add() or override.is_force_add() or override.is_delete() or override.is_sweep_override())
    path = override.key_or_group
    if not plain or "/" in path or path.startswith("hydra") or isinstance(override.value(), dict):
        return False
    return "." in path or (path in config and not OmegaConf.is_dict(OmegaConf.select(config, path)))


def _composed(loader: ConfigLoader, config: DictConfig, texts: tuple[str, ...]) -> tuple[Plain, Plain]:
    """The task's part and Hydra's own part of what Hydra composes."""
    composed = loader.load_sweep_config(config, list(texts))
    hydra = cast(Plain, OmegaConf.to_container(composed.hydra, enum_to_str=True))
    hydra["job"]["env_set"] = {name: f"${{oc.env:{name}}}" for name in hydra["job"]["env_set"]}  # see src.secrecy
    with open_dict(composed):
        del composed["hydra"]
    return cast(Plain, OmegaConf.to_container(composed)), hydra


def _holds(task: Plain, path: str) -> bool:
    """Whether a config has a value, and not a part, at a dotted key."""
    *groups, leaf = path.split(".")
    for group in groups:
        task = task.get(group) if isinstance(task.get(group), dict) else {}  # type: ignore[assignment]
    return leaf in task and not isinstance(task[leaf], dict)


def _with_values(task: Plain, settings: Sequence[Override]) -> Plain:
    values = copy.deepcopy(task)
    for setting in settings:
        *groups, leaf = setting.key_or_group.split(".")
        node = values
        for group in groups:
            node = node[group]
        node[leaf] = setting.value()
    return values


def _stored(plain: Plain, values: Plain) -> Plain:
    """The values of a config, but for what comes from the environment."""
    if "${oc." not in json.dumps(plain, default=str):
        return values
    kept = secrecy.stored(OmegaConf.create(plain))
    kept["sweep"]["name"] = values["sweep"]["name"]  # it is the folder's, too
    return kept


def _resolved(values: Plain) -> Plain:
    if "${" not in json.dumps(values, default=str):
        return values
    config = OmegaConf.create(values)
    try:
        return cast(Plain, OmegaConf.to_container(config, resolve=True))
    except OmegaConfBaseException:
        check(config)  # says which key it is
        raise
