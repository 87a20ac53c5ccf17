"""Keeps secrets out of what is shown and stored: what comes from the environment is kept by its name.

A value that the config takes from a variable (`${oc.env:NAME}`) stays that text in every file and in W&B, and is read
again when the run goes on. `hydra.job.env_set.NAME=value` is kept as `${oc.env:NAME}` too. A secret that was typed out
is refused before anything is written, and never shown.
"""

import json
import logging
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from omegaconf.resolvers import oc

_SECRET_NAME = re.compile(r"(API_?KEY|ACCESS_?KEY|SECRET|TOKEN|PASSWORD|PASSWD|PASSPHRASE)|_KEY$", re.IGNORECASE)
"""What an environment variable is called whose value is a secret."""
_SECRET_KEY = r"(?:\w*(?:password|passwd|passphrase|secret)|pwd|token|api_?key|access_?key|secret_?key)"
_SHORTEST = 6  # letters: a shorter value would be found in words that have nothing to do with it
_HIDDEN = "***"
_PATTERNS = (
    re.compile(r"(?<=://)(?:[^\s/'\"@]*:[^\s'\"]*|[^\s/'\"@]+)(?=@)"),  # user:password of a URL
    re.compile(rf"(?i)(?<!\w)((?:[\w.]*[.?&])?{_SECRET_KEY}\s*[=:]\s*)(?!\$)[^\s&'\",}}\]]+"),
    re.compile(r"\b(?:gh[pousr]_|github_pat_|hf_|sk-|wandb_v1_|xox[abp]-|AKIA)[\w-]{16,}"),
    re.compile(r"(hydra\.job\.env_set=)\{[^}]*\}?"),
    re.compile(r"(hydra\.job\.env_set\.\w+=)(?!\$\{)(?:'[^']*'|\"[^\"]*\"|[^\s'\"]+)"),
)
_CONTROLS = [*range(9), *range(11, 32), *range(127, 160)]  # but for tabs and line ends
_TURNS = [0x61C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A)]  # they turn the text behind them
UNSEEN = dict.fromkeys([*_CONTROLS, *_TURNS], "�")
"""What `str.translate` makes harmless: escape codes, and what shows a text in another order than it has."""
_taken: dict[str, str] = {}  # what the config took from the environment in this process: value, name


def hidden(text: str) -> str:
    """Text that may be shown: without passwords and keys, and without what a terminal would take for a command."""
    text = without_variables(text, _variables() | _taken)
    for pattern in _PATTERNS:
        text = pattern.sub(lambda found: (found[1] if found.re.groups else "") + _HIDDEN, text)
    return text.translate(UNSEEN)


class Hidden(logging.Formatter):
    """Log lines that may be shown."""

    def format(self, record: logging.LogRecord) -> str:
        """The line as `hidden` has it."""
        return hidden(super().format(record))


def without_variables(text: str, variables: Mapping[str, str] | None = None) -> str:
    """Text in which the names of variables stand for their values: by default of those that are called secrets."""
    for value, name in (_variables() if variables is None else variables).items():
        text = text.replace(value, f"${{oc.env:{name}}}")
    return text


def secret_in(word: str) -> tuple[str, str] | None:
    """What is secret in a setting as it was typed, and the setting that names a variable for it; None where nothing is.

    What is set for the environment (`hydra.job.env_set`) may be: it is stored nowhere. The URL of a study has a law of
    its own, in `src.sweep.sweeper`.
    """
    key, _, value = word.partition("=")
    if key.lstrip("+~").startswith(("hydra.job.env_set", "hydra.sweeper.storage")):
        return None
    for known, name in _variables().items():
        if known in value:
            return f"the value of {name}", f"{key}=${{oc.env:{name}}}"
    if any(pattern.search(word) for pattern in _PATTERNS):
        return "a password or a key", f"{key}=${{oc.env:MY_SECRET}}"
    return None


def typed_words(words: Sequence[str]) -> list[str]:
    """A command's words as they are stored: values for the environment are kept by their names."""
    return [_by_name(word) for word in words]


def _by_name(word: str) -> str:
    key, equals, value = word.partition("=")
    path = key.lstrip("+")
    if not equals or not path.startswith("hydra.job.env_set") or value.startswith("${"):
        return word
    if path == "hydra.job.env_set":
        names = re.findall(r"(\w+)\s*:", re.sub(r"'[^']*'|\"[^\"]*\"|://", "", value))
        return f"{key}={{{','.join(f'{name}:${{oc.env:{name}}}' for name in names)}}}"
    return f"{key}=${{oc.env:{path.rpartition('.')[2]}}}"


def keep_by_name(hydra: DictConfig) -> None:
    """Sets what `hydra.job.env_set` says in the environment, and leaves its names alone in Hydra's own config.

    Hydra writes that config beside every run, and composes the trials of a sweep from it.
    """
    given = cast(dict[str, Any], OmegaConf.to_container(hydra.job.env_set))
    for name, value in given.items():
        if value is not None and not str(value).startswith("${"):
            os.environ[name] = str(value)
            hydra.job.env_set[name] = f"${{oc.env:{name}}}"
    hydra.overrides.hydra = typed_words(listed(hydra.overrides.hydra))


def listed(overrides: Any) -> list[str]:
    """Overrides as they were typed: OmegaConf would put in what the environment says."""
    return cast(list[str], OmegaConf.to_container(overrides))


def stored(config: DictConfig) -> dict[str, Any]:
    """A config as plain values, resolved, but for what comes from the environment: that stays `${oc.env:NAME}`."""
    plain = cast(dict[str, Any], OmegaConf.to_container(config))
    if "${oc." not in json.dumps(plain, default=str):
        return cast(dict[str, Any], OmegaConf.to_container(config, resolve=True))
    with _kept():
        try:
            return cast(dict[str, Any], OmegaConf.to_container(config, resolve=True))
        except OmegaConfBaseException:  # a resolver of the user's own that takes no text
            return plain


@contextmanager
def _kept() -> Iterator[None]:
    """Resolves an environment variable to the text that names it."""

    def env(*parts: Any) -> str:
        return f"${{oc.env:{','.join('null' if part is None else str(part) for part in parts)}}}"

    def decode(text: Any, _parent_: Any, _node_: Any) -> Any:
        return f"${{oc.decode:{text}}}" if "${" in str(text) else oc.decode(text, _parent_, _node_)

    OmegaConf.register_new_resolver("oc.env", env, replace=True)
    OmegaConf.register_new_resolver("oc.decode", decode, replace=True)
    try:
        yield
    finally:
        register()
        OmegaConf.register_new_resolver("oc.decode", oc.decode, replace=True)


def _env(name: str, *default: Any) -> str | None:
    """As `oc.env`, and keeps in mind what it said, so that no error shows it."""
    value = oc.env(name, *default)
    if _is_hidden(os.environ.get(name, "")):
        _taken[os.environ[name]] = name
    return value


def register() -> None:
    """Has OmegaConf say which variables a config takes its values from."""
    OmegaConf.register_new_resolver("oc.env", _env, replace=True)


@cache
def _variables() -> dict[str, str]:
    """The secrets in the environment that a command began with, and their names."""
    named = {name: value for name, value in os.environ.items() if _SECRET_NAME.search(name)}
    return {value: name for name, value in named.items() if _is_hidden(value)}


def _is_hidden(value: str) -> bool:
    return len(value) >= _SHORTEST and not value.startswith("/")  # a path is none, and is to be pasted


def check_no_secret(argv: Sequence[str]) -> tuple[str, str, str] | None:
    """The law, what was got and what to type where a word holds a secret; None where none does."""
    for word in argv:
        if found := secret_in(word):
            what, remedy = found
            law = f"a setting must not hold {what}: records, the report and W&B keep what was typed"
            return law, hidden(word), f"{shlex.quote(remedy)}   # with the value in that variable"
    return None
