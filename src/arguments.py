"""The words of the commands that Hydra does not read: folders, and settings written key=value."""

import argparse
from collections.abc import Mapping, Sequence
from typing import NoReturn

from src.commands import command
from src.errors import ConfigError
from src.places import from_here


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
        self.example = f"python -m src.{name} {example}"
        rows = [("<folder>", takes)] if takes else []
        rows += [(f"{key}=…", means) for key, means in settings.items()]
        super().__init__(
            prog=f"python -m src.{name}",
            usage=" ".join(["%(prog)s", "[-h]", *(word if word[0] == "<" else f"[{word}]" for word, _ in rows)]),
            description=does,
            epilog="\n".join([*(f"  {word:<16}{means}" for word, means in rows), "", f"such as: {self.example}"]),
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
            if key in self.settings and value:
                settings[key] = value
            elif self._is_folder(word):
                folders.append(word)
            else:
                self._refuse(word)
        return folders, settings, flags

    def again(self, folder: str) -> str:
        """The command for another folder."""
        return command(self._name, folder)

    def _is_folder(self, word: str) -> bool:
        is_setting = word.partition("=")[0].isidentifier() and "=" in word and not from_here(word).exists()
        return bool(self.takes) and not word.startswith("-") and not is_setting

    def error(self, message: str) -> NoReturn:
        """What argparse finds wrong."""
        raise ConfigError(message, remedy=self.example)

    def _refuse(self, word: str) -> NoReturn:
        known = ", ".join(f"{key}=…" for key in self.settings)
        flags = ", ".join(name for action in self._actions for name in action.option_strings if name[:2] == "--")
        takes = ", ".join(filter(None, (self.takes, known, flags)))
        raise ConfigError(f"{self._name} takes {takes}", word, self.example)
