"""What a person sees of a sweep: the bar while it trains, the table at its end."""

import io
import json
import logging
import re
import shlex
import sys
from pathlib import Path

import pytest
from rich.console import Console

from src.config import Objective
from src.progress import SweepProgress
from src.ranking import ranked, same_for_all
from src.record import Record
from src.summary import sweep_summary
from tests.conftest import composed

LOSS, R2 = Objective("val/loss", "minimize"), Objective("val/r2", "maximize")
SHARED = ["trainer.max_epochs=3", "sweep.name=s", "tracking=disabled"]


def trial(objective: float | None, *overrides: str, status: str = "finished") -> Record:
    return Record("".join(overrides), [*overrides, *SHARED], status, objective, {"test/r2": objective})


def terminal() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=80, height=24)


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def bars(console: Console) -> list[str]:
    """The bar each time that it was drawn."""
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written(console))
    return [line.rstrip() for line in re.split(r"[\r\n]+", plain) if "trials" in line]


def test_bar_tells_trials_epochs_the_best_so_far_and_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("src.progress._REFRESH_SECONDS", 0)
    console = terminal()
    progress = SweepProgress("val/r2", 4096, 1000, console, "maximize")
    for best in ([0.1, 0.3], [0.2, 0.25]):
        progress.start_stack(100, 2000)
        for epoch, value in enumerate(best):
            progress.show_epoch(999 + epoch, value)
        progress.stack_trained()
        for _ in range(100):
            progress.trial_ended(trial(best[1]), [])
    progress.end()
    seen = bars(console)
    assert all(len(line) <= 80 for line in seen)
    assert all(re.search(r"\d:\d\d:\d\d$|-:--:--$", line) for line in seen), "it never breaks into two lines"
    assert any("epoch 1000/2000" in line for line in seen)
    best_so_far = [float(found[1]) for line in seen if (found := re.search(r"best val/r2 (\S+)", line))]
    assert best_so_far == sorted(best_so_far)
    assert best_so_far[-1] == 0.3
    assert seen[0].startswith("1000/4096 trials")
    assert seen[-1].startswith("1200/4096 trials")


def test_bar_never_goes_back_while_a_stack_trains_and_is_written_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("src.progress._REFRESH_SECONDS", 0)
    progress = SweepProgress("val/loss", 20, 0, terminal())
    assert progress._bar is not None
    done = []
    progress.start_stack(10, 5)
    for epoch in range(5):
        progress.show_epoch(epoch, 1.0)
        done.append(progress._bar.tasks[0].completed)
    progress.stack_trained()
    for _ in range(10):
        progress.trial_ended(trial(1.0), [])
        done.append(progress._bar.tasks[0].completed)
    progress.end()
    assert done == sorted(done)
    assert done[-1] == 10


def test_lines_that_are_logged_meanwhile_stand_above_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    console = terminal()
    monkeypatch.setattr(sys, "stdout", console.file)
    handler = logging.StreamHandler(sys.stdout)
    logging.root.addHandler(handler)
    try:
        progress = SweepProgress("val/loss", 4, 0, console)
        logging.getLogger("src").warning("a warning")
        progress.end()
        logging.getLogger("src").warning("after the bar")
    finally:
        logging.root.removeHandler(handler)
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written(console)).replace("\r", "\n").splitlines()
    assert "a warning" in [line.strip() for line in lines], "on a line of its own"
    assert lines[-1] == "after the bar"
    assert handler.stream is console.file


def test_file_gets_at_most_a_line_for_each_trial() -> None:
    console = Console(file=io.StringIO(), width=40)
    progress = SweepProgress("val/loss", 3, 0, console, hidden=same_for_all([trial(1.0, "seed=0").overrides]))
    progress.start_stack(3, 100)
    for epoch in range(100):
        progress.show_epoch(epoch, 1.0)
    for seed in range(3):
        progress.trial_ended(trial(1.5, f"optimizer.betas=[0.9,0.99{seed}]"), [f"optimizer.betas=[0.9,0.99{seed}]"])
    progress.end()
    assert written(console).splitlines() == [
        "training 3 trials as one stack",
        *[f"{seed + 1}/3 finished  optimizer.betas=[0.9,0.99{seed}]  val/loss 1.5" for seed in range(3)],
    ]


def test_settings_that_differ_in_seed_alone_are_one_line_with_mean_and_deviation(tmp_path: Path) -> None:
    records = [trial(lr + seed, f"optimizer.lr={lr}", f"seed={seed}") for lr in (3, 1) for seed in (0, 1, 2)]
    console = Console(file=io.StringIO(), width=80)
    sweep_summary(records, LOSS, tmp_path, console)
    lines = [line for line in written(console).splitlines() if "±" in line]
    assert [line.replace("│", " ").split() for line in lines] == [
        ["lr=1", "3", "2.0000", "±", "1.0000", "-0.4841", "to", "4.4841", "2.0000"],
        ["lr=3", "3", "4.0000", "±", "1.0000", "1.5159", "to", "6.4841", "4.0000"],
    ]


def test_best_is_the_largest_where_more_is_better() -> None:
    records = [trial(value, f"optimizer.lr={value}", "seed=0") for value in (0.1, 0.7, 0.4)]
    assert [setting.name for setting in ranked(records, R2)] == [
        "optimizer.lr=0.7",
        "optimizer.lr=0.4",
        "optimizer.lr=0.1",
    ]


def test_setting_with_a_failed_trial_comes_after_the_whole_ones_and_counts_what_it_has(tmp_path: Path) -> None:
    lucky = [trial(0.1, "optimizer.lr=1", "seed=0"), trial(None, "optimizer.lr=1", "seed=1", status="failed")]
    whole = [trial(0.5, "optimizer.lr=2", f"seed={seed}") for seed in (0, 1)]
    console = Console(file=io.StringIO(), width=80)
    sweep_summary([*lucky, *whole], LOSS, tmp_path, console)
    assert [setting.name for setting in ranked([*lucky, *whole], LOSS)] == ["optimizer.lr=2", "optimizer.lr=1"]
    assert "1 of 2" in written(console)
    assert "4 trials: 3 finished, 1 failed" in written(console)


def test_sweep_without_any_result_has_a_table_all_the_same(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=80)
    sweep_summary([trial(None, "seed=0", status="failed")], LOSS, tmp_path, console)
    assert "1 trials: 1 failed" in written(console)
    assert "next:" not in written(console)


def test_next_command_can_be_pasted(tmp_path: Path) -> None:
    found = "hydra.searchpath=[file:///my conf]"
    words = ["tracking.name='it is'", "model.hidden_dim=${data.batch_size}", "optimizer.betas=[0.8,0.9]"]
    best = trial(1.0, *words, "seed=3")
    (tmp_path / best.key / ".hydra").mkdir(parents=True)
    notes = {"hydra": {"overrides": {"hydra": [found]}}}
    (tmp_path / best.key / ".hydra" / "hydra.yaml").write_text(json.dumps(notes))
    console = Console(file=io.StringIO(), width=40)
    sweep_summary([best], LOSS, tmp_path, console)
    lines = written(console).splitlines()
    typed = shlex.split(lines[lines.index("next:") + 1])
    tracked = "tracking=disabled"  # what W&B's variables in the environment must agree with
    assert typed == ["python", "-m", "src.train", found, *words[1:], "trainer.max_epochs=3", tracked]
    config = composed(*typed[4:])
    assert (config.model.hidden_dim, list(config.optimizer.betas)) == (32, [0.8, 0.9])
