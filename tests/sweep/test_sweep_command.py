"""`python -m src.train -m …` as a user types it: what a sweep leaves, and what it does the second time."""

import fcntl
import json
import math
import os
import shlex
import shutil
import socket
from functools import partial
from pathlib import Path

import pytest
import yaml

from src.overrides import parse
from src.record import read, read_history
from tests.conftest import composed
from tests.sweep.commands import BROKEN_TORCH, SHORT, Done, bring_nets, command, contents, quick, records_of
from tests.test_tracking import entries, history, wandb_runs

GRID = ("-m", "optimizer.lr=1e-4,1e-3,1e-2", "seed=range(4)")
THREE = ("trainer.max_epochs=3", "trainer.accelerator=cpu")
NAMED = (*GRID, *THREE, "sweep.name=first")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a user has trained a sweep of 12 trials, and one of its configs alone."""
    return tmp_path_factory.mktemp("place")


@pytest.fixture(scope="module")
def first(place: Path) -> Done:
    done = command(place, *NAMED)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def sweep(place: Path, first: Done) -> Path:
    return place / "outputs" / "sweeps" / "first"


def test_trial_leaves_what_the_same_run_alone_leaves(place: Path, sweep: Path) -> None:
    assert quick(place, "optimizer.lr=0.001", "seed=2", *THREE).returncode == 0
    (alone,) = (place / "outputs" / "runs").iterdir()
    trial = sweep / alone.name.split("-")[-1]
    assert trial.is_dir(), "the same config has the same key"
    for folder in (".", ".hydra", "checkpoints"):
        assert {path.name for path in (trial / folder).iterdir()} == {path.name for path in (alone / folder).iterdir()}
    one, other = read(trial), read(alone)
    assert (one.key, one.status, one.checkpoint) == (other.key, other.status, other.checkpoint) == (
        trial.name, "finished", "checkpoints/best.ckpt")  # fmt: skip
    assert set(one.timing) == set(other.timing)
    assert set(one.provenance) == set(other.provenance)
    assert other.stack is None
    assert one.stack is not None
    assert one.stack["size"] == 12
    assert one.stack["keys"][one.stack["position"]] == one.key
    assert one.objective == pytest.approx(other.objective, rel=1e-4)
    assert one.metrics == pytest.approx(other.metrics, rel=1e-4)
    rows, expected = read_history(trial), read_history(alone)
    assert [list(row) for row in rows] == [list(row) for row in expected]
    assert all(row == pytest.approx(wanted, rel=1e-4) for row, wanted in zip(rows, expected, strict=True))
    config, own = (yaml.safe_load((folder / ".hydra" / "config.yaml").read_text()) for folder in (trial, alone))
    assert config == own | {"sweep": {"name": "first"}}


def test_every_trial_has_its_hydra_files(sweep: Path) -> None:
    for key, record in records_of(sweep).items():
        overrides, about = (yaml.safe_load((sweep / key / ".hydra" / f"{name}.yaml").read_text())
                            for name in ("overrides", "hydra"))  # fmt: skip
        assert overrides == record.overrides == about["hydra"]["overrides"]["task"]
        assert about["hydra"]["runtime"]["output_dir"] == str(sweep / key)
        keys = json.loads((sweep / "sweep.json").read_text())["keys"]
        assert about["hydra"]["job"]["num"] == keys.index(key)


def test_every_trial_is_a_wandb_run_with_a_complete_history(sweep: Path) -> None:
    records = records_of(sweep)
    assert len(records) == len({record.wandb["id"] for record in records.values()}) == 12
    for key in list(records)[:2]:
        (run,) = wandb_runs(sweep / key)
        assert history(run) == read_history(sweep / key)
        (about,) = entries(run, "run")
        assert (about["run_id"], about["run_group"]) == (records[key].wandb["id"], "first")
        assert entries(run, "exit")[0]["exit_code"] == 0


def test_file_gets_a_line_for_each_trial_and_a_table_of_what_differs(place: Path, first: Done) -> None:
    assert first.stderr == ""
    lines = first.stdout.splitlines()
    assert len([line for line in lines if "finished  optimizer.lr=" in line]) == 12
    assert len([line for line in lines if "trainer.max_epochs" in line]) == 1, "only in the command that is next"
    table = [line for line in lines if "±" in line]
    assert len(table) == 3
    assert all("seed" not in line and "sweep.name" not in line for line in table)
    again = shlex.split(lines[lines.index("next:") + 1])
    assert again[:3] == ["python", "-m", "src.train"]
    assert (composed(*again[3:]).optimizer.lr, composed(*again[3:]).trainer.max_epochs) == (0.01, 3)
    score = shlex.split(lines[lines.index("next:") + 2])
    assert (place / score[-1].removeprefix("run=") / "record.json").is_file()


def test_same_command_again_changes_no_file_and_imports_no_torch(place: Path, sweep: Path) -> None:
    before = contents(sweep)
    (place / "torch.py").write_text(BROKEN_TORCH)
    try:
        again = command(place, *NAMED)
        (elsewhere := place / "elsewhere" / "conf").mkdir(parents=True)
        resumed = command(elsewhere.parent, "../outputs/sweeps/first", module="src.resume")
    finally:
        (place / "torch.py").unlink()
    for done in (again, resumed):
        assert done.returncode == 0, done.stderr
        assert "12 trials, 12 of them ended before" in done.stdout
        assert len([line for line in done.stdout.splitlines() if "±" in line]) == 3
        assert "the grid has changed" not in done.stdout
    assert contents(sweep) == before


def test_wider_grid_trains_what_is_new_and_says_so(place: Path, sweep: Path) -> None:
    before = contents(sweep)
    wider = quick(place, "-m", "optimizer.lr=1e-4,1e-3,1e-2,1e-1", "seed=range(4)", *THREE, "sweep.name=first")
    assert wider.returncode == 0, wider.stderr
    assert "the grid has changed: 4 new, 0 of the earlier trials left out" in wider.stdout
    assert len(records_of(sweep)) == 16
    assert {path: file for path, file in contents(sweep).items() if path in before} == before
    narrower = quick(place, *NAMED)
    assert "the grid has changed: 0 new, 4 of the earlier trials left out" in narrower.stdout


def test_only_a_trial_without_a_record_is_trained_again(place: Path, sweep: Path) -> None:
    lost = next(key for key, record in records_of(sweep).items() if "optimizer.lr=0.01" in record.overrides)
    before = contents(sweep)
    (sweep / lost / "record.json").unlink()
    assert quick(place, *NAMED).returncode == 0
    assert read(sweep / lost).status == "finished"
    after = contents(sweep)
    changed = {path for path in before if before[path] != after.get(path)}
    assert {path.relative_to(sweep).parts[0] for path in changed} == {lost}


def git_state(sha: str) -> None:
    from src import provenance

    provenance._git = lambda: {"sha": sha, "dirty": True, "changed": [], "diff": f"diff of {sha}"}


def test_other_code_is_said(place: Path, sweep: Path) -> None:
    for sha, changed in (("1", True), ("1", False), ("2", True)):
        done = quick(place, *NAMED, first=partial(git_state, sha))
        assert ("the code has changed" in done.stdout) == changed
        assert done.returncode == 0
    diffs = json.loads((sweep / "sweep.json").read_text())["diffs"]
    assert {"diff of 1", "diff of 2"} <= set(diffs.values()), "what trained the earlier trials is kept"


def test_second_process_is_refused_with_the_first_ones_host_and_number(place: Path, sweep: Path) -> None:
    with (sweep / ".lock").open("w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        lock.write(f"process {os.getpid()} on {socket.gethostname()}")
        lock.flush()
        before = contents(sweep)
        refused = quick(place, *NAMED)
        assert refused.returncode == 2
        assert f"process {os.getpid()} on {socket.gethostname()}" in refused.stderr
        assert contents(sweep) == before
    assert quick(place, *NAMED).returncode == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("optimizer.lr=1e-3,1e-2,-1",), "optimizer.lr must be a number at least 0"),
        (("+foo=1,2",), "foo"),
        (("seed=range(8)", "hydra.sweep.subdir=mine"), "a trial's folder is named by its key"),
        (("seed=range(8)", "hydra.launcher.stack_size=0"), "hydra.launcher.stack_size is auto or a number of trials"),
        (("seed=range(8)", "hydra.launcher.workers=all"), "hydra.launcher.workers is auto or a number of processes"),
        (("hydra/sweeper=basic", "seed=0,1,-1"), "seed must be"),
    ],
)
def test_wrong_config_ends_the_sweep_before_it_begins(tmp_path: Path, words: tuple[str, ...], told: str) -> None:
    (tmp_path / "torch.py").write_text(BROKEN_TORCH)
    wrong = command(tmp_path, "-m", *SHORT, *words)
    assert wrong.returncode == 2, wrong.stderr
    assert told in wrong.stderr
    assert 1 <= len(wrong.stderr.splitlines()) <= 4
    assert wrong.stdout == ""
    assert not (tmp_path / "outputs").exists()


def test_wrong_command_leaves_the_sweep_of_that_name_alone(place: Path, sweep: Path) -> None:
    before = contents(sweep)
    assert quick(place, *GRID, "trainer.max_epochs=-5", "sweep.name=first").returncode == 2
    assert contents(sweep) == before


def test_failing_trials_fail_alone_and_the_last_line_says_which(tmp_path: Path) -> None:
    known = bring_nets(tmp_path)
    grid = ("-m", known, "model=unlucky", "model.unlucky_seed=5", "model.hidden_dim=12,13", "seed=range(3,7)")
    sweep = tmp_path / "outputs" / "sweeps" / "bad"
    one_process = ("trainer.accelerator=cpu", "hydra.launcher.workers=1")
    done = quick(tmp_path, *grid, "trainer.max_epochs=2", *one_process, "sweep.name=bad")
    assert done.returncode == 1
    records = records_of(sweep)
    failed = {key: record for key, record in records.items() if record.status == "failed"}
    assert sorted(" ".join(record.overrides[2:4]) for record in failed.values()) == [
        "model.hidden_dim=12 seed=5",
        *[f"model.hidden_dim=13 seed={seed}" for seed in (3, 4, 5, 6)],
    ]
    assert all("this brings bad luck" in (record.error or "") for record in failed.values())
    assert [record.status for record in records.values()].count("finished") == 3
    last = done.stderr.splitlines()[-1]
    assert last.startswith("5 of 8 trials failed: outputs/sweeps/bad/")
    assert next(iter(word for word in last.split() if "outputs" in word)).rpartition("/")[2] in failed
    assert done.stdout.count("Traceback") == 2, "one, with its cause"
    assert "\n  python -m src.resume outputs/sweeps/bad\n" in done.stdout
    (run,) = wandb_runs(sweep / next(iter(failed)))
    assert entries(run, "exit")[0]["exit_code"] == 1
    ids = {key: record.wandb["id"] for key, record in records.items()}
    before = contents(sweep)
    (tmp_path / "my_nets.py").write_text((tmp_path / "my_nets.py").read_text().replace("raise", "_ = "))
    mended = command(tmp_path, "outputs/sweeps/bad", module="src.resume")
    assert mended.returncode == 0, mended.stderr
    records = records_of(sweep)
    assert {record.status for record in records.values()} == {"finished"}
    assert {key: record.wandb["id"] for key, record in records.items()} == ids
    changed = {path.relative_to(sweep).parts[0] for path, file in contents(sweep).items() if before.get(path) != file}
    assert changed == set(failed)


def test_what_cannot_be_stacked_trains_by_itself_and_says_why(tmp_path: Path) -> None:
    known = bring_nets(tmp_path)
    words = ("-m", known, "seed=0,1", "model=unlucky", *SHORT)
    for own, why in {
        "trainer.detect_anomaly=true": "a stack does not honour trainer.detect_anomaly",
        "trainer.max_time='00:00:10:00'": "a stack does not honour trainer.max_time=00:00:10:00",
        "model.batch_norm=true": "batch_norm",
    }.items():
        done = quick(tmp_path, *words, own, f"sweep.name={own[8:11]}")
        assert done.returncode == 0, done.stderr
        (said,) = [line for line in done.stdout.splitlines() if "not stacked" in line]
        assert why in said.replace("BatchNorm", "batch_norm").replace("running_mean", "batch_norm")
        records = records_of(tmp_path / "outputs" / "sweeps" / own[8:11])
        assert [(record.status, record.stack) for record in records.values()] == [("finished", None)] * 2


@pytest.mark.parametrize(("size", "sizes"), [("1", [0] * 7), ("3", [2, 2, 2, 2, 3, 3, 3]), ("auto", [7] * 7)])
def test_stacks_are_no_larger_than_asked_for(tmp_path: Path, size: str, sizes: list[int]) -> None:
    words = ("-m", "seed=range(7)", f"hydra.launcher.stack_size={size}", "sweep.name=s", "hydra/sweeper=basic")
    assert quick(tmp_path, *words, *SHORT).returncode == 0
    records = records_of(tmp_path / "outputs" / "sweeps" / "s")
    assert sorted(record.stack["size"] if record.stack else 0 for record in records.values()) == sizes


@pytest.mark.soak
def test_trials_of_two_processes_each_train_in_processes_of_their_own(tmp_path: Path) -> None:
    processes = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2")
    words = ("-m", bring_nets(tmp_path), "model=unlucky", "model.unlucky_seed=1", "seed=0,1", "sweep.name=ddp")
    done = quick(tmp_path, *words, *processes, "trainer.max_epochs=2", "tracking=disabled")
    assert done.returncode == 1
    records = records_of(tmp_path / "outputs" / "sweeps" / "ddp")
    assert sorted(record.status for record in records.values()) == ["failed", "finished"]
    finished = next(record for record in records.values() if record.status == "finished")
    assert finished.timing["steps"] == 2 * 5, "ten batches an epoch, shared by two"
    assert "this brings bad luck" in done.stdout
    assert len([line for line in done.stdout.splitlines() if line.startswith(("1/2", "2/2"))]) == 2


def test_sweep_lies_where_hydra_says_and_goes_on_from_there(tmp_path: Path) -> None:
    words = ("seed=0,1", 'hydra.sweep.dir="my sweeps/it\'s here"', *SHORT, "-m")
    assert quick(tmp_path, *words).returncode == 0
    sweep = tmp_path / "my sweeps" / "it's here"
    before = contents(sweep)
    assert len(records_of(sweep)) == 2
    resumed = command(tmp_path.parent, str(sweep), module="src.resume")
    assert resumed.returncode == 0, resumed.stderr
    assert "2 of them ended before" in resumed.stdout
    (score,) = [line for line in resumed.stdout.splitlines() if "src.evaluate" in line]
    scored = parse(shlex.split(score)[-1]).value()
    assert (tmp_path.parent / str(scored)).parent == sweep, "from where that was typed"
    assert not Path(str(scored)).is_absolute()
    assert contents(sweep) == before


def spied() -> None:
    """Has the results that the sweeper gets written to a file."""
    from hydra.core.plugins import Plugins

    Plugins.instance()  # loads Hydra's own classes anew, so it comes before what is built on them
    from src.sweep.grid import GridSweeper

    original = GridSweeper.sweep

    def sweep(self: GridSweeper, arguments: list[str]) -> object:
        batches = original(self, arguments)
        told = [[job.overrides, job.return_value, job.working_dir, job.status.name] for jobs in batches for job in jobs]
        Path("returned.json").write_text(json.dumps(told))
        return batches

    GridSweeper.sweep = sweep  # type: ignore[method-assign,assignment]


HOOKS = """
import os
from hydra.experimental.callback import Callback

class Told(Callback):
    def on_job_start(self, config, *, task_function, **kwargs):
        print("start", config.hydra.job.num, config.seed, os.environ["MINE"])

    def on_job_end(self, config, job_return, **kwargs):
        print("end", config.hydra.job.num, job_return.return_value > 0)
"""


def test_callbacks_hear_of_every_trial_that_trains_and_the_environment_is_set(tmp_path: Path) -> None:
    (tmp_path / "hooks.py").write_text(HOOKS)
    hooks = ("+hydra.callbacks.told._target_=hooks.Told", "+hydra.job.env_set.MINE=yes", "sweep.name=s", *SHORT)
    first = quick(tmp_path, "-m", "seed=3,4", *hooks)
    told = [line for line in first.stdout.splitlines() if line.startswith(("start", "end"))]
    assert told == ["start 0 3 yes", "start 1 4 yes", "end 0 True", "end 1 True"]
    wider = quick(tmp_path, "-m", "seed=3,4,5", *hooks)
    told = [line for line in wider.stdout.splitlines() if line.startswith(("start", "end"))]
    assert told == ["start 2 5 yes", "end 2 True"]


def test_hydra_gets_every_result_in_order(tmp_path: Path) -> None:
    """Also of a trial that diverged, and of one that is asked for twice."""
    words = ("-m", "optimizer=sgd", "optimizer.lr=1e-3,1e30,0.001", "seed=0,1", "sweep.name=s", *SHORT)
    assert quick(tmp_path, *words, first=spied).returncode == 0
    told = json.loads((tmp_path / "returned.json").read_text())
    assert [job[0][1:3] for job in told] == [
        [f"optimizer.lr={lr}", f"seed={seed}"] for lr in ("0.001", "1e+30", "0.001") for seed in (0, 1)
    ]
    records = records_of(tmp_path / "outputs" / "sweeps" / "s")
    assert len(records) == 4
    for _, value, folder, status in told:
        record = records[Path(folder).name]
        assert (value == record.objective) or (math.isnan(value) and record.objective is None)
        assert status == "COMPLETED"
    assert {record.status for record in records.values()} == {"finished", "diverged"}
    shutil.rmtree(tmp_path / "outputs")
