"""Sweeps as a user types them, and what they leave."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from src.record import Record, read
from tests.conftest import ROOT, fresh

SHORT = ("trainer.max_epochs=3", "trainer.accelerator=cpu", "tracking=disabled", "hydra.launcher.workers=1")
BROKEN_TORCH = "raise SystemExit('torch was imported')\n"

NETS = """
from torch import Tensor, initial_seed, nn

class Unlucky(nn.Module):
    def __init__(self, input_dim: int, output_dim: int, hidden_dim: int, unlucky_seed: int, batch_norm: bool) -> None:
        super().__init__()
        if hidden_dim == 13 or initial_seed() == unlucky_seed:
            raise ValueError("this brings bad luck")
        norm = nn.BatchNorm1d(hidden_dim) if batch_norm else nn.Identity()
        self.net = nn.Sequential(nn.Linear(input_dim, hidden_dim), norm, nn.ReLU(), nn.Linear(hidden_dim, output_dim))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)
"""


@dataclass
class Done:
    """How a command ended and what it printed, to stdout and to stderr."""

    returncode: int | None
    stdout: str
    stderr: str


def environment(folder: Path) -> dict[str, str]:
    """No terminal, no account, no key."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB", "HYDRA"))}
    return kept | {"PYTHONPATH": str(ROOT), "HOME": str(folder)}


def start(folder: Path, *words: str, module: str = "src.train") -> "subprocess.Popen[str]":
    """Types `python -m <module> <words>` in a folder."""
    command = [sys.executable, "-m", module, *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=folder, env=environment(folder), **pipes)  # type: ignore[call-overload]


def command(folder: Path, *words: str, module: str = "src.train") -> Done:
    """The same, and waits for its end."""
    process = start(folder, *words, module=module)
    stdout, stderr = process.communicate(timeout=240)
    return Done(process.returncode, stdout, stderr)


def quick(folder: Path, *words: str, first: Callable[[], None] | None = None) -> Done:
    """`python -m src.train <words>` in a process that has torch in it already; `first` is called in it before."""
    process = fresh.Process(target=_main, args=(folder, words, first))
    process.start()
    process.join(240)
    return Done(process.exitcode, (folder / ".stdout").read_text(), (folder / ".stderr").read_text())


def _main(folder: Path, words: tuple[str, ...], first: Callable[[], None] | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    for name in set(os.environ) - set(environment(folder)):
        del os.environ[name]
    os.environ.update(environment(folder) | {"HYDRA_MAIN_MODULE": "__main__"})  # conf/ is found beside src/
    sys.path.insert(0, str(folder))
    for number, name in ((1, ".stdout"), (2, ".stderr")):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), number)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1) for number in (1, 2))
    sys.argv = [str(ROOT / "src" / "train.py"), *words]
    if first is not None:
        first()
    from src import train

    train.main()


def records_of(sweep: Path) -> dict[str, Record]:
    """The records of a sweep by their keys."""
    return {path.parent.name: read(path.parent) for path in sorted(sweep.glob("*/record.json"))}


def contents(sweep: Path) -> dict[Path, tuple[bytes, int]]:
    """Every file of every trial, with the time of its last change; W&B's service logs its own end when it likes."""
    files = [path for path in sweep.glob("*/**/*") if path.is_file() and not path.name.startswith("debug")]
    own = ("stacks", "wandb")  # the sweep's, and no trial's
    trials = [path for path in files if path.relative_to(sweep).parts[0] not in own]
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in trials}


def bring_nets(folder: Path) -> str:
    """A user's own model, chosen by `model=unlucky`; returns the setting that makes it known."""
    (folder / "conf" / "model").mkdir(parents=True)
    (folder / "my_nets.py").write_text(NETS)
    model = "_target_: my_nets.Unlucky\nhidden_dim: 8\nunlucky_seed: -1\nbatch_norm: false\n"
    (folder / "conf" / "model" / "unlucky.yaml").write_text(model)
    return f"hydra.searchpath=[file://{folder}/conf]"
