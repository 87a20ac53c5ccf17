"""Goes on with a sweep that was stopped: `python -m src.resume <sweep folder>`."""

import os
import shlex
import sys
from pathlib import Path

from src.bounded import check_links, read_json
from src.errors import ConfigError, die
from src.sweep_words import check_words, is_own_command
from src.trust import without_trust

_ROOT = Path(__file__).parent.parent


def main() -> None:
    """Becomes the sweep's own command, where it was typed and for its folder: what has ended is not trained again."""
    try:
        folder, argv, cwd = _sweep(sys.argv[1:])
        if cwd is not None:
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


def _sweep(words: list[str]) -> tuple[Path, list[str], str | None]:
    """The sweep folder, its command, and where to type that: a file of somebody else's moves nobody."""
    words, trusted = without_trust(words)
    if len(words) != 1:
        raise ConfigError(
            "resume takes one sweep folder", " ".join(words), "python -m src.resume outputs/sweeps/<sweep>"
        )
    folder = Path(words[0]).resolve()
    try:
        sweep = read_json(folder / "sweep.json")
        argv, cwd = [str(word) for word in sweep["argv"]], str(sweep["cwd"])
        is_own = is_own_command(sweep)
    except (OSError, ValueError, KeyError, TypeError) as error:
        law = f"{words[0]} is no sweep folder: it has no sweep.json that can be read"
        raise ConfigError(law, remedy="ls outputs/sweeps") from error
    if is_own:
        return folder, argv, cwd if Path(cwd).is_dir() else None
    by_hand = shlex.join(["python", "-m", "src.train", *_in_folder(argv, folder)])
    check_words(argv, trusted, words[0], f"cd {shlex.quote(cwd)} && {by_hand}")
    check_links(folder)
    return folder, argv, None


if __name__ == "__main__":
    main()
