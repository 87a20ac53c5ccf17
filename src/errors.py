"""Config errors that a person can act on: the law, the value received, the remedy; exit code 2 and no traceback.

Hydra's and OmegaConf's own exceptions are reworded here. `HYDRA_FULL_ERROR=1` always shows the traceback.
"""

import argparse
import json
import os
import re
import shlex
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, InstantiationException, MissingConfigException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from src.config import TARGETS, known_keys

_UNSET: Any = object()
_FULL = "HYDRA_FULL_ERROR"
_CONF = Path(__file__).parent.parent / "conf"
_ENTRY = Path(sys.argv[0]).stem if (_CONF / f"{Path(sys.argv[0]).stem}.yaml").is_file() else "train"
_COMMAND = f"python -m src.{_ENTRY}"
GROUPS = [*sorted(path.name for path in _CONF.iterdir() if path.is_dir() and path.name != "hydra"), "experiment"]
_ALSO = {"learning_rate": "lr", "wd": "weight_decay", "gpus": "devices", "hidden_size": "hidden_dim"}
"""What other libraries call a key, where no spelling is near."""


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
    names = {option.lower(): option for option in options}
    group, _, leaf = word.lower().rpartition(".")
    near = get_close_matches(word.lower(), names, n=1, cutoff=0.75)
    for pool in ([name for name in names if name.startswith(f"{group}.")], list(names)):
        leaves = {name.rsplit(".", 1)[-1]: name for name in reversed(pool)}
        parts = [part for part in leaves if len(leaf) > 1 and leaf in part]
        near = near or [leaves[part] for part in get_close_matches(leaf, leaves, n=1, cutoff=0.65) or parts]
    return names[near[0]] if near else None


def setting(key: str, value: Any) -> str:
    """A setting as it is typed in a shell; the value `…` stands for any."""
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    return f"{key}=…" if text == "…" else shlex.quote(f"{key}={text}")


def example(key: str) -> str:
    """A setting that is right: the value that `conf/` gives to `key`, or to the key that it follows."""
    if key in GROUPS:
        return _choice(key, "")
    group, _, leaf = key.partition(".")
    main = _load(_ENTRY)
    nodes = [main.get(group), *(_load(f"{group}/{option}") for option in (_default(group), *_options(group)) if option)]
    values = [node[leaf] for node in nodes if isinstance(node, dict) and leaf in node]
    value = [*values, main.get(key, "…")][0]
    followed = re.fullmatch(r"\$\{([\w.]+)\}", str(value))
    return example(followed[1]) if followed else setting(key, "…" if value == "???" else value)


def unknown_key(key: str) -> ConfigError:
    """The error for a key that the config does not have, with the one that was probably meant."""
    group, _, leaf = key.rpartition(".")
    word = _word(key)
    value = word.partition("=")[2] or "…"
    if option := next((option for option in _options(group) if leaf in _load(f"{group}/{option}")), None):
        law = f"{key} is not a key of the chosen {group}; {group}={option} has it"
        return ConfigError(law, word, f"{group}={option} {setting(key, value)}")
    part = "hydra" if group.startswith("hydra") else "job"
    near = closest(f"{group}.{_ALSO.get(leaf, leaf)}".lstrip("."), [*_keys(), *GROUPS]) if part == "job" else None
    remedy = f"{_COMMAND} --cfg {part}   (shows every key)"
    if near:
        remedy = _choice(near, value) if near in GROUPS else setting(near, value)
    return ConfigError(f"there is no config key {key}", word, remedy)


def die(error: Exception) -> NoReturn:
    """Prints a user's mistake and leaves with exit code 2."""
    print(error, file=sys.stderr, flush=True)
    raise SystemExit(2) from None


@contextmanager
def reported() -> Iterator[None]:
    """Runs a Hydra entry: a user's mistake is told in a few lines with exit code 2, a bug keeps its traceback."""
    asked = os.environ.get(_FULL) == "1"
    os.environ[_FULL] = "1"  # Hydra then raises instead of printing
    try:
        _check_flags(sys.argv[1:])
        yield
    except (ConfigError, HydraException, OmegaConfBaseException, ValueError, YAMLError) as error:
        mistake = error if isinstance(error, ConfigError) else _reworded(error)
        if asked or mistake is None:
            raise
        die(mistake)
    finally:
        if not asked:
            os.environ.pop(_FULL, None)


class _Flags(argparse.ArgumentParser):
    """Hydra's flags; a wrong one is a `ConfigError` rather than a page of usage."""

    def __init__(self) -> None:
        super().__init__(parents=[get_args_parser()], add_help=False, allow_abbrev=False)

        self.names = list(self._option_string_actions)

    def error(self, message: str) -> NoReturn:
        raise ConfigError(message, shlex.join(sys.argv[1:]), f"{_COMMAND} --hydra-help")


def _check_flags(argv: list[str]) -> None:
    flags = _Flags()
    known, left = flags.parse_known_args(argv)
    if flag := next((word for word in left if word.startswith("-")), None):
        key, _, value = flag.lstrip("-").replace("-", "_").partition("=")
        following = argv[argv.index(flag) + 1 :]
        value = value or next((word for word in following[:1] if word[:1] != "-" and "=" not in word), "…")
        near = closest(_ALSO.get(key, key), [*_keys(), *GROUPS])
        remedy = setting(near, value) if near else f"{_COMMAND} --help"
        if alike := get_close_matches(flag, [name for name in flags.names if name[:2] == "--"], n=1, cutoff=0.75):
            remedy = alike[0]
        raise ConfigError("settings are written key=value, without dashes", flag, remedy)
    if left:
        settings = [*known.overrides, *left]
        first = [word for word in argv if word not in settings]
        law = "settings stand together: flags such as -m come before or after all of them"
        raise ConfigError(law, shlex.join(argv), f"{_COMMAND} {shlex.join([*first, *settings])}")


def _reworded(error: Exception) -> ConfigError | None:
    """A mistake that Hydra, OmegaConf or YAML found, in Tandem's words; None for a bug."""
    called = [frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)]
    if isinstance(error, InstantiationException):
        return _unbuildable(error)
    if any(job.co_name == "run_job" and task.co_filename == sys.argv[0] for job, task in pairwise(called)):
        return None  # the config was found right, so the program is wrong
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _missing_option(error.missing_cfg_file, error.options or ())
    if isinstance(error, OverrideParseException):
        return _unparsable(error.override)
    text = str(error) or str(error.__cause__)
    for pattern, answer in _PATTERNS.items():
        if found := re.search(pattern, text, re.DOTALL):
            return answer(*found.groups())
    if not isinstance(error, HydraException | OmegaConfBaseException):
        return None
    law = ": ".join(str(part).splitlines()[0] for part in (text, error.__cause__) if part)
    return ConfigError(law, shlex.join(sys.argv[1:]), f"{_COMMAND} --hydra-help   (or {_FULL}=1 for the traceback)")


def _missing_option(path: str, found: Iterable[str]) -> ConfigError:
    group, _, option = path.rpartition("/")
    if not group:
        return ConfigError(f"there is no config file {path}", f"--config-name={path}", f"--config-name={_ENTRY}")
    options = sorted(found) or _options(group)
    near = closest(option, options) or _default(group) or next(iter(options), "…")
    return ConfigError(f"{group} is one of: {', '.join(options)}", f"{group}={option}", f"{group}={near}")


def _no_option() -> ConfigError:
    """A group was given null, true or a number."""
    pairs = [word.lstrip("+").partition("=") for word in sys.argv[1:]]
    group, _, value = next(pair for pair in pairs if pair[0] in ("", *GROUPS) and pair[2] not in _options(pair[0]))
    if not group:
        return ConfigError("a setting is written key=value", f"={value}", f"{_COMMAND} --help")
    law = f"{group} is one of: {', '.join(_options(group))}"
    return ConfigError(law, f"{group}={value}", _choice(group, "") if _default(group) else f"leave {group} out")


def _unbuildable(error: InstantiationException) -> ConfigError | None:
    """A class that is not there or does not take its keys; what it raises itself is a bug."""
    if found := re.match(
        r"Error in call to target '((?:\w+\.)*(\w+))':\nTypeError\(.(\2\.__init__\(\) .*).\)", str(error)
    ):
        law = f"{found[1]} must take the keys that the config gives it"
        return ConfigError(law, found[3], f"{_COMMAND} --cfg job   (shows every key)")
    if not str(error).startswith("Error locating target"):
        return None
    problem = str(error.__cause__ or error).removeprefix("Error loading ")
    known = {target: group for group, schemas in TARGETS.items() for target in schemas if target}
    near = closest(problem.split("'")[1], known)
    remedy = setting(f"{known[near]}._target_", near) if near else "package.module.Class"
    return ConfigError("_target_ must name a class that can be imported", problem, remedy)


def _needs_multirun(word: str) -> ConfigError:
    key, _, value = word.partition("=")
    kinds = [str(schema.__dataclass_fields__[key.rpartition(".")[2]].type) for schema in known_keys().get(key, [])]
    if any(kind.startswith(("list", "tuple")) for kind in kinds):
        return ConfigError(f"{key} is a list, written in brackets", word, setting(key, f"[{value}]"))
    law = "several values for one key are a sweep, and a sweep is asked for with -m"
    return ConfigError(law, word, f"{_COMMAND} -m {shlex.join(sys.argv[1:])}")


def _not_in_config(key: str) -> ConfigError:
    if key != "experiment":
        return unknown_key(key)
    slug = _word(key).partition("=")[2]
    law = "experiment is the name of a folder under experiments/ that has a config.yaml; there is none yet"
    return ConfigError(law, _word(key), f"experiments/{slug}/config.yaml must be written first")


def _unparsable(word: str) -> ConfigError:
    key, equals, value = word.partition("=")
    if not equals:
        return _no_equals(word)
    quoted = '"' + value.replace('"', r"\"") + '"'
    closed = [value + end for end in ("]", "}", ")", '"', "'", '"]', "']")]
    tries = [value.rstrip(","), *closed, value.translate(str.maketrans("()", "[]")), quoted]
    right = next((text for text in tries if text and _parses(f"{key}={text}")), None)
    law = "a setting is written key=value: brackets and quotes close, and text that holds some is quoted"
    return ConfigError(law, word, setting(key, right) if right else f"{_COMMAND} --help")


def _no_equals(word: str) -> ConfigError:
    before = sys.argv[max(1, sys.argv.index(word) - 1)] if word in sys.argv else ""
    group = next((group for group in GROUPS if word in _options(group)), None)
    near = next((key for key in _keys() if key == word or key.endswith(f".{word}")), None)
    remedy = setting(near, "…") if near else f"{_COMMAND} --help"
    if before.endswith("=") or group:
        remedy = setting(before[:-1], word) if before.endswith("=") else f"{group}={word}"
    return ConfigError("a setting is written key=value, with no space around =", word, remedy)


def _parses(word: str) -> bool:
    try:
        return not OverridesParser.create().parse_override(word).is_sweep_override()
    except HydraException:
        return False


_PATTERNS: dict[str, Callable[..., ConfigError]] = {
    r"Ambiguous value for argument '(.*?)'\n": _needs_multirun,
    r"Sweep parameters '(.*?)' requires --multirun": _needs_multirun,
    r"Could not override '(.*?)'": _not_in_config,
    r"Override \S+ looks like .*? config group '(.*?)'": _not_in_config,
    r"Could not delete '([\w.]+)=": lambda key: ConfigError(
        f"only the value that {key} has can be taken out with ~", _word(key), example(key)
    ),
    r"Could not delete .*?'([\w./]+)'": _not_in_config,
    r"Config group override must be": _no_option,
    r"(?:already at|not supported:|Multiple values for) '?\+*(\w+(?:[./]\w+)*)": lambda key: ConfigError(
        f"{key} is in the config already: set it without +", _word(key), _word(key).lstrip("+")
    ),
    r'^(.*)\n\s+in "(.*?)", (line \d+)': lambda problem, file, line: ConfigError(
        f"{file} must be right YAML", f"{line}: {problem}", f"look at {line}, for a colon, a bracket or an indent"
    ),
}
"""What Hydra says, and how Tandem says it."""


def _word(key: str) -> str:
    """The argument that sets `key`, as it was typed."""
    return next((word for word in sys.argv[1:] if re.split("=|@", word.lstrip("+~"))[0] == key), key)


def _keys() -> list[str]:
    """The keys that can be set one by one."""
    if _ENTRY == "train":
        keys = list(known_keys())
    else:
        main = _load(_ENTRY)
        keys = [*main, *(f"{group}.{leaf}" for group, node in main.items() if isinstance(node, dict) for leaf in node)]
    return [key for key in keys if not any(other.startswith(f"{key}.") for other in keys)]


def _choice(group: str, value: str) -> str:
    options = _options(group)
    return f"{group}={closest(value, options) or _default(group) or next(iter(options), '…')}"


def _options(group: str) -> list[str]:
    return sorted(path.stem for path in (_CONF / group).glob("*.yaml")) if group in GROUPS else []


def _default(group: str) -> str | None:
    entries = [entry for entry in _load(_ENTRY)["defaults"] if isinstance(entry, dict)]
    return next((entry[group] for entry in entries if group in entry), None)


@cache
def _load(name: str) -> dict[str, Any]:
    node = OmegaConf.to_container(OmegaConf.load(_CONF / f"{name}.yaml"))
    assert isinstance(node, dict)
    return {str(key): value for key, value in node.items()}


def _shown(value: Any) -> str:
    plain = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
    text = plain if isinstance(plain, str) and plain.strip() else json.dumps(plain, default=str, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= 120 else text[:117] + "..."
