"""A run's folder is one state of one run: what does not belong together is refused, or mended with a line."""

import json
import os
import random
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from src import run
from src.check import check
from src.checkpoints import open_checkpoint
from src.errors import ConfigError, Interrupted
from src.record import Record, read, read_history
from src.report.folders import read_folders
from src.scoring import score
from tests.conftest import SMALL, composed, write_hydra_folder
from tests.damage import BEST, CONFIG, HISTORY, KINDS, LAST, RECORD

EPOCHS, STOPPED = 6, 4
WORDS = (f"trainer.max_epochs={EPOCHS}", "checkpoint.interval_seconds=0")
Numbers = dict[str, float | None]


def stop(epochs: int, best: float) -> bool:
    """A pruner that ends the process, as far as the run can tell: its best checkpoint is ahead of its last one."""
    if epochs == STOPPED:
        raise Interrupted(signal.SIGTERM)
    return False


def begin(folder: Path, *overrides: str, stops: bool = False) -> Path:
    words = [*WORDS, *overrides]
    config = composed(*SMALL, *words)
    write_hydra_folder(folder, config)
    try:
        run.fit(check(config), folder, config, words, quiet=True, prune=stop if stops else None)
    except Interrupted:
        assert stops
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run that ended, the same one stopped, and each of these of another seed."""
    place = tmp_path_factory.mktemp("runs")
    return {
        f"{name}{seed}": begin(place / f"{name}{seed}", f"seed={seed}", stops=name == "stopped")
        for name in ("ended", "stopped")
        for seed in (0, 1)
    }


def copied(source: Path, folder: Path) -> Path:
    shutil.copytree(source, folder)
    return folder


def numbers(record: Record) -> Numbers:
    return record.metrics | {"objective": record.objective}


def evaluated(folder: Path, output: Path) -> Numbers:
    """As the command does."""
    record = read(folder)
    if record.checkpoint is None:
        raise ConfigError("no best checkpoint")
    return dict(score(folder, record, "test", None, str(output)).metrics)


def test_a_run_goes_on_from_what_its_last_checkpoint_knows_or_is_refused(
    folders: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    right = numbers(read(folders["ended0"]))
    rows = read_history(folders["ended0"])
    for kind in (f"{HISTORY} is lost", "metrics.csv is short", f"{HISTORY} is another run's", f"{HISTORY} is cut"):
        caplog.clear()
        folder = copied(folders["stopped0"], tmp_path / kind.replace("/", " "))
        KINDS[kind](folder, folders["stopped1"], random.Random(2))
        assert numbers(run.resume(folder, quiet=True)) == right, kind
        assert read_history(folder) == rows
        assert "it is written again from there" in caplog.text, kind
    for name in (LAST, BEST):
        for how in ("is cut", "is another run's"):
            kind = f"{name} {how}"
            folder = copied(folders["stopped0"], tmp_path / kind.replace("/", " "))
            (folder / "checkpoints" / "earlier.ckpt").unlink()
            KINDS[kind](folder, folders["stopped1"], random.Random(0))
            with pytest.raises(ConfigError) as refused:
                run.resume(folder, quiet=True)
            assert "# trains it from its start" in str(refused.value)
            assert len(str(refused.value).splitlines()) <= 4
            (folder / "checkpoints").rename(folder / "checkpoints.damaged")  # what the message says
            assert numbers(run.resume(folder, quiet=True)) == right


def test_best_checkpoint_that_is_ahead_of_the_last_one_is_not_taken_for_an_earlier_epochs(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = copied(folders["stopped0"], tmp_path / "run")
    last, best = (open_checkpoint(folder / name)["run"]["epochs"] for name in (LAST, BEST))
    assert best > last, "it must be ahead for this test to say anything"
    assert run.settle(folder, read(folder).key) == folder / LAST
    assert open_checkpoint(folder / BEST)["run"]["epochs"] == last
    KINDS[f"{LAST} is lost"](folder, folder, random.Random(0))
    (folder / "metrics.csv").unlink()
    record = run.resume(folder, quiet=True)
    assert numbers(record) == numbers(read(folders["ended0"]))


def test_config_and_record_of_two_runs_are_not_taken_for_one(folders: dict[str, Path], tmp_path: Path) -> None:
    for kind in ("the config has another rate", f"{CONFIG} is another run's", f"{RECORD} is another run's"):
        for name in ("stopped", "ended"):
            folder = copied(folders[f"{name}0"], tmp_path / f"{name} {kind.replace('/', ' ')}")
            KINDS[kind](folder, folders[f"{name}1"], random.Random(0))
            for use in (run.resume, lambda it: evaluated(it, tmp_path / "p.csv")) if name == "ended" else (run.resume,):
                with pytest.raises(ConfigError, match=r"two runs|changed") as refused:
                    use(folder)
                assert len(str(refused.value).splitlines()) <= 4


def test_only_the_checkpoint_that_a_record_tells_of_is_scored(folders: dict[str, Path], tmp_path: Path) -> None:
    right = evaluated(folders["ended0"], tmp_path / "p.csv")
    for how in ("is cut", "is empty", "is lost", "is another run's"):
        folder = copied(folders["ended0"], tmp_path / how)
        KINDS[f"{BEST} {how}"](folder, folders["ended1"], random.Random(0))
        with pytest.raises(ConfigError) as refused:
            evaluated(folder, tmp_path / "p.csv")
        assert 2 <= len(str(refused.value).splitlines()) <= 4
    renamed = copied(folders["ended0"], tmp_path / "under another name")
    assert evaluated(renamed, tmp_path / "p.csv") == right
    torch.save({"state_dict": {"net.weight": torch.zeros(1)}}, renamed / BEST)
    with pytest.raises(ConfigError, match=r"best.ckpt was changed"):
        evaluated(renamed, tmp_path / "p.csv")


def test_history_of_a_run_that_has_ended_is_written_again_from_its_last_checkpoint(
    folders: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = copied(folders["ended0"], tmp_path / "run")
    whole = (folder / HISTORY).read_bytes()
    KINDS[f"a number in {HISTORY} is edited"](folder, folder, random.Random(0))
    with pytest.raises(ConfigError, match=r"metrics.csv was changed"):
        read_folders([folder])
    run.resume(folder, quiet=True)
    assert (folder / HISTORY).read_bytes() == whole
    assert "written again" in caplog.text


def test_every_field_of_a_record_is_checked(folders: dict[str, Path], tmp_path: Path) -> None:
    values = json.loads((folders["ended0"] / RECORD).read_text())
    wrongs: list[Any] = [None, 1.5, [{}], {"a": []}, "x", -1]
    for name in values:
        for wrong in wrongs:
            (tmp_path / RECORD).write_text(json.dumps(values | {name: wrong}))
            if wrong == values[name] or (name in ("provenance", "stack") and isinstance(wrong, dict)):
                continue  # what a later version may add
            with pytest.raises(ConfigError):
                read(tmp_path)
    for text in ("", "{", "[]", "null", '{"schema": 1}', "NaN", "[" * 100_000, "\xff\x00"):
        (tmp_path / RECORD).write_text(text, encoding="latin-1")
        with pytest.raises(ConfigError, match=r"record.json"):
            read(tmp_path)
    older = {name: value for name, value in values.items() if name != "digests"}
    (tmp_path / RECORD).write_text(json.dumps(older))
    assert read(tmp_path).objective == values["objective"], "a record of an earlier version"


def test_what_a_checkpoint_builds_on_is_on_the_disk_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def flushed(descriptor: int) -> None:
        done.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        fsync(descriptor)

    def replaced(self: Path, target: Path) -> Path:
        done.append(f"{self.name} -> {target.name}")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(Path, "replace", replaced)
    begin(tmp_path / "run", "trainer.max_epochs=1")
    place = done.index("last.half -> last.ckpt")
    assert {"best.ckpt", "metrics.csv", "record.json", "config.yaml", "last.half"} <= set(done[:place])
    assert done[place + 1 : place + 3] == ["last.ckpt", "checkpoints"]
    assert any(name.startswith(".record.json") for name in done[place:]), "nor does its end get lost"


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_damaged_folders_give_no_wrong_number_and_no_traceback(folders: dict[str, Path], tmp_path: Path) -> None:
    right = numbers(read(folders["ended0"]))
    scored = evaluated(folders["ended0"], tmp_path / "p.csv")
    counts: Counter[str] = Counter()
    for number, (kind, damage) in enumerate(KINDS.items()):
        for seed in range(4):
            for name in ("ended", "stopped"):
                folder = copied(folders[f"{name}0"], tmp_path / f"{name}-{number}-{seed}")
                damage(folder, folders[f"{name}1"], random.Random(100 * number + seed))
                uses = {"resume": lambda it: numbers(run.resume(it, quiet=True))}
                if name == "ended":
                    uses = {
                        "evaluate": lambda it: evaluated(it, tmp_path / "p.csv"),
                        "report": lambda it: numbers(read_folders([it])[0].records[0]),
                    } | uses
                for use, act in uses.items():
                    counts[f"{name} {use}: {_tried(act, folder, scored if use == 'evaluate' else right, kind)}"] += 1
    print(f"\n{len(KINDS)} kinds x 4:", *(f"{name} {count}" for name, count in sorted(counts.items())), sep="\n  ")


def _tried(act: Callable[[Path], Numbers], folder: Path, right: Numbers, kind: str) -> str:
    """What came of using a damaged folder; a traceback or a wrong number is a failure."""
    try:
        came_out = act(folder)
    except ConfigError as error:
        told = str(error)
    else:
        assert came_out == right, (kind, folder)
        return "the right number"
    assert len(told.splitlines()) <= 4, (kind, told)
    return "refused"
