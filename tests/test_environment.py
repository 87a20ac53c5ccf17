"""Nothing around a run changes it: batch systems, launchers, W&B's variables."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from src import ranks, signals
from src.check import check
from src.errors import ConfigError
from src.record import read, read_history
from src.tracking_laws import _check_environment
from tests.conftest import ROOT, SMALL, composed
from tests.sweep.commands import quick, records_of
from tests.test_config_errors import train
from tests.test_run import trained

IN_A_JOB = {
    "RANK": "1", "LOCAL_RANK": "gold", "WORLD_SIZE": "4", "GROUP_RANK": "1", "NODE_RANK": "1",
    "MASTER_ADDR": "10.1.1.1", "MASTER_PORT": "1", "TORCHELASTIC_RUN_ID": "7", "TORCHELASTIC_USE_AGENT_STORE": "True",
    "SLURM_NTASKS": "4", "SLURM_JOB_ID": "77", "SLURM_PROCID": "3", "SLURM_LOCALID": "3", "SLURM_NODEID": "1",
    "SLURM_JOB_NAME": "job", "JSM_NAMESPACE_RANK": "2", "OMPI_COMM_WORLD_RANK": "2", "PMI_RANK": "3",
    "PL_TRAINER_VAL_CHECK_INTERVAL": "0.1", "PL_TRAINER_MIN_EPOCHS": "9",
}  # fmt: skip
ONE_AFTER_ANOTHER = """
import sys
from src import train
for line in {lines}:
    sys.argv = [{path!r}, *line.split()]
    train.main()
"""


def test_runs_and_sweeps_in_a_job_are_their_own_and_take_no_state_from_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "hpc_ckpt_1.ckpt").write_bytes(b"another run's")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "srun").write_text("#!/bin/sh\n")
    (tmp_path / "bin" / "srun").chmod(0o755)
    small = " ".join(SMALL)
    lines = [f"{small} hydra.run.dir=run", f"-m {small} seed=0,1,2 sweep.name=mine hydra.launcher.workers=1"]
    code = ONE_AFTER_ANOTHER.format(lines=lines, path=str(ROOT / "src/train.py"))
    path = os.pathsep.join([str(tmp_path / "bin"), os.environ["PATH"]])
    environment = os.environ | IN_A_JOB | {"PYTHONPATH": str(ROOT), "PATH": path, "HYDRA_MAIN_MODULE": "__main__"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "finished in" in done.stdout
    assert "3 trials: 3 finished" in done.stdout
    expected = trained(tmp_path / "expected", *SMALL)
    record = read(folder / "run")
    assert (record.status, record.metrics) == ("finished", expected.metrics)
    assert read_history(folder / "run") == read_history(tmp_path / "expected")
    assert {r.status for r in records_of(folder / "outputs/sweeps/mine").values()} == {"finished"}
    assert {path.name for path in folder.iterdir()} == {"hpc_ckpt_1.ckpt", "outputs", "run"}


def test_only_a_process_that_its_run_has_started_is_a_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    ends_with: list[int] = []
    monkeypatch.setattr(signals, "die_with_parent", ends_with.append)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert ranks._rank() == 0
    monkeypatch.setenv(ranks._LAUNCHER, str(os.getpid()))
    assert ranks._rank() == 0, "it was started by one that a rank has started, or the variable was left over"
    monkeypatch.setenv(ranks._LAUNCHER, str(os.getppid()))
    assert ranks._rank() == 3
    assert ranks._rank() == 0, "and what it starts itself is none"
    with subprocess.Popen(["true"]) as ended:
        pass
    monkeypatch.setenv(ranks._LAUNCHER, str(ended.pid))
    assert ranks._rank() == 3, "the process that started it was killed meanwhile, and it does not begin the run anew"
    assert ends_with == [os.getppid(), ended.pid]


def _as_torchrun_says() -> None:
    os.environ.update(IN_A_JOB | {"WORLD_SIZE": "1", "LOCAL_RANK": "1"})


def test_two_processes_train_one_run_also_in_a_job(tmp_path: Path) -> None:
    words = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "hydra.run.dir=run")
    done = quick(tmp_path, *words, "trainer.max_epochs=3", "tracking=disabled", first=_as_torchrun_says)
    assert done.returncode == 0, done.stderr
    assert read(tmp_path / "run").status == "finished"
    assert read(tmp_path / "run").timing["steps"] == 3 * 5, "ten batches an epoch, shared by two"
    assert len(read_history(tmp_path / "run")) == 3
    again = quick(tmp_path, *SMALL, "hydra.run.dir=run", first=_as_torchrun_says)
    assert again.returncode == 2, "a run is never written over, whatever the environment says"
    assert "resume=run" in again.stderr


def test_a_run_on_several_devices_is_not_started_several_times(tmp_path: Path) -> None:
    done = train("trainer=ddp", tmp_path, WORLD_SIZE="4")
    assert done.returncode == 2
    assert done.stderr.splitlines()[1:] == [
        "  got: WORLD_SIZE=4",
        "  try: env -u WORLD_SIZE python -m src.train trainer=ddp",
    ]


@pytest.mark.parametrize(
    ("said", "law", "remedy"),
    [
        ({"MODE": "disabled"}, "contradicts tracking.mode", "tracking.mode=disabled"),
        ({"MODE": "online"}, "contradicts tracking.mode", "tracking.mode=online"),
        ({"MODE": "shared"}, "contradicts tracking.mode", "env -u WANDB_MODE"),
        ({"DISABLED": "true"}, "contradicts tracking.mode", "tracking.mode=disabled"),
        ({"PROJECT": "mine"}, "contradicts tracking.project", "tracking.project=mine"),
        ({"ENTITY": "me"}, "contradicts tracking.entity", "tracking.entity=me"),
        ({"TAGS": "a,b"}, "contradicts tracking.tags", "tracking.tags="),
        ({"RUN_GROUP": "g"}, "contradicts sweep.name", "sweep.name=g"),
        ({"RUN_ID": "left0ver"}, "has no say", "env -u WANDB_RUN_ID"),
        ({"SWEEP_ID": "left0ver"}, "has no say", "env -u WANDB_SWEEP_ID"),
        ({"RESUME": "must"}, "has no say", "env -u WANDB_RESUME"),
        ({"DIR": "/tmp"}, "has no say", "env -u WANDB_DIR"),
        ({"RUN_ID": "agents", "SWEEP_ID": "s", "PROJECT": "other"}, "contradicts tracking.project", "=other"),
    ],
)
def test_what_wandbs_environment_says_otherwise_than_the_config_is_refused(
    said: dict[str, str], law: str, remedy: str
) -> None:
    tracking = check(composed()).tracking
    with pytest.raises(ConfigError, match=f"WANDB_{list(said)[-1]} in the environment {law}") as error:
        _check_environment(tracking, None, said)
    assert remedy in str(error.value).splitlines()[-1]
    assert len(str(error.value).splitlines()) == 3


def test_what_wandbs_environment_says_as_the_config_does_is_no_mistake(tmp_path: Path) -> None:
    tracking = check(composed()).tracking
    _check_environment(tracking, None, {"MODE": "dryrun", "DISABLED": "false", "PROJECT": "tandem", "RESUME": "allow"})
    agents = {"RUN_ID": "a", "SWEEP_ID": "s", "SWEEP_PARAM_PATH": "p", "DIR": ".", "ENTITY": "us", "PROJECT": "tandem"}
    _check_environment(tracking, None, agents)
    refused = train("seed=1", tmp_path, WANDB_MODE="disabled")
    assert (refused.returncode, refused.stderr.splitlines()[-1]) == (2, "  try: tracking.mode=disabled")


@pytest.mark.parametrize(
    ("override", "law"),
    [
        ("tracking.project=''", "tracking.project must be 1 to 128 letters"),
        (f"tracking.project={'x' * 129}", "tracking.project must be 1 to 128 letters"),
        ("tracking.project=' x'", "tracking.project must be 1 to 128 letters"),
        ("tracking.entity='a:b'", "tracking.entity must hold none of"),
        (f"tracking.name={'x' * 129}", "tracking.name must be 1 to 128 letters"),
        (f"sweep.name={'x' * 129}", "sweep.name must be 1 to 128 letters"),
        ("tracking.tags=['']", "tracking.tags must each be 1 to 64 letters"),
        ("tracking.tags=[a,b,a]", "tracking.tags must differ"),
    ],
)
def test_what_wandb_would_refuse_is_refused_before_it_is_trained(override: str, law: str) -> None:
    with pytest.raises(ConfigError, match=law):
        check(composed(override))
