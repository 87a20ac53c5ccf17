"""The command that `sweep.json` holds: whether this user typed it, and if not, whether it can do more than train."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override
from hydra.errors import HydraException

from src.errors import ConfigError
from src.own import is_signed, sign
from src.suggest import GROUPS
from src.trust import ROOT, claims, is_trusted

_FLAGS = ("-m", "--multirun")
_HYDRA = re.compile(
    r"hydra\.(sweep\.dir|launcher\.(stack_size|workers)"
    r"|sweeper\.(num_trials|num_seeds|batch_size|timeout|max_failure_rate|objective|seed|(sampler|pruner)\.\w+)"
    r"|mode)"
)
_HYDRA_GROUPS = ("hydra/sweeper", "hydra/sweeper/sampler", "hydra/sweeper/pruner", "hydra/launcher")


def signed_command(argv: Sequence[str], cwd: str) -> str:
    """The signature under a command and the folder that it was typed in."""
    return sign(json.dumps([list(argv), cwd]))


def is_own_command(sweep: dict[str, Any]) -> bool:
    """Whether this user typed the command of a `sweep.json`."""
    return is_signed(json.dumps([sweep["argv"], sweep["cwd"]]), sweep.get("own"))


def check_words(argv: Sequence[str], trusted: Sequence[str], where: str, by_hand: str) -> None:
    """Refuses a command of somebody else's that could do more than train with what is here.

    Args:
        argv: its words.
        trusted: packages, classes and resolvers that the user named.
        where: the sweep folder.
        by_hand: the same command as the user would type it, who has then read it.

    Raises:
        ConfigError: at the first word that could.
    """
    for word in argv:
        problem = next((claim for claim in _claims(word) if not is_trusted(claim, trusted)), None)
        if problem:
            law = f"{where} is not a sweep of yours on this machine, and its command could run any code"
            raise ConfigError(law, problem, f"{by_hand}   # if you trust it")


def _claims(word: str) -> Iterator[str]:
    if word in _FLAGS:
        return
    try:
        override = OverridesParser.create().parse_override(word)
    except HydraException:
        yield word
        return
    key, values = override.key_or_group, list(_values(override))
    if _reaches_out(key, values):
        yield word
    for value in values:
        yield from claims(value, key)


def _reaches_out(key: str, values: Sequence[Any]) -> bool:
    """Whether a setting chooses what lies elsewhere than in `conf/`, or what is not the run's own."""
    if key in ("resume", "trust") or (key.startswith("hydra.") and not _HYDRA.fullmatch(key)):
        return True
    if key == "experiment":
        slugs = [path.parent.name for path in ROOT.glob("experiments/*/config.yaml")]
        return any(value not in slugs for value in values)
    if key in GROUPS or "/" in key:
        known = [path.stem for path in (ROOT / "conf" / key).glob("*.yaml")] if key in (*GROUPS, *_HYDRA_GROUPS) else []
        return any(value is not None and str(value) not in known for value in values)
    return False


def _values(override: Override) -> Iterator[Any]:
    """What an override gives to its key: one value, or those that a sweep names."""
    value = override.value()
    if isinstance(value, ChoiceSweep):
        yield from (Override._convert_value(part) for part in value.list)
    elif override.is_sweep_override():
        yield str(override.input_line).partition("=")[2]
    else:
        yield value
