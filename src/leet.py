"""Shows runs in W&B's terminal viewer, the latest first: `python -m src.leet [run, sweep or other folder]`."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from src.arguments import Arguments
from src.commands import in_shell
from src.errors import ConfigError, die
from src.places import existing, place
from src.sync import logs_in

_ARGUMENTS = Arguments(
    "leet",
    "Shows runs in W&B's terminal viewer, the latest first.",
    "one folder that holds runs (outputs)",
    {},
    "outputs/runs/<run>",
)
_SHOWN = 100  # the latest runs: every one that is chosen in the viewer is read


def main() -> int:
    """Opens the viewer on the runs of a folder; without a folder, on those in `outputs`."""
    try:
        runs = _latest(sys.argv[1:])
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            law = "the viewer needs a terminal"
            raise ConfigError(law, remedy=in_shell("wandb", "leet", "inspect", "--summary", place(runs[0])))
    except ConfigError as error:
        die(error)
    # The viewer browses one folder of runs, and every run of ours has a folder to itself.
    with tempfile.TemporaryDirectory(prefix="tandem-") as folder:
        for run in runs:
            Path(folder, run.name).symlink_to(run)
        target = folder if len(runs) > 1 else str(runs[0])
        quiet = os.environ | {"WANDB_ERROR_REPORTING": "false", "WANDB_DIR": folder}
        return subprocess.run([sys.executable, "-m", "wandb", "leet", target], env=quiet).returncode


def _latest(words: Sequence[str]) -> list[Path]:
    folders, _, _ = _ARGUMENTS.read(words)
    law = "leet takes one folder that holds runs"
    if len(folders) > 1:
        raise ConfigError(law, in_shell(*folders), _ARGUMENTS.example)
    folder = existing([*folders, "outputs"][0], law, _ARGUMENTS.again)
    runs = sorted(logs_in(folder), key=lambda run: max(log.stat().st_mtime for log in run.glob("*.wandb")))
    if not runs:
        raise ConfigError(
            f"there is no W&B run in {place(folder)}", "tracking=disabled leaves none", _ARGUMENTS.example
        )
    runs = list({run.name: run for run in runs}.values())  # a copy of a run folder has the log that is shown already
    return runs[: -_SHOWN - 1 : -1]


if __name__ == "__main__":
    raise SystemExit(main())
