"""Where a sweep or a run comes from: command, code, packages, machine."""

import shlex
from collections import Counter
from dataclasses import dataclass

import yaml

from src.report.folders import Sweep


@dataclass(frozen=True)
class Source:
    """Where a sweep or a run comes from."""

    title: str
    facts: list[tuple[str, str]]
    config: str
    config_title: str


def source(sweep: Sweep, title: str) -> Source:
    """The command, the code, the packages and the machine."""
    came = sweep.provenance
    git = came.get("git") or {}
    code = f"{git.get('sha')}{', with changes: ' + ', '.join(git.get('changed', [])) if git.get('dirty') else ''}"
    devices = Counter(str(record.provenance["device"]) for record in sweep.records if record.provenance.get("device"))
    packages = " · ".join(f"{name} {version}" for name, version in (came.get("packages") or {}).items())
    tracked = Counter(str(record.wandb["mode"]) for record in sweep.records if record.wandb.get("mode"))
    facts = {
        "Command": came.get("command") or shlex.join(sweep.argv),
        "Folder": str(sweep.folder),
        "Started": min((str(record.timing.get("started") or "~") for record in sweep.records), default="").strip("~"),
        "Git commit": code if git else "outside a git checkout",
        "Python": str(came.get("python", "")),
        "Packages": packages,
        "Device": ", ".join(devices),
        "Machine": " · ".join(str(came[name]) for name in ("host", "platform", "cpu") if came.get(name)),
        "Cores": str(came.get("cores") or ""),
        "W&B": ", ".join(f"{count} {mode}" for mode, count in tracked.items()),
        "Tags": ", ".join(map(str, (sweep.config.get("tracking") or {}).get("tags") or [])),
    }
    config = yaml.dump(sweep.config, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True)
    name = "Resolved config" if sweep.is_run else "Resolved config of the first trial"
    kept = [(label, value) for label, value in facts.items() if value]
    return Source(title, kept, config if sweep.config else "", name)
