"""Types many command lines in one process that has no torch: `python -m tests.answers < lines.json > answers.json`.

Each line is composed and checked as `python -m src.train` and `python -m src.evaluate` do; nothing is trained.
"""

import contextlib
import io
import json
import os
import shutil
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.hydra import Hydra
from hydra.types import RunMode

ROOT = Path(__file__).parent.parent


def answer(words: list[str]) -> dict[str, Any]:
    """What a command line leads to: its exit code, what it prints to stderr, and the seconds that took."""
    from src import naming, sweep
    from src.entry import reported

    sys.argv = [str(ROOT / "src" / "train.py"), *words]
    errors, code, start = io.StringIO(), 0, time.perf_counter()
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
        try:
            with reported():
                naming.register()
                sweep.register()
                if naming.resumed(words) is None:
                    hydra.main(version_base="1.3", config_path=str(ROOT / "conf"), config_name="train")(_task)()
        except SystemExit as left:
            code = left.code if isinstance(left.code, int) else int(left.code is not None)
        except BaseException:
            code = 1
            traceback.print_exc()
    return {"code": code, "stderr": errors.getvalue(), "seconds": time.perf_counter() - start}


def _task(cfg: Any) -> None:
    """Takes the place of a training."""


def _mode(overrides: list[str]) -> RunMode | None:
    """What Hydra composes a config for: of these lines, only such settings choose it."""
    modes = [word.partition("=")[2] for word in overrides if word.startswith("hydra.mode=")]
    return RunMode[modes[-1]] if modes and modes[-1] in RunMode.__members__ else None


_task.stackable = True  # type: ignore[attr-defined]


def main() -> None:
    """Reads lines as lists of words, and writes an answer for each."""
    from src.sweep.local import LocalLauncher
    from src.sweep.sweeper import OptunaSweeper

    Hydra.get_mode = lambda self, config_name, overrides: _mode(overrides)  # type: ignore[method-assign]
    OptunaSweeper._run = lambda *args: None  # type: ignore[method-assign]
    LocalLauncher._launch = lambda *args, **kwargs: []  # type: ignore[method-assign]
    os.environ["HYDRA_MAIN_MODULE"] = "__main__"
    answers, kept = [], set(Path.cwd().iterdir())
    for words in json.load(sys.stdin):
        answers.append(answer(words))
        answers[-1]["wrote"] = sorted(path.name for path in set(Path.cwd().iterdir()) - kept)
        for name in answers[-1]["wrote"]:
            shutil.rmtree(name)
    json.dump({"answers": answers, "torch": "torch" in sys.modules}, sys.stdout)


if __name__ == "__main__":
    main()
