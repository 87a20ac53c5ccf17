"""Shows runs and sweeps: `python -m src.report <run or sweep folder> [more folders] [output=<folder>]`."""

import sys
from pathlib import Path

from rich.console import Console

from src.errors import ConfigError, die
from src.output import keep_going
from src.report.terminal import show
from src.report.write import write_report

_USE = "python -m src.report outputs/sweeps/<sweep>"


def main() -> None:
    """Prints the best settings and writes the page and the table beside the records."""
    keep_going()
    try:
        folders, output = _words(sys.argv[1:])
        try:
            report = write_report(folders, output)
        except OSError as error:
            raise ConfigError(f"the report cannot be written: {error}", remedy=f"{_USE} output=/tmp/report") from error
        show(report, Console())
    except ConfigError as error:
        die(error)


def _words(words: list[str]) -> tuple[list[Path], Path | None]:
    outputs = [word.removeprefix("output=") for word in words if word.startswith("output=")]
    folders = [word for word in words if not word.startswith("output=")]
    if flag := next((word for word in folders if word.startswith("-")), None):
        raise ConfigError("report takes folders, and output=<folder>", flag, _USE)
    if not folders:
        raise ConfigError("report takes the folder of a run or a sweep", " ".join(words), _USE)
    return [Path(word) for word in folders], Path(outputs[-1]) if outputs and outputs[-1] else None


if __name__ == "__main__":
    main()
