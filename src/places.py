"""Places: where the user stands, the files that they name from there, and folders as they would type them."""

import os
import re
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from hydra.core.hydra_config import HydraConfig

from src.commands import command, in_shell
from src.errors import ConfigError
from src.overrides import written


def here() -> Path:
    """Where the user stood when they typed the command: `hydra.job.chdir` moves the process, and not them.

    Raises:
        ConfigError: where that folder has been deleted meanwhile.
    """
    if HydraConfig.initialized():
        return Path(HydraConfig.get().runtime.cwd)
    try:
        return Path.cwd()
    except FileNotFoundError:
        law = "the folder that you stand in has been deleted"
        raise ConfigError(law, os.environ.get("PWD", ""), "cd ~   # or to any folder that is there") from None


def stands() -> Path:
    """Where the user stands who reads what is printed: `src.resume` starts a sweep's command where that was typed."""
    return Path(os.environ.get(STANDS) or here())


def stood(cwd: Path, folder: Path) -> Path:
    """Where the user stood who typed what is kept in a folder; where that has been moved with its outputs, where it is.

    Args:
        cwd: where they stood then.
        folder: a run's or a sweep's.
    """
    if cwd.is_dir():
        return cwd
    outputs = next((above for above in folder.resolve().parents if above.name == "outputs"), None)
    return outputs.parent if outputs else here()


STANDS = "TANDEM_STANDS_IN"
"""The environment variable by which `src.resume` says it."""


def from_here(path: str | Path) -> Path:
    """A path as the user typed it, made absolute; `~` is the home folder."""
    return here() / os.path.expanduser(path)


def rebased(value: Any, base: Path, key: str = "") -> Any:
    """Settings in which what names a file relative to `base` is absolute: they can be read in another folder.

    Args:
        value: a setting, or lists and mappings of them.
        base: where the user stood when they typed it.
        key: of the setting.
    """
    if isinstance(value, dict):
        return {name: rebased(part, base, str(name)) for name, part in value.items()}
    if isinstance(value, list):
        return [rebased(part, base, key) for part in value]
    is_path = isinstance(value, str) and (_PATHS.search(key) or re.search(r"[./]", value)) and key != "_target_"
    path = str(value).removeprefix("file://")
    return str(value).replace(path, str(base / path)) if is_path and path and os.path.exists(base / path) else value


_PATHS = re.compile(r"path|file|folder|dir|root", re.IGNORECASE)


def short(folder: Path) -> Path:
    """The folder as a user would type it: relative to where they stand, if it lies below."""
    whole = here() / folder
    if whole.is_relative_to(stands()):
        return whole.relative_to(stands())
    return folder if stands() == here() else whole


def place(folder: Path) -> str:
    """The same as a word of its own, which no command takes for a flag, a setting or somebody's home."""
    text = str(short(folder))
    return f"./{text}" if re.match(r"[-~]|\w+=", text) else text


_LONGEST = 3800
"""Bytes of a folder's path: Linux takes 4,096, and files lie in it."""
Again = Callable[[str], str]
"""The command that was typed, with another folder."""


def run_folder(text: str, key: str, again: Again) -> Path:
    """The run folder that a setting names.

    Args:
        text: what was typed.
        key: of the setting, such as `resume`.
        again: the command with another folder.

    Raises:
        ConfigError: where it is none; a sweep or a file in a run folder is told from one that is not there.
    """
    law = f"{key} must be the folder of a run"
    folder = existing(text, law, again)
    if _is_run(folder):
        return folder
    if _is_sweep(folder) and key == "resume":
        raise ConfigError(f"{law}: a sweep goes on by another command", text, command("resume", place(folder)))
    runs = sorted(path.parent for path in folder.glob("*/record.json"))
    remedy = again(place(runs[-1])) if runs else "ls outputs/runs"
    raise ConfigError(f"{law}, which has a record.json", text, remedy)


def sweep_folder(text: str, again: Again) -> Path:
    """The sweep folder that `src.resume` is given.

    Args:
        text: what was typed.
        again: the command with another folder.

    Raises:
        ConfigError: where it is none; a run is told from one that is not there.
    """
    law = "resume takes the folder of a sweep"
    folder = existing(text, law, again)
    if _is_sweep(folder):
        return folder
    if _is_sweep(folder.parent) and _is_run(folder):
        raise ConfigError(f"{law}, and this is one of its trials", text, again(place(folder.parent)))
    if _is_run(folder):
        raise ConfigError(f"{law}, and this is a run", text, command("train", written("resume", place(folder))))
    sweeps = sorted(path.parent for path in folder.glob("*/sweep.json"))
    remedy = again(place(sweeps[-1])) if sweeps else "ls outputs/sweeps"
    raise ConfigError(f"{law}, which has a sweep.json", text, remedy)


def existing(text: str, law: str, again: Again) -> Path:
    """The folder that a word names.

    Args:
        text: what was typed.
        law: what it must be.
        again: the command with another folder.

    Raises:
        ConfigError: where there is none, or a file.
    """
    folder = from_here(text)
    if text and os.path.isdir(folder):
        return _readable(folder, law, text)
    if not text:
        raise ConfigError(law, text, in_shell("ls", "outputs"))
    above = next(parent for parent in folder.parents if os.path.isdir(parent))
    if os.path.exists(folder):
        known = next((parent for parent in folder.parents if _is_run(parent) or _is_sweep(parent)), None)
        remedy = again(place(known)) if known else in_shell("ls", place(above))
        raise ConfigError(law, f"a file: {text}", remedy)
    if os.path.islink(folder):
        raise ConfigError(
            law, f"a link that leads nowhere: {text} -> {os.readlink(folder)}", in_shell("ls", "-l", place(above))
        )
    near = get_close_matches(folder.relative_to(above).parts[0], _folders_in(above), n=1)
    remedy = again(place(above / near[0])) if near else in_shell("ls", place(above))
    raise ConfigError(law, f"there is no such folder: {text}", remedy)


def _readable(folder: Path, law: str, text: str) -> Path:
    if os.access(folder, os.R_OK | os.X_OK):
        return folder
    raise ConfigError(law, f"you may not read {text}", in_shell("ls", "-ld", place(folder)))


def _folders_in(folder: Path) -> list[str]:
    """The names of the folders in one, none where they may not be read."""
    try:
        return [path.name for path in folder.iterdir() if os.path.isdir(path)]
    except OSError:
        return []


def check_place(key: str, folder: Path, foreign: str | None = None) -> None:
    """Makes sure that files can be written to a folder, and that no other kind of folder is there.

    Args:
        key: the setting that says where.
        folder: what it says.
        foreign: the file that the other kind has, such as `sweep.json` where a run is to lie.

    Raises:
        ConfigError: where it cannot.
    """
    above = next(path for path in (here() / folder, *(here() / folder).parents) if os.path.lexists(path))
    other = written(key, str(Path(gettempdir()) / "tandem" / _plain(folder.name)))
    if not os.path.isdir(above):
        kind = "a file" if os.path.exists(above) else "a link that leads nowhere"
        law = f"{key} must {'be' if above == here() / folder else 'lie in'} a folder, and {place(above)} is {kind}"
        raise ConfigError(law, str(folder), in_shell(other))
    if not os.access(above, os.W_OK | os.X_OK):
        law = f"{key} must lie where you may write, and {above} is not yours to write in"
        raise ConfigError(law, str(folder), in_shell(other))
    if "${" in str(folder) or not str(folder).isprintable():
        law = f"{key}: a name holds no ${{ and no line breaks or other control characters"
        raise ConfigError(law, str(folder), in_shell(other))
    if any(len(os.fsencode(part)) > 255 for part in folder.parts):
        raise ConfigError(f"{key}: a name has at most 255 bytes", str(folder), in_shell(other))
    if len(os.fsencode(here() / folder)) > _LONGEST:
        law = f"{key}: a path has at most {_LONGEST} bytes"
        raise ConfigError(law, str(folder), in_shell(other))
    if foreign and os.path.isfile(folder / foreign):
        kind = "run" if foreign == "record.json" else "sweep"
        raise ConfigError(f"{key} is the folder of a {kind} already", str(folder), in_shell(other))


def _plain(name: str) -> str:
    plain = re.sub(r"[^\w. -]", "_", name)
    return Path(plain).stem[:50] + Path(plain).suffix[:10] or "run"


def meant_by(word: str, entry: str = "train") -> str | None:
    """The command for a folder or a file that was given without a key; None where there is none.

    Args:
        word: what was typed.
        entry: behind which command, `train` or `evaluate`.
    """
    path = from_here(word)
    if entry == "evaluate":
        return _scored_by(path)
    if os.path.isdir(path) and _is_run(path):
        return command("train", written("resume", place(path)))
    if os.path.isdir(path):
        return command("resume", place(path)) if _is_sweep(path) else None
    key = {".yaml": "experiment", ".yml": "experiment", ".csv": "data.path", ".parquet": "data.path"}.get(path.suffix)
    if not (os.path.isfile(path) and key):
        return None
    if key == "data.path":
        return command("train", "data=table", written(key, place(path)), "data.target=…")
    return command("train", written(key, place(path)))


def _scored_by(path: Path) -> str | None:
    if os.path.isdir(path):
        return command("evaluate", written("run", place(path))) if _is_run(path) else None
    return in_shell(written("data.path", place(path))) if os.path.isfile(path) else None


def _is_run(folder: Path) -> bool:
    return os.path.isfile(folder / "record.json")


def _is_sweep(folder: Path) -> bool:
    return os.path.isfile(folder / "sweep.json")
