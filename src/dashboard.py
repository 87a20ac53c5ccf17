"""Builds or updates a saved W&B workspace from the sweeps on disk: `python -m src.dashboard project=<project>`.

`--dry-run` prints what would be saved, without a network or a key. The same name again updates the workspace.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from omegaconf import OmegaConf
from rich.console import Console

from src.arguments import Arguments
from src.commands import command
from src.errors import ConfigError, die
from src.online import Account, Unreachable, account, quiet_environment
from src.output import keep_going
from src.panels import Swept, workspace
from src.places import existing, place
from src.ranking import same_for_all
from src.record import Record, read, read_config, replace_file
from src.record_check import Damaged
from src.tracking_laws import check_name, check_project

_ARGUMENTS = Arguments(
    "dashboard",
    "Builds or updates a saved W&B workspace from the sweeps on disk. The same name again updates it.",
    "",
    {
        "project": "W&B's project of the runs",
        "entity": "whose project it is, if it is not the user's",
        "sweep": "the folder of one sweep (all in outputs/sweeps)",
        "name": "of the workspace",
    },
    "project=tandem sweep=outputs/sweeps/<sweep>",
)
_ARGUMENTS.add_argument("--dry-run", action="store_true", help="print what would be saved, without a network or a key")


def main() -> None:
    """Saves the workspace and prints its address; wrong input or no server costs an exit code 2."""
    keep_going()
    try:
        words, is_dry = _words(sys.argv[1:])
        if not find_spec("wandb_workspaces"):
            raise ConfigError("a dashboard needs the package wandb-workspaces", remedy="pip install wandb-workspaces")
        check_project("project", words["project"])
        check_project("entity", words.get("entity"))
        check_name("name", words.get("name"))
        folder = Path("outputs/sweeps")
        if "sweep" in words:
            folder = existing(words["sweep"], "a dashboard is made from the records of a sweep", _again)
        found = swept(folder, one="sweep" in words)
        name = words.get("name") or (f"Tandem {folder.resolve().name}" if "sweep" in words else "Tandem")
        if is_dry:
            print(json.dumps(workspace(words.get("entity", ""), words["project"], name, found)._spec, indent=2))
            return
        _save(words, name, found)
    except ConfigError as error:
        die(error)


def _again(folder: str) -> str:
    return command("dashboard", "project=…", f"sweep={folder}")


def swept(folder: Path, one: bool) -> Swept:
    """What sweeps changed, from their records.

    Args:
        folder: a sweep folder, or a folder of sweep folders.
        one: it is a sweep folder.

    Raises:
        ConfigError: where there is none.
    """
    sweeps = [folder] if one else sorted(path.parent for path in folder.glob("*/sweep.json"))
    trials = [found for sweep in sweeps if (found := _trials(sweep))]
    if not trials:
        law, sweep = "a dashboard is made from the records of a sweep", folder.parent / "sweep.json"
        remedy = _again(place(folder.parent)) if one and sweep.is_file() else _ARGUMENTS.example
        raise ConfigError(law, f"no trials in {folder}", remedy)
    values: dict[str, list[str]] = {}
    for records in trials:
        overrides = [record.overrides for record in records.values()]
        hidden = same_for_all(overrides)
        for text in sorted({text for texts in overrides for text in texts} - hidden):
            key, _, value = text.lstrip("+").partition("=")
            values.setdefault(key, []).append(value)
    firsts = [next(iter(records)) for records in trials]
    objective = _values(firsts[-1]).get("objective") or {}
    groups = [_group(trial) for trial in firsts]
    return Swept(values, str(objective.get("metric")), str(objective.get("direction")), groups if one else [])


def _trials(sweep: Path) -> dict[Path, Record]:
    """The records of a sweep's trials by their folders; one that cannot be read is told and left out."""
    found = {}
    for path in sorted(sweep.glob("*/record.json")):
        try:
            found[path.parent] = read(path.parent)
        except Damaged as error:
            print(str(error).splitlines()[0].replace("error:", "left out:"), file=sys.stderr)
    return found


def _group(trial: Path) -> str:
    """What a sweep's runs are grouped under in W&B: its folder may lie elsewhere, or have been renamed."""
    return str((_values(trial).get("sweep") or {}).get("name") or trial.parent.name)


def _values(trial: Path) -> dict[str, Any]:
    """A trial's config as it is written: what it names of the environment is not looked up."""
    return cast(dict[str, Any], OmegaConf.to_container(read_config(trial)))


def _save(words: Mapping[str, str], name: str, found: Swept) -> None:
    """Saves it: over the one of this name that was saved from here before, or else as a new one."""
    quiet_environment()
    os.environ.setdefault("WANDB_DIR", "outputs")
    os.environ.setdefault("WANDB_HTTP_TIMEOUT", "10")
    try:
        who: Account = account()
    except Unreachable as problem:
        remedy = command("dashboard", *sys.argv[1:], "--dry-run")
        raise ConfigError("saving a dashboard needs W&B's server and a key", str(problem), remedy) from None
    import wandb_workspaces.workspaces as ws

    entity = words.get("entity") or who.entity
    made, kept = workspace(entity, words["project"], name, found), Path("outputs") / "dashboards.json"
    addresses = json.loads(kept.read_text()) if kept.is_file() else {}
    place = f"{entity}/{words['project']}/{name}"
    if place in addresses:
        earlier = ws.Workspace.from_url(addresses[place])
        earlier.sections, earlier.runset_settings = made.sections, made.runset_settings
        made = earlier
    made.save()
    replace_file(kept, json.dumps(addresses | {place: made.url}, indent=2) + "\n")
    Console().print(f"{name}: {made.url}", soft_wrap=True, highlight=False, markup=False)


def _words(argv: Sequence[str]) -> tuple[dict[str, str], bool]:
    _, words, flags = _ARGUMENTS.read(argv)
    if "project" not in words:
        remedy = command("dashboard", "project=tandem", *argv)
        raise ConfigError("project is missing: W&B's project of the runs", remedy=remedy)
    return words, flags.dry_run


if __name__ == "__main__":
    main()
