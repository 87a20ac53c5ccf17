"""Hydra's own tests of what a launcher must do, for launcher `local` with Hydra's own task functions.

Those train nothing, so they take the launcher's way for tasks that cannot be stacked: Hydra's basic launcher.
What a sweep of training runs leaves is tested in `test_sweep_command.py`.
"""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hydra.core.singleton import Singleton
from hydra.test_utils.launcher_common_tests import (
    BatchedSweeperTestSuite,
    IntegrationTestSuite,
    LauncherTestSuite,
)
from hydra.version import VersionBase

from src import naming, sweep
from tests.conftest import ROOT

SEARCH = f"hydra.searchpath=[file://{ROOT}/conf]"
REGISTERED = "import runpy, sys; from src import sweep; sweep.register(); sys.argv = sys.argv[1:]; "
REGISTERED += "runpy.run_path(sys.argv[0], run_name='__main__')"


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    Singleton._instances.pop(VersionBase, None)  # as in a new process: another test of this one may have set ours
    sweep.register()  # before each test: Hydra's fixture forgets all plugins but Hydra's own
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    yield
    naming.register()  # for the tests after these


@pytest.mark.filterwarnings("ignore:Future Hydra versions will no longer change working directory")
@pytest.mark.parametrize(("launcher_name", "overrides"), [("local", [SEARCH])])
class TestLauncher(LauncherTestSuite):
    """As Hydra wrote them."""


@pytest.mark.filterwarnings("ignore:Future Hydra versions will no longer change working directory")
@pytest.mark.parametrize(("launcher_name", "overrides"), [("local", [SEARCH, "hydra.sweeper.max_batch_size=2"])])
class TestBatches(BatchedSweeperTestSuite):
    """As Hydra wrote them, under its sweeper that launches two jobs at a time."""


@pytest.mark.parametrize(("task_launcher_cfg", "extra_flags"), [({}, ["-m", SEARCH, "hydra/launcher=local"])])
class TestIntegration(IntegrationTestSuite):
    """As Hydra wrote them, in a process that knows Tandem's plugins, as `src.train` does."""

    def generate_custom_cmd(self) -> Callable[..., list[str]]:
        return lambda command, filename: [sys.executable, "-c", REGISTERED, str(Path(filename))]
