"""What W&B would refuse, and what its environment variables say of a run otherwise than the config.

Of the environment W&B takes who we are and where its files and its server are (WANDB_API_KEY, WANDB_BASE_URL,
WANDB_CACHE_DIR, ...); what a run is called and where it goes is said by the config alone.
"""

import os
import re
import shlex
import sys
from collections.abc import Mapping
from typing import Any

from src import ranks
from src.config import Tracking
from src.errors import ConfigError
from src.lean_wandb import OF_A_RUN
from src.suggest import COMMAND, ENTRY, setting

LONGEST = 128
"""Letters in a name of a run, a group or a project."""
_LONGEST_TAG = 64
_NOT_IN_PROJECTS = r"[/\\#?%:]"
_KEYS = {
    "MODE": "tracking.mode",
    "DISABLED": "tracking.mode",
    "PROJECT": "tracking.project",
    "ENTITY": "tracking.entity",
    "NAME": "tracking.name",
    "TAGS": "tracking.tags",
    "RUN_GROUP": "sweep.name",
}
_MODES = {"dryrun": "offline", "run": "online"}  # as they were called once
_FALSE = ("false", "0", "no", "n", "off", "f")
_AGENTS = ("RUN_ID", "SWEEP_ID", "SWEEP_PARAM_PATH", "DIR")
_SAID = {name: value for name in OF_A_RUN if (value := os.environ.get(f"WANDB_{name}"))}  # before we say anything


def check_tracking(tracking: Tracking, group: str | None) -> None:
    """Checks how a run is tracked.

    Args:
        tracking: its config.
        group: what the run is grouped under.

    Raises:
        ConfigError: at the first law that is broken.
    """
    names = {"tracking.project": tracking.project, "tracking.entity": tracking.entity}
    for key, name in names.items():
        check_project(key, name)
    for key, name in {"tracking.name": tracking.name, "sweep.name": group}.items():
        check_name(key, name)
    _check_tags(tracking.tags)
    if tracking.mode != "disabled" and not ranks.RANK:
        _check_environment(tracking, group, _SAID)


def check_project(key: str, name: str | None) -> None:
    """Checks what a project is called, and whose it is.

    Raises:
        ConfigError: where W&B would refuse it.
    """
    check_name(key, name)
    if re.search(_NOT_IN_PROJECTS, name or ""):
        law = rf"{key} must hold none of / \ # ? % :"
        raise ConfigError(law, name, setting(key, re.sub(_NOT_IN_PROJECTS, "-", str(name))))


def check_name(key: str, name: str | None) -> None:
    """Checks what a run, a sweep or a project is called.

    Raises:
        ConfigError: where W&B would refuse it.
    """
    if name is not None and not _is_printable(name, LONGEST):
        raise ConfigError(f"{key} must be 1 to {LONGEST} letters that can be printed", name, f"{key}=mine")


def _check_tags(tags: list[str]) -> None:
    for tag in tags:
        if not _is_printable(tag, _LONGEST_TAG):
            law = f"tracking.tags must each be 1 to {_LONGEST_TAG} letters that can be printed"
            raise ConfigError(law, tag, "'tracking.tags=[one,two]'")
    if len(set(tags)) < len(tags):
        raise ConfigError("tracking.tags must differ", tags, setting("tracking.tags", list(dict.fromkeys(tags))))


def _check_environment(tracking: Tracking, group: str | None, said: Mapping[str, str]) -> None:
    """Checks W&B's variables; what an agent of a W&B sweep says of the run that it starts is followed."""
    meant: dict[str, Any] = {
        "MODE": tracking.mode,
        "PROJECT": tracking.project,
        "ENTITY": tracking.entity,
        "NAME": tracking.name,
    }
    meant |= {"TAGS": sorted(tracking.tags), "RUN_GROUP": group, "RESUME": "allow", "JOB_TYPE": "train"}
    by_agent = {"RUN_ID", "SWEEP_ID"} <= said.keys()
    for name, value in said.items():
        asked, key = _asked(name, value), _KEYS.get(name)
        followed = by_agent and (name in _AGENTS or (name == "ENTITY" and tracking.entity is None))
        if followed or name == "SERVICE" or (name in meant and asked == meant[name]) or asked is None:
            continue
        against = f"contradicts {key}" if key else "has no say"
        law = f"WANDB_{name} in the environment {against}: a run is tracked as its config says"
        raise ConfigError(law, f"WANDB_{name}={value}", _remedy(name, key, asked))


def _asked(name: str, value: str) -> Any:
    """What a variable says, as the config would."""
    if name == "DISABLED":
        return None if value.lower() in _FALSE else "disabled"
    if name == "TAGS":
        return sorted(value.split(","))
    return _MODES.get(value, value) if name == "MODE" else value


def _remedy(name: str, key: str | None, asked: Any) -> str:
    can_set = ENTRY == "train" and not any(word.startswith("resume=") for word in sys.argv)
    if key and can_set and (name != "MODE" or asked in ("offline", "online", "disabled")):
        return setting(key, asked)
    return shlex.join(["env", "-u", f"WANDB_{name}", *COMMAND.split(), *sys.argv[1:]])


def _is_printable(text: str, longest: int) -> bool:
    return text == text.strip() and text.isprintable() and 1 <= len(text) <= longest
