"""Wrong input, as it is typed: exit code 2, the law and the remedy in one to four lines, and nothing written."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sweep.commands import quick

ROOT = Path(__file__).parent.parent
TABLE = "data=table data.path={} data.target=price"
METRICS = "objective.metric is one of: train/loss,"

# Each: what is typed, and what the answer must hold: the law with its key, the value received, the remedy.
KEYS = [
    ("optimizer.learning_rate=1", "no config key optimizer.learning_rate", "try: optimizer.lr=1"),
    ("trainer.epochs=3", "no config key trainer.epochs", "try: trainer.max_epochs=3"),
    ("epochs=3", "no config key epochs", "try: trainer.max_epochs=3"),
    ("lr=0.1", "no config key lr", "try: optimizer.lr=0.1"),
    ("OPTIMIZER.LR=3", "no config key OPTIMIZER.LR", "try: optimizer.lr=3"),
    ("modle=two", "no config key modle", "try: model=two_layer_net"),
    ("modle.hidden_dim=3", "no config key modle.hidden_dim", "try: model.hidden_dim=3"),
    ("model.zzqx=3", "no config key model.zzqx", "try: python -m src.train --cfg job"),
    ("+trainer.max_epoch=3", "no config key trainer.max_epoch", "try: trainer.max_epochs=3"),
    ("++model.hiden_dim=3", "no config key model.hiden_dim", "try: model.hidden_dim=3"),
    ("+model.hidden_dim=3", "model.hidden_dim is in the config already", "try: model.hidden_dim=3"),
    ("hydra.runn.dir=x", "no config key hydra.runn.dir", "try: python -m src.train --cfg hydra"),
    ("optimizer.momentum=0.9", "optimizer=sgd has it", "try: optimizer=sgd optimizer.momentum=0.9"),
    ("data.path=x.csv", "not a key of the chosen data", "try: data=table data.path=x.csv"),
    ("hydra.sweeper.num_trials=9", "chosen hydra/sweeper", "try: hydra/sweeper=optuna hydra.sweeper.num_trials=9"),
    ("hydra/sweeper/pruner=halving", "hydra/sweeper=optuna has it", "try: hydra/sweeper=optuna hydra/sweeper/pruner="),
    ("hydra.sweeper.sampler.seed=9", "chosen hydra/sweeper", "try: hydra/sweeper=optuna hydra.sweeper.sampler.seed=9"),
    (
        "-m optimizer.lr=interval(0,1)",
        "a search can",
        "try: hydra/sweeper=optuna 'optimizer.lr=",
    ),
    ("sweep=x", "sweep is not a value: it holds sweep.name", "try: sweep.name="),
    ("~model", "model must be chosen", "try: model=two_layer_net"),
    ("~optimizer.lr", "optimizer.lr is missing", "try: optimizer.lr=0.001"),
    ("~zzz", "no config key zzz", "got: ~zzz"),
]
TYPES = [
    ("optimizer.lr=fast", "optimizer.lr must be a number", "got: fast", "try: optimizer.lr=0.001"),
    ("optimizer.lr=", "optimizer.lr must be a number", 'got: ""'),
    ("seed=null", "seed must be a whole number", "got: null", "try: seed=0"),
    ("model.hidden_dim=3.5", "model.hidden_dim must be a whole number", "got: 3.5"),
    ("model.hidden_dim=1e3", "model.hidden_dim must be a whole number", "try: model.hidden_dim=1000"),
    ("data.standardize=perhaps", "data.standardize must be true or false", "got: perhaps"),
    ("optimizer.betas=0.9", "optimizer.betas must be a list of 2 numbers", "try: 'optimizer.betas=[0.9,0.999]'"),
    ("optimizer.betas=[0.9]", "optimizer.betas must be a list of 2 numbers", "got: [0.9]"),
    ("tracking.tags=3", "tracking.tags must be a list", "try: 'tracking.tags=[3]'"),
    ("tracking.tags=a,b", "tracking.tags is a list", "try: 'tracking.tags=[a,b]'"),
]
RANGES = [
    ("optimizer.lr=-1", "optimizer.lr must be a number at least 0", "got: -1.0", "try: optimizer.lr=0.001"),
    ("optimizer.lr=nan", "optimizer.lr must be a number at least 0", "got: NaN"),
    ("optimizer.lr=inf", "optimizer.lr must be a number at least 0", "got: Infinity"),
    ("model.hidden_dim=0", "model.hidden_dim must be a number at least 1", "try: model.hidden_dim=32"),
    ("data.batch_size=0", "data.batch_size must be a number at least 1", "try: data.batch_size=32"),
    ("seed=-1", "seed must be a number at least 0 and below 4294967296", "got: -1"),
    ("optimizer.betas=[1.0,0.9]", "optimizer.betas must be a number at least 0 and below 1", "got: 1.0"),
    ("data.val_fraction=1.2", "data.val_fraction must be a number at least 0 and below 1", "got: 1.2"),
    ("data.val_fraction=0.5 data.test_fraction=0.5", "their sum must be below 1", "got: 0.5 + 0.5"),
    ("data=synthetic data.num_rows=3", "split needs at least 2 rows", "of 3 rows"),
    ("trainer.devices=0", "trainer.devices is auto", "got: 0", "try: trainer.devices=1"),
    ("trainer.max_epochs=0", "trainer.max_epochs must be at least 1", "try: trainer.max_epochs=100"),
    ("trainer.limit_train_batches=1.5", "trainer.limit_train_batches is a share", "got: 1.5"),
]
CHOICES = [
    ("trainer.precision=33", "trainer.precision is one of: 64, 32,", "got: 33", "try: trainer.precision=32-true"),
    ("trainer.accelerator=gpus", "trainer.accelerator is one of: auto, cpu,", "try: trainer.accelerator=gpu"),
    ("trainer.strategy=dpp", "trainer.strategy is one of: auto, ddp,", "try: trainer.strategy=ddp"),
    ("trainer.profiler=foo", "trainer.profiler is one of: null,", "try: trainer.profiler=null"),
    ("trainer.gradient_clip_algorithm=euclid", "is one of: norm, value", "try: trainer.gradient_clip_algorithm=norm"),
    ("objective.direction=min", "is one of: minimize, maximize", "try: objective.direction=minimize"),
    ("objective.metric=test/loss", METRICS, "got: test/loss", "try: objective.metric=val/loss"),
    ("objective.metric=loss", METRICS, "try: objective.metric=val/loss"),
    ("loss.reduction=max", "loss.reduction is one of: mean, sum", "try: loss.reduction=mean"),
    ("tracking.mode=on", "tracking.mode is one of: offline, online,", "try: tracking.mode=online"),
]
TOGETHER = [
    ("tracking.project=a/b", "tracking.project must hold none of", "try: tracking.project=a-b"),
    (f"'tracking.tags=[{'x' * 65}]'", "tracking.tags must each be 1 to 64 letters", "try: 'tracking.tags=[one,two]'"),
    ("trainer.num_nodes=2", "trainer.num_nodes must be 1", "try: trainer.num_nodes=1"),
    ("trainer.max_epochs=null", "a run needs an end: trainer.max_epochs,", "try: trainer.max_epochs=100"),
    ("trainer.max_time=5m", "trainer.max_time is days:hours:minutes:seconds", "try: trainer.max_time=00:01:30:00"),
    ("objective.metric=val/r2", "objective.direction must be maximize", "try: objective.direction=maximize"),
    ("data.val_fraction=0", "objective.metric=val/loss needs a validation split", "try: objective.metric=train/loss"),
    (
        "trainer.limit_val_batches=0",
        "objective.metric=val/loss needs a validation",
        "try: trainer.limit_val_batches=1.0",
    ),
    ("trainer.max_epochs=9 trainer.check_val_every_n_epoch=10", "within trainer.max_epochs=9", "every_n_epoch=1"),
    ("optimizer=sgd optimizer.nesterov=true", "needs optimizer.momentum above 0", "try: optimizer.momentum=0.9"),
    ("scheduler=cosine trainer.max_epochs=-1 trainer.max_steps=9", "scheduler.T_max", "try: trainer.max_epochs=100"),
    ("scheduler=one_cycle trainer.max_epochs=-1 trainer.max_time=00:00:01:00", "it needs trainer.max_epochs or"),
    ("trainer.precision=16-mixed trainer.gradient_clip_val=1", "cannot clip gradients", "try: optimizer.fused=null"),
    ("'optimizer.lr=${foo}'", "optimizer.lr must refer to a key", "'foo' not found", "try: optimizer.lr=0.001"),
]
GROUPS = [
    ("model=tow_layer_net", "model is one of: sequential, two_layer_net", "try: model=two_layer_net"),
    ("model=null", "model is one of: sequential, two_layer_net", "got: model=null", "try: model=two_layer_net"),
    ("optimizer=adamm", "optimizer is one of: adam, adamw, sgd", "try: optimizer=adam"),
    ("+optimizer=sgd", "optimizer is in the config already", "try: optimizer=sgd"),
    ("optimiser=adam", "no config key optimiser", "try: optimizer=adam"),
    ("data=", "data is one of: diabetes, linnerud,", "try: data=diabetes"),
    ("debug=fats", "debug is one of: anomaly, fast,", "try: debug=fast"),
    ("experiment=null", "experiment is ", "got: experiment=null"),
    ("experiment=nope", "experiment is ", "got: experiment=nope"),
    ("experiment=outputs/nope/best", "the path of a YAML file", "there is no outputs/nope/best.yaml"),
    ("hydra.searchpath=[file://{cwd}/conf] experiment=betch_size", "got: experiment=betch_size", "=batch_size"),
    ("hydra.searchpath=[file://{cwd}/conf] model=broken", "broken.yaml must be right YAML", "got: line 2: mapping"),
    ("model._target_=nowhere.Net", "model._target_ must name a class that can be imported", "got: nowhere.Net"),
    ("data._target_=src.dat.bundled.Diabetes", "can be imported", "try: data._target_=src.data.bundled.Diabetes"),
    ("model._target_=src.models.two.Net", "can be imported", "got: src.models.two.Net"),
    ("model._target_=src.model.TwoLayerNet", "got: src.model", "try: model._target_=src.models.TwoLayerNet"),
]
COMMAND_LINE = [
    ("optimizer.lr=1 -m seed=1,2", "-m come before or after", "try: python -m src.train -m optimizer.lr=1 seed=1,2"),
    ("optimizer.lr=1e-4,1e-3", "asked for with -m", "try: python -m src.train -m optimizer.lr=1e-4,1e-3"),
    ("'seed=range(3)'", "asked for with -m", "try: python -m src.train -m 'seed=range(3)'"),
    ("resume=nosuch", "resume must be the folder of a run", "got: there is no such folder: nosuch"),
    ("good.csv", "are given by a key", "try: python -m src.train data=table data.path=good.csv"),
    ("--lr 0.1", "written key=value, without dashes", "try: optimizer.lr=0.1"),
    ("--epochs", "written key=value, without dashes", "try: trainer.max_epochs="),
    ("--experiment=foo", "written key=value, without dashes", "try: experiment=foo"),
    ("--multi", "without dashes", "try: --multirun"),
    ("--cfg=jobs", "invalid choice: 'jobs'", "try: python -m src.train --hydra-help"),
    ("--config-name=trian", "there is no config file trian", "try: --config-name=train"),
    ("adam", "a setting is written key=value", "got: adam", "try: optimizer=adam"),
    ("model.hidden_dim= 64", "with no space around =", "got: 64", "try: model.hidden_dim=64"),
    ("'optimizer.betas=[0.9,0.99'", "brackets and quotes close", "try: 'optimizer.betas=[0.9,0.99]'"),
    ("'optimizer.lr=\"3'", "brackets and quotes close", "try: 'optimizer.lr=\"3\"'"),
    ("'tracking.name=my run (3)'", "brackets and quotes close", "try: 'tracking.name=\"my run (3)\"'"),
]
TABLES = [
    ("data=table", "data.path is missing", "try: data.path="),
    ("data=table data.path=good.csv", "data.target is missing", "try: data.target="),
    (
        "data=table data.path=good.csv data.target=prise",
        "data.target must name",
        "got: prise",
        "try: data.target=price ",
    ),
    (TABLE.format("none.csv"), "data.path must be a file that exists", "got: none.csv"),
    (TABLE.format("conf"), "data.path must be a file, not a folder", "got: conf"),
    (TABLE.format("empty.csv"), "data.path must", "empty", "try: write a header"),
    (TABLE.format("header.csv"), "data.path must hold rows", "try: write a header"),
    (TABLE.format("words.csv"), "data.target must hold numbers", "cheap"),
    (TABLE.format("no_target.csv"), "data.target must have a value in some row", "got: price"),
    (TABLE.format("no_feature.csv"), "every feature in data.path needs a value", "got: a"),
    (TABLE.format("few.csv"), "split needs at least 2 rows", "of 2 rows"),
    (
        TABLE.format("good.csv") + " data.decimal=. data.thousands=.",
        "data.decimal and data.thousands must be two different marks",
        "try: data.thousands=null",
    ),
    (
        TABLE.format("marks.csv"),
        "data.decimal must say which mark",
        "got: a holds '3,168'",
        "try: 'data.decimal=\".\"'",
    ),
    (TABLE.format("garbage.csv"), "data.path must be", "garbage.csv"),
    (TABLE.format("garbage.parquet"), "data.path must be", "garbage.parquet"),
]
FILES = {
    "good.csv": "a,price\n" + "".join(f"{row},{row % 7}\n" for row in range(40)),
    "marks.csv": "a,price\n" + '"3,168",1\n' * 30,
    "empty.csv": "",
    "header.csv": "a,price\n",
    "words.csv": "a,price\n" + "1,cheap\n" * 30,
    "no_target.csv": "a,price\n" + "1,\n" * 30,
    "no_feature.csv": "a,price\n" + ",1\n" * 30,
    "few.csv": "a,price\n1,2\n3,4\n",
    "conf/experiment/batch_size.yaml": "# @package _global_\nseed: 1\n",
    "conf/model/broken.yaml": "a: 1\n  b: 2\n",
}
# Imports what the entry imports, and says at the end whether torch was among it.
WATCH_TORCH = """
import atexit, runpy, sys
atexit.register(lambda: print("torch was imported" if "torch" in sys.modules else "no torch", file=sys.stdout))
sys.argv = ["src.train", *sys.argv[1:]]
runpy.run_module("src.train", run_name="__main__", alter_sys=True)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working directory with tables in it, most of them wrong."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    for name in ("garbage.csv", "garbage.parquet"):
        (tmp_path / name).write_bytes(bytes(range(256)) * 40)
    return tmp_path


def train(line: str, folder: Path, program: tuple[str, ...] = ("-m", "src.train"), **env: str) -> "Done":
    """Runs `python -m src.train <line>` as a shell would, in `folder`."""
    words = shlex.split(line.replace("{cwd}", str(folder)))
    command = [sys.executable, *program, *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **env}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


Done = subprocess.CompletedProcess[str]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param(line, expected, id=line)
        for group in (KEYS, TYPES, RANGES, CHOICES, TOGETHER, GROUPS, COMMAND_LINE, TABLES)
        for line, *expected in group
    ],
)
def test_a_mistake_gets_a_law_and_a_remedy_and_leaves_nothing(line: str, expected: list[str], folder: Path) -> None:
    before = sorted(folder.rglob("*"))
    done = train(line, folder, ("-c", WATCH_TORCH))
    assert done.returncode == 2, done.stderr
    assert done.stdout == "no torch\n"
    assert "Traceback" not in done.stderr
    assert 1 <= len(done.stderr.splitlines()) <= 4, done.stderr
    assert done.stderr.startswith("error: ")
    for fragment in expected:
        assert fragment in done.stderr
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("line", ["--help", "--cfg job", "--cfg all", "optimizer=sgd --cfg job --package optimizer"])
def test_help_and_the_config_are_shown_without_torch(line: str, folder: Path) -> None:
    done = train(line, folder, ("-c", WATCH_TORCH))
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("no torch\n")


@pytest.mark.parametrize(
    ("wrong", "remedy"),
    [
        ("optimizer.learning_rate=0.5", "optimizer.lr=0.5"),
        ("optimizer.momentum=0.9", "optimizer=sgd optimizer.momentum=0.9"),
        ("model.hidden_dim=1e3", "model.hidden_dim=1000"),
        ("optimizer.betas=0.9", "'optimizer.betas=[0.9,0.999]'"),
        ("tracking.tags=a,b", "'tracking.tags=[a,b]'"),
        ("model=null", "model=two_layer_net"),
        ("'optimizer.betas=[0.9,0.99'", "'optimizer.betas=[0.9,0.99]'"),
        ("'tracking.name=my run (3)'", "'tracking.name=\"my run (3)\"'"),
        ("scheduler=cosine trainer.max_epochs=null", "trainer.max_epochs=100"),
    ],
)
def test_a_remedy_that_is_pasted_works(wrong: str, remedy: str, folder: Path) -> None:
    assert train(wrong, folder).stderr.splitlines()[-1] == f"  try: {remedy}"
    checked = "from src import naming; from src.check import check; from hydra import compose, initialize_config_dir;"
    code = (
        f"import sys; {checked} naming.register(); initialize_config_dir({str(ROOT / 'conf')!r}, version_base='1.3');"
    )
    done = train(remedy, folder, ("-c", f"{code} check(compose('train', sys.argv[1:]))"))
    assert done.returncode == 0, done.stderr


def test_the_traceback_of_a_mistake_is_shown_when_asked_for(folder: Path) -> None:
    done = train("optimizer.learning_rate=1", folder, HYDRA_FULL_ERROR="1")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "ConfigCompositionException" in done.stderr


def test_a_bug_keeps_its_traceback(folder: Path) -> None:
    (folder / "mine.py").write_text(
        "class Net:\n    def __init__(self, **kwargs):\n        raise RuntimeError('my bug')\n"
    )
    done = quick(folder, "model._target_=mine.Net")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "my bug" in done.stderr


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("optimizer._target_=torch.optim.Adma", "torch.optim.Adma"),
        ("model._target_=src.models.TwoLayrNet", "src.models.TwoLayrNet"),
        ("model._target_=mine.Net +model.depth=3", "unexpected keyword argument 'hidden_dim'"),
    ],
)
def test_a_class_that_does_not_fit_is_found_when_it_is_built(line: str, expected: str, folder: Path) -> None:
    (folder / "mine.py").write_text("class Net:\n    def __init__(self, input_dim, output_dim):\n        pass\n")
    done = quick(folder, *line.split())
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) <= 4
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
