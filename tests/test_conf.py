"""The YAML: every option composes, and the command at its top works."""

import re
import shlex
from pathlib import Path

import pytest

from src.check import check
from src.experiments import EXPERIMENTS
from tests.conftest import ROOT, composed

FILES = sorted(path for path in (ROOT / "conf").glob("*/**/*.yaml") if path.parent.name != "help")
SLUGS = sorted(path.parent.name for path in EXPERIMENTS.glob("*/config.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT / "conf")))
def test_first_line_of_every_option_is_a_command_that_composes(path: Path) -> None:
    lines = path.read_text().splitlines()
    command = next(line for line in lines if line.startswith("# python -m src.train"))
    words = shlex.split(re.sub(r"\s{2,}\(.*", "", command.removeprefix("# python -m src.train")))
    assert words, "a command to try sets something"
    if "-m" in words:  # what is swept is for the sweeper to read
        words = [word for word in words if word.startswith("hydra")]
    config = composed(*words)
    if "data=table" not in words and "trainer=gpu" not in words:
        check(config)


@pytest.mark.parametrize("slug", SLUGS)
def test_every_experiment_composes_and_says_its_question(slug: str) -> None:
    check(composed(f"experiment={slug}"))
    text = (EXPERIMENTS / slug / "README.md").read_text()
    assert text.splitlines()[0].endswith("?"), "an experiment begins with its question"
    assert "Verdict" in text
