"""What a run leaves behind."""

import json
import math
import subprocess
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean

import pytest
import torch
from omegaconf import OmegaConf
from sklearn.linear_model import RidgeCV
from torch import Tensor, nn

from src import provenance
from src import record as records
from src.build import build
from src.check import check, check_values
from src.errors import ConfigError
from src.instantiate import instantiate
from src.naming import key
from src.record import Record, read, read_history
from src.run import fit
from tests.conftest import SMALL, composed, write_hydra_folder


def trained(folder: Path, *overrides: str) -> Record:
    config = composed(*SMALL, *overrides)
    write_hydra_folder(folder, config)
    return fit(check(config), folder, config, list(overrides))


def weights(folder: Path, name: str = "last") -> dict[str, Tensor]:
    return torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)["state_dict"]


def test_run_leaves_a_record_a_history_and_two_checkpoints(tmp_path: Path) -> None:
    record = trained(tmp_path, "seed=3")
    assert read(tmp_path) == record
    assert (record.status, record.overrides, record.stack) == ("finished", ["seed=3"], None)
    assert record.objective == record.metrics["val/loss"]
    assert {f"{split}/{name}" for split in ("train", "val", "test") for name in ("loss", "mae", "r2")} <= {
        *record.metrics
    }
    rows = read_history(tmp_path)
    assert [row["epoch"] for row in rows] == [0, 1, 2, 3]
    assert record.objective == min(row["val/loss"] for row in rows)
    assert {name.removeprefix("net.") for name in weights(tmp_path, "best") if name.startswith("net.")} == {
        "linear1.weight", "linear1.bias", "linear2.weight", "linear2.bias",
    }  # fmt: skip


def test_record_says_what_it_cost_and_where_it_comes_from(tmp_path: Path) -> None:
    record = trained(tmp_path)
    assert record.timing["steps"] == 40
    assert record.timing["steps_per_second"] > 0
    assert 0 < record.timing["outside_steps"] < 1
    assert record.provenance["packages"]["torch"] == torch.__version__
    assert record.provenance["seeds"] == {"seed": 0, "data.seed": 0}


def test_commits_that_trained_runs_are_counted_the_most_used_first() -> None:
    clean, dirty = {"git": {"sha": "a", "dirty": False, "diff": ""}}, {"git": {"sha": "a", "dirty": True, "diff": "+1"}}
    assert provenance.commits([dirty, clean, {"git": None}, clean]) == [
        {"sha": "a", "dirty": False, "num_runs": 2},
        {"sha": "a", "dirty": True, "num_runs": 1},
        {"sha": None, "dirty": None, "num_runs": 1},
    ]


def test_best_checkpoint_is_the_one_that_was_tested(tmp_path: Path) -> None:
    record = trained(tmp_path, "optimizer.lr=0.1", "trainer.max_epochs=30")
    assert record.timing["best_epoch"] != 29, "the last epoch must not be the best for this test to say anything"
    cfg = check(composed(*SMALL))
    run = build(cfg)
    run.module.load_state_dict(weights(tmp_path, "best"))
    features, targets = run.data.split("test")
    loss = torch.nn.functional.mse_loss(run.module(features), targets).item()
    assert loss == pytest.approx(record.metrics["test/loss"], rel=1e-5)


def test_metrics_are_in_the_users_units(tmp_path: Path) -> None:
    record = trained(tmp_path)
    run = build(check(composed(*SMALL)))
    run.module.load_state_dict(weights(tmp_path, "best"))
    features, targets = run.data.split("test")
    scale = run.data.scale
    error = (run.module(features) - targets).abs() * scale.target_std
    assert record.metrics["test/mae"] == pytest.approx(error.mean().item(), rel=1e-5)
    assert error.mean() > 10, "progression runs from 25 to 346"


def test_losses_of_batches_count_by_their_rows(tmp_path: Path) -> None:
    record = trained(tmp_path, "optimizer.lr=0", "trainer.max_epochs=1")
    run = build(check(composed(*SMALL)))
    features, targets = run.data.split("train")
    assert len(features) % run.data.batch_size, "the last batch must be smaller for this test to say anything"
    loss = torch.nn.functional.mse_loss(run.module(features), targets).item()
    assert record.metrics["train/loss"] == pytest.approx(loss, rel=1e-5)


def test_same_config_gives_the_same_weights_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in {"a": 0, "b": 0, "c": 1}.items():
        trained(tmp_path / name, f"seed={seed}")
    a, b, c = (weights(tmp_path / name) for name in "abc")
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not torch.equal(a["net.linear1.weight"], c["net.linear1.weight"])


def test_run_that_raises_ends_as_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("src.module.Regressor.on_validation_epoch_end", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        trained(tmp_path)
    assert read(tmp_path).status == "failed"
    assert read(tmp_path).error == "ZeroDivisionError: division by zero"


def test_run_whose_loss_is_not_finite_stops_and_ends_as_diverged(tmp_path: Path) -> None:
    record = trained(tmp_path, "optimizer=sgd", "optimizer.lr=1e20", "trainer.max_epochs=50")
    assert record.status == "diverged"
    assert len(read_history(tmp_path)) < 5
    json.loads((tmp_path / "record.json").read_text(), parse_constant=pytest.fail)  # JSON knows no NaN


def test_record_is_whole_at_every_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records.write(tmp_path, Record("abc", []))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space"):
        records.write(tmp_path, Record("abc", [], status="finished"))
    assert read(tmp_path).status == "running"
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]


def test_no_number_is_lost_between_a_run_and_its_history(tmp_path: Path) -> None:
    history = records.History(tmp_path)
    rows = [{"epoch": 0, "train/loss": 0.1 + 0.2}, {"epoch": 1, "train/loss": math.pi, "val/loss": 1e-300}]
    for row in rows:
        history.add(row)
    assert read_history(tmp_path) == rows


def test_history_leaves_out_a_row_cut_off_by_a_kill(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("epoch,train/loss\n0,0.5\n1,0.")
    assert read_history(tmp_path) == [{"epoch": 0, "train/loss": 0.5}]


def test_key_names_the_values_and_not_how_they_were_typed() -> None:
    def of(*overrides: str) -> str:
        return key(check(composed(*overrides)))

    assert of() == of("optimizer.lr=0.001")
    assert of("optimizer.lr=1") == of("optimizer.lr=1.0")
    assert of() == of("tracking=online", "sweep.name=other")
    assert of() != of("optimizer.lr=0.002")
    assert of().isalpha()
    assert len(of()) == 20, "of 16 letters: 80 bits"


def test_equal_configs_have_one_key_and_no_two_others_have() -> None:
    base = OmegaConf.to_container(composed(), resolve=True)
    assert isinstance(base, dict)

    def of(group: str, **values: object) -> str:
        part = {**base[group], **values} if isinstance(base[group], dict) else values
        return key(check_values({**base, group: dict(reversed(part.items()))}))  # type: ignore[dict-item]

    assert of("optimizer", weight_decay=-0.0) == of("optimizer", weight_decay=0) == of("callbacks")
    assert of("trainer", gradient_clip_val=1) == of("trainer", gradient_clip_val=1.0)
    assert key(check_values({name: part for name, part in base.items() if name != "callbacks"})) == of("callbacks")  # type: ignore[misc]
    assert of("trainer", limit_train_batches=1) != of("trainer", limit_train_batches=1.0), "a batch, and all of them"
    own = [
        1, 1.0, True, "1", None, "null", [1], [[1]], {"a": 1}, {1: 1}, {"1": 1}, math.inf, math.nan, "nan", 2**53 + 1,
        2**53, 2.0**53, 0.1, 0.1 + 2e-17, 1e-320, "", [], {},
    ]  # fmt: skip
    keys = [of("model", _target_="builtins.dict", extra=value) for value in own]
    assert len({*keys, of("model", _target_="builtins.dict")}) == len(own) + 1
    assert of("model", _target_="builtins.dict", extra=[(1, -0.0)]) == of(
        "model", _target_="builtins.dict", extra=[[1, 0.0]]
    )


def test_keys_of_a_mapping_reach_a_class_as_they_were_typed() -> None:
    model = check(composed("model._target_=builtins.dict", "~model.hidden_dim", "+model.weights={0:1.5,b:[2]}")).model
    made = instantiate(model)
    assert made == {"weights": {0: 1.5, "b": [2]}}
    assert type(made["weights"]) is dict
    assert type(made["weights"]["b"]) is list


@pytest.mark.parametrize("precision", ["64", "32", "bf16-mixed"])
def test_precision_reaches_the_weights(tmp_path: Path, precision: str) -> None:
    record = trained(tmp_path, f"trainer.precision={precision}", "optimizer.fused=null")
    assert record.status == "finished"
    assert weights(tmp_path)["net.linear1.weight"].dtype == (torch.float64 if precision == "64" else torch.float32)


@pytest.mark.parametrize(
    "overrides",
    [
        ("scheduler=one_cycle",), ("scheduler=plateau", "scheduler.patience=0"), ("early_stopping.patience=1",),
        ("optimizer=adamw",), ("optimizer=sgd", "optimizer.momentum=0.9", "optimizer.nesterov=true"),
        ("loss.reduction=sum", "optimizer.lr=1e-4"), ("data=linnerud", "data.batch_size=4"), ("data=synthetic",),
        ("data=synthetic", "data.num_rows=200", "data.input_dim=8", "data.output_dim=2", "data.teacher_dim=4"),
        ("debug=fast",), ("debug=overfit",), ("debug=anomaly",), ("debug=fast", "data.batch_size=1"),
        ("trainer.max_epochs=null", "trainer.max_steps=25"),
        ("trainer.max_time=00:00:00:01", "trainer.max_epochs=-1"), ("trainer.accumulate_grad_batches=2",),
        ("trainer.gradient_clip_val=0.1",), ("trainer.check_val_every_n_epoch=2",),
        ("trainer.check_val_every_n_epoch=2", "scheduler=plateau"),
        ("data.val_fraction=0", "objective.metric=train/loss"), ("data.test_fraction=0",),
        ("objective.metric=val/r2", "objective.direction=maximize"),
    ],
    ids=lambda overrides: " ".join(overrides),
)  # fmt: skip
def test_every_option_trains(tmp_path: Path, overrides: tuple[str, ...]) -> None:
    assert trained(tmp_path, *overrides).status == "finished"


def test_scale_of_the_data_is_not_rounded_with_the_weights(tmp_path: Path) -> None:
    trained(tmp_path / "half", "trainer.precision=bf16-true", "optimizer.fused=null")
    trained(tmp_path / "single")
    half, single = weights(tmp_path / "half"), weights(tmp_path / "single")
    assert half["net.linear1.weight"].dtype == torch.bfloat16
    for name in ("feature_mean", "feature_std", "target_mean", "target_std"):
        assert half[name].dtype == torch.float64
        assert torch.equal(half[name], single[name]), name


def test_changed_code_is_told_from_the_same_also_where_git_does_not_know_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance, "_ROOT", tmp_path)
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@b")
    subprocess.run([*git, "init", "-q"], cwd=tmp_path, check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], cwd=tmp_path, check=True)
    net = tmp_path / "my_net.py"
    states = []
    for text in ("a = 1", "a = 2", "a = 1"):
        net.write_text(text)
        states.append(provenance._git())
    assert states[0] == states[2] != states[1]
    for written_by_a_run in ("results/a/3f/.hydra/config.yaml", "results/a/multirun.yaml", "results/a/best.yaml"):
        (tmp_path / written_by_a_run).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / written_by_a_run).touch()
    hidden = tmp_path / "hidden.py"
    hidden.symlink_to("nowhere")
    assert provenance._untracked_code() == {"my_net.py": provenance.digest("a = 1")}


def test_a_net_that_can_learn_overfits_one_batch(tmp_path: Path) -> None:
    record = trained(tmp_path, "debug=overfit", "trainer.max_epochs=300", "optimizer.lr=1e-2")
    assert record.timing["steps"] == 300
    assert read_history(tmp_path)[-1]["train/loss"] < 1e-3


def test_r2_of_one_row_is_null_in_the_record_and_the_run_trains_on(tmp_path: Path) -> None:
    record = trained(tmp_path, "debug=overfit", "data.batch_size=1", "trainer.max_epochs=3")
    assert record.status == "finished"
    values = json.loads((tmp_path / "record.json").read_text(), parse_constant=pytest.fail)  # JSON knows no NaN
    assert values["metrics"]["train/r2"] is None
    assert math.isnan(read_history(tmp_path)[0]["train/r2"])
    assert values["metrics"]["val/r2"] is not None


def two_groups(params: Iterable[nn.Parameter], lr: float, **_: object) -> torch.optim.Optimizer:
    first, *others = params
    groups: list[dict[str, object]] = [{"params": [first]}, {"params": others, "lr": 10 * lr}]
    return torch.optim.SGD(groups, lr=lr)


def one_cycle() -> list[float]:
    """The mean rates of four epochs of ten steps."""
    optimizer = torch.optim.Adam([nn.Parameter(torch.zeros(1))])
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-3, total_steps=40, pct_start=0.3)
    rates = []
    for _ in range(40):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return [fmean(rates[start : start + 10]) for start in range(0, 40, 10)]


WARM_UP = "{_target_:torch.optim.lr_scheduler.LinearLR,start_factor:0.5,total_iters:2}"
THEN = "{_target_:torch.optim.lr_scheduler.ConstantLR,factor:0.1,total_iters:9}"
SEQUENCE = "_target_:torch.optim.lr_scheduler.SequentialLR,milestones:[3]"
RATES: dict[str, tuple[tuple[str, ...], list[float]]] = {
    "cosine": (("scheduler=cosine",), [1e-3 * (1 + math.cos(math.pi * epoch / 4)) / 2 for epoch in range(4)]),
    "one cycle": (("scheduler=one_cycle",), one_cycle()),
    "plateau": (
        ("scheduler=plateau", "scheduler.patience=0", "optimizer=sgd", "optimizer.lr=1e-6"),
        [1e-6, 1e-6, 5e-7, 2.5e-7],
    ),
    "warm-up": ((f"++scheduler={{{SEQUENCE},schedulers:[{WARM_UP},{THEN}]}}",), [5e-4, 7.5e-4, 1e-3, 1e-4]),
    "by the step": (
        ("++scheduler={_target_:torch.optim.lr_scheduler.StepLR,step_size:5,gamma:0.1,interval:step}",),
        [5.5 * 10.0 ** -(4 + 2 * epoch) for epoch in range(4)],
    ),
}


@pytest.mark.parametrize("name", RATES)
def test_lr_of_a_row_is_what_its_epoch_was_trained_with(tmp_path: Path, name: str) -> None:
    overrides, expected = RATES[name]
    trained(tmp_path, *overrides)
    assert [row["lr"] for row in read_history(tmp_path)] == pytest.approx(expected, rel=1e-9, abs=0)


def test_each_parameter_group_has_its_rate(tmp_path: Path) -> None:
    trained(tmp_path, f"optimizer._target_={__name__}.two_groups", "trainer.max_epochs=1")
    row = read_history(tmp_path)[0]
    assert (row["lr"], row["lr/1"]) == (0.001, 0.01)


def test_early_stopping_ends_a_run_that_gets_no_better(tmp_path: Path) -> None:
    trained(tmp_path, "early_stopping.patience=2", "optimizer.lr=0", "trainer.max_epochs=50")
    assert len(read_history(tmp_path)) == 3


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_hardware_that_is_not_there_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="gpu"):
        build(check(composed("trainer=gpu")))


@pytest.mark.soak
def test_defaults_are_at_least_as_good_as_ridge_regression(tmp_path: Path) -> None:
    ours, ridge = [], []
    for seed in range(10):
        overrides = ("trainer.max_epochs=100", f"data.seed={seed}")
        ours.append(trained(tmp_path / str(seed), *overrides).metrics["test/r2"])
        data = build(check(composed(*SMALL, *overrides))).data
        (features, targets), test = data.split("train"), data.split("test")
        alphas = torch.logspace(-3, 3, 50).numpy()
        fitted = RidgeCV(alphas).fit(features.numpy(), targets.numpy().ravel())
        ridge.append(fitted.score(test[0].numpy(), test[1].numpy().ravel()))
    gains = torch.tensor(ours) - torch.tensor(ridge)
    assert gains.mean() >= -gains.std() / len(gains) ** 0.5
