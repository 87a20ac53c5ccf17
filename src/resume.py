"""Goes on with a sweep that was stopped: `python -m src.resume <sweep folder>`."""

import os
import shlex
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml
from yaml import YAMLError

from src import record as records
from src.errors import ConfigError, die
from src.record_check import Damaged
from src.sweep.folder import read_sweep

_ROOT = Path(__file__).parent.parent


def main() -> None:
    """Becomes the sweep's own command, where it was typed and for its folder: what has ended is not trained again."""
    try:
        folder, argv, cwd = _sweep(sys.argv[1:])
        os.chdir(cwd)
    except ConfigError as error:
        die(error)
    found = [str(_ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in found if path)
    os.execv(sys.executable, [sys.executable, "-m", "src.train", *_in_folder(argv, folder)])


def _in_folder(argv: list[str], folder: Path) -> list[str]:
    """The command's words with the sweep folder among its settings, which stand together."""
    words = [word for word in argv if not word.startswith("hydra.sweep.dir=")]
    first = next((place for place, word in enumerate(words) if "=" in word and word[:1] != "-"), len(words))
    return [*words[:first], f"hydra.sweep.dir={_quoted(folder)}", *words[first:]]


def _quoted(folder: Path) -> str:
    """As Hydra reads it, whatever the folder's name is."""
    return "'" + str(folder).replace("\\", "\\\\").replace("'", "\\'") + "'"


def _sweep(words: list[str]) -> tuple[Path, list[str], str]:
    if len(words) != 1:
        raise ConfigError(
            "resume takes one sweep folder", " ".join(words), "python -m src.resume outputs/sweeps/<sweep>"
        )
    folder = Path(words[0]).resolve()
    try:
        sweep = read_sweep(folder)
    except Damaged as error:
        sweep = _from_trials(folder)
        if sweep:
            print(
                f"{error.args[0].splitlines()[0].removeprefix('error: ')}: the sweep goes on as its trials say",
                file=sys.stderr,
            )
    if not sweep:
        law = f"{words[0]} is no sweep folder: it has no sweep.json that can be read"
        raise ConfigError(law, remedy="ls outputs/sweeps")
    return folder, sweep["argv"], sweep["cwd"] if Path(sweep["cwd"]).is_dir() else os.getcwd()


def _from_trials(folder: Path) -> dict[str, Any]:
    """What a sweep's file said, as far as the trials' records and Hydra's notes beside them know it."""
    for path in sorted(folder.glob("*/record.json")):
        with suppress(ConfigError, OSError, ValueError, LookupError, TypeError, YAMLError):
            python, *words = shlex.split(records.read(path.parent).provenance["command"])
            notes = yaml.safe_load((path.parent / ".hydra" / "hydra.yaml").read_bytes())
            cwd = notes["hydra"]["runtime"]["cwd"]
            if [python, *words[:2]] == ["python", "-m", "src.train"] and isinstance(cwd, str):
                return {"argv": words[2:], "cwd": cwd}
    return {}


if __name__ == "__main__":
    main()
