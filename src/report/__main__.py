"""Shows runs and sweeps: `python -m src.report <run or sweep folder> [more folders] [output=<folder>]`."""

import sys
from pathlib import Path

from rich.console import Console

from src.arguments import Arguments
from src.commands import in_shell
from src.errors import ConfigError, die
from src.output import keep_going
from src.places import check_place, existing, from_here

_ARGUMENTS = Arguments(
    "report",
    "Prints the best settings of a sweep, and writes a page and tables beside its records; of several, side by side.",
    "the folder of a run or a sweep, or several",
    {"output": "the folder that the page and the tables go to"},
    "outputs/sweeps/<sweep>",
)


def main() -> None:
    """Prints the best settings and writes the page and the table beside the records."""
    keep_going()
    try:
        folders, output = _asked(sys.argv[1:])
        from src.report.terminal import show  # what is asked for is there
        from src.report.write import write_report

        try:
            report = write_report(folders, output)
        except OSError as error:
            remedy = f"{_ARGUMENTS.example} output=/tmp/report"
            raise ConfigError(f"the report cannot be written: {error}", remedy=remedy) from error
        show(report, Console())
    except ConfigError as error:
        die(error)


def _asked(argv: list[str]) -> tuple[list[Path], Path | None]:
    words, settings, _ = _ARGUMENTS.read(argv)
    law = "report takes the folder of a run or a sweep"
    if not words:
        raise ConfigError(law, in_shell(*argv), _ARGUMENTS.example)
    folders = [existing(word, law, _ARGUMENTS.again) for word in dict.fromkeys(words)]
    output = from_here(settings["output"]) if "output" in settings else None
    check_place("output", output or folders[0])
    return folders, output


if __name__ == "__main__":
    main()
