"""Uploads every W&B log that has not been uploaded: `python -m src.sync [folders] [limit=<seconds>]`."""

import logging
import math
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from rich.console import Console
from rich.text import Text

from src import record as records
from src.arguments import Arguments
from src.errors import ConfigError, die
from src.online import NO_KEY
from src.output import keep_going
from src.places import existing, here, short
from src.provenance import is_alive
from src.secrecy import UNSEEN
from src.tracking import placed
from src.upload import Outcome, Upload
from src.uploader import is_uploaded

log = logging.getLogger(__name__)
_ARGUMENTS = Arguments(
    "sync",
    "Uploads every W&B log that has not been uploaded. It asks nothing, and can be run again.",
    "folders that hold runs (outputs)",
    {"limit": "seconds for all of it (3600)"},
    "outputs",
)
_PATIENCE = 600.0  # seconds for one log and its artifacts
_LIMIT = 3600.0  # seconds for all of it; a server that stops answering ends it much earlier


def main() -> int:
    """Uploads what is left, and says how much that was; it can be run again, and asks nothing.

    Returns:
        0 where all has arrived, 1 where some is left, 2 where nothing could be tried.
    """
    keep_going()
    try:
        folders, limit = _asked(sys.argv[1:])
        logs = sorted({log for folder in folders for log in logs_in(folder)})
        there = [log for log in logs if is_uploaded(log)]
        busy = [log for log in logs if log not in there and is_being_written(log)]
        outcome = upload([log for log in logs if log not in {*there, *busy}], folders[0], limit)
        if outcome.problem == NO_KEY:
            raise ConfigError("uploading to W&B needs a key", "no key", "wandb login   # or set WANDB_API_KEY")
    except ConfigError as error:
        die(error)
    _say(len(logs) - len(there) - len(busy) - len(outcome.left), len(there), len(busy), outcome)
    return 1 if outcome.left or busy else 0


def logs_in(folder: Path) -> list[Path]:
    """The folders of W&B runs in and below a folder, offline and online ones, which each hold a log."""
    found = (path for path in folder.rglob("*run-*") if not path.is_symlink() and any(path.glob("*.wandb")))
    return sorted(path.resolve() for path in (found if not any(folder.glob("*.wandb")) else [folder]))


def is_being_written(run: Path) -> bool:
    """Whether the run is trained just now, on this machine: its log would be uploaded as a failed one's."""
    folder = run.parent.parent
    with suppress(ConfigError):
        record = records.read(folder)
        source = record.provenance
        mine = record.status == "running" and record.error is None and source.get("host") == os.uname().nodename
        lives = is_alive(int(source.get("pid", 0)), source.get("process_started"))
        return mine and record.wandb.get("id") == run.name.rpartition("-")[2] and lives
    return False


def upload(logs: Sequence[Path], folder: Path, limit: float) -> Outcome:
    """Uploads logs, and lets the records of their runs say where these are now."""
    sending = Upload(folder, patience=_PATIENCE)
    sending.add(*logs)
    outcome = sending.end(limit)
    for run in set(logs) - set(outcome.left) if outcome.account else ():
        with suppress(ConfigError):
            _tell_place(run.parent.parent, run, outcome)
    return outcome


def _tell_place(folder: Path, run: Path, outcome: Outcome) -> None:
    record = records.read(folder)
    run_id = run.name.rpartition("-")[2]
    if record.wandb.get("id") == run_id:
        tracking = records.read_config(folder).tracking
        record.wandb |= placed(record.wandb, tracking, outcome, run)
        records.write(folder, record)


def _asked(words: Sequence[str]) -> tuple[list[Path], float]:
    folders, settings, _ = _ARGUMENTS.read(words)
    if not folders and not Path("outputs").is_dir():
        raise ConfigError("there is no outputs folder here", str(here()), "python -m src.sync <folder>")
    law = "sync takes folders that hold runs"
    found = [existing(word, law, _ARGUMENTS.again) for word in folders or ["outputs"]]
    return list(dict.fromkeys(found)), _seconds(settings.get("limit", str(_LIMIT)))


def _seconds(text: str) -> float:
    with suppress(ValueError):
        if 0 < (seconds := float(text)) < math.inf:
            return seconds
    raise ConfigError("limit is a number of seconds above 0", f"limit={text}", f"limit={_LIMIT:g}")


def _say(uploaded: int, there: int, busy: int, outcome: Outcome) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for run in outcome.left[:10]:
        console.print(Text(f"left: {short(run)}".translate(UNSEEN)))
    if len(outcome.left) > 10:
        console.print(f"left: and {len(outcome.left) - 10} more")
    still = f", {busy} still being trained" if busy else ""
    console.print(f"{uploaded} uploaded, {there} there already, {len(outcome.left)} left{still}")
    if outcome.problem:
        console.print(f"{outcome.problem}; the same command again goes on", markup=False)


if __name__ == "__main__":
    raise SystemExit(main())
