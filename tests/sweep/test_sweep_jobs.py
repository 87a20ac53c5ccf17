"""Composing a sweep once gives what Hydra gives by composing each of its jobs."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from src.check import check
from src.errors import ConfigError
from src.naming import key
from src.sweep import jobs as jobs_module
from src.sweep.folder import check_folders
from src.sweep.jobs import compose_jobs, write_hydra_files
from src.sweep.stacks import stack_checkpoint
from tests.conftest import ROOT, composed

SWEEP = Path("outputs/sweeps/mine")
OWN = ("model._target_=tests.nets.Mine", "optimizer._target_=tests.nets.Optimizer")
JOBS = [
    ["optimizer.lr=0.1"],
    ["seed=3", "optimizer.lr=1e-4"],
    ["seed=4", "optimizer.lr=1"],
    ["model=sequential", "model.hidden_dim=7"],
    ["model.hidden_dim=7", "model=sequential"],
    ["optimizer=sgd", "optimizer.momentum=0.9", "optimizer.lr=0.5"],
    ["optimizer.momentum=0.5", "optimizer=sgd"],
    ["scheduler=cosine", "trainer.max_epochs=7"],
    ["scheduler=cosine", "trainer.max_epochs=8"],
    ["scheduler=one_cycle", "optimizer.lr=0.3"],
    ["scheduler=one_cycle", "optimizer.lr=0.4", "scheduler.pct_start=0.2"],
    ["scheduler=plateau", "objective.metric=val/r2", "objective.direction=maximize"],
    ["optimizer.betas=[0.8,0.99]"],
    ["trainer={max_epochs:5,precision:64-true}"],
    ["tracking.tags=[a,'b c']", "seed=1"],
    ["tracking.name='one, two = three'"],
    ['tracking.name="it\'s"'],
    ["tracking.name='null'"],
    ["tracking.name=a\\,b"],
    ["data=table", "data.path='my file.csv'", "data.target=[a,b]"],
    ["data=table", "data.path=x.csv", "data.target=y", "data.features=null"],
    [*OWN, "+model.depth=2", "~optimizer.fused"],
    [*OWN, "+model.depth=3", "+model.sizes=[1,2]", "++model.width=4", "~optimizer.eps", "seed=5"],
    [*OWN, "+model.inner={a:1,b:{c:2}}", "model.hidden_dim=9"],
    ["experiment=probe", "optimizer.lr=0.2"],
    ["experiment=probe", "optimizer.weight_decay=0.5", "seed=9"],
    ["debug=fast"],
    ["data.batch_size=${model.hidden_dim}", "model.hidden_dim=11"],
    ["model.hidden_dim=${data.batch_size}"],
    ["early_stopping.patience=3"],
    ["trainer.gradient_clip_val=null", "resume=null"],
    ["trainer=ddp", "trainer.accelerator=gpu", "trainer.devices=[0]"],
    ["tracking=disabled", "tracking.project=p"],
    ["sweep.name=given"],
]


class CountingLoader:
    """Hydra's, counting how often it composes a job."""

    def __init__(self, loader: ConfigLoader) -> None:
        self.loader, self.calls = loader, 0

    def load_sweep_config(self, config: DictConfig, overrides: list[str]) -> DictConfig:
        self.calls += 1
        return self.loader.load_sweep_config(config, overrides)


@pytest.fixture
def launch(request: pytest.FixtureRequest) -> Iterator[tuple[CountingLoader, DictConfig]]:
    """A loader and the sweep's own config, as a launcher is given them."""
    node = {"optimizer": {"lr": 0.07, "weight_decay": 0.01}, "model": {"hidden_dim": 5}}
    ConfigStore.instance().store(group="experiment", name="probe", node=node, package="_global_")
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        yield CountingLoader(loader), loader.load_configuration("train", [], RunMode.MULTIRUN)


def hydras_own(loader: CountingLoader, config: DictConfig, overrides: list[str]) -> dict[str, Any]:
    composed_job = loader.loader.load_sweep_config(config, overrides)
    with open_dict(composed_job):
        del composed_job["hydra"]
    composed_job.sweep.name = composed_job.sweep.name or SWEEP.name
    values = OmegaConf.to_container(composed_job, resolve=True)
    assert isinstance(values, dict)
    return values  # type: ignore[return-value]


def test_every_kind_of_override_composes_as_hydra_composes_it(
    launch: tuple[CountingLoader, DictConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("my file.csv", "x.csv"):
        Path(name).write_text("a,b,c,y\n" + "".join(f"{i},{i * i},{i % 3},{i % 5}\n" for i in range(40)))
    loader, config = launch
    jobs = compose_jobs(loader, config, SWEEP, JOBS, first=3)  # type: ignore[arg-type]
    for number, (overrides, job) in enumerate(zip(JOBS, jobs, strict=True), start=3):
        expected = hydras_own(loader, config, overrides)
        assert job.values == expected, overrides
        assert [type(value) for value in job.values["optimizer"].values()] == [
            type(value) for value in expected["optimizer"].values()
        ]
        assert (job.number, job.overrides) == (number, overrides)
        assert job.key == key(check(OmegaConf.create(expected)))
        assert job.folder == SWEEP / job.key


def test_trial_has_the_key_of_the_same_run_alone(launch: tuple[CountingLoader, DictConfig]) -> None:
    loader, config = launch
    overrides = [["seed=3", "optimizer.lr=1e-4"], ["scheduler=cosine", "trainer.max_epochs=7"], ["optimizer.lr=1"]]
    keys = [job.key for job in compose_jobs(loader, config, SWEEP, overrides, 0)]  # type: ignore[arg-type]
    GlobalHydra.instance().clear()
    assert keys == [key(check(composed(*words))) for words in overrides]


def test_hydra_composes_once_for_each_choice_of_groups(launch: tuple[CountingLoader, DictConfig]) -> None:
    loader, config = launch
    overrides = [
        [f"model={model}", f"optimizer.lr={lr}", f"seed={seed}"]
        for model in ("two_layer_net", "sequential")
        for lr in ("1e-3", "1e-2")
        for seed in range(16)
    ]
    jobs = compose_jobs(loader, config, SWEEP, overrides, 0)  # type: ignore[arg-type]
    assert len({job.key for job in jobs}) == 64
    assert loader.calls == 2


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("optimizer.lr=-1", "optimizer.lr must be"),
        ("optimizer.lr=fast", "optimizer.lr must be"),
        ("+foo=1", "foo"),
        ("+trainer.max_epoch=3", "trainer.max_epoch"),
        ("data=table", "data.path is missing"),
        ("data.batch_size=${nope}", "data.batch_size must refer"),
        ("~model", "model"),
    ],
)
def test_wrong_job_is_found_among_right_ones(
    launch: tuple[CountingLoader, DictConfig], override: str, told: str
) -> None:
    loader, config = launch
    with pytest.raises(ConfigError, match="error: .*" + told.replace(".", r"\.")):
        compose_jobs(loader, config, SWEEP, [["seed=1"], ["seed=2"], [override]], 0)  # type: ignore[arg-type]


def test_two_configs_of_one_key_are_refused_and_one_config_twice_is_one_trial(
    launch: tuple[CountingLoader, DictConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    loader, config = launch
    monkeypatch.setattr(jobs_module, "key", lambda _: "a" * 20)
    same = [["optimizer.lr=0.1", "seed=1"], ["seed=1", "optimizer.lr=1e-1", "tracking=disabled"]]
    assert len(compose_jobs(loader, config, SWEEP, same, 0)) == 2  # type: ignore[arg-type]
    told = r"trial a{20} must have one config.*\n  got: optimizer.lr is 0.1 there, and 0.2 is asked for"
    with pytest.raises(ConfigError, match=told):
        compose_jobs(loader, config, SWEEP, [*same, ["optimizer.lr=0.2", "seed=1"]], 0)  # type: ignore[arg-type]


def test_trial_folder_that_holds_another_config_is_refused(
    launch: tuple[CountingLoader, DictConfig], tmp_path: Path
) -> None:
    loader, config = launch
    (job,) = compose_jobs(loader, config, tmp_path, [["optimizer.lr=0.1"]], 0)  # type: ignore[arg-type]
    check_folders([job])
    write_hydra_files(job)
    check_folders([job])
    path = job.folder / ".hydra" / "config.yaml"
    text = path.read_text()
    path.write_text(text.replace("mode: offline", "mode: disabled"))
    check_folders([job])
    path.write_text(text.replace("lr: 0.1", "lr: 0.25"))
    with pytest.raises(ConfigError, match=r"got: optimizer.lr is 0.25 there, and 0.1 is asked for\n  try: sweep.name"):
        check_folders([job])
    path.write_text(text[: len(text) // 2])  # a process was killed while it wrote
    check_folders([job])


def test_state_of_a_stack_is_taken_by_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashlib, "sha256", lambda _: hashlib.sha1(b""))
    assert stack_checkpoint(tmp_path, ["a", "b"]) == stack_checkpoint(tmp_path, ["a", "b"])
    with pytest.raises(RuntimeError, match="names other trials than a c"):
        stack_checkpoint(tmp_path, ["a", "c"])
