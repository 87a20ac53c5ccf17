"""What Hydra, OmegaConf and YAML find wrong, in Tandem's words; what none of them was looking for is a bug."""

import shlex
import sys

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.hydra import Hydra
from hydra.core.plugins import Plugins
from hydra.core.utils import configure_log
from hydra.errors import HydraException, InstantiationException
from hydra.types import RunMode
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import MarkedYAMLError

from src import overrides, suggest
from src.composing import Composition, first_line, frame_of, frames, traceback_command
from src.errors import ConfigError
from src.groups import TARGETS
from src.suggest import COMMAND, setting

_READS = {configure_log.__code__, Hydra.show_cfg.__code__, Plugins._instantiate.__code__}
"""Where Hydra takes what was configured at its word."""


def explained(error: Exception) -> Exception:
    """A mistake in what was configured as a `ConfigError`; a bug as it is."""
    if isinstance(error, InstantiationException):
        return _unbuildable(error)
    if (frame := frame_of(OmegaConf.load, error)) is not None:
        file = frame.f_locals["file_"]
        return _broken_file(str(getattr(file, "name", file)), error)
    if (frame := frame_of(ConfigLoaderImpl.load_configuration, error)) is not None:
        known = frame.f_locals
        words = [overrides.parse(word) for word in known["overrides"]]
        is_run = known["run_mode"] == RunMode.RUN and known["validate_sweep_overrides"]
        return Composition(known["self"], known["config_name"], words, error).mistake(is_run)
    if any(frame.f_code in _READS for frame in frames(error)) or _was_hydras(error):
        return _in_hydras_own_part(error)
    return error


def _broken_file(path: str, error: Exception) -> ConfigError:
    mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
    problem = str(error.problem) if isinstance(error, MarkedYAMLError) else first_line(error)
    place = f"line {mark.line + 1}" if mark else "the file"
    remedy = f"look at {place}, for a colon, a bracket or an indent"
    return ConfigError(f"{path} must be YAML, of keys and values", f"{place}: {problem}", remedy)


def _unbuildable(error: InstantiationException) -> Exception:
    """A class that is not there or does not take its keys is a mistake; what it raises itself is a bug of its own."""
    cause, first = error.__cause__, first_line(error)
    target = first.split("'")[1] if first.count("'") > 1 else "_target_"
    if not isinstance(cause, Exception):  # Hydra itself refuses it
        return ConfigError(first, " ".join(str(error).splitlines()[-1:]), f"{COMMAND} --cfg job   # shows every key")
    if first.startswith("Error locating target"):
        reason = cause.__cause__
        is_missing = isinstance(reason, ModuleNotFoundError) and f"{target}.".startswith(f"{reason.name}.")
        if is_missing or not isinstance(reason, Exception) or isinstance(reason, AttributeError):
            return _not_there(target, str(cause))
        return _noted(reason, target)
    if isinstance(cause, TypeError) and not _had_begun(cause):
        law = f"{target} must take the keys that the config gives it"
        return ConfigError(law, str(cause), f"{COMMAND} --cfg job   # shows every key")
    return _noted(cause, target)


def _noted(error: Exception, target: str) -> Exception:
    error.add_note(f"raised while {target} was built")
    return error


def _not_there(target: str, problem: str) -> ConfigError:
    known = {name: group for group, schemas in TARGETS.items() for name in schemas if name}
    near = suggest.closest(target, known)
    remedy = setting(f"{known[near]}._target_", near) if near else f"{COMMAND} --cfg job   # shows every key"
    law = "_target_ must name a class that can be imported"
    return ConfigError(law, problem.removeprefix("Error loading "), remedy)


def _had_begun(error: BaseException) -> bool:
    """Whether what was called ran, and was not refused for its arguments."""
    return "/hydra/_internal/" not in [frame.f_code.co_filename for frame in frames(error)][-1]


def _was_hydras(error: Exception) -> bool:
    """Whether it was raised while Hydra, and no code of ours, looked at the config."""
    if not isinstance(error, HydraException | OmegaConfBaseException):
        return False
    files = [frame.f_code.co_filename for frame in frames(error)]
    own = [name for name in files if "/omegaconf/" not in name and "/antlr4/" not in name]
    return bool(own) and "/hydra/" in own[-1]


def _in_hydras_own_part(error: Exception) -> ConfigError:
    intervals = [word for word in overrides.read().overrides if word.is_interval_sweep()]
    if intervals and isinstance(error, HydraException):
        word = str(intervals[0].input_line)
        law = "an interval has no end of values: a grid cannot try them all, a search can"
        return ConfigError(law, word, f"hydra/sweeper=optuna {shlex.quote(word)}")
    typed = [word for word in overrides.read().overrides if word.is_hydra_override() or "${" in str(word.input_line)]
    got = shlex.join([str(word.input_line) for word in typed] or sys.argv[1:])
    return ConfigError(f"Hydra cannot work with this: {first_line(error)}", got, traceback_command())
