"""Tab completion, driven as bash drives it."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PRESS_TAB = """
source src/completion.bash
COMP_LINE=$1 COMP_POINT=${#1} COMP_WORDS=($1) COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_tandem_complete "${COMP_WORDS[0]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


def press_tab(line: str, before: str = "") -> list[str]:
    """What bash offers at the end of `line`."""
    command = ["bash", "--norc", "-c", before + PRESS_TAB, "bash", line]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert not done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        # The shell replaces what stands behind the =, so the group is not repeated.
        ("optimizer=", ["adam", "adamw", "sgd"]),
        ("optimizer=s", ["sgd"]),
        ("model.h", ["model.hidden_dim="]),
        ("optimizer=sgd optimizer.mom", ["optimizer.momentum="]),
        ("-m optimizer.lr=1e-3,1e-2 loss=", ["mse"]),
        ("zzz", []),
    ],
)
def test_settings_of_train_are_completed(typed: str, offered: list[str]) -> None:
    assert press_tab(f"{sys.executable} -m src.train {typed}") == offered


def test_groups_and_keys_are_offered_for_nothing_typed() -> None:
    assert {"model=", "model.", "seed=", "trainer."} <= set(press_tab(f"{sys.executable} -m src.train "))


def test_settings_of_evaluate_are_completed() -> None:
    assert press_tab(f"{sys.executable} -m src.evaluate spl") == ["split="]


@pytest.mark.parametrize("line", ["python script.py optimizer=", "python3 -m pytest op", "python -m src.train"])
def test_other_python_commands_are_left_alone(line: str) -> None:
    assert press_tab(line) == []


def test_a_rule_for_python_that_was_there_before_is_kept() -> None:
    before = "_mine() { COMPREPLY=(mine); }; complete -F _mine python\n"
    assert press_tab("python script.py op", before) == ["mine"]
    assert press_tab(f"{sys.executable} -m src.train optimizer=s", before) == ["sgd"]


def test_python_by_any_path_is_completed_and_file_names_stay_the_default() -> None:
    # bash looks a rule up by the last part of the path: .venv/bin/python is python.
    rules = subprocess.run(
        ["bash", "--norc", "-c", "source src/completion.bash; complete -p python python3"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert rules.count("-o bashdefault -o default -F _tandem_complete") == 2
