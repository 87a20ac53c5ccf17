"""Goes on with a sweep that was stopped: `python -m src.resume <sweep folder>`."""

import os
import re
import shlex
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from yaml import YAMLError

from src import record as records
from src.arguments import Arguments
from src.bounded import check_links, read_yaml
from src.commands import command, in_shell
from src.errors import ConfigError, die
from src.overrides import read, written
from src.places import STANDS, here, place, stands, stood, sweep_folder
from src.record_check import Damaged
from src.sweep.folder import read_sweep
from src.sweep_words import check_words, is_own_command
from src.trust import without_trust

_ROOT = Path(__file__).parent.parent
_ARGUMENTS = Arguments(
    "resume",
    "Goes on with a sweep that was stopped: what has ended is not trained again.",
    "one sweep folder",
    {},
    "outputs/sweeps/<sweep>",
)


def main() -> None:
    """Becomes the sweep's own command, where it was typed and for its folder: what has ended is not trained again."""
    try:
        folder, argv, cwd = _sweep(sys.argv[1:])
        os.environ[STANDS] = str(stands())
        os.chdir(cwd)
    except ConfigError as error:
        die(error)
    found = [str(_ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in found if path)
    os.execv(sys.executable, [sys.executable, "-m", "src.train", *_in_folder(argv, folder)])


def _in_folder(argv: list[str], folder: Path) -> list[str]:
    """The command's words with the sweep folder among its settings, which stand together."""
    settings = read(argv).words
    first = argv.index(settings[0]) if settings else len(argv)
    others = [word for word in argv[first:] if not re.match(r"\+*hydra\.sweep\.dir=", word)]
    return [*argv[:first], written("hydra.sweep.dir", str(folder)), *others]


def _sweep(argv: list[str]) -> tuple[Path, list[str], Path]:
    """The sweep folder, its command, and where to type that: a file of somebody else's moves nobody."""
    argv, trusted = without_trust(argv)
    words, _, _ = _ARGUMENTS.read(argv)
    if len(words) != 1:
        raise ConfigError("resume takes one sweep folder", in_shell(*words), _ARGUMENTS.example)
    folder = sweep_folder(words[0], _ARGUMENTS.again).resolve()
    try:
        sweep = read_sweep(folder)
    except Damaged as error:
        sweep = _from_trials(folder)
        if sweep:
            law = str(error).splitlines()[0].removeprefix("error: ")
            print(f"{law}: the sweep goes on as its trials say", file=sys.stderr)
    if not sweep:
        law = f"{place(folder)} is no sweep folder: it has no sweep.json that can be read"
        raise ConfigError(law, remedy="ls outputs/sweeps")
    typed, cwd = [str(word) for word in sweep["argv"]], Path(sweep["cwd"])
    if is_own_command(sweep):
        return folder, typed, stood(cwd, folder)
    by_hand = command("train", *_in_folder(typed, folder))
    check_words(typed, trusted, place(folder), f"cd {shlex.quote(str(cwd))} && {by_hand}")
    check_links(folder)
    return folder, typed, here()


def _from_trials(folder: Path) -> dict[str, Any]:
    """What a sweep's file said, as far as the trials' records and Hydra's notes beside them know it."""
    for path in sorted(folder.glob("*/record.json")):
        with suppress(ConfigError, OSError, ValueError, LookupError, TypeError, YAMLError):
            python, *words = shlex.split(records.read(path.parent).provenance["command"])
            notes = read_yaml(path.parent / ".hydra" / "hydra.yaml")
            cwd = notes["hydra"]["runtime"]["cwd"]
            if [python, *words[:2]] == ["python", "-m", "src.train"] and isinstance(cwd, str):
                return {"argv": words[2:], "cwd": cwd}
    return {}


if __name__ == "__main__":
    main()
