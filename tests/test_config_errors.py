"""Wrong input, as it is typed: exit code 2, the law and the remedy in one to four lines, and nothing written."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.sweep.commands import quick
from tests.wrong_folders import OTHERS, write_folders
from tests.wrong_lines import FILES, LINES

ROOT = Path(__file__).parent.parent
WRONG = [*((f"train {line}", *expected) for line, *expected in LINES), *OTHERS]
# Imports what the entry imports, and says at the end whether torch was among it.
WATCH_TORCH = """
import atexit, runpy, sys
atexit.register(lambda: print("torch was imported" if "torch" in sys.modules else "no torch", file=sys.stdout))
sys.argv = ["src.train", *sys.argv[1:]]
runpy.run_module("src.train", run_name="__main__", alter_sys=True)
"""


def write_files(folder: Path) -> Path:
    """A working directory with tables, classes and experiments in it, most of them wrong."""
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    for name in ("garbage.csv", "garbage.parquet"):
        (folder / name).write_bytes(bytes(range(256)) * 40)
    (folder / "bytes.yaml").write_bytes(b"\xff\xfe")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The same, for one test."""
    return write_files(tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, for all lines that leave nothing."""
    folder = write_files(tmp_path_factory.mktemp("lines"))
    write_folders(folder)
    return folder


def answers(lines: Sequence[Sequence[str]], folder: Path) -> dict[str, Any]:
    """Types the lines one after another in one process that has no torch."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.answers"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""},
        input=json.dumps(lines),
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def words_of(line: str, folder: Path) -> list[str]:
    """A line as a shell splits it."""
    return shlex.split(line.replace("{cwd}", str(folder)))


@pytest.fixture(scope="module")
def told(shared: Path) -> dict[str, Any]:
    """What each wrong line leads to."""
    return typed({line: words_of(line, shared) for line, *_ in WRONG}, shared)


def typed(lines: Mapping[str, Sequence[str]], folder: Path) -> dict[str, Any]:
    """What each line leads to, and whether torch was imported; lines of `src.evaluate` have a process of their own."""
    known: dict[tuple[str, ...], Any] = {}
    torch = False
    for is_scored in (True, False):  # what several lines come to is typed once
        part = list(dict.fromkeys(tuple(words) for words in lines.values() if (words[0] == "evaluate") is is_scored))
        found = answers(part, folder)
        known |= zip(part, found["answers"], strict=True)
        torch = torch or found["torch"]
    return {line: known[tuple(words)] for line, words in lines.items()} | {"torch": torch}


def train(line: str, folder: Path, program: tuple[str, ...] = ("-m", "src.train"), **env: str) -> "Done":
    """Runs `python -m src.train <line>` as a shell would, in `folder`."""
    words = shlex.split(line.replace("{cwd}", str(folder)))
    command = [sys.executable, *program, *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **env}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


Done = subprocess.CompletedProcess[str]


@pytest.mark.parametrize(
    ("line", "expected"), [pytest.param(line, expected, id=line[:80]) for line, *expected in WRONG]
)
def test_a_mistake_gets_a_law_and_a_remedy_and_leaves_nothing(
    line: str, expected: list[str], told: dict[str, Any], shared: Path
) -> None:
    answer = told[line]
    assert answer["code"] == 2, answer["stderr"]
    assert "Traceback" not in answer["stderr"]
    assert 1 <= len(answer["stderr"].splitlines()) <= 4, answer["stderr"]
    assert answer["stderr"].startswith("error: ")
    for fragment in expected:
        assert fragment.replace("{cwd}", str(shared)) in answer["stderr"]
    assert answer["wrote"] == []
    assert answer["seconds"] < 1


def test_every_mistake_is_found_before_torch_is_imported(told: dict[str, Any]) -> None:
    assert told["torch"] is False


def pasted(line: list[str], stderr: str) -> list[str] | None:
    """The line with what was wrong in it replaced by what was suggested; None for a hint that is no command."""
    got, remedy = (
        next((row[7:] for row in stderr.splitlines() if row.startswith(f"  {name}: ")), "") for name in NAMES
    )
    words = shlex.split(re.split("   [#(]", remedy)[0]) if "…" not in remedy and not remedy.startswith(HINTS) else []
    if not words:
        return None
    if words[:2] == ["python", "-m"]:
        return [words[2].removeprefix("src."), *words[3:]]
    wrong = {
        *typed_words(got),
        *(word for word in line if got and word.partition("=")[2] == got),
        *(word for word in line if key_of(word) in map(key_of, words)),
    }
    kept = [word for word in line if word not in wrong]
    place = next((i for i, word in enumerate(line) if word in wrong), len(kept))
    return [*kept[:place], *words, *kept[place:]]


def typed_words(got: str) -> list[str]:
    """The words of what was received, also where that holds a lone quote."""
    try:
        return [got, *shlex.split(got)]
    except ValueError:
        return [got, *got.split()]


def key_of(word: str) -> str:
    """The key that a setting sets."""
    return word.strip().lstrip("+~").partition("=")[0].partition("@")[0]


NAMES = ("got", "try")
HINTS = (
    "more rows",
    "another data.",
    "correct it",
    "list the other",
    "look at",
    "write ",
    "def __init__",
    "experiments/",
    "HYDRA_FULL_ERROR=1",
    "add columns",
    "let its name",
    "cat ",
    "save the table",
    "train it anew",
    "ls ",
)


def test_every_remedy_works_when_it_is_pasted(told: dict[str, Any], shared: Path) -> None:
    lines = {line: pasted(words_of(line, shared), told[line]["stderr"]) for line, *_ in WRONG}
    tried = {line: words for line, words in lines.items() if words is not None}
    assert len(tried) > len(lines) * 0.6
    failed = [
        f"{line}\n    -> {shlex.join(tried[line])}\n{answer['stderr']}"
        for line, answer in typed(tried, shared).items()
        if line != "torch" and answer["code"] != 0
    ]
    assert not failed, "\n".join(failed)


@pytest.mark.parametrize("line", ["--help", "--cfg job", "--cfg all", "optimizer=sgd --cfg job --package optimizer"])
def test_help_and_the_config_are_shown_without_torch(line: str, folder: Path) -> None:
    done = train(line, folder, ("-c", WATCH_TORCH))
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("no torch\n")


def test_the_traceback_of_a_mistake_is_shown_when_asked_for(folder: Path) -> None:
    done = train("optimizer.learning_rate=1", folder, HYDRA_FULL_ERROR="1")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "ConfigCompositionException" in done.stderr


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("optimizer._target_=torch.optim.Adma", "torch.optim.Adma"),
        ("model._target_=src.models.TwoLayrNet", "src.models.TwoLayrNet"),
        ("model._target_=mine.Net +model.depth=3", "mine.Net takes no hidden_dim or depth"),
    ],
)
def test_a_class_that_does_not_fit_is_found_when_it_is_built(line: str, expected: str, folder: Path) -> None:
    (folder / "mine.py").write_text("class Net:\n    def __init__(self, input_dim, output_dim):\n        pass\n")
    done = quick(folder, *line.split())
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) <= 4
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
