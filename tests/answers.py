"""Types many command lines in one process that has no torch: `python -m tests.answers < lines.json > answers.json`.

Each line is a command's name and its words. What is right is composed, checked and read as by the command; nothing is
trained, scored, drawn, uploaded or shown. Messages name the program that was started, `src.train` or `src.evaluate`, so
the lines of `src.evaluate` are typed in a process of their own.
"""

import contextlib
import importlib
import io
import json
import os
import shutil
import sys
import time
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import hydra
from hydra._internal.hydra import Hydra
from hydra.types import RunMode

ROOT = Path(__file__).parent.parent


def answer(command: str, words: list[str]) -> dict[str, Any]:
    """What a command line leads to: its exit code, what it prints to stderr, and the seconds that took."""
    sys.argv = [str(ROOT / "src" / f"{command}.py"), *words]
    errors, code, start, stands = io.StringIO(), 0, time.perf_counter(), Path.cwd()
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(_Terminal()):
        try:
            code = _typed(command, words) or 0
        except SystemExit as left:
            code = left.code if isinstance(left.code, int) else int(left.code is not None)
        except BaseException:
            code = 1
            traceback.print_exc()
    os.chdir(stands)
    return {"code": code, "stderr": errors.getvalue(), "seconds": time.perf_counter() - start}


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _typed(command: str, words: list[str]) -> Any:
    from src import naming, sweep
    from src.entry import reported

    if command not in ("train", "evaluate"):
        module = importlib.import_module(f"src.{command}.__main__" if command == "report" else f"src.{command}")
        return module.main()
    with reported():
        naming.register()
        sweep.register()
        if command == "evaluate":
            from src.evaluate import evaluate

            return evaluate()
        if folder := naming.resumed(words):
            from src.consistency import opened

            return opened(folder) and None
        return hydra.main(version_base="1.3", config_path=str(ROOT / "conf"), config_name="train")(_task)()


def _task(cfg: Any) -> None:
    """Takes the place of a training."""


def _mode(overrides: list[str]) -> RunMode | None:
    """What Hydra composes a config for: of these lines, only such settings choose it."""
    modes = [word.partition("=")[2] for word in overrides if word.startswith("hydra.mode=")]
    return RunMode[modes[-1]] if modes and modes[-1] in RunMode.__members__ else None


_task.stackable = True  # type: ignore[attr-defined]


def _leave(*args: Any, **options: Any) -> NoReturn:
    """Takes the place of a program that a command becomes."""
    raise SystemExit(0)


def _no_work() -> None:
    """What is right goes no further than its checks."""
    from src import dashboard, leet, resume
    from src.sweep.local import LocalLauncher
    from src.sweep.sweeper import OptunaSweeper

    Hydra.get_mode = lambda self, config_name, overrides: _mode(overrides)  # type: ignore[method-assign]
    OptunaSweeper._run = lambda *args: None  # type: ignore[method-assign]
    LocalLauncher._launch = lambda *args, **kwargs: []  # type: ignore[method-assign]
    for name, does in (("src.scoring", "score"), ("src.report.page", "render")):  # slow to import
        sys.modules[name] = ModuleType(name)
        setattr(sys.modules[name], does, _leave)
    resume.os.execv = leet.subprocess.run = _leave
    dashboard.workspace = _leave
    sys.stdin = _Terminal()


def main() -> None:
    """Reads lines as lists of words, and writes an answer for each."""
    lines = json.load(sys.stdin)
    sys.argv[0] = str(ROOT / "src" / f"{lines[0][0]}.py")
    _no_work()
    os.environ["HYDRA_MAIN_MODULE"] = "__main__"
    found, kept = [], _files()
    for command, *words in lines:
        found.append(answer(command, words))
        found[-1]["wrote"] = sorted(_files() - kept)
        for name in found[-1]["wrote"]:
            if os.path.isdir(name):
                shutil.rmtree(name, ignore_errors=True)
            elif os.path.lexists(name):
                os.unlink(name)
    json.dump({"answers": found, "torch": "torch" in sys.modules}, sys.stdout)


def _files() -> set[str]:
    """All that lies in the working directory."""
    return {os.path.join(place, name) for place, folders, files in os.walk(".") for name in (*folders, *files)}


if __name__ == "__main__":
    main()
