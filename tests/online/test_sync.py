"""`make sync`, `make dashboard` and `make leet`: what they upload, count and refuse."""

import json
import os
from pathlib import Path

import pytest

from src.dashboard import swept
from src.leet import _latest
from src.record import Record, read, write
from src.sync import is_being_written
from tests.online.conftest import User
from tests.online.server import Server
from tests.report.folders import CONFIG, write_sweep, write_trial


def test_sync_uploads_what_is_left_and_can_be_run_again(user: User, server: Server) -> None:
    assert user.train("-m", "tracking=offline", "sweep.name=mine", "seed=range(3)").returncode == 0
    first, again = user.types("src.sync"), user.types("src.sync")
    assert (first.returncode, first.stdout) == (0, "4 uploaded, 0 there already, 0 left\n"), first.stderr
    assert (again.returncode, again.stdout) == (0, "0 uploaded, 4 there already, 0 left\n")
    assert sorted(len(run.history) for run in server.runs.values()) == [1, 4, 4, 4]
    assert not any(run.resent for run in server.runs.values())
    kept = [read(path.parent).wandb for path in (user.folder / "outputs" / "sweeps" / "mine").glob("*/record.json")]
    assert [(wandb["mode"], str(wandb["url"]).rpartition("/")[2]) for wandb in kept] == [
        ("online", wandb["id"]) for wandb in kept
    ], "the report counts them"


def test_sync_without_a_server_or_a_key_says_so_and_ends(user: User, server: Server) -> None:
    assert user.train("hydra.run.dir=outputs/run", "tracking=offline").returncode == 0
    server.stop()
    dead = user.types("src.sync")
    assert (dead.returncode, "1 left" in dead.stdout, "cannot be reached" in dead.stdout) == (1, True, True)
    user.key = None
    keyless = user.types("src.sync")
    assert (keyless.returncode, "wandb login" in keyless.stderr) == (2, True)
    wrong = user.types("src.sync", "nowhere")
    assert (wrong.returncode, wrong.stderr.splitlines()[0]) == (2, "error: sync takes folders that hold runs")
    viewer = user.types("src.leet")
    assert viewer.returncode == 2
    assert "wandb leet inspect --summary outputs/run/wandb/offline-run-" in viewer.stderr


def test_sync_leaves_a_run_that_is_being_trained(tmp_path: Path) -> None:
    run = tmp_path / "wandb" / "offline-run-20260101_000000-theid"
    record = Record("thekey", [], wandb={"id": "theid"})
    record.provenance = {"host": os.uname().nodename, "pid": os.getpid()}
    write(tmp_path, record)
    assert is_being_written(run)
    record.provenance["pid"] = 2**22 + 1  # above the largest that there is
    write(tmp_path, record)
    assert not is_being_written(run)


def test_dashboard_is_made_of_the_sweep_and_updated_under_its_name(user: User, server: Server) -> None:
    words = ("-m", "tracking=offline", "sweep.name=mine", "optimizer.lr=1e-3,1e-2", "model.hidden_dim=8,16")
    assert user.train(*words).returncode == 0
    told = ("project=tandem", "sweep=outputs/sweeps/mine")
    dry = user.types("src.dashboard", *told, "--dry-run")
    assert (dry.returncode, server.requests) == (0, []), dry.stderr
    spec = json.loads(dry.stdout)
    panels = [
        panel for section in spec["spec"]["section"]["panelBankConfig"]["sections"] for panel in section["panels"]
    ]
    against = [panel["config"]["xAxis"] for panel in panels if panel["viewType"] == "Scatter Plot"]
    assert against == ["config:model.value.hidden_dim", "config:optimizer.value.lr"]
    for kind in ("Run History Line Plot", "Parallel Coordinates Plot", "Parameter Importance", "Run Comparer"):
        assert [panel for panel in panels if panel["viewType"] == kind], kind
    first, again = user.types("src.dashboard", *told), user.types("src.dashboard", *told)
    assert first.returncode == 0, first.stderr
    assert first.stdout == again.stdout
    (view,) = server.views.values()
    assert (view["displayName"], view["entityName"], view["projectName"]) == ("Tandem mine", "someone", "tandem")


def test_dashboard_shows_the_group_of_the_runs_also_where_the_folder_has_another_name(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path / "elsewhere")
    write_trial(folder / "a", "seed=0", objective=1.0, config=CONFIG | {"sweep": {"name": "mine"}})
    assert swept(folder, one=True).groups == ["mine"]
    write_trial(folder / "a", "seed=0", objective=1.0)
    assert swept(folder, one=True).groups == ["elsewhere"]


def test_viewer_shows_a_run_once_however_often_its_folder_was_copied(tmp_path: Path) -> None:
    for copy in ("run", "copy"):
        log = tmp_path / copy / "wandb" / "offline-run-20260101_000000-theid"
        log.mkdir(parents=True)
        (log / "run-theid.wandb").touch()
    other = tmp_path / "other" / "wandb" / "offline-run-20260102_000000-another"
    other.mkdir(parents=True)
    (other / "run-another.wandb").touch()
    assert sorted(run.name for run in _latest([str(tmp_path)])) == [
        "offline-run-20260101_000000-theid",
        "offline-run-20260102_000000-another",
    ]


@pytest.mark.parametrize(
    ("words", "law"),
    [
        ((), "error: project is missing"),
        (("projct=x",), "error: dashboard takes project="),
        (("project=x", "sweep=nowhere"), "error: a dashboard is made from the records of a sweep"),
    ],
)
def test_dashboard_says_what_is_wrong(words: tuple[str, ...], law: str, user: User) -> None:
    done = user.types("src.dashboard", *words)
    assert (done.returncode, done.stderr.startswith(law)) == (2, True), done.stderr
