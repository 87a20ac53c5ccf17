"""A bug keeps its traceback, with exit code 1: in a check, a resolver, a callback of Hydra's, a class of one's own."""

from functools import partial
from pathlib import Path

import pytest
from hydra.errors import HydraException
from omegaconf.errors import InterpolationResolutionError

from tests.sweep.commands import quick

USERS_BUGS = """
from hydra.experimental.callback import Callback

class Value:
    def __init__(self, input_dim, output_dim, hidden_dim):
        raise ValueError("my bug")

class Key:
    def __init__(self, input_dim, output_dim, hidden_dim):
        raise KeyError("my bug")

class Type:
    def __init__(self, input_dim, output_dim, hidden_dim):
        len(3)

class Hook(Callback):
    def on_run_start(self, config, **kwargs):
        1 / 0

    def on_multirun_start(self, config, **kwargs):
        1 / 0
"""
# A check, a callback of Hydra's or a class of the user's that raises; `quick` runs this before the command.
BUGS: dict[str, Exception] = {
    "zero": ZeroDivisionError("my bug"),
    "key": KeyError("my bug"),
    "value": ValueError("my bug"),
    "omegaconf": InterpolationResolutionError("my bug"),
    "hydra": HydraException("my bug"),
}
SWEPT = ("-m", "seed=1,2")
BASIC = ("-m", "hydra/launcher=basic", "seed=1,2")


def break_the_check(error: Exception) -> None:
    """Lets the laws between keys raise what is no `ConfigError`."""
    import src.check

    def broken(cfg: object) -> None:
        raise error

    src.check.check_together = broken


@pytest.mark.parametrize(
    ("bug", "words"),
    [
        *(("zero", words) for words in ((), SWEPT, BASIC)),
        *((bug, ()) for bug in ("key", "value", "omegaconf", "hydra")),
        *((bug, SWEPT) for bug in ("omegaconf", "hydra")),
    ],
)
def test_a_bug_in_a_check_keeps_its_traceback(bug: str, words: tuple[str, ...], tmp_path: Path) -> None:
    done = quick(tmp_path, *words, first=partial(break_the_check, BUGS[bug]))
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "in broken" in done.stderr
    assert done.stderr.splitlines()[-1].startswith(type(BUGS[bug]).__name__) or bug in ("omegaconf", "hydra")
    assert "my bug" in done.stderr.splitlines()[-1]
    assert "error: " not in done.stderr


@pytest.mark.parametrize(
    ("words", "last"),
    [
        (("model._target_=bugs.Value",), "ValueError: my bug"),
        (("model._target_=bugs.Key",), "KeyError: 'my bug'"),
        (("model._target_=bugs.Type",), "TypeError: object of type 'int' has no len()"),
        (("model._target_=imports.Net",), "ModuleNotFoundError: No module named 'no_such_module'"),
        (("+hydra.callbacks.mine._target_=bugs.Hook",), "ZeroDivisionError"),
        (("+hydra.callbacks.mine._target_=bugs.Hook", *SWEPT[1:], "hydra.mode=MULTIRUN"), "ZeroDivisionError"),
    ],
)
def test_a_bug_in_a_users_own_code_shows_that_code(words: tuple[str, ...], last: str, tmp_path: Path) -> None:
    (tmp_path / "bugs.py").write_text(USERS_BUGS)
    (tmp_path / "imports.py").write_text("import no_such_module\n\nclass Net:\n    pass\n")
    done = quick(tmp_path, *words)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert last in "\n".join(done.stderr.splitlines()[-2:])
    assert len(done.stderr.splitlines()) < 45  # and not how Hydra came to call it
    assert f'File "{tmp_path}/' in done.stderr
