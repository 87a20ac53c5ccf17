"""Seconds from the start of `python -m src.train` to the end of its first training step, and where they go.

python -m tests.benchmarks.startup
"""

import os
import runpy
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parent.parent.parent
IMPORTS = "import lightning, wandb, os, sys, time; open(sys.argv[1], 'w').write(repr(time.time())); os._exit(0)"
FIRST_STEP = "from tests.benchmarks.startup import run_to_first_step as run; run({instrumented})"

PACKAGES = ("torch", "torchmetrics", "lightning", "wandb", "sklearn", "hydra", "omegaconf", "rich", "numpy", "src")
"""A module's import counts for the package here that it belongs to, or else for the one that imports it."""
STEPS = {
    "hydra.main": ("_run_hydra", "hydra: compose, make the folder, call back"),
    "src.check": ("check", "check the config (twice)"),
    "src.provenance": ("provenance", "provenance (git, versions)"),
    "src.tracking": ("track", "tracker, besides wandb.init"),
    "wandb": ("init", "wandb.init"),
    "src.run": ("build", "build: data, net, Trainer"),
    "lightning.pytorch.trainer.trainer": ("Trainer.fit", "trainer.fit to the end of the first step"),
}
"""By module: the function that is a step of the way, and what it does."""


class Spans:
    """What the time is spent on: each moment counts for the innermost span that is open."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._open = ["the rest: src.train, src.run"]
        self._since = time.perf_counter()

    def switch(self) -> None:
        """Closes the books of the innermost span up to now."""
        now = time.perf_counter()
        self.seconds[self._open[-1]] = self.seconds.get(self._open[-1], 0) + now - self._since
        self._since = now

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, in a span of its own."""

        def inside(*args: Any, **kwargs: Any) -> Any:
            self.switch()
            self._open.append(name)
            try:
                return function(*args, **kwargs)
            finally:
                self.switch()
                self._open.pop()

        return inside


class Watch:
    """A finder before Python's own: times imports, and changes modules once they are imported."""

    def __init__(self, out: Path, spans: Spans | None) -> None:
        self._out = out
        self._spans = spans
        self._finding: set[str] = set()

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        """Python's own spec, with another way to execute the module."""
        if name in self._finding or not (self._spans or name == "src.journal"):
            return None
        self._finding.add(name)
        spec = find_spec(name)
        self._finding.remove(name)
        if spec is None or spec.loader is None:
            return spec
        package = name.split(".")[0]
        execute = spec.loader.exec_module
        if self._spans and package in PACKAGES:
            execute = self._spans.timed(f"import {package}", execute)

        def execute_and_change(module: Any) -> None:
            execute(module)
            self._change(module)

        spec.loader.exec_module = execute_and_change  # type: ignore[method-assign]
        return spec

    def _change(self, module: Any) -> None:
        if module.__name__ == "src.journal":
            module.Journal.on_train_batch_end = self._leave
        if self._spans and module.__name__ in STEPS:
            path, step = STEPS[module.__name__]
            owner = getattr(module, path.split(".")[0]) if "." in path else module
            name = path.split(".")[-1]
            setattr(owner, name, self._spans.timed(step, getattr(owner, name)))

    def _leave(self, *_: object) -> None:
        lines = [repr(time.time())]
        if self._spans:
            self._spans.switch()
            lines += [f"{name}\t{seconds}" for name, seconds in self._spans.seconds.items()]
        self._out.write_text("\n".join(lines))
        sys.stdout.flush()
        os._exit(0)


def run_to_first_step(instrumented: bool) -> None:
    """Runs `python -m src.train` up to its first step; writes when that ended to the file that is named, and leaves."""
    out = Path(sys.argv.pop(1))
    spans = Spans() if instrumented else None
    sys.meta_path.insert(0, Watch(out, spans))
    runpy.run_module("src.train", run_name="__main__", alter_sys=True)


def measured(code: str, *words: str) -> list[str]:
    """Runs code in a fresh process and a fresh folder: seconds to the time that it writes, and what else it writes."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        out = Path(name) / "out"
        environment |= {"PYTHONPATH": str(ROOT), "HOME": name}
        started = time.time()
        done = subprocess.run(
            [sys.executable, "-c", code, str(out), *words], cwd=name, env=environment, stdout=subprocess.DEVNULL
        )
        if done.returncode or not out.exists():
            raise RuntimeError(f"{code} ended with {done.returncode} before its time was written")
        ended, *others = out.read_text().splitlines()
        return [repr(float(ended) - started), *others]


def main(repeats: int = 5) -> None:
    """Measures both, interleaved, then the steps of one process, and writes `results/startup.md`."""
    from tests.benchmarks.table import save, spread

    ways = {
        "python -c 'import lightning, wandb'": IMPORTS,
        "python -m src.train, to the end of the first step": FIRST_STEP.format(instrumented=False),
    }
    for code in ways.values():
        measured(code)  # the first time pays for the disk
    times: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(repeats):
        for way, code in ways.items():
            times[way].append(float(measured(code)[0]))
    yardstick, *_ = (median(taken) for taken in times.values())
    save(
        "startup",
        "Time to the first step",
        ["what", "seconds, median (middle half)", "ratio"],
        [(way, spread(taken), f"{median(taken) / yardstick:.2f}") for way, taken in times.items()],
        f"Fresh processes, interleaved, {repeats} of each; the default config, tracked offline. Python's own exit is "
        "left out of both.",
    )
    total, *lines = measured(FIRST_STEP.format(instrumented=True))
    spans = {name: float(seconds) for name, seconds in (line.split("\t") for line in lines)}
    spans["start of Python"] = float(total) - sum(spans.values())
    save(
        "startup_steps",
        "Where the time to the first step goes",
        ["what", "seconds", "share"],
        [
            (name, f"{seconds:.3f}", f"{seconds / float(total):.0%}")
            for name, seconds in sorted(spans.items(), key=lambda item: -item[1])
        ],
        f"One process that is instrumented, so a little slower: {float(total):.2f} s. What a package imports that is "
        "not named here counts for it.",
    )


if __name__ == "__main__":
    main()
