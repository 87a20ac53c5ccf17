"""Commands as they are printed: quoted for Hydra and for the shell, so that what is pasted is what was meant."""

import re
import shlex
import shutil
import sys
from pathlib import Path

from src.overrides import parsed


def command(module: str, *words: str) -> str:
    """A command of Tandem's, such as `python -m src.train seed=1`, as it is pasted into a shell.

    Args:
        module: `train` for `src.train`.
        words: what stands behind it, not yet quoted for the shell.
    """
    return in_shell("python", "-m", f"src.{module}", *words)


def in_shell(*words: str) -> str:
    """Words as a shell is given them; of a setting the value alone is quoted, which is easier to read."""
    return " ".join(_in_shell(text) for text in words)


def _in_shell(text: str) -> str:
    key, equals, value = text.partition("=")
    is_setting = equals and value and shlex.quote(key) == key
    if value == "…":  # stands for what only the user can know
        return text
    return f"{key}={_quoted(value)}" if is_setting else _quoted(text)


def _quoted(text: str) -> str:
    """Text that holds Hydra's quotes is put into the shell's other ones, where these change nothing in it."""
    return f'"{text}"' if "'" in text and not re.search(r'["$`\\!]', text) else shlex.quote(text)


def as_hydra_reads(text: str) -> str:
    """The text that a value stands for where Hydra's quotes are around it; else the value itself."""
    override = parsed(f"key={text}")
    value = override.value() if override else text
    return value.replace(r"\${", "${") if isinstance(value, str) else text


def which_python() -> str | None:
    """What `python` stands for in a command, where the user's shell has another one by that name; else None."""
    running, found = Path(sys.executable), Path(shutil.which("python") or "/")
    if found.parent == running.parent and found.samefile(running):
        return None
    is_below = running.is_relative_to(Path.cwd())
    return in_shell(str(running.relative_to(Path.cwd()) if is_below else running))
