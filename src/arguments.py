"""The words of the commands that Hydra does not read: folders, and settings written key=value."""

import argparse
import os
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import NoReturn

from src.commands import command, in_shell
from src.errors import ConfigError
from src.places import from_here, place


class Arguments(argparse.ArgumentParser):
    """A command's words; a wrong one is a `ConfigError`, and `--help` costs no heavy import.

    Args:
        name: the command's, such as `report` of `src.report`.
        does: what it does.
        takes: its folders in words, such as `folders of runs or sweeps`; empty where it takes none.
        settings: what each of its settings means, by its key.
        example: what may stand behind its name.
    """

    def __init__(self, name: str, does: str, takes: str, settings: Mapping[str, str], example: str) -> None:
        self.takes, self.settings, self._name = takes, settings, name
        self._example = f"python -m src.{name} {example}"
        rows = [("<folder>", takes)] if takes else []
        rows += [(f"{key}=…", means) for key, means in settings.items()]
        super().__init__(
            prog=f"python -m src.{name}",
            usage=" ".join(["%(prog)s", "[-h]", *(word if word[0] == "<" else f"[{word}]" for word, _ in rows)]),
            description=does,
            epilog="\n".join([*(f"  {word:<16}{means}" for word, means in rows), "", f"such as: {self._example}"]),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self.add_argument("words", nargs="*", help=argparse.SUPPRESS)

    def read(self, argv: Sequence[str]) -> tuple[list[str], dict[str, str], argparse.Namespace]:
        """The folders, the settings and the flags.

        Raises:
            ConfigError: at a word that the command does not take.
        """
        flags, others = self.parse_known_intermixed_args(list(argv))
        folders: list[str] = []
        settings: dict[str, str] = {}
        for word in [*flags.words, *others]:
            key, _, value = word.partition("=")
            if key in settings:
                raise ConfigError(f"{key} is given once", f"{key}={settings[key]} {word}", f"{key}={settings[key]}")
            if key in self.settings and value:
                settings[key] = value
            elif self._is_folder(word):
                folders.append(word)
            else:
                self._refuse(word, argv)
        return folders, settings, flags

    def again(self, folder: str) -> str:
        """The command for another folder."""
        return command(self._name, folder)

    @property
    def example(self) -> str:
        """The command as it can be typed here: for the latest folder of its kind, where there is one."""
        return in_shell(*(_there(word) for word in self._example.split()))

    def _is_folder(self, word: str) -> bool:
        is_setting = word.partition("=")[0].isidentifier() and "=" in word and not os.path.exists(from_here(word))
        return bool(self.takes) and not word.startswith("-") and not is_setting

    def error(self, message: str) -> NoReturn:
        """What argparse finds wrong."""
        raise ConfigError(message, remedy=self.example)

    def _refuse(self, word: str, argv: Sequence[str]) -> NoReturn:
        known = ", ".join(f"{key}=…" for key in self.settings)
        flags = ", ".join(name for action in self._actions for name in action.option_strings if name[:2] == "--")
        takes = ", ".join(filter(None, (self.takes, known, flags)))
        key, equals, value = word.lstrip("-").partition("=")
        position = argv.index(word)
        if not equals and argv[position + 1 : position + 2] and word.startswith("-"):
            value = argv[position + 1]
        near = [name for name in self.settings if key and name.startswith(key)]
        near = near or get_close_matches(key, self.settings, n=1)
        got = in_shell(word) if equals or not (near and value) else in_shell(word, value)
        raise ConfigError(f"{self._name} takes {takes}", got, self._meant(word, near, value, argv))

    def _meant(self, word: str, near: list[str], value: str, argv: Sequence[str]) -> str:
        """The setting or the command that was probably meant."""
        if near:
            return in_shell(f"{near[0]}={value or '…'}")
        is_folder = [text for text in (word, value) if text and os.path.isdir(from_here(text))]
        if is_folder and self.takes:
            return self.again(is_folder[0])
        if is_folder and "sweep" in self.settings:
            return in_shell(f"sweep={is_folder[0]}")
        rest = [other for other in argv if other != word]
        return command(self._name, *rest) if rest else self.example


def _there(word: str) -> str:
    """A sample such as `outputs/sweeps/<sweep>` as the latest that is there; with `…` for its name where none is."""
    key, equals, sample = word.rpartition("=")
    if not sample.endswith(">"):
        return word
    kind = from_here(sample).parent
    found = [path for path in kind.iterdir() if path.is_dir()] if os.path.isdir(kind) else []
    latest = max(found, key=lambda path: path.stat().st_mtime, default=None)
    return f"{key}{equals}{place(latest) if latest else sample.partition('<')[0] + '…'}"
