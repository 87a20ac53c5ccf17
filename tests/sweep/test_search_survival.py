"""A search that is killed goes on: the study that comes out is the one that was never killed."""

import random
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from tests.sweep.commands import quick, records_of, start
from tests.sweep.test_search import LR, SEARCH, suggestions, sweep_of
from tests.sweep.test_sweep_survival import finished, signal_at_write

SPACE = (LR, "optimizer.weight_decay=interval(0,0.1)", "sweep.name=s", "hydra.launcher.workers=1")
ROUNDS = ("hydra.sweeper.num_trials=8", "hydra.sweeper.batch_size=4", "tracking=offline", "trainer.max_epochs=3")
WORDS = (*SEARCH, *SPACE, *ROUNDS)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted")
    assert quick(folder, *WORDS).returncode == 0
    return folder


# Of each round's 8 writes of a record the first 4 begin its trials and the others end them.
@pytest.mark.parametrize(
    ("number", "size"),
    [
        *(pytest.param(number, "auto", marks=pytest.mark.soak) for number in (2, 11, 15)),
        (6, "auto"),
        pytest.param(6, "1", marks=pytest.mark.soak),
    ],
)
def test_killed_search_ends_as_the_one_that_was_not(
    uninterrupted: Path, tmp_path: Path, number: int, size: str
) -> None:
    words = (*WORDS, f"hydra.launcher.stack_size={size}")
    killed = quick(tmp_path, *words, first=partial(signal_at_write, number, signal.SIGKILL, False))
    assert killed.returncode == -signal.SIGKILL
    done, ids = finished(sweep_of(tmp_path)), _ids(tmp_path)
    assert quick(tmp_path, *words).returncode == 0
    assert done.items() <= finished(sweep_of(tmp_path)).items(), "what had ended was touched"
    assert ids.items() <= _ids(tmp_path).items()
    assert len(records_of(sweep_of(tmp_path))) == 8
    if size == "auto":
        assert suggestions(tmp_path) == suggestions(uninterrupted)
        expected = records_of(sweep_of(uninterrupted))
        assert {k: r.metrics for k, r in records_of(sweep_of(tmp_path)).items()} == {
            k: r.metrics for k, r in expected.items()
        }


def test_signal_says_how_to_go_on_with_the_search(tmp_path: Path) -> None:
    stopped = quick(tmp_path, *WORDS, first=partial(signal_at_write, 6, signal.SIGINT, False))
    assert stopped.returncode == 128 + signal.SIGINT
    assert stopped.stdout.splitlines()[-1] == "stopped by SIGINT; go on with: python -m src.resume outputs/sweeps/s"
    assert stopped.stderr == ""


@pytest.mark.soak
def test_ten_kills_at_random_moments_change_nothing_of_a_search(tmp_path: Path) -> None:
    words = (*SEARCH, *SPACE, "hydra.sweeper.num_trials=96", "hydra.sweeper.batch_size=16", "hydra.sweeper.num_seeds=2",
             "hydra/sweeper/pruner=halving", "trainer.max_epochs=60", "checkpoint.interval_seconds=0.2",
             "tracking=offline")  # fmt: skip
    assert quick(tmp_path / "whole", *words).returncode == 0
    draw, ids, folder = random.Random(0), dict[str, str | None](), tmp_path / "killed"
    folder.mkdir()
    for _ in range(10):
        process = start(folder, *words)
        time.sleep(draw.uniform(4, 12))
        process.kill()
        process.communicate()
        ids = ids | _ids(folder)
    assert quick(folder, *words).returncode == 0
    assert ids.items() <= _ids(folder).items()
    assert suggestions(folder) == suggestions(tmp_path / "whole")
    expected, actual = records_of(sweep_of(tmp_path / "whole")), records_of(sweep_of(folder))
    assert len(actual) == 192
    assert {k: (r.status, r.metrics) for k, r in actual.items()} == {
        k: (r.status, r.metrics) for k, r in expected.items()
    }


def _ids(folder: Path) -> dict[str, str | None]:
    return {key: record.wandb["id"] for key, record in records_of(sweep_of(folder)).items() if "id" in record.wandb}
