"""Folders and files are found from where the user stands, and one that is none is told with the one that was meant."""

import json
import shlex
from pathlib import Path

import pytest

from src import naming, places
from src.consistency import anew
from src.errors import ConfigError
from src.places import check_place, existing, meant_by, place, rebased, run_folder, short, stood, sweep_folder
from src.record import Record
from src.summary import best_epoch


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the user stands: beside a run, a sweep with a trial, and a file."""
    monkeypatch.chdir(tmp_path)
    for name in ("runs/my run/record.json", "sweeps/s/sweep.json", "sweeps/s/abc/record.json", "file.csv", "e.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def again(name: str) -> str:
    return f"again {name}"


@pytest.mark.parametrize(
    ("typed", "law", "remedy"),
    [
        ("", "must be the folder of a run", "ls outputs"),
        ("nowhere", "there is no such folder: nowhere", "ls ."),
        ("runs/my rum", "there is no such folder", "again runs/my run"),
        ("file.csv", "got: a file", "ls ."),
        ("runs/my run/record.json", "got: a file", "again runs/my run"),
        ("runs", "which has a record.json", "again runs/my run"),
        ("sweeps/s", "a sweep goes on by another command", "python -m src.resume sweeps/s"),
    ],
)
def test_what_is_no_run_folder_is_told_with_what_was_meant(typed: str, law: str, remedy: str, folder: Path) -> None:
    with pytest.raises(ConfigError) as told:
        run_folder(typed, "resume", again)
    assert law in str(told.value)
    assert str(told.value).splitlines()[-1] == f"  try: {remedy}"
    assert run_folder("runs/my run/", "resume", again) == folder / "runs" / "my run"


@pytest.mark.parametrize(
    ("typed", "law", "remedy"),
    [
        ("sweeps/s/abc", "one of its trials", "again sweeps/s"),
        ("runs/my run", "this is a run", "python -m src.train resume='runs/my run'"),
        ("sweeps", "which has a sweep.json", "again sweeps/s"),
        ("file.csv", "got: a file", "ls ."),
    ],
)
def test_what_is_no_sweep_folder_is_told_with_what_was_meant(typed: str, law: str, remedy: str, folder: Path) -> None:
    with pytest.raises(ConfigError) as told:
        sweep_folder(typed, again)
    assert law in str(told.value)
    assert str(told.value).splitlines()[-1] == f"  try: {remedy}"


def test_a_run_goes_on_by_its_folder_alone_however_that_is_quoted(folder: Path) -> None:
    for text in ("runs/my run", "'runs/my run'", "runs/my run/", str(folder / "runs" / "my run")):
        assert naming.resumed([f"resume={text}"]) == folder / "runs" / "my run"
    assert naming.resumed(["seed=1"]) is naming.resumed(["resume=null", "seed=1"]) is None
    for others in (["seed=1"], ["-m"], ["resume=runs/my run"]):
        with pytest.raises(ConfigError, match="nothing else can be set beside it"):
            naming.resumed([*others, "+resume=runs/my run"])
    with pytest.raises(ConfigError, match="the folder of a run"):
        naming.resumed(["resume="])


def test_a_folder_or_a_file_without_a_key_is_told_with_its_command(folder: Path) -> None:
    assert meant_by("runs/my run") == "python -m src.train resume='runs/my run'"
    assert meant_by("sweeps/s") == "python -m src.resume sweeps/s"
    assert meant_by("file.csv") == "python -m src.train data=table data.path=file.csv data.target=…"
    assert meant_by("e.yaml") == "python -m src.train experiment=e.yaml"
    assert meant_by("adam") is None


@pytest.mark.parametrize("name", ["file.csv", "file.csv/run", "x" * 256, "a\nb", "a${b}", "sweeps/s"])
def test_a_run_lies_where_it_can_be_written(name: str, folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"hydra\.run\.dir") as told:
        check_place("hydra.run.dir", Path(name), "sweep.json")
    assert str(told.value).splitlines()[-1].startswith("  try: hydra.run.dir=")
    check_place("hydra.run.dir", Path("new/run"), "sweep.json")


def test_a_place_that_is_not_the_users_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places.os, "access", lambda *_: False)
    with pytest.raises(ConfigError, match="where you may write"):
        check_place("hydra.sweep.dir", Path("new"), "record.json")


def test_files_are_found_from_where_they_were_typed_and_nothing_else_is_changed(folder: Path) -> None:
    typed = {
        "_target_": "a.b",
        "path": "file.csv",
        "name": "runs",
        "root": "runs",
        "all": ["e.yaml", "tanh", 3],
        "x": "./",
    }
    there = rebased(typed, folder)
    assert there == typed | {
        "path": f"{folder}/file.csv",
        "root": f"{folder}/runs",
        "all": [f"{folder}/e.yaml", "tanh", 3],
    } | {"x": f"{folder}"}
    assert rebased(["file://runs", "pkg://runs"], folder, "hydra.searchpath") == [f"file://{folder}/runs", "pkg://runs"]


def test_folders_are_shown_from_where_the_reader_stands(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (short(folder / "runs"), short(Path("runs")), short(Path("/x"))) == (Path("runs"), Path("runs"), Path("/x"))
    monkeypatch.setenv(places.STANDS, str(folder.parent))
    assert place(Path("runs")) == f"{folder.name}/runs"
    monkeypatch.setenv(places.STANDS, str(folder / "runs"))
    assert place(Path("sweeps/s")) == str(folder / "sweeps" / "s")


def test_a_deleted_folder_to_stand_in_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (gone := tmp_path / "gone").mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(ConfigError, match="has been deleted"):
        existing("x", "law", again)
    monkeypatch.chdir(tmp_path)


def test_a_checkout_that_was_renamed_is_where_its_outputs_are(folder: Path) -> None:
    sweep = folder / "outputs" / "sweeps" / "s"
    assert stood(folder / "gone", sweep) == folder, "files that were typed from there lie there"
    assert stood(folder / "sweeps", sweep) == folder / "sweeps", "it is still there"
    assert stood(folder / "gone", folder / "elsewhere") == Path.cwd()


def test_a_run_in_another_folder_is_trained_anew_by_what_was_typed_for_it(folder: Path) -> None:
    """Not only its keys: the search path, and files as they are found from where the reader stands."""
    kept = {"runtime": {"cwd": str(folder / "runs"), "config_sources": []}, "job": {"config_name": "train"}}
    kept["overrides"] = {"hydra": ["hydra.searchpath=[file://my run]"]}
    hydra = folder / "sweeps" / "s" / "abc" / ".hydra" / "hydra.yaml"
    hydra.parent.mkdir()
    hydra.write_text(json.dumps({"hydra": kept}))
    (folder / "runs" / "mine.yaml").touch()
    record = Record("abc", ["experiment=mine", "seed=3"])
    typed = shlex.split(anew(hydra.parent.parent, record).partition("   ")[0])
    found = [f"hydra.searchpath=[file://{folder}/runs/my run]", f"experiment={folder}/runs/mine.yaml", "seed=3"]
    assert typed == ["python", "-m", "src.train", *found]


def test_the_terminal_counts_epochs_from_one_and_tells_of_no_best_one_where_none_is() -> None:
    assert best_epoch(Record("abc", [], timing={"best_epoch": 2})) == ", best epoch 3"
    assert best_epoch(Record("abc", [], timing={"best_epoch": None})) == ""
