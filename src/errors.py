"""Config errors that a person can act on: the law, the value received, the remedy; exit code 2 and no traceback.

Hydra's and OmegaConf's own exceptions are reworded here. `HYDRA_FULL_ERROR=1` always shows the traceback.
"""

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any, NoReturn

from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from src.config import TARGETS, Config, known_keys

_UNSET: Any = object()
_FULL = "HYDRA_FULL_ERROR"
_FLAGS = (
    "--help -h --hydra-help --version --cfg -c --resolve --package -p --run -r --multirun -m --shell-completion -sc "
    "--config-path -cp --config-name -cn --config-dir -cd --experimental-rerun --info -i"
).split()


class ConfigError(Exception):
    """A mistake in what the user typed or configured.

    Args:
        law: what must hold, naming the config key.
        got: the value received.
        remedy: what to type instead.
    """

    def __init__(self, law: str, got: Any = _UNSET, remedy: str = "") -> None:
        lines = [f"error: {law}"]
        if got is not _UNSET:
            lines.append(f"  got: {_shown(got)}")
        if remedy:
            lines.append(f"  try: {remedy}")
        super().__init__("\n".join(lines))


def closest(word: str, options: Iterable[str]) -> str | None:
    """The option most like `word`, by its whole name or by its last part; None where none is near."""
    options = list(options)
    near = get_close_matches(word, options, n=1, cutoff=0.75)
    leaves = {option.rsplit(".", 1)[-1]: option for option in reversed(options)}
    leaf = get_close_matches(word.rsplit(".", 1)[-1], leaves, n=1, cutoff=0.6)
    loose = get_close_matches(word, options, n=1, cutoff=0.5)
    return next(iter(near or [leaves[name] for name in leaf] or loose), None)


def unknown_key(key: str, override: str = "") -> ConfigError:
    """The error for a key that the config does not have, with the one that was probably meant."""
    keys = known_keys()
    group = key.split(".")[0]
    if key in keys:
        choices = [_option(group, schema) for schema in keys[key]]
        return ConfigError(f"{key} is not a key of the chosen {group}", override or key, f"{group}={choices[0]}")
    near = closest(key, keys)
    remedy = f"{near}=…" if near else "python -m src.train --cfg job   (shows every key)"
    return ConfigError(f"there is no config key {key}", override or key, remedy)


def die(error: Exception) -> NoReturn:
    """Prints a user's mistake and leaves with exit code 2."""
    print(error, file=sys.stderr, flush=True)
    raise SystemExit(2) from None


def check_flags(argv: list[str]) -> None:
    """Finds flags that argparse would answer with a page of usage, and `-m` between the settings.

    Raises:
        ConfigError: for a flag that does not exist, and for `-m` that is neither first nor last.
    """
    for position, word in enumerate(argv):
        flag = word.split("=")[0]
        if word in ("-m", "--multirun") and 0 < position < len(argv) - 1:
            rest = " ".join(a for a in argv if a != word)
            raise ConfigError(f"{word} must come first or last", " ".join(argv), f"{word} {rest}")
        if flag.startswith("-") and flag not in _FLAGS:
            near = closest(flag.strip("-").replace("-", "_"), known_keys())
            remedy = f"{near}=…" if near else "python -m src.train --help"
            raise ConfigError("settings are written key=value, without dashes", word, remedy)


@contextmanager
def reported() -> Iterator[None]:
    """Runs a Hydra entry: a user's mistake is told in a few lines with exit code 2, a bug keeps its traceback."""
    asked = os.environ.get(_FULL) == "1"
    os.environ[_FULL] = "1"  # Hydra then raises instead of printing
    try:
        if not asked:
            check_flags(sys.argv[1:])
        yield
    except (ConfigError, HydraException, OmegaConfBaseException) as error:
        if asked:
            raise
        die(error if isinstance(error, ConfigError) else reworded(error))
    finally:
        if not asked:
            os.environ.pop(_FULL, None)


def reworded(error: Exception) -> Exception:
    """A Hydra or OmegaConf exception in Tandem's words."""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _missing_option(error.missing_cfg_file, error.options or ())
    if isinstance(error, OverrideParseException):
        law = "a setting is written key=value; quote a value that holds spaces, commas, brackets or quotes"
        return ConfigError(law, error.override, _quoted(error.override))
    text = str(error) or str(error.__cause__ or "")
    if isinstance(error, ConfigCompositionException):
        for pattern, answer in _COMPOSITION.items():
            if found := re.search(pattern, text, re.DOTALL):
                return answer(*found.groups())
    cause = str(error.__cause__ or "").strip().split("\n")[0]
    return ConfigError(" ".join([text.strip().split("\n")[0], cause]).strip())


def _needs_multirun(override: str) -> ConfigError:
    law = "several values for one key are a sweep, and a sweep is asked for with -m"
    return ConfigError(law, override, f"python -m src.train -m {_quoted(override)}")


def _not_overridable(key: str, _rest: str) -> ConfigError:
    return unknown_key(key.lstrip("+~"))


def _unknown_group(override: str, group: str) -> ConfigError:
    near = closest(group, [*TARGETS, "trainer", "tracking", "debug", "experiment", "hydra/launcher", "hydra/sweeper"])
    remedy = f"{near}=…" if near else "python -m src.train --help"
    return ConfigError(f"there is no config group {group}", override, remedy)


_COMPOSITION: dict[str, Callable[..., ConfigError]] = {
    r"Ambiguous value for argument '(.*?)'\n": _needs_multirun,
    r"Sweep parameters '(.*?)' requires --multirun": _needs_multirun,
    r"Could not override '(.*?)'\.(.*)": _not_overridable,
    r"Override (\S+) looks like a config group override, but config group '(.*?)' does": _unknown_group,
    r"Could not append to config\. An item is already at '(.*?)'": lambda key: ConfigError(
        f"{key} is in the config already", f"+{key}", f"{key}=…   (without +)"
    ),
    r"Could not delete .*?'(.*?)'": lambda key: ConfigError(f"only a key of the config can be taken out with ~: {key}"),
}


def _missing_option(path: str, options: Iterable[str]) -> ConfigError:
    group, _, option = path.rpartition("/")
    if not group:
        return ConfigError(f"there is no config file {path}", remedy="--config-name=train")
    listed = sorted(options)
    near = closest(option, listed)
    remedy = f"{group}={near}" if near else ""
    return ConfigError(f"{group} is one of: {', '.join(listed) or 'nothing yet'}", f"{group}={option}", remedy)


def _option(group: str, schema: type) -> str:
    """The name under which a schema's first YAML is chosen, such as `table` for `data.path`."""
    if schema is Config or group not in TARGETS:
        return "…"
    target = next(target for target, known in TARGETS[group].items() if known is schema)
    name = str(target).rsplit(".", 1)[-1]
    names = {"CosineAnnealingLR": "cosine", "ReduceLROnPlateau": "plateau", "OneCycleLR": "one_cycle"}
    return names.get(name, re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower())


def _quoted(override: str) -> str:
    return f"'{override}'" if re.search(r"[\s()\[\]{}'\"$&*?]", override) else override


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) and value.strip() else repr(value)
    text = " ".join(text.split())
    return text if len(text) <= 120 else text[:117] + "..."
