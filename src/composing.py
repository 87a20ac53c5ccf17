"""A config that Hydra could not compose: which setting is at fault is found by composing again, setting by setting."""

import os
import re
import shlex
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import FrameType
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.defaults_list import create_defaults_list
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from src import overrides, suggest
from src.errors import ConfigError
from src.experiments import experiment_file, no_experiment
from src.suggest import COMMAND, ENTRY, right, setting


@dataclass
class Composition:
    """A config that Hydra could not compose.

    Attributes:
        loader: what Hydra composes with.
        name: of the main file.
        words: the settings.
        error: what Hydra said.
    """

    loader: ConfigLoaderImpl
    name: str | None
    words: list[Override]
    error: Exception

    def mistake(self, is_run: bool) -> ConfigError:
        """The first law that is broken: of sweeps, of the search path, of groups, of files, of keys."""
        if is_run and (sweeps := [word for word in self.words if word.is_sweep_override()]):
            return _needs_multirun(sweeps[0])
        if (setting_keys := frame_of(ConfigLoaderImpl._apply_overrides_to_config, self.error)) is not None:
            known = setting_keys.f_locals  # All else was composed by then: nothing is composed again.
            return _of_key(known["override"], known["cfg"], self.error)
        lines = [str(word.input_line) for word in self.words]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", UserWarning)
                self.repo = self.loader._parse_overrides_and_create_caching_repo(self.name, lines)[1]
        except Exception as error:
            return _search_path(error)
        if isinstance(self.error, MissingConfigException) and self.error.missing_cfg_file in (None, self.name):
            law = f"there is no config file {self.name}"
            return ConfigError(law, f"--config-name={self.name}", f"--config-name={ENTRY}")
        return self._of_groups() or self._of_files()

    def _is_group(self, word: Override) -> bool:
        return self.repo.group_exists(word.key_or_group) and not isinstance(word.value(), dict)

    def _defaults(self, words: Sequence[Override]) -> Any:
        return create_defaults_list(self.repo, self.name, list(words), prepend_hydra=True, skip_missing=False)

    def _of_groups(self) -> ConfigError | None:
        """The choice of an option that cannot be made, beside those before it."""
        groups = [word for word in self.words if self._is_group(word) and not word.is_sweep_override()]
        # What brings further groups comes first.
        groups.sort(key=lambda word: (word.key_or_group.count("/"), word.key_or_group != "experiment"))
        for place, word in enumerate(groups):
            try:
                self._defaults(groups[: place + 1])
            except (HydraException, OSError, ValueError, OmegaConfBaseException) as error:
                return _Choice(word, self.repo.get_group_options(word.key_or_group), error).mistake()
        return None

    def _of_files(self) -> ConfigError:
        groups = [word for word in self.words if self._is_group(word)]
        typed = [str(word.input_line) for word in groups]
        try:
            defaults = self._defaults(groups).defaults
            self.loader._compose_config_from_defaults_list(defaults, self.repo)
        except (HydraException, OSError, ValueError, OmegaConfBaseException) as error:
            return ConfigError(f"this cannot be composed: {first_line(error)}", shlex.join(typed), traceback_command())
        return ConfigError(
            f"this cannot be composed: {first_line(self.error)}", shlex.join(sys.argv[1:]), traceback_command()
        )


@dataclass
class _Choice:
    """A choice from a group that Hydra refuses."""

    word: Override
    options: list[str]
    error: Exception

    def mistake(self) -> ConfigError:
        word, group, value = self.word, self.word.key_or_group, self.word.value()
        typed, names = str(word.input_line), [value] if isinstance(value, str) else value
        remedy = suggest.choose(group, str(value), self.options)
        if not isinstance(names, list) or not all(map(self._is_there, names)):
            return self._no_option()
        if isinstance(self.error, MissingConfigException) and self.error.missing_cfg_file not in (
            f"{group}/{value}",
            None,
        ):
            return _chosen_in_a_file(typed, str(self.error.missing_cfg_file), list(self.error.options or ()))
        if word.is_delete():
            return ConfigError(f"only the option that {group} has can be taken out with ~", typed, remedy)
        if word.package is not None:
            return ConfigError(f"{group} has one place in the config, and is chosen without @", typed, remedy)
        if word.is_add() or word.is_force_add():
            return ConfigError(f"{group} is in the config already: set it without +", typed, remedy)
        if chosen := suggest.chosen_by(group):
            law = f"{group} is not a group of the chosen {chosen[0]}; {'='.join(chosen)} has it"
            return ConfigError(law, typed, f"{'='.join(chosen)} {typed}")
        if "No match" in str(self.error) and not str(self.error).startswith("In '"):
            return ConfigError(f"{group} is in no list of defaults: it is added with +", typed, f"+{typed}")
        return ConfigError(f"{typed} cannot be composed: {first_line(self.error)}", typed, traceback_command())

    def _is_there(self, name: Any) -> bool:
        is_file = self.word.key_or_group == "experiment" and experiment_file(str(name)) is not None
        return is_file or name in self.options

    def _no_option(self) -> ConfigError:
        group, value = self.word.key_or_group, self.word.value()
        if group == "experiment" and isinstance(value, str):
            return no_experiment(value, sorted(self.options))
        law = f"{group} is one of: {', '.join(self.options)}"
        remedy = suggest.choose(group, str(value), self.options)
        if value is None and not suggest.default(group):
            others = [word for word in sys.argv[1:] if word != self.word.input_line]
            remedy = f"{COMMAND} {shlex.join(others)}".rstrip()
        return ConfigError(law, str(self.word.input_line), remedy)


def _chosen_in_a_file(typed: str, missing: str, found: list[str]) -> ConfigError:
    """An option that is there chooses one that is not: most often its folder is not on the search path."""
    group, _, option = missing.rpartition("/")
    law = f"{typed} chooses {group}={option}, and there is no {missing}.yaml in conf/ or on hydra.searchpath"
    near = [path for path in sorted(Path.cwd().glob(f"**/{missing}.yaml"))[:1] if "outputs" not in path.parts]
    folder = str(near[0])[: -len(f"/{missing}.yaml")] if near else "…"
    remedy = setting("hydra.searchpath", [f"file://{folder}"])
    return ConfigError(law, f"{group} is one of: {', '.join(sorted(found))}", f"{remedy} {shlex.quote(typed)}")


def _of_key(word: Override, config: DictConfig, error: Exception) -> ConfigError:
    """A key that cannot be set, added or taken out."""
    typed, key, value = str(word.input_line), word.key_or_group, word.value()
    text = typed.partition("=")[2]
    known = _leaves(config)
    has = any(name == key or name.startswith(f"{key}.") for name in known)
    group = key.rpartition(".")[0]
    if word.package is not None:
        return suggest.unknown_key(key)
    if word.is_delete() and has and value is not None:
        return ConfigError(f"only the value that {key} has can be taken out with ~", typed, right(key, text))
    if word.is_add() and has:
        return ConfigError(f"{key} is in the config already: set it without +", typed, right(key, text))
    cause = error.__cause__ or error
    if has and isinstance(value, dict) and (own := [name for name in value if f"{key}.{name}" not in known]):
        return suggest.unknown_key(f"{key}.{own[0]}", known)
    if has or word.is_add() or word.is_force_add():
        law = f"{key} cannot be set to that: {first_line(cause)}"
        return ConfigError(law, typed, suggest.example(key) if suggest.is_known(key) else _as_it_is(key, config))
    if suggest.has_own_class(group) and not word.is_delete():
        return _of_own_class(word, [name for name in known if name.startswith(f"{group}.")])
    return suggest.unknown_key(key, [name for name in known if name.startswith("hydra.") == key.startswith("hydra.")])


def _as_it_is(key: str, config: DictConfig) -> str:
    """The setting that changes nothing."""
    node = OmegaConf.select(config, key.rpartition(".")[0] or key)
    plain_node = OmegaConf.to_container(node) if isinstance(node, DictConfig) else {}
    value = plain_node.get(key.rpartition(".")[2]) if isinstance(plain_node, dict) else None
    plain = value is not None and not isinstance(value, dict) and "${" not in str(value) and value != "???"
    return setting(key, value) if plain else f"{COMMAND} --cfg hydra   # shows every key"


def _of_own_class(word: Override, known: Sequence[str]) -> ConfigError:
    typed, key = str(word.input_line), word.key_or_group
    group, _, leaf = key.rpartition(".")
    if near := get_close_matches(leaf, [name.rpartition(".")[2] for name in known], n=1, cutoff=0.75):
        return ConfigError(f"there is no config key {key}", typed, setting(f"{group}.{near[0]}", word.value()))
    law = f"{key} is not in the config yet: an argument of a class of your own is added with +"
    return ConfigError(law, typed, shlex.quote(f"+{typed}"))


def _leaves(config: DictConfig, prefix: str = "") -> list[str]:
    """The dotted keys that hold a value."""
    leaves: list[str] = []
    for name in map(str, config):
        node = config._get_node(name)
        if isinstance(node, DictConfig) and node and not node._is_none() and not node._is_interpolation():
            leaves += _leaves(node, f"{prefix}{name}.")
        else:
            leaves.append(f"{prefix}{name}")
    return leaves


def _search_path(error: Exception) -> ConfigError:
    words = overrides.typed("hydra.searchpath")
    typed = str(words[-1].input_line) if words else "hydra.searchpath"
    given = words[-1].value() if words else None
    folders = given if isinstance(given, list) else [given]
    law = "hydra.searchpath lists folders that hold groups, as conf/ does: [file://folder,pkg://package.folder]"
    there = [str(path).removeprefix("file://") for path in folders if path]
    near = [path for path in there if os.path.isdir(path)] or ["conf"] * Path("conf").is_dir()
    remedy = setting("hydra.searchpath", [f"file://{path}" for path in near])
    return ConfigError(law, typed, remedy if near else "hydra.searchpath=[file://…]")


def _needs_multirun(word: Override) -> ConfigError:
    typed, key = str(word.input_line), word.key_or_group
    text, leaf = typed.partition("=")[2], key.rpartition(".")[2]
    kinds = [str(schema.__dataclass_fields__[leaf].type) for schema in suggest.known_keys().get(key, [])]
    if any(kind.startswith(("list", "tuple")) for kind in kinds):
        return ConfigError(f"{key} is a list, written in brackets", typed, right(key, f"[{text}]"))
    if any("float" in kind for kind in kinds) and re.fullmatch(r"-?0,\d+", text):
        return ConfigError(
            f"{key} is a number, written with a decimal point", typed, right(key, text.replace(",", "."))
        )
    if ENTRY != "train":
        return ConfigError(f"{key} takes one value", typed, setting(key, overrides.values(word)[0]))
    law = "several values for one key are a sweep, and a sweep is asked for with -m"
    return ConfigError(law, typed, f"{COMMAND} -m {shlex.join(sys.argv[1:])}")


def frames(error: BaseException) -> Iterator[FrameType]:
    """What was called when it was raised, the outermost first."""
    trace = error.__traceback__
    while trace is not None:
        yield trace.tb_frame
        trace = trace.tb_next


def frame_of(function: Callable[..., Any], error: BaseException) -> FrameType | None:
    """The call of a function in which an error was raised."""
    return next((frame for frame in frames(error) if frame.f_code is function.__code__), None)


def traceback_command() -> str:
    """The command again, with the traceback of what went wrong."""
    return f"HYDRA_FULL_ERROR=1 {COMMAND} {shlex.join(sys.argv[1:])}   # shows the traceback"


def first_line(error: BaseException) -> str:
    """What an error says, in a line."""
    texts = [str(part).strip() for part in (error, error.__cause__) if part is not None and str(part).strip()]
    lines = texts[0].splitlines() if texts else []
    text = " ".join(lines[: 2 if lines[0].endswith(":") else 1]) if lines else ""
    is_told = isinstance(error, HydraException | OmegaConfBaseException | OSError)
    return text if text and is_told else f"{type(error).__name__}: {text}"
