"""Wrong lines of the commands besides `src.train`, and the folders that they name: whole, damaged and none at all."""

import json
import os
import zipfile
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from src import naming
from src import record as records
from src.check import typed
from src.record import Record
from tests.conftest import composed

SOURCE = {"command": "python -m src.train seed=0", "host": "here", "python": "3.11"}


def write_folders(folder: Path) -> None:
    """Runs, sweeps and what is neither, in a working directory."""
    config = composed("tracking=disabled")
    table = composed("tracking=disabled", "data=table", "data.path=good.csv", "data.target=price")
    _write_run(folder / "outputs" / "runs" / "table", table)
    for name in ("good", "begun", "torn", "null", "listed", "two", "no_config", "nested", "other"):
        _write_run(folder / "outputs" / "runs" / name, config)
    for key in ("a", "b"):
        _write_run(folder / "outputs" / "sweeps" / "good" / key, config)
    for name, text in BROKEN.items():
        (folder / "outputs" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "outputs" / name).write_text(text)
    for name in ("no_trials", "good"):
        _write_sweep(folder / "outputs" / "sweeps" / name, argv=["-m", "seed=0,1"])
    for name in ("begun/checkpoints/best.ckpt", "no_config/.hydra/config.yaml"):
        (folder / "outputs" / "runs" / name).unlink()
    (folder / "empty").mkdir()
    (folder / "deep" / "in").mkdir(parents=True)
    for name, to in (("dangling", "nowhere"), ("loop", "loop"), ("deep/in/again", ".."), ("link", "outputs/runs/good")):
        (folder / name).symlink_to(to)


BROKEN = {
    "runs/torn/record.json": '{"schema": 1, "key": "abc',
    "runs/null/record.json": "null\n",
    "runs/nested/record.json": "[" * 100_000,
    "runs/listed/.hydra/config.yaml": "- seed\n",
    "runs/other/.hydra/config.yaml": "seed: 5\n",
    "sweeps/torn/sweep.json": '{"argv": ["-m"',
    "sweeps/typed/sweep.json": '{"argv": 3, "cwd": ".", "keys": [], "provenance": {}}',
    "sweeps/blank/sweep.json": "",
}


def _write_run(folder: Path, config: DictConfig) -> None:
    record = Record(naming.key(typed(config)), ["seed=0"], "finished", 0.5, {"val/loss": 0.5}, "checkpoints/best.ckpt")
    record.provenance, record.timing = dict(SOURCE), {"started": "2026-01-02T03:04:05+00:00", "seconds": 2.0}
    for name in (".hydra", "checkpoints", "wandb/offline-run-20260102_030405-abc"):
        (folder / name).mkdir(parents=True)
    OmegaConf.save(config, folder / ".hydra" / "config.yaml", resolve=True)
    records.write_history(folder, [{"epoch": 0, "val/loss": 0.5}])
    with zipfile.ZipFile(folder / "checkpoints" / "best.ckpt", "w") as file:
        file.writestr("weights", b"")
    log = folder / "wandb" / "offline-run-20260102_030405-abc" / "run-abc.wandb"
    log.write_bytes(b":W&B")
    log.with_suffix(".wandb.synced").touch()
    records.write(folder, record)


def _write_sweep(folder: Path, argv: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    values = {"schema": 1, "argv": argv, "cwd": os.getcwd(), "keys": [], "provenance": SOURCE}
    (folder / "sweep.json").write_text(json.dumps(values))


NONE = "there is no such folder: "
RUN, TABLE = "evaluate run=outputs/runs/good", "evaluate run=outputs/runs/table"
LONG, DEEP = "n" * 256, "n/" * 2200
FOLDERS = [
    (command.format(text), *expected)
    for command, good in (
        ("evaluate run={}", "outputs/runs/good"),
        ("train resume={}", "outputs/runs/good"),
        ("resume {}", "outputs/sweeps/good"),
        ("report {}", "outputs/sweeps/good"),
        ("sync {}", "outputs/runs/good"),
        ("leet {}", "outputs/runs/good"),
        ("dashboard project=p --dry-run sweep={}", "outputs/sweeps/good"),
    )
    for text, *expected in (
        ("nowhere", NONE + "nowhere", "try: ls ."),
        (good.replace("good", "goood"), NONE, f"{good}\n"),
        ("good.csv", "got: a file: good.csv", "try: ls ."),
        (f"{good}/x/y", NONE, f"try: ls {good}"),
        ("dangling", "a link that leads nowhere: dangling -> nowhere", "try: ls -l ."),
        ("loop", "a link that leads nowhere: loop -> loop"),
        (LONG, NONE + "nnn"),
        (DEEP, NONE + "n/n/"),
    )
]
OF_RUNS = [
    (f"{command}outputs/runs/{name}", *expected)
    for command in ("evaluate run=", "train resume=")
    for name, *expected in (
        ("torn", "has no record.json that can be read", "got: Unterminated string"),
        ("null", "record.json is damaged", "got: it is no mapping"),
        ("nested", "has no record.json that can be read", "got: maximum recursion depth"),
        ("listed", "config.yaml is no config", "got: a list"),
        ("other", "config.yaml is no config of a run"),
        ("no_config", "it has no .hydra/config.yaml", "try: ls outputs/runs"),
        ("../../empty", "which has a record.json", "try: ls outputs/runs"),
    )
]
EVALUATE = [
    ("evaluate", "run is missing", "try: run=…"),
    ("evaluate run=", "run must be the folder of a run", 'got: ""'),
    ("evaluate run=null", "run must be text", "got: null"),
    ("evaluate 'run=[a]'", "run must be text", 'got: ["a"]'),
    ("evaluate 'run=${oc.env:NO_SUCH}'", "run must refer to a key", "'NO_SUCH' not found"),
    ("evaluate run=outputs/sweeps/good", "which has a record.json", "src.evaluate run=outputs/sweeps/good/b"),
    ("evaluate run=outputs/runs/begun", "has no best checkpoint", "try: ls outputs/runs"),
    ("evaluate outputs/runs/good", "given by a key", "try: python -m src.evaluate run=outputs/runs/good"),
    (f"{RUN} run=outputs/runs/table", "run is given once", "try: run=outputs/runs/good"),
    (f"{RUN},outputs/runs/table", "run takes one value", "try: run=outputs/runs/good"),
    (f"{RUN} split=tset", "split is one of: train, val, test", "try: split=test"),
    (f"{RUN} split=", "split is one of: train, val, test", 'got: ""'),
    (f"{RUN} split=3", "split is one of: train, val, test", "got: 3"),
    (f"{RUN} 'split=[test]'", "split must be text", "try: split=test"),
    (f"{RUN} split=val,test", "split takes one value", "try: split=val"),
    (f"{RUN} splt=val", "no config key splt", "try: split=val"),
    (f"{RUN} --split val", "without dashes", "try: split=val"),
    (f"{RUN} optimizer.lr=0.1", "no config key optimizer.lr", "try: python -m src.evaluate --cfg job"),
    (f"{RUN} optimizer=sgd", "no config key optimizer", "try: python -m src.evaluate --cfg job"),
    (f"{RUN} +foo=1", "no config key foo", "try: python -m src.evaluate --cfg job"),
    (f"{RUN} ''", "an empty word is no setting", "try: python -m src.evaluate run=outputs/runs/good"),
    (RUN.replace("run=", "-m run="), "takes no -m", "try: python -m src.evaluate run=outputs/runs/good"),
    (f"{RUN} split=val,test -m", "takes no -m", "src.evaluate run=outputs/runs/good split=val"),
    (f"{RUN} hydra.mode=MULTIRUN", "takes no -m", "try: python -m src.evaluate run=outputs/runs/good"),
    (RUN.replace("run=", "--run --multirun run="), "takes no -m", "try: python -m src.evaluate run=outputs/runs/good"),
    (f"{RUN} hydra=null", "hydra is not a value", "try: python -m src.evaluate --cfg hydra"),
    (f"{RUN} hydra.run.dir=x", "no folder of its own", "try: python -m src.evaluate run=outputs/runs/good"),
    (f"{RUN} 'hydra.searchpath=[file:///none]'", "hydra.searchpath lists folders", "[file://conf]"),
    (RUN.replace("run=", "--config-name=train run="), "the config of src.evaluate", "try: --config-name=evaluate"),
    (f"{RUN} data.path=good.csv", "only a run that was trained on a table", "got: src.data.bundled.Diabetes"),
    (f"{TABLE} data.path=", "data.path must be a file, or left out", "try: data.path=null"),
    (f"{TABLE} data.path=godo.csv", "data.path must be a file that exists", "try: data.path={cwd}/good.csv"),
    (f"{TABLE} data.path=conf", "data.path must be a file, not a folder", "got: conf"),
    (f"{TABLE} data.path=empty.csv", "the file is empty", "got: empty.csv"),
    (f"{TABLE} data.path=header.csv", "data.path must hold rows"),
    (f"{TABLE} data.path=garbage.csv", "data.path must be", "garbage.csv"),
    (f"{TABLE} data.path=garbage.parquet", "data.path must be", "garbage.parquet"),
    (f"{TABLE} data.path=mine.py", "data.path must end in .csv", "got: mine.py"),
    (f"{TABLE} data.path=loop", "data.path must be a file that exists", "got: loop"),
    (f"{TABLE} data.path={LONG}.csv", "data.path must be a file that exists", "got: nnn"),
    (f"{TABLE} 'data.path=[a]'", "data.path must be text or null", 'got: ["a"]'),
    (f"{TABLE} data=good.csv", "it holds data.path", "try: data.path=good.csv"),
    (f"{TABLE} good.csv", "given by a key", "try: data.path=good.csv"),
    (f"{TABLE} data.path=good.csv output=good.csv", "nothing else is written over", "try: output=good_predicted.csv"),
    (f"{RUN} output=outputs/runs/good/record.json", "nothing else is written over", "record_predicted.csv"),
    (f"{RUN} output=empty", "output must be a file", "got: a folder: empty", "try: output=empty/predictions.csv"),
    (f"{RUN} output=", "output must be a file", 'got: ""', "try: output=predictions.csv"),
    (f"{RUN} output=good.csv/x.csv", "output must lie in a folder, and good.csv is a file", "/tandem/x.csv"),
    (f"{RUN} output=dangling/x.csv", "dangling is a link that leads nowhere", "/tandem/x.csv"),
    (f"{RUN} output=loop", "output must be a file", "a link that leads nowhere: loop -> loop"),
    (f"{RUN} output={LONG}.csv", "output: a name has at most 255 bytes", "try: output="),
    (f"{RUN} output={DEEP}x.csv", "output: a path has at most 3800 bytes", "try: output="),
    (RUN + " x=1" * 3000, "a command has at most 500 settings", "got: 3001 settings"),
]
RESUME = [
    ("train resume=outputs/sweeps/good", "a sweep goes on by another command", "src.resume outputs/sweeps/good"),
    ("train resume=outputs/runs/good seed=3", "nothing else can be set beside it", "resume=outputs/runs/good"),
    ("train -m resume=outputs/runs/good", "nothing else can be set beside it", "got: -m"),
    ("train --config-name=evaluate", "the config of src.train is train", "try: --config-name=train"),
    ("train " + "x=1 " * 3000, "a command has at most 500 settings", "got: 3000 settings"),
    (f"train experiment={LONG}/x.yaml", "the path of a YAML file", "there is no nnn"),
    (f"train --config-dir {LONG}", "--config-dir is a folder", "got: nnn"),
    ("resume", "resume takes one sweep folder", "try: python -m src.resume outputs/sweeps/"),
    ("resume ''", "resume takes the folder of a sweep", "try: ls outputs"),
    ("resume outputs/runs/good", "and this is a run", "try: python -m src.train resume=outputs/runs/good"),
    ("resume outputs/sweeps/good/a", "one of its trials", "try: python -m src.resume outputs/sweeps/good"),
    ("resume empty", "which has a sweep.json", "try: ls outputs/sweeps"),
    *((f"resume outputs/sweeps/{name}", "no sweep.json that can be read") for name in ("torn", "typed", "blank")),
    ("resume outputs/sweeps/good outputs/sweeps/torn", "resume takes one sweep folder"),
    ("resume outputs/sweeps/good seed=3", "got: seed=3", "try: python -m src.resume outputs/sweeps/good"),
    ("resume sweep=outputs/sweeps/good", "got: sweep=", "try: python -m src.resume outputs/sweeps/good"),
    ("resume --dry-run outputs/sweeps/good", "got: --dry-run", "try: python -m src.resume outputs/sweeps/good"),
]
LOOKS = [
    ("report", "report takes the folder of a run or a sweep", "try: python -m src.report outputs/sweeps/"),
    ("report ''", "report takes the folder of a run or a sweep", "try: ls outputs"),
    ("report empty", "neither a run folder nor a sweep folder"),
    ("report outputs/runs/torn", "has no record.json that can be read"),
    ("report outputs/sweeps/torn", "neither a run folder nor a sweep folder"),
    ("report outputs/sweeps/good nowhere", NONE + "nowhere"),
    ("report outputs/sweeps/good --output=x", "got: --output=x", "try: output=x"),
    ("report outputs/sweeps/good -o x", "got: -o x", "try: output=x"),
    ("report outputs/sweeps/good outptu=x", "got: outptu=x", "try: output=x"),
    ("report outputs/sweeps/good seed=3", "got: seed=3", "try: python -m src.report outputs/sweeps/good"),
    ("report -m outputs/sweeps/good", "got: -m", "try: python -m src.report outputs/sweeps/good"),
    ("report outputs/sweeps/good output=a output=b", "output is given once", "try: output=a"),
    ("report outputs/sweeps/good output=", "got: output=", "try: output=…"),
    ("report outputs/sweeps/good output=good.csv", "output must be a folder, and good.csv is a file", "try: output="),
    ("report outputs/sweeps/good output=loop", "loop is a link that leads nowhere", "try: output="),
    (f"report outputs/sweeps/good output={LONG}", "a name has at most 255 bytes", "try: output="),
    *(
        (f"sync limit={text}", "limit is a number of seconds above 0", "try: limit=3600")
        for text in ("inf", "nan", "-1", "0", "x", "1e400", "5m")
    ),
    ("sync limit=", "got: limit=", "try: limit=…"),
    ("sync limit=1 limit=2", "limit is given once", "try: limit=1"),
    ("sync lmit=5", "got: lmit=5", "try: limit=5"),
    ("sync --limit 5", "got: --limit 5", "try: limit=5"),
    ("sync ''", "sync takes folders that hold runs", "try: ls outputs"),
    ("sync outputs nowhere", NONE + "nowhere"),
    ("sync " + "nowhere " * 3000, NONE + "nowhere"),
    ("leet empty", "there is no W&B run in empty"),
    ("leet outputs outputs/runs", "leet takes one folder", "got: outputs outputs/runs"),
    ("leet run=outputs", "got: run=outputs", "try: python -m src.leet outputs"),
    ("leet --foo", "got: --foo", "try: python -m src.leet outputs/runs/"),
    ("dashboard --dry-run", "project is missing", "try: python -m src.dashboard project=tandem --dry-run"),
    ("dashboard project= --dry-run", "got: project=", "try: project=…"),
    ("dashboard project=p/q --dry-run", "project must hold none of", "try: project=p-q"),
    ("dashboard project=p entity=a/b --dry-run", "entity must hold none of", "try: entity=a-b"),
    ("dashboard project=p name=' ' --dry-run", "name must be 1 to 128 letters", "try: name=mine"),
    (f"dashboard project={LONG} --dry-run", "project must be 1 to 128 letters", "try: project=mine"),
    ("dashboard project=p project=q --dry-run", "project is given once", "try: project=p"),
    ("dashboard project=p --dry-run --dry", "got: --dry", "try: python -m src.dashboard project=p --dry-run"),
    ("dashboard project=p --dry-run outputs/sweeps/good", "try: sweep=outputs/sweeps/good"),
    ("dashboard project=p enttiy=x --dry-run", "got: enttiy=x", "try: entity=x"),
    ("dashboard project=p sweep=empty --dry-run", "no trials in", "try: python -m src.dashboard project=tandem"),
    ("dashboard project=p sweep=outputs/sweeps/good/a --dry-run", "no trials in", "sweep=outputs/sweeps/good"),
]
OTHERS = [*FOLDERS, *OF_RUNS, *EVALUATE, *RESUME, *LOOKS]
