"""The laws of a command line, checked before Hydra composes anything: flags, settings, sweeps."""

import os
import re
import shlex
from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from src import overrides, suggest
from src.errors import ConfigError
from src.overrides import FlagError, Line
from src.places import meant_by
from src.suggest import COMMAND, ENTRY, GROUPS, options, right
from src.typed_sweeps import check_scoring, check_sweep

_DASHES = "-‐‑‒–—−"
_PASTED = str.maketrans(
    {"“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "\u00a0": " ", **dict.fromkeys("‐‑‒–—−", "-")}
)
"""What documents put in the place of quotes and dashes."""
_CLOSED = ("]", "}", ")", '"', "'", '"]', "']", "))")
_CALLS = {
    "range": "range(start,stop,step) takes numbers",
    "interval": "interval(start,end) takes numbers",
    "choice": "choice(a,b) takes values, and null is none; a,b takes it too",
}
_MOST = 500  # Hydra reads each three times, in a third of a millisecond
_HYDRA_GROUPS = {str(path.relative_to(suggest.CONF)) for path in suggest.CONF.glob("hydra/**/") if path.is_dir()}


def check_line(argv: Sequence[str]) -> None:
    """Checks what can be known of a command line without a config.

    Raises:
        ConfigError: at the first word that is wrong.
    """
    _check_dashes(argv)
    try:
        line = overrides.read(argv)
    except FlagError as error:
        raise ConfigError(str(error), shlex.join(argv), f"{COMMAND} --hydra-help") from None
    if len(line.words) > _MOST:
        law = f"a command has at most {_MOST} settings; a YAML file of your own holds any number"
        raise ConfigError(law, f"{len(line.words)} settings", f"{COMMAND} --help")
    if line.others:
        settings = [*line.words, *line.others]
        first = [word for word in argv if word not in settings]
        law = "settings stand together: flags such as -m come before or after all of them"
        raise ConfigError(law, shlex.join(argv), f"{COMMAND} {shlex.join([*first, *settings])}")
    if ENTRY != "train":
        check_scoring(line, is_sweep(line))
    _check_flags(line)
    for place, word in enumerate(line.words):
        if overrides.parsed(word) is None or not word.partition("=")[0].strip("+~"):
            raise _unreadable(line, place)
        _check_choice(line, place)
    if is_sweep(line):
        check_sweep(line)


def is_sweep(line: Line) -> bool:
    """Whether a sweep is asked for, as far as the command says; an experiment may ask for it too."""
    modes = [str(override.value()).upper() for override in line.all_of("hydra.mode")]
    return bool(line.flags.multirun or (modes and modes[-1] == "MULTIRUN"))


def _check_dashes(argv: Sequence[str]) -> None:
    """Everything that begins with a dash is one of Hydra's flags."""
    known = overrides.flags()._option_string_actions
    words = iter(enumerate(argv))
    for place, word in words:
        name = word.partition("=")[0]
        if name in known:
            if known[name].nargs is None and "=" not in word:
                next(words, None)  # the flag's argument
        elif word[:1] in _DASHES and word[:1] and not re.fullmatch(r"-[\d.].*", word):
            raise _dashed(argv, place, list(known))


def _dashed(argv: Sequence[str], place: int, known: Sequence[str]) -> ConfigError:
    word = argv[place]
    name, equals, value = word.lstrip(_DASHES).partition("=")
    plain = word.translate(_PASTED)
    dashes = "-" if len(name) == 1 else "--"
    flags = [flag for flag in known if flag.startswith("--")]
    law = "settings are written key=value, without dashes"
    is_setting = suggest.is_known(name.replace("-", "_"))
    if f"{dashes}{name}" in known or (
        not is_setting and (alike := get_close_matches(f"--{name}", flags, n=1, cutoff=0.75))
    ):
        flag = f"{dashes}{name}" if f"{dashes}{name}" in known else alike[0]
        return ConfigError(law, word, flag + (plain[plain.index("=") :] if equals else ""))
    following = [text for text in argv[place + 1 : place + 2] if text[:1] not in _DASHES and "=" not in text]
    got = shlex.join([word, *([] if equals else following)])
    near = suggest.nearest_key(name.replace("-", "_"))
    value = value or next(iter(following), "…")
    return ConfigError(law, got, right(near, value) if near else f"{COMMAND} --help")


def _check_flags(line: Line) -> None:
    flags = line.flags
    asked = [f"--{name.replace('_', '-')}" for name in ("run", "multirun", "shell_completion") if getattr(flags, name)]
    shown = [f"--{name} {getattr(flags, name)}" for name in ("cfg", "info") if getattr(flags, name)]
    if len(both := [*shown, *asked]) > 1 and not (flags.help or flags.hydra_help):
        remedy = f"{COMMAND} {both[-1] if not shown else shown[0]} {shlex.join(line.words)}".rstrip()
        raise ConfigError("a command does one thing", " ".join(both), remedy)
    if flags.resolve and not (flags.cfg or flags.help):
        raise ConfigError("--resolve goes with --cfg", "--resolve", f"{COMMAND} --cfg job --resolve")
    if flags.config_dir is not None and not os.path.isdir(flags.config_dir):
        law = "--config-dir is a folder that holds groups, as conf/ does"
        raise ConfigError(law, flags.config_dir, f"{COMMAND} {shlex.join(line.words)}".rstrip())
    name = str(flags.config_name).removesuffix(".yaml")
    if name != ENTRY and os.path.isfile(suggest.CONF / f"{name}.yaml"):
        law = f"the config of src.{ENTRY} is {ENTRY}"
        raise ConfigError(law, f"--config-name={flags.config_name}", f"--config-name={ENTRY}")
    if flags.config_path is not None:
        law = "conf/ is the folder of the configs; a folder of your own is added with --config-dir"
        is_there = os.path.isdir(flags.config_path)
        remedy = f"--config-dir={flags.config_path}"
        raise ConfigError(
            law, f"--config-path {flags.config_path}", shlex.quote(remedy) if is_there else f"{COMMAND} --help"
        )
    if flags.experimental_rerun is not None:
        law = "a run is repeated from what it recorded: --experimental-rerun would run what a pickle says"
        raise ConfigError(law, flags.experimental_rerun, f"{COMMAND} --help")


def _check_choice(line: Line, place: int) -> None:
    """A group has one place in the config, and one option at a time."""
    override, word = overrides.parse(line.words[place]), line.words[place]
    group, value = override.key_or_group, override.value()
    if group == "hydra":
        law = "hydra is not a value: its keys are hydra.<key>, and its groups hydra/<group>"
        raise ConfigError(law, word, f"{COMMAND} --cfg hydra   # shows every key")
    if isinstance(value, str) and (slashed := group.replace(".", "/")) in _HYDRA_GROUPS and slashed != group:
        raise ConfigError("a group of Hydra's is chosen with slashes", word, shlex.quote(f"{slashed}={value}"))
    if group in GROUPS and override.package is not None:
        law = f"{group} has one place in the config, and is chosen without @"
        raise ConfigError(law, word, suggest.choose(group, str(value)))
    if group in suggest.ONE_OF and isinstance(value, list):
        names = ",".join(str(name) for name in value)
        words = shlex.join([*line.words[:place], f"{group}={names}", *line.words[place + 1 :]])
        law = f"{group} is one option at a time; several are a sweep, and a sweep is asked for with -m"
        raise ConfigError(law, word, right(group, names) if len(value) < 2 else f"{COMMAND} -m {words}")


def _unreadable(line: Line, place: int) -> ConfigError:
    """A word that is no setting."""
    word = line.words[place]
    key, equals, value = word.partition("=")
    if not word.strip():
        law = "an empty word is no setting: is a variable of the shell empty?"
        rest = [other for other in line.words if other.strip()]
        return ConfigError(law, word, f"{COMMAND} {shlex.join(rest)}".rstrip())
    if not equals or not key.strip(" +~@") or key != key.strip():
        return _no_equals(line, place)
    remedy = next(_remedies(line, place), None)
    key_help = f"{COMMAND} --cfg job   # shows every key"
    remedy = remedy or (suggest.example(key) if suggest.is_known(key) else key_help)
    law = "a setting is written key=value: brackets and quotes close, and text that holds some is quoted"
    if call := re.fullmatch(rf"({'|'.join(_CALLS)})\(.*\)", value, re.DOTALL):
        law = f"{key}: {_CALLS[call[1]]}"
    return ConfigError(law, word, remedy)


def _remedies(line: Line, place: int) -> Iterator[str]:
    """What can be read, and what its key takes."""
    key, _, value = line.words[place].partition("=")
    for known, text in _readings(key, value):
        override = overrides.parsed(f"{known}={text}")
        if override is None or not suggest.may_be(known) or not suggest.fits(known, text):
            continue
        if override.is_sweep_override() and not is_sweep(line):
            words = [*line.words[:place], f"{known}={text}", *line.words[place + 1 :]]
            yield f"{COMMAND} -m {shlex.join(words)}"
        else:
            yield right(known, text)


def _readings(key: str, value: str) -> Iterator[tuple[str, str]]:
    """What may have been meant by a setting that cannot be read, the likeliest first."""
    plain = value.translate(_PASTED)
    known = suggest.meant(key.translate(_PASTED).strip())
    numbers = [known] if suggest.is_known(known) else []
    bare = [plain.replace('"', "")] if plain != value else []
    for text in (*bare, plain, plain.rstrip(","), *(plain + end for end in _CLOSED)):
        yield known, text
    if call := re.fullmatch(r"(\w+)\((.*)\)", plain, re.DOTALL):
        if call[1] == "choice":
            yield known, call[2]
        for name in get_close_matches(call[1], _CALLS, n=1) if numbers else []:
            yield known, f"{name}({call[2]})"
    yield known, plain.translate(str.maketrans("()", "[]"))
    yield known, overrides.written("", plain)[1:]


def _no_equals(line: Line, place: int) -> ConfigError:
    """A word without its =, or with spaces around it."""
    word = line.words[place]
    before = line.words[place - 1] if place else ""
    after = line.words[place + 1] if place + 1 < len(line.words) else ""
    law, help_ = "a setting is written key=value, with no space around =", f"{COMMAND} --help"
    if remedy := meant_by(word, ENTRY):
        return ConfigError("a folder and a file are given by a key", word, remedy)
    if before.endswith("="):
        return ConfigError(law, f"{before} {word}", right(suggest.meant(before[:-1]), word))
    if after.startswith("="):
        rest = after[1:] or "".join(line.words[place + 2 : place + 3])
        got = " ".join([word, after, *([rest] if after == "=" else [])])
        return ConfigError(law, got, right(suggest.meant(word), rest))
    if "=" in word:
        key, _, value = word.partition("=")
        return ConfigError(law, word, right(suggest.meant(key.strip()), value.strip()) if key.strip() else help_)
    key, _, value = word.partition(":")
    near = next((known for known in suggest.settable_keys() if key in (known, known.rpartition(".")[2])), None)
    if near:
        value = value or ("" if "=" in after else after) or "…"
        got = f"{word} {after}" if after == value else word
        return ConfigError(law, got, right(near, value))
    group = next((group for group in GROUPS if word in options(group)), None)
    if group or word in GROUPS:
        got = word if group or after not in options(word) else f"{word} {after}"
        return ConfigError(law, got, f"{group}={word}" if group else suggest.choose(word, after))
    return ConfigError(law, word, help_)
