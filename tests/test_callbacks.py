"""What the user's Lightning callbacks change, the record and the checkpoints tell alike."""

from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn

from src.check import check
from src.config import Config
from src.errors import ConfigError
from src.record import Record, read, read_config, read_history
from src.scoring import predict
from src.sweep.plan import why_alone
from tests.conftest import composed
from tests.test_optimizers_go_on import assert_goes_on, trained

THEIRS = "_target_:lightning.pytorch.callbacks."
SIZE = ("data.batch_size=80", "trainer.max_epochs=3", "model.hidden_dim=4", "optimizer.lr=0.05")


class Shrinks(Callback):
    """Changes the weights once they were scored."""

    @torch.no_grad()
    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        for weight in pl_module.parameters():
            weight.mul_(0.5)


class Misleads(Callback):
    """Changes what the net predicts, and not its weights, while it is scored."""

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        pl_module.net.forward = lambda x: type(pl_module.net).forward(pl_module.net, 2 * x)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        del pl_module.net.forward


class Remembers(Callback):
    """Its state is of a kind that no checkpoint gives back."""

    def state_dict(self) -> dict[str, Any]:
        return {"seen": [1, {"best": np.float64(0.5)}]}


class Normed(nn.Module):
    def __init__(self, input_dim: int, output_dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(input_dim, hidden_dim), nn.BatchNorm1d(hidden_dim), nn.Linear(hidden_dim, output_dim)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def named(text: str) -> str:
    return f"+callbacks.one={{{text}}}"


def assert_scored_as_recorded(folder: Path, record: Record) -> None:
    """Whoever evaluates the best checkpoint finds what the record says."""
    checkpoint = torch.load(folder / str(record.checkpoint), weights_only=True)
    for split in ("val", "test"):
        found = predict(read_config(folder), checkpoint, split, None).metrics
        assert {f"{split}/{name}": value for name, value in found.items()} == pytest.approx(
            {name: value for name, value in record.metrics.items() if name.startswith(split)}, rel=1e-5
        )


AVERAGE = named(f"{THEIRS}EMAWeightAveraging,decay:0.8")
CASES: dict[str, tuple[str, ...]] = {
    "moving average": (AVERAGE,),
    "moving average, batch norm, float64": (AVERAGE, f"model._target_={__name__}.Normed", "trainer.precision=64"),
    "moving average, judged in training": (AVERAGE, "objective.metric=train/loss"),
    "constant features": (AVERAGE, "data=table", "data.path=constant.csv", "data.target=y"),
    "mean": (named(f"{THEIRS}WeightAveraging"),),
    "stochastic mean": (named(f"{THEIRS}StochasticWeightAveraging,swa_lrs:0.1,swa_epoch_start:1"),),
    "changed at the end of the epoch": (named(f"_target_:{__name__}.Shrinks"),),
    "their own early stopping": (named(f"{THEIRS}EarlyStopping,monitor:val/mae,patience:1,min_delta:50"),),
    "their own checkpoints": (named(f"{THEIRS}ModelCheckpoint,monitor:val/r2,mode:max,save_top_k:2,filename:x"),),
    "accumulation": (named(f"{THEIRS}GradientAccumulationScheduler,scheduling:{{0:1,1:2}}"),),
}

OFTEN = "moving average, batch norm, float64", "constant features", "stochastic mean", "changed at the end of the epoch"


@pytest.mark.filterwarnings("ignore:.*accumulate_grad_batches.*", "ignore:Checkpoint directory.*")
@pytest.mark.parametrize(
    "name", [name if name in OFTEN else pytest.param(name, marks=pytest.mark.soak) for name in CASES]
)
def test_best_checkpoint_scores_what_the_record_says_and_a_stopped_run_ends_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("constant.csv").write_text("a,b,y\n" + "".join(f"1,{i},{i * i % 7}\n" for i in range(400)))
    stops = () if "stopping" in name else (6,)
    record = assert_goes_on(tmp_path, *SIZE, *CASES[name], stops=stops)
    assert_scored_as_recorded(tmp_path / "whole", record)
    assert {path.name for path in tmp_path.iterdir()} <= {"whole", "6", "constant.csv"}, "all lies in the run's folder"


@pytest.mark.filterwarnings("ignore:.*accumulate_grad_batches.*")
def test_pruned_net_is_scored_as_recorded_and_is_not_gone_on_with(tmp_path: Path) -> None:
    words = (*SIZE, named(f"{THEIRS}ModelPruning,pruning_fn:l1_unstructured,amount:0.3"))
    record = trained(tmp_path / "whole", words)
    assert record is not None
    assert_scored_as_recorded(tmp_path / "whole", record)
    assert trained(tmp_path / "stopped", words, 6) is None
    with pytest.raises(ConfigError, match="a callback has changed its parts"):
        trained(tmp_path / "stopped", words)


def test_run_whose_callback_changes_what_is_scored_fails_and_says_so(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"a callback of one changes what is scored: val/loss was"):
        trained(tmp_path, (*SIZE, named(f"_target_:{__name__}.Misleads")))
    assert read(tmp_path).status == "failed"


def test_state_that_no_checkpoint_gives_back_is_found_in_the_first_epoch(tmp_path: Path) -> None:
    words = (*SIZE, named(f"_target_:{__name__}.Remembers"), "checkpoint.interval_seconds=1e6")
    with pytest.raises(ConfigError, match=r"not so its callbacks\.Remembers\.seen\[1\]\.best\n  got: numpy.float64"):
        trained(tmp_path, words)
    assert len(read_history(tmp_path)) == 1


def checked(*words: str) -> Config:
    return check(composed(*words))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ema", r"callbacks\.one\._target_ must name a class"),
        ("{decay:0.9}", r"callbacks\.one\._target_ must name a class"),
        ("{_target_:nosuch.Thing}", r"callbacks\.one\._target_ must name a class that can be imported"),
        ("{_target_:lightning.pytorch.callbacks.LearningRateFinder}", r"callbacks\.one must leave the config as it is"),
        ("{_target_:lightning.pytorch.callbacks.BatchSizeFinder}", r"changes data\.batch_size while it trains"),
    ],
)
def test_callback_that_cannot_be_is_found_before_torch_is_imported(text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        checked(f"+callbacks.one={text}")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((named(f"{THEIRS}EMAWeightAverage"),), r"try: callbacks\.one\._target_=lightning\..*\.EMAWeightAveraging"),
        ((named("_target_:torch.nn.Identity"),), r"must be a class of lightning\.pytorch\.callbacks\.Callback"),
        ((named(f"{THEIRS}LearningRateMonitor"),), r"Lightning refuses the callbacks one: .*no logger"),
        ((named(f"{THEIRS}EarlyStopping"),), r"EarlyStopping needs a value for monitor"),
        ((named(f"{THEIRS}EarlyStopping,monitor:val/loss"), "early_stopping.patience=3"), r"a run has one callback of"),
    ],
)
def test_callback_that_lightning_refuses_is_a_config_error(tmp_path: Path, words: tuple[str, ...], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        trained(tmp_path, (*SIZE, *words))


def test_trials_with_callbacks_train_alone_and_a_line_says_why() -> None:
    assert why_alone(checked()) is None
    assert why_alone(checked(AVERAGE)) == "a stack does not honour callbacks (one)"
