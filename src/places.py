"""Places: where the user stands, the files that they name from there, and folders as they would type them."""

import os
from difflib import get_close_matches
from pathlib import Path

from hydra.core.hydra_config import HydraConfig

from src.commands import command, in_shell
from src.overrides import written
from src.suggest import ConfigError

_OF_A_RUN, _OF_A_SWEEP = "record.json", "sweep.json"


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
        raise ConfigError(law, os.environ.get("PWD", ""), "cd ~   (or to any folder that is there)") from None


def from_here(path: str | Path) -> Path:
    """A path as the user typed it, made absolute; `~` is the home folder."""
    return here() / os.path.expanduser(path)


def short(folder: Path) -> Path:
    """The folder as a user would type it: relative to where they stand, if it lies below."""
    return folder.relative_to(here()) if folder.is_relative_to(here()) else folder


def place(folder: Path) -> str:
    """The same as a word of its own, which no command takes for a flag, a setting or somebody's home."""
    text = str(short(folder))
    return f"./{text}" if text[0] in "-~" or ("=" in text and text[0] != "/") else text


def run_folder(text: str, key: str) -> Path:
    """The run folder that a setting names.

    Args:
        text: what was typed.
        key: of the setting, such as `resume`.

    Raises:
        ConfigError: where it is none; a sweep or a file in a run folder is told from one that is not there.
    """
    folder = existing(text, f"{key} must be the folder of a run")
    if (folder / _OF_A_RUN).is_file():
        return folder
    law = f"{key} must be the folder of a run, with a {_OF_A_RUN}"
    if (folder / _OF_A_SWEEP).is_file() and key == "resume":
        raise ConfigError(f"{law}: a sweep goes on by another command", text, command("resume", place(folder)))
    runs = sorted(path.parent for path in folder.glob(f"*/{_OF_A_RUN}"))
    raise ConfigError(law, text, in_shell(written(key, place(runs[-1]))) if runs else "ls outputs/runs")


def sweep_folder(text: str) -> Path:
    """The sweep folder that `src.resume` is given.

    Raises:
        ConfigError: where it is none; a run is told from one that is not there.
    """
    law = "resume takes the folder of a sweep"
    folder = existing(text, law)
    if (folder / _OF_A_SWEEP).is_file():
        return folder
    if (folder.parent / _OF_A_SWEEP).is_file():
        raise ConfigError(f"{law}, and this is one of its trials", text, command("resume", place(folder.parent)))
    if (folder / _OF_A_RUN).is_file():
        raise ConfigError(f"{law}, and this is a run", text, command("train", written("resume", place(folder))))
    sweeps = sorted(path.parent for path in folder.glob(f"*/{_OF_A_SWEEP}"))
    remedy = command("resume", place(sweeps[-1])) if sweeps else "ls outputs/sweeps"
    raise ConfigError(f"{law}, which has a {_OF_A_SWEEP}", text, remedy)


def existing(text: str, law: str) -> Path:
    """The folder that a word names.

    Args:
        text: what was typed.
        law: what it must be.

    Raises:
        ConfigError: where there is none, or a file.
    """
    folder = from_here(text)
    if text and folder.is_dir():
        return folder
    if text and folder.exists():
        raise ConfigError(f"{law}, and this is a file", text, place(folder.parent))
    law = f"{law}: there is no such folder" if text else law
    raise ConfigError(law, text, _nearest(folder) if text else "outputs/runs/<run>")


def _nearest(folder: Path) -> str:
    """What was probably meant, or how to look."""
    place_above = next(parent for parent in folder.parents if parent.is_dir())
    missing = folder.relative_to(place_above).parts[0]
    near = get_close_matches(missing, [path.name for path in place_above.iterdir() if path.is_dir()], n=1)
    return in_shell(place(place_above / near[0])) if near else in_shell("ls", place(place_above))
