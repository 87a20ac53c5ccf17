"""Where a number comes from: code, package versions, hardware."""

import hashlib
import os
import platform
import shlex
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from src.secrecy import typed_words, without_variables

_PACKAGES = ("torch", "lightning", "hydra-core", "omegaconf", "wandb", "torchmetrics", "numpy", "optuna", "polars")
_ROOT = Path(__file__).parent.parent
_LONGEST_DIFF = 200_000  # characters
_WRITTEN_BY_RUNS = ("**/.hydra/**", "**/multirun.yaml", "**/best.yaml")  # where outputs lie in the checkout


def provenance(seeds: dict[str, int], device: str) -> dict[str, Any]:
    """Everything needed to say what produced a run.

    Args:
        seeds: the seeds that the config names.
        device: what the run was trained on, such as `cpu` or a GPU's name.
    """
    return {
        "command": shlex.join([*_python(), *typed_words(sys.argv[1:])]),
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "process_started": _own_start(os.getpid()),
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
    if diff is None:
        diff = "left out: git diff failed"
    diff = without_variables(diff)
    kept = diff if len(diff) <= _LONGEST_DIFF else f"left out: {len(diff)} characters, sha256 {digest(diff)}"
    return {
        "sha": sha,
        "dirty": bool(changed),
        "changed": changed.splitlines()[:100],
        "diff": kept,
        "untracked": _untracked_code(),
    }


def commits(sources: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The distinct commits that runs come from, whether the tree differed from it, and how many runs each trained."""
    found = [source.get("git") or {} for source in sources]
    counts = Counter((git.get("sha"), git.get("dirty")) for git in found)
    return [{"sha": sha, "dirty": dirty, "num_runs": num} for (sha, dirty), num in counts.most_common()]


def diff_of(git: dict[str, Any] | None) -> dict[str, str]:
    """The code's diff under a name of its own; empty where there is none."""
    return {digest(git["diff"]): git["diff"]} if git and git["diff"] else {}


def _untracked_code() -> dict[str, str]:
    """Hashes of the code and configs that git does not know of, by their paths."""
    wanted = ["*.py", "*.yaml", *(f":(exclude){pattern}" for pattern in _WRITTEN_BY_RUNS)]
    names = (_run_git("ls-files", "--others", "--exclude-standard", *wanted) or "").splitlines()[:100]
    files = {name: _ROOT / name for name in names if os.access(_ROOT / name, os.R_OK)}
    return {name: digest(file.read_text(errors="replace")) for name, file in files.items()}


def digest(text: str) -> str:
    """A short name for a text, by what is in it."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _run_git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=_ROOT, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None  # no git on this machine, or a checkout on a disk that does not answer
    return done.stdout.strip() if done.returncode == 0 else None


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        return names[0] if names else platform.machine()
    return platform.processor() or platform.machine()


def is_alive(pid: int, start: str | None = None) -> bool:
    """Whether a process of this machine is running: the one that started then, where that is known."""
    if start is not None:
        return started(pid) == start
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid > 0


def started(pid: int) -> str | None:
    """When a process of this machine started, None if it has ended: with its number a name that no later one has."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
    except OSError:
        return None if Path("/proc/self/stat").exists() else _started_by_ps(pid)
    return None if state in "ZX" else f"{boot}-{fields[18]}"


@cache
def _own_start(pid: int) -> str | None:
    """This process's, which a sweep asks for at every trial; one that is forked from it has a number of its own."""
    return started(pid)


def _started_by_ps(pid: int) -> str | None:
    done = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True)
    return "-".join(done.stdout.split()) or None
