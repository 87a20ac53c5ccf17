"""Where a number comes from: code, package versions, hardware."""

import os
import platform
import shlex
import socket
import subprocess
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

_PACKAGES = ("torch", "lightning", "hydra-core", "omegaconf", "wandb", "torchmetrics", "numpy", "optuna", "polars")
_LONGEST_DIFF = 200_000  # characters


def provenance(seeds: dict[str, int], device: str) -> dict[str, Any]:
    """Everything needed to say what produced a run.

    Args:
        seeds: the seeds that the config names.
        device: what the run was trained on, such as `cpu` or a GPU's name.
    """
    return {
        "command": shlex.join([*_python(), *sys.argv[1:]]),
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "seeds": seeds,
        "device": device,
        **_of_this_process(),
    }


@cache
def _of_this_process() -> dict[str, Any]:
    return {
        "git": _git(),
        "packages": {name: version(name) for name in _PACKAGES},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
    }


def _python() -> list[str]:
    module = getattr(sys.modules["__main__"], "__spec__", None)
    return ["python", "-m", module.name] if module else ["python", sys.argv[0]]


def _git() -> dict[str, Any] | None:
    """The commit, whether the tree differs from it, and how; None outside a git checkout."""
    sha = _run_git("rev-parse", "HEAD")
    if sha is None:
        return None
    changed = _run_git("status", "--porcelain") or ""
    diff = _run_git("diff", "HEAD") if changed else ""
    if diff is None or len(diff) > _LONGEST_DIFF:
        diff = f"left out: {len(diff or '')} characters"
    return {"sha": sha, "dirty": bool(changed), "changed": changed.splitlines()[:100], "diff": diff}


def _run_git(*arguments: str) -> str | None:
    root = Path(__file__).parent.parent
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None  # no git on this machine, or a checkout on a disk that does not answer
    return done.stdout.strip() if done.returncode == 0 else None


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        return names[0] if names else platform.machine()
    return platform.processor() or platform.machine()


def is_alive(pid: int) -> bool:
    """Whether a process of this machine is running."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid > 0
