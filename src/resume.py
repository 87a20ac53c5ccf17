"""Goes on with a sweep that was stopped: `python -m src.resume <sweep folder>`."""

import json
import os
import sys
from pathlib import Path

from src import train
from src.errors import ConfigError, die


def main() -> None:
    """Types the sweep's own command again, in its own folder: what has ended is not trained again."""
    try:
        folder, argv, cwd = _sweep(sys.argv[1:])
    except ConfigError as error:
        die(error)
    os.chdir(cwd)
    others = [word for word in argv if not word.startswith("hydra.sweep.dir=")]
    sys.argv = [sys.argv[0], *others[:1], f"hydra.sweep.dir={folder}", *others[1:]]
    train.main()


def _sweep(words: list[str]) -> tuple[Path, list[str], str]:
    if len(words) != 1:
        raise ConfigError("resume takes one sweep folder", " ".join(words), "python -m src.resume outputs/sweeps/<sweep>")
    folder = Path(words[0]).resolve()
    try:
        sweep = json.loads((folder / "sweep.json").read_text())
        return folder, sweep["argv"], sweep["cwd"]
    except (OSError, ValueError, KeyError) as error:
        law = f"{words[0]} is no sweep folder: it has no sweep.json that can be read"
        raise ConfigError(law, remedy="ls outputs/sweeps") from error


if __name__ == "__main__":
    main()
