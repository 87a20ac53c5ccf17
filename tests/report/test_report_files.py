"""The report's files: the table, the page, and that they say the same as the terminal."""

import io
import json
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from rich.console import Console

from src.config import Objective
from src.errors import ConfigError
from src.ranking import shown
from src.record import Record
from src.report.folders import read_folders
from src.report.terminal import show
from src.report.write import Report, write_report
from src.summary import sweep_summary
from tests.report.folders import CONFIG, grid, write_sweep, write_trial


def printed(report: Report) -> str:
    console = Console(file=io.StringIO(), width=200)
    show(report, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def data(page: Path, name: str) -> Any:
    found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', page.read_text())
    assert found, f"the page has no {name}"
    return json.loads(found[1])


def test_best_setting_its_mean_and_its_interval_are_the_same_everywhere(tmp_path: Path) -> None:
    report = write_report([grid(tmp_path / "sweep")])
    table = pl.read_csv(tmp_path / "sweep" / "table.csv")
    best = table.filter(setting_rank=1)
    assert best["setting"].unique().to_list() == ["optimizer.lr=0.001 model.hidden_dim=8"]
    assert best["objective"].mean() == pytest.approx(best["setting_mean"][0], rel=1e-12)
    assert best["objective"].std() == pytest.approx(best["setting_std"][0], rel=1e-12)
    told = f"{shown(best['setting_mean'][0])} ± {shown(best['setting_std'][0])}"
    interval = f"{shown(best['setting_ci_low'][0])} to {shown(best['setting_ci_high'][0])}"
    console = Console(file=io.StringIO(), width=200)
    records = report.sweeps[0].records
    sweep_summary(records, Objective("val/loss", "minimize"), tmp_path, console, report.page)
    assert isinstance(console.file, io.StringIO)
    for text in (console.file.getvalue(), printed(report)):
        (line,) = (line for line in text.splitlines() if "lr=0.001 hidden_dim=8 " in line)
        assert told in line
        assert interval in line
    page = report.page.read_text()
    assert page.index("lr=0.001 hidden_dim=8") < page.index(f"<dd>{told}</dd>") < page.index(interval)
    assert pl.read_parquet(tmp_path / "sweep" / "table.parquet").equals(report.table)


def test_importances_are_the_same_on_the_page_and_in_the_terminal(tmp_path: Path) -> None:
    report = write_report([grid(tmp_path / "sweep")])
    drawn = data(report.page, "plot-data")["plots"]["importances"]["data"][0]
    on_page = {key: f"{share:.2f}" for key, share in zip(drawn["y"], drawn["x"], strict=True)}
    assert list(on_page) == ["model.hidden_dim", "optimizer.lr"]
    console = Console(file=io.StringIO(), width=80)
    (sweep,) = report.sweeps
    sweep_summary(sweep.records, sweep.objective, tmp_path, console, report.page, importances=sweep.importances)
    assert isinstance(console.file, io.StringIO)
    for text in (console.file.getvalue(), printed(report)):
        for key, share in on_page.items():
            assert any(re.search(rf" {re.escape(key)} .* {re.escape(share)} ", line) for line in text.splitlines())
    first, again = sweep.importances, read_folders([tmp_path / "sweep"])[0].importances
    assert first is not None
    assert again is not None
    assert first.equals(again), "no random state decides"


def test_no_column_of_the_table_is_written_over_whatever_keys_are_called(tmp_path: Path) -> None:
    write_sweep(tmp_path / "sweep")
    for number in range(2):
        words = [f"{key}={10 * place + number}" for place, key in enumerate(["key", "folder", "folder_", "val/loss"])]
        metrics = {"val/loss": 0.5, "Status": 9.0}
        write_trial(tmp_path / "sweep" / f"k{number}", *words, f"a.seconds={number}", objective=0.5, metrics=metrics)
    table = write_report([tmp_path / "sweep"]).table.sort("key")
    assert table["key"].to_list() == [folder.rstrip("/") for folder in table["folder"]] == ["k0", "k1"]
    for column, value in {"key_": 1, "folder__": 11, "folder_": 21, "val/loss_": 31, "Status_": 9}.items():
        assert table[column][1] == value
    shown_names = [column["name"] for column in data(tmp_path / "sweep" / "report.html", "trial-data")["columns"]]
    assert len({*shown_names}) == len(shown_names)


def test_table_has_a_row_per_trial_with_typed_settings_and_where_it_lies(tmp_path: Path) -> None:
    table = write_report([grid(tmp_path / "sweep")]).table
    assert table.height == 24
    assert table.schema["optimizer.lr"] == pl.Float64
    assert table.schema["model.hidden_dim"] == pl.Int64
    assert all((tmp_path / "sweep" / folder / "record.json").is_file() for folder in table["folder"])
    assert {"key", "status", "seed", "objective", "test/r2", "seconds", "wandb_id", "wandb_url"} <= set(table.columns)


def test_page_shows_every_trial_and_plots_have_their_data(tmp_path: Path) -> None:
    page = write_report([grid(tmp_path / "sweep")]).page
    assert len(data(page, "trial-data")["rows"]) == 24
    plots = data(page, "plot-data")["plots"]
    names = [
        "curves-0",
        "curves-1",
        "parallel",
        "against-optimizer.lr",
        "against-model.hidden_dim",
        "importances",
        "heat",
    ]
    assert [*plots] == [*names, "states"]
    assert all(plot["data"] for plot in plots.values())
    assert plots["against-optimizer.lr"]["layout"]["xaxis"]["type"] == "log"
    assert plots["importances"]["data"][0]["y"][-1] == "optimizer.lr"


def test_page_asks_no_network_for_anything(tmp_path: Path) -> None:
    text = write_report([grid(tmp_path / "sweep")]).page.read_text()
    own = re.sub(r"<script nonce.*?</script>", "", text, flags=re.DOTALL)  # plotly.js names hosts of maps
    assert not re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?(?:https?:)?//""", own)
    assert "default-src 'none'" in own


def test_sweep_that_is_running_torn_and_half_failed_is_reported_as_it_is(tmp_path: Path) -> None:
    sweep = write_sweep(tmp_path / "sweep", keys=["a", "b", "c", "d", "e", "torn", "later", "last"])
    write_trial(sweep / "a", "optimizer.lr=1", "seed=0", objective=0.5)
    write_trial(sweep / "b", "optimizer.lr=1", "seed=1", status="failed", error="ValueError: <b>no</b>", timing={})
    write_trial(sweep / "c", "optimizer.lr=2", "seed=0", status="diverged", objective=0.1)
    write_trial(sweep / "d", "optimizer.lr=2", "seed=1", status="pruned", objective=0.2)
    write_trial(
        sweep / "e", "optimizer.lr=3", "seed=0", status="running", timing={"started": "2026-01-02T03:04:05+00:00"}
    )
    (sweep / "torn").mkdir()
    (sweep / "torn" / "record.json").write_text('{"schema": 1, "key"')
    (sweep / "stacks").mkdir()
    (sweep / "a" / "metrics.csv").write_text("epoch,val/loss\n0,1.0\n1,0.")
    report = write_report([sweep])
    text, page = printed(report), report.page.read_text()
    assert "5 trials: 1 finished, 1 failed, 1 diverged, 1 pruned, 1 running, 2 waiting" in text
    assert "no record can be read in 1 of the folders: sweep/torn" in text
    assert "1 running, 2 waiting" in page
    assert report.table.sort("key")["status"].to_list() == ["finished", "failed", "diverged", "pruned", "running"]


def test_sweep_of_one_trial_and_sweep_without_an_objective_have_a_page(tmp_path: Path) -> None:
    one = write_sweep(tmp_path / "one")
    write_trial(one / "a", "seed=0", objective=0.5)
    nothing = write_sweep(tmp_path / "nothing")
    for seed in range(2):
        write_trial(nothing / f"k{seed}", f"optimizer.lr={seed}", f"seed={seed}", config={})
    begun = write_sweep(tmp_path / "begun", keys=["a", "b"])
    assert "0.5000" in printed(write_report([one]))
    assert "2 trials: 2 finished" in printed(write_report([nothing]))
    assert "no trial has an objective" in (nothing / "report.html").read_text()
    assert "0 trials: 2 waiting" in printed(write_report([begun]))
    assert pl.read_csv(begun / "table.csv").is_empty()


def test_more_is_better_where_the_config_says_so(tmp_path: Path) -> None:
    sweep = write_sweep(tmp_path / "sweep")
    config = CONFIG | {"objective": {"metric": "val/r2", "direction": "maximize"}}
    for value in (0.1, 0.7, 0.4):
        write_trial(sweep / f"k{value}", f"optimizer.lr={value}", objective=value, config=config)
    assert write_report([sweep]).table["objective"].to_list() == [0.7, 0.4, 0.1]


def test_runs_of_another_objective_than_most_are_left_out_and_counted(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    overfit = CONFIG | {"objective": {"metric": "train/loss", "direction": "minimize"}}
    (runs / "0-debug").mkdir(parents=True)
    write_trial(runs / "0-debug", "debug=overfit", objective=1e-9, config=overfit)
    for name, loss in (("1-a", 0.5), ("2-b", 0.4)):
        write_trial(runs / name, f"optimizer.lr={loss}", objective=loss)
    write_trial(runs / "3-failed", "optimizer.lr=9", status="failed")
    write_trial(runs / "4-old", "optimizer.lr=8", objective=0.6, config={})
    report = write_report([runs])
    note = "Left out of runs: 1 of 5 trials, whose objective (minimize train/loss) cannot be compared with "
    for text in (printed(report).replace("\n", " "), report.page.read_text()):
        assert f"{note}minimize val/loss" in text
    assert report.table["key"].to_list() == ["2-b", "1-a", "4-old", "3-failed"]
    assert "Left out" not in printed(write_report([grid(tmp_path / "sweep")]))


def test_single_run_has_its_curves_metrics_and_config(tmp_path: Path) -> None:
    write_trial(tmp_path / "run", "optimizer.lr=1", objective=0.5)
    report = write_report([tmp_path / "run"])
    plots = data(report.page, "plot-data")["plots"]
    assert [[trace["name"] for trace in plot["data"]] for plot in plots.values()] == [["val", "train"]]
    assert plots["curve-0"]["data"][0]["y"] == [1.5, 1.0, 0.5]
    assert "metric: val/loss" in report.page.read_text()
    assert "0.5000" in printed(report)


def test_several_sweeps_stand_side_by_side_and_leave_their_own_reports_alone(tmp_path: Path) -> None:
    first, second = grid(tmp_path / "first"), grid(tmp_path / "x" / "first", rates=(0.5,))
    write_report([first])
    before = (first / "report.html").read_bytes()
    report = write_report([first, second, first])
    assert (first / "report.html").read_bytes() == before
    assert report.page == (first / "comparison.html").resolve()
    assert report.table.group_by("sweep").len()["len"].sort().to_list() == [8, 24]
    plots = data(report.page, "plot-data")["plots"]
    lines = [trace for trace in plots["curves-0"]["data"] if "text" in trace]
    assert len(lines) == 2, "each sweep's best setting"
    assert [len(box["y"]) for box in plots["distributions"]["data"]] == [24, 8]
    lines = [line for line in printed(report).splitlines() if "±" in line]
    assert ["lr=0.001" in lines[0], "lr=0.5" in lines[1]] == [True, False], (
        "one width is named, the other sweep's rate is not"
    )


def test_files_go_where_output_says(tmp_path: Path) -> None:
    report = write_report([grid(tmp_path / "sweep", rates=(0.1,))], tmp_path / "elsewhere" / "deep")
    assert sorted(path.name for path in (tmp_path / "elsewhere" / "deep").iterdir()) == [
        "report.html",
        "table.csv",
        "table.parquet",
    ]
    assert (report.page.parent / report.table["folder"][0] / "record.json").is_file()


def test_folder_that_is_neither_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="neither a run folder nor a sweep folder"):
        write_report([tmp_path])
    with pytest.raises(ConfigError, match="no such folder"):
        write_report([tmp_path / "none"])


ATTACK = "</script><img src=x onerror=alert(1)><b>{{7*7}}&lt;"


def test_whatever_is_typed_stays_text(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path / ATTACK.replace("/", "∕"), argv=["-m", f"data.target={ATTACK}"])
    config = CONFIG | {"tracking": {"tags": [ATTACK]}, "data": {"target": ATTACK}}
    for place, target in enumerate((ATTACK, f"{ATTACK}2")):
        words = (f"data.target={target}", f"+{ATTACK}=1", f"seed={place}")
        wandb = {"mode": "online", "id": ATTACK, "url": f"javascript:alert(1)//{ATTACK}"}
        write_trial(folder / f"k{place}", *words, objective=1.0, config=config, error=ATTACK, wandb=wandb)
    report = write_report([folder])
    own = re.sub(r"<script nonce.*?</script>", "", report.page.read_text(), flags=re.DOTALL)
    assert "<img" not in own
    assert "{{7*7}}" in own, "no template of its own"
    assert own.count("</script>") == own.count("<script")
    rows = data(report.page, "trial-data")["rows"]
    assert all(row[-1]["href"] == "" for row in rows), "only web addresses are links"
    plots = data(report.page, "plot-data")["plots"]
    labels = json.dumps([plots[name]["data"] for name in plots if name != "parallel"])
    assert "<img" not in labels


def test_terminal_shows_neither_control_characters_nor_markup(tmp_path: Path) -> None:
    sweep = write_sweep(tmp_path / "[red][bold]sweep")
    for place in range(2):
        write_trial(sweep / f"k{place}", f"data.target=\x1b]0;owned\x07{place}", objective=1.0)
    text = printed(write_report([sweep]))
    assert not {"\x1b", "\x07"} & set(text)
    assert "[red][bold]sweep · 2 trials" in text
    assert "[red][bold]sweep" in printed(write_report([sweep, sweep / "k0"]))


def test_record_of_a_later_version_is_told_and_left_out(tmp_path: Path) -> None:
    sweep = grid(tmp_path / "sweep", rates=(0.1,))
    values = {"schema": 2} | {name: value for name, value in vars(Record("new", [])).items() if name != "schema"}
    (sweep / "new").mkdir()
    (sweep / "new" / "record.json").write_text(json.dumps(values))
    assert "sweep/new" in printed(write_report([sweep]))


def test_terminal_shows_a_run_and_a_comparison_without_cutting_names(tmp_path: Path) -> None:
    long = "data.target=" + "a_long_name_of_a_column_" * 3
    sweep = write_sweep(tmp_path / "sweep")
    for place in range(2):
        metrics = {"trainer/global_step": 7, "val/loss": 0.5, "test/r2": 0.25}
        write_trial(sweep / f"k{place}", f"{long}{place}", objective=place + 0.5, metrics=metrics)
    for folders in ([sweep], [sweep, sweep / "k0"]):
        console = Console(file=io.StringIO(), width=80)
        show(write_report(folders), console)
        assert isinstance(console.file, io.StringIO)
        cells = [
            re.split("[│┃]", line)[len(folders)].strip() for line in console.file.getvalue().splitlines() if "│" in line
        ]
        assert (long.partition(".")[2] + "0") in "".join(cells)
    text = printed(write_report([sweep / "k0"]))
    assert "0.2500" in text
    assert "global_step" not in text


def test_sweep_that_has_not_begun_stands_beside_one_that_has(tmp_path: Path) -> None:
    text = printed(write_report([grid(tmp_path / "one", rates=(0.1,)), write_sweep(tmp_path / "other", keys=["a"])]))
    assert ["one" in text, "other" in text] == [True, True]
    nothing = write_report([write_sweep(tmp_path / "a", keys=["a"]), write_sweep(tmp_path / "b", keys=["b"])])
    assert "No trial has an objective yet" in nothing.page.read_text()
