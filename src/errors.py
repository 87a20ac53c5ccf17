"""Config errors that a person can act on: the law, the value received, the remedy; exit code 2 and no traceback.

Hydra's and OmegaConf's own exceptions are reworded here. `HYDRA_FULL_ERROR=1` always shows the traceback.
"""

import argparse
import os
import re
import shlex
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from itertools import pairwise
from typing import NoReturn

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, InstantiationException, MissingConfigException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from src import ranks, suggest
from src.groups import TARGETS
from src.output import keep_going
from src.secrecy import check_no_secret
from src.suggest import COMMAND, ENTRY, GROUPS, ConfigError, options, setting

_FULL = "HYDRA_FULL_ERROR"


def die(error: Exception) -> NoReturn:
    """Prints a user's mistake and leaves with exit code 2."""
    print(error, file=sys.stderr, flush=True)
    raise SystemExit(2) from None


class Interrupted(BaseException):
    """A signal asked a run or a sweep to stop; a training has written its checkpoint, unless a second signal came.

    Attributes:
        signum: the signal's number.
        resume: the command that goes on with it.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.signum = signum
        self.resume = ""


@contextmanager
def reported() -> Iterator[None]:
    """Runs a Hydra entry: a user's mistake is told in a few lines with exit code 2, a bug keeps its traceback."""
    keep_going()
    asked = os.environ.get(_FULL) == "1"
    os.environ[_FULL] = "1"  # Hydra then raises instead of printing
    try:
        if secret := check_no_secret(sys.argv[1:]):
            raise ConfigError(*secret)
        _check_flags(sys.argv[1:])
        yield
    except (ConfigError, HydraException, OmegaConfBaseException, ValueError, YAMLError) as error:
        mistake = error if isinstance(error, ConfigError) else _reworded(error)
        if asked or mistake is None:
            raise
        die(mistake)
    except Interrupted as stop:
        if not ranks.RANK:  # of the processes of one run the first one says it
            print(f"\nstopped by {stop}; go on with: {stop.resume}", flush=True)
        raise SystemExit(128 + stop.signum) from None
    except KeyboardInterrupt:  # before anything was begun
        if asked:
            raise
        print("\nstopped by SIGINT", flush=True)
        raise SystemExit(128 + signal.SIGINT) from None
    finally:
        if not asked:
            os.environ.pop(_FULL, None)


class _Flags(argparse.ArgumentParser):
    """Hydra's flags; a wrong one is a `ConfigError` rather than a page of usage."""

    def __init__(self) -> None:
        super().__init__(parents=[get_args_parser()], add_help=False, allow_abbrev=False)
        self.names = list(self._option_string_actions)

    def error(self, message: str) -> NoReturn:
        raise ConfigError(message, shlex.join(sys.argv[1:]), f"{COMMAND} --hydra-help")


def _check_flags(argv: list[str]) -> None:
    flags = _Flags()
    known, left = flags.parse_known_args(argv)
    if flag := next((word for word in left if word.startswith("-")), None):
        key, _, value = flag.lstrip("-").replace("-", "_").partition("=")
        following = argv[argv.index(flag) + 1 :]
        value = value or next((word for word in following[:1] if word[:1] != "-" and "=" not in word), "…")
        near = suggest.nearest_key(key)
        remedy = setting(near, value) if near else f"{COMMAND} --help"
        if alike := get_close_matches(flag, [name for name in flags.names if name[:2] == "--"], n=1, cutoff=0.75):
            remedy = alike[0]
        raise ConfigError("settings are written key=value, without dashes", flag, remedy)
    if left:
        settings = [*known.overrides, *left]
        first = [word for word in argv if word not in settings]
        law = "settings stand together: flags such as -m come before or after all of them"
        raise ConfigError(law, shlex.join(argv), f"{COMMAND} {shlex.join([*first, *settings])}")


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
    return ConfigError(law, shlex.join(sys.argv[1:]), f"{COMMAND} --hydra-help   (or {_FULL}=1 for the traceback)")


def _missing_option(path: str, found: Iterable[str]) -> ConfigError:
    group, _, option = path.rpartition("/")
    if path.startswith("experiment/"):  # its option may be the path of a file
        group, option = "experiment", path.removeprefix("experiment/")
        if "/" in option:
            law = "experiment is the name of a folder under experiments/, or the path of a YAML file"
            return ConfigError(law, f"there is no {option.removesuffix('.yaml')}.yaml", "ls outputs/sweeps/*/best.yaml")
    if not group:
        return ConfigError(f"there is no config file {path}", f"--config-name={path}", f"--config-name={ENTRY}")
    among = sorted(found) or options(group)
    law = f"{group} is one of: {', '.join(among)}"
    return ConfigError(law, f"{group}={option}", suggest.choose(group, option, among))


def _no_option() -> ConfigError:
    """A group was given null, true or a number."""
    pairs = [word.lstrip("+").partition("=") for word in sys.argv[1:]]
    group, _, value = next(pair for pair in pairs if pair[0] in ("", *GROUPS) and pair[2] not in options(pair[0]))
    if not group:
        return ConfigError("a setting is written key=value", f"={value}", f"{COMMAND} --help")
    law = f"{group} is one of: {', '.join(options(group))}"
    remedy = suggest.choose(group) if suggest.default(group) else f"leave {group} out"
    return ConfigError(law, f"{group}={value}", remedy)


def _unbuildable(error: InstantiationException) -> ConfigError | None:
    """A class that is not there or does not take its keys; what it raises itself is a bug."""
    if found := re.match(
        r"Error in call to target '((?:\w+\.)*(\w+))':\nTypeError\(.(\2\.__init__\(\) .*).\)", str(error)
    ):
        law = f"{found[1]} must take the keys that the config gives it"
        return ConfigError(law, found[3], f"{COMMAND} --cfg job   (shows every key)")
    if not str(error).startswith("Error locating target"):
        return None
    problem = str(error.__cause__ or error).removeprefix("Error loading ")
    known = {target: group for group, schemas in TARGETS.items() for target in schemas if target}
    near = suggest.closest(problem.split("'")[1], known)
    remedy = setting(f"{known[near]}._target_", near) if near else "package.module.Class"
    return ConfigError("_target_ must name a class that can be imported", problem, remedy)


def _needs_multirun(word: str) -> ConfigError:
    key, _, value = word.partition("=")
    leaf, schemas = key.rpartition(".")[2], suggest.known_keys().get(key, [])
    kinds = [str(schema.__dataclass_fields__[leaf].type) for schema in schemas]
    if any(kind.startswith(("list", "tuple")) for kind in kinds):
        return ConfigError(f"{key} is a list, written in brackets", word, setting(key, f"[{value}]"))
    law = "several values for one key are a sweep, and a sweep is asked for with -m"
    return ConfigError(law, word, f"{COMMAND} -m {shlex.join(sys.argv[1:])}")


def _needs_search() -> ConfigError:
    word = next(word for word in sys.argv if "interval(" in word)
    law = "an interval has no end of values: a grid cannot try them all, a search can"
    return ConfigError(law, word, f"hydra/sweeper=optuna {shlex.quote(word)}")


def _not_in_config(key: str) -> ConfigError:
    if key != "experiment":
        return suggest.unknown_key(key)
    slug = suggest.typed(key).partition("=")[2]
    law = "experiment is the name of a folder under experiments/ that has a config.yaml; there is none yet"
    return ConfigError(law, suggest.typed(key), f"experiments/{slug}/config.yaml must be written first")


def _unparsable(word: str) -> ConfigError:
    key, equals, value = word.partition("=")
    if not equals:
        return _no_equals(word)
    quoted = '"' + value.replace('"', r"\"") + '"'
    closed = [value + end for end in ("]", "}", ")", '"', "'", '"]', "']")]
    tries = [value.rstrip(","), *closed, value.translate(str.maketrans("()", "[]")), quoted]
    right = next((text for text in tries if text and _parses(f"{key}={text}")), None)
    law = "a setting is written key=value: brackets and quotes close, and text that holds some is quoted"
    return ConfigError(law, word, setting(key, right) if right else f"{COMMAND} --help")


def _no_equals(word: str) -> ConfigError:
    before = sys.argv[max(1, sys.argv.index(word) - 1)] if word in sys.argv else ""
    group = next((group for group in GROUPS if word in options(group)), None)
    near = next((key for key in suggest.settable_keys() if key == word or key.endswith(f".{word}")), None)
    remedy = setting(near, "…") if near else f"{COMMAND} --help"
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
        f"only the value that {key} has can be taken out with ~", suggest.typed(key), suggest.example(key)
    ),
    r"Could not delete .*?'([\w./]+)'": _not_in_config,
    r"Config group override must be": _no_option,
    r"does not support sweep type : INTERVAL": _needs_search,
    r"(?:already at|not supported:|Multiple values for) '?\+*(\w+(?:[./]\w+)*)": lambda key: ConfigError(
        f"{key} is in the config already: set it without +", suggest.typed(key), suggest.typed(key).lstrip("+")
    ),
    r'^(.*)\n\s+in "(.*?)", (line \d+)': lambda problem, file, line: ConfigError(
        f"{file} must be right YAML", f"{line}: {problem}", f"look at {line}, for a colon, a bracket or an indent"
    ),
}
"""What Hydra says, and how Tandem says it."""
