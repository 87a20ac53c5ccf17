"""`hydra/sweeper=optuna`: every sampler and pruner, resume, failures, what is said at the end."""

import json
from pathlib import Path

import optuna
import pytest
from omegaconf import OmegaConf

from src.record import Record, read_history
from src.report.folders import read_folders
from tests.sweep.commands import bring_nets, command, quick, records_of

SEARCH = ("-m", "hydra/sweeper=optuna", "trainer.accelerator=cpu", "trainer.max_epochs=9")
LR, DECAY = "optimizer.lr=tag(log,interval(1e-4,1e-1))", "optimizer.weight_decay=interval(0,0.1)"
SAMPLERS = ("tpe", "gp", "cmaes", "qmc", "random", "grid", "nsgaii")


def search(folder: Path, *words: str, trials: int = 12, batch: int = 6, space: tuple[str, ...] = (LR, DECAY)) -> None:
    done = quick(folder, *SEARCH, f"hydra.sweeper.num_trials={trials}", f"hydra.sweeper.batch_size={batch}",
                 "sweep.name=s", "tracking=disabled", *words, *space)  # fmt: skip
    assert done.returncode == 0, done.stderr


def sweep_of(folder: Path) -> Path:
    return folder / "outputs" / "sweeps" / "s"


def suggestions(folder: Path) -> list[tuple[str, ...]]:
    """What was suggested, in order, the seeds left out."""
    records = records_of(sweep_of(folder))
    order = json.loads((sweep_of(folder) / "sweep.json").read_text())["keys"]
    told = [[t for t in records[key].overrides if t.startswith(("optimizer.", "model."))] for key in order]
    return list(dict.fromkeys(tuple(texts) for texts in told))


@pytest.mark.parametrize(
    ("sampler", "stack_size"),
    [
        *((sampler, "auto") for sampler in SAMPLERS),
        ("tpe", "1"),
        *(pytest.param(sampler, "1", marks=pytest.mark.soak) for sampler in SAMPLERS if sampler != "tpe"),
    ],
)
def test_every_sampler_and_both_pruners_make_the_trials_asked_for(
    tmp_path: Path, sampler: str, stack_size: str
) -> None:
    space = ("optimizer.lr=1e-3,1e-2,1e-1", "optimizer.weight_decay=range(0,0.04,0.01)") if sampler == "grid" else ()
    pruner = "halving" if (stack_size == "auto") == (SAMPLERS.index(sampler) % 2 == 0) else "none"
    few = ("hydra.sweeper.sampler.n_startup_trials=6",) if sampler == "gp" else ()
    words = (f"hydra/sweeper/sampler={sampler}", f"hydra/sweeper/pruner={pruner}", *few)
    search(tmp_path, *words, f"hydra.launcher.stack_size={stack_size}", space=space or (LR, DECAY))
    records = records_of(sweep_of(tmp_path))
    assert len(records) == len(suggestions(tmp_path)) == 12
    states = {record.status for record in records.values()}
    assert states == ({"finished", "pruned"} if pruner == "halving" else {"finished"})
    sizes = {record.stack["size"] if record.stack else 1 for record in records.values()}
    assert sizes == ({6} if stack_size == "auto" else {1})


SOAKED = [pytest.param(name, marks=pytest.mark.soak) for name in ("cmaes", "nsgaii", "qmc")]


@pytest.mark.parametrize("sampler", ["tpe", *SOAKED])
def test_same_seed_gives_the_same_suggestions_twice_and_another_seed_others(tmp_path: Path, sampler: str) -> None:
    words = (f"hydra/sweeper/sampler={sampler}", "trainer.max_epochs=2")
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        search(tmp_path / name, *words, f"hydra.sweeper.seed={seed}")
    assert suggestions(tmp_path / "a") == suggestions(tmp_path / "b") != suggestions(tmp_path / "c")


@pytest.mark.parametrize("sampler", ["tpe", *SOAKED])
def test_search_in_two_launches_is_the_search_in_one(tmp_path: Path, sampler: str) -> None:
    small = ["hydra.sweeper.sampler.population_size=6"] if sampler == "nsgaii" else []
    words = [f"hydra/sweeper/sampler={sampler}", "trainer.max_epochs=2", *small]
    search(tmp_path / "one", *words, trials=18)
    search(tmp_path / "two", *words, trials=6)
    before = records_of(sweep_of(tmp_path / "two"))
    search(tmp_path / "two", *words, trials=18)
    after = records_of(sweep_of(tmp_path / "two"))
    assert suggestions(tmp_path / "two") == suggestions(tmp_path / "one")
    assert len(after) == 18 or sampler == "nsgaii", "a child may be its parent's twin"
    assert all(after[key] == record for key, record in before.items()), "what had ended was trained again"


def test_other_settings_of_the_sweeper_go_on_from_what_is_known(tmp_path: Path) -> None:
    search(tmp_path, "trainer.max_epochs=2", trials=10, batch=5)
    first = suggestions(tmp_path)
    search(tmp_path, "trainer.max_epochs=2", "hydra.sweeper.seed=7", trials=20, batch=4)
    assert suggestions(tmp_path)[:10] == first
    assert len(set(suggestions(tmp_path))) == 20


def test_each_suggestion_trains_with_every_seed_in_one_stack_and_counts_by_its_mean(tmp_path: Path) -> None:
    search(tmp_path, "hydra.sweeper.num_seeds=3", "hydra.sweeper.storage=sqlite:///study.db", trials=8, batch=4)
    records = list(records_of(sweep_of(tmp_path)).values())
    assert len(records) == 24
    assert {record.stack["size"] for record in records if record.stack} == {12}
    study = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path}/study.db")
    assert len(study.trials) == 8
    for trial in study.trials:
        values = [record.objective for record in records if record.key in trial.user_attrs["keys"]]
        assert len(values) == 3
        assert trial.value == pytest.approx(sum(v for v in values if v is not None) / 3, rel=1e-12)
        assert trial.user_attrs["std of val/loss"] > 0


def test_best_setting_can_be_pasted_and_taken_as_an_experiment(tmp_path: Path) -> None:
    search(tmp_path, "optimizer=adamw", "data.batch_size=64")
    out = (tmp_path / ".stdout").read_text()
    records = records_of(sweep_of(tmp_path)).values()
    best = min((r for r in records if r.status == "finished"), key=lambda r: r.objective or 9)
    pasted = next(line for line in out.splitlines() if line.startswith("  python -m src.train trainer"))
    importances = read_folders([sweep_of(tmp_path)])[0].importances
    assert importances is not None
    for key, share, _ in importances.iter_rows():
        assert any(f" {key} " in line and f" {share:.2f} " in line for line in out.splitlines()), "as the page has it"
    for number, words in enumerate((pasted.split()[3:], [f"experiment={sweep_of(Path())}/best"])):
        run = command(tmp_path, *words, "tracking=disabled", f"hydra.run.dir=again{number}/run")
        assert run.returncode == 0, run.stderr
        assert records_of(tmp_path / f"again{number}")["run"].key == best.key


@pytest.mark.soak
def test_best_setting_of_an_experiment_can_be_taken_however_the_words_were_ordered(tmp_path: Path) -> None:
    words = ("optimizer=adamw", "experiment=learning_rate")
    search(tmp_path, *words, "trainer.max_epochs=2", trials=4, batch=4, space=(LR,))
    best = OmegaConf.load(sweep_of(tmp_path) / "best.yaml")
    assert list(best.defaults) == ["/experiment/learning_rate", {"override /optimizer": "adamw"}, "_self_"]
    run = quick(tmp_path, f"experiment={sweep_of(Path())}/best", "tracking=disabled", "hydra.run.dir=again/run")
    assert run.returncode == 0, run.stderr
    records = records_of(sweep_of(tmp_path)).values()
    assert records_of(tmp_path / "again")["run"].key == min(records, key=lambda record: record.objective or 9).key


def test_groups_can_be_searched_and_best_yaml_chooses_them(tmp_path: Path) -> None:
    search(tmp_path, "trainer.max_epochs=2", space=("optimizer=adam,sgd", "model.hidden_dim=choice(4,8)", LR))
    best = OmegaConf.load(sweep_of(tmp_path) / "best.yaml")
    assert best.defaults[0]["override /optimizer"] in ("adam", "sgd")
    assert best.model.hidden_dim in (4, 8)


@pytest.mark.soak
def test_storage_from_the_environment_is_written_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = f"sqlite:///{tmp_path}/study.db"
    monkeypatch.setenv("STUDY_DB", database)
    words = ("hydra.sweeper.storage=${oc.env:STUDY_DB}", "tracking=offline", "hydra.sweeper.num_trials=4")
    done = command(tmp_path, *SEARCH, *words, "sweep.name=s", LR)
    assert done.returncode == 0, done.stderr
    assert len(optuna.load_study(study_name="s", storage=database).trials) == 4
    written = [path.read_bytes() for path in (tmp_path / "outputs").rglob("*") if path.is_file()]
    assert sum(b"${oc.env:STUDY_DB}" in content for content in written) > 4
    assert not [content for content in written if database.encode() in content]


def test_copy_of_another_study_is_found_before_training(tmp_path: Path) -> None:
    words = ("hydra.sweeper.storage=sqlite:///study.db", "trainer.max_epochs=2")
    search(tmp_path, *words, trials=4, batch=4)
    other = quick(tmp_path, *SEARCH, *words, "sweep.name=s", "tracking=disabled", "model.hidden_dim=4,8,16")
    assert other.returncode == 2
    assert "hydra.sweeper.storage holds another study named s" in other.stderr
    assert len(records_of(sweep_of(tmp_path))) == 4
    search(tmp_path, *words, trials=8, batch=4)
    assert len(optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path}/study.db").trials) == 8


def test_two_objectives_give_a_pareto_front(tmp_path: Path) -> None:
    words = ("hydra/sweeper/sampler=nsgaii", "hydra.sweeper.objective=[val/loss,num_parameters]")
    search(tmp_path, *words, "hydra.sweeper.storage=j.log", space=("model.hidden_dim=int(interval(1,64))", LR))
    out = (tmp_path / ".stdout").read_text()
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(tmp_path / "j.log")))
    study = optuna.load_study(study_name="s", storage=storage)
    assert f"{len(study.best_trials)} of them on the Pareto front" in out
    for trial in study.trials:
        assert trial.values[1] == 10 * trial.params["model.hidden_dim"] + 2 * trial.params["model.hidden_dim"] + 1


def test_pruned_trials_keep_their_history_and_stop_at_a_rung(tmp_path: Path) -> None:
    search(tmp_path, "hydra/sweeper/pruner=halving", "hydra.sweeper.storage=sqlite:///study.db", trials=27, batch=27)
    records = records_of(sweep_of(tmp_path))
    epochs = [len(read_history(sweep_of(tmp_path) / key)) for key in records]
    assert sorted(epochs) == [1] * 18 + [3] * 6 + [9] * 3
    assert all((record.status == "pruned") == (n < 9) for record, n in zip(records.values(), epochs, strict=True))
    study = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path}/study.db")
    states = [trial.state.name for trial in study.trials]
    assert (states.count("PRUNED"), states.count("COMPLETE")) == (24, 3)


def test_pruned_trials_are_the_worst_ones_at_their_rung(tmp_path: Path) -> None:
    search(tmp_path / "halving", "hydra/sweeper/pruner=halving", "hydra/sweeper/sampler=random", trials=27, batch=27)
    search(tmp_path / "none", "hydra/sweeper/sampler=random", trials=27, batch=27)
    first = {
        k: read_history(sweep_of(tmp_path / "none") / k)[0]["val/loss"] for k in records_of(sweep_of(tmp_path / "none"))
    }
    passed = {
        k
        for k, r in records_of(sweep_of(tmp_path / "halving")).items()
        if r.metrics["epoch"] != 0 or r.status == "finished"
    }
    long = {k for k in first if len(read_history(sweep_of(tmp_path / "halving") / k)) > 1}
    assert long == set(sorted(first, key=lambda key: first[key])[:9]) >= passed


def test_optunas_own_pruners_work_on_trials_alone(tmp_path: Path) -> None:
    words = ("hydra/sweeper/pruner=median", "hydra.sweeper.pruner.n_warmup_steps=1", "hydra/sweeper/sampler=random")
    search(tmp_path, *words, "hydra.sweeper.pruner.n_startup_trials=3")
    assert "a stack does not honour pruner optuna.pruners.MedianPruner" in (tmp_path / ".stdout").read_text()
    states = [record.status for record in records_of(sweep_of(tmp_path)).values()]
    assert states.count("pruned") >= 2
    assert states.count("finished") >= 3


def test_seeds_of_a_setting_stay_or_go_together(tmp_path: Path) -> None:
    search(tmp_path, "hydra/sweeper/pruner=halving", "hydra.sweeper.num_seeds=3", trials=9, batch=9)
    settings: dict[tuple[str, ...], set[str]] = {}
    for record in records_of(sweep_of(tmp_path)).values():
        settings.setdefault(tuple(record.overrides[:-1]), set()).add(record.status)
    assert len(settings) == 9
    assert all(len(states) == 1 for states in settings.values())


def test_diverged_trials_are_told_as_failed_and_the_study_goes_on(tmp_path: Path) -> None:
    space = ("optimizer=sgd", "optimizer.lr=tag(log,interval(1e-3,1e4))")
    search(tmp_path, "hydra.sweeper.storage=sqlite:///study.db", "hydra.sweeper.max_failure_rate=0.9", space=space)
    study = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path}/study.db")
    states = [trial.state.name for trial in study.trials]
    assert len(states) == 12
    assert 0 < states.count("FAIL") < 12
    told: list[Record] = list(records_of(sweep_of(tmp_path)).values())
    assert states.count("FAIL") == sum(record.status == "diverged" for record in told)


def test_too_many_failures_stop_the_study_with_the_first_ones_reason(tmp_path: Path) -> None:
    path = bring_nets(tmp_path)
    words = ("sweep.name=s", "model=unlucky", "model.hidden_dim=13", path, LR, "hydra.sweeper.batch_size=8")
    done = quick(tmp_path, *SEARCH, *words)
    assert done.returncode == 1
    assert "the search has stopped: 8 of 8 suggestions failed" in done.stderr
    assert "this brings bad luck" in done.stderr
    assert len(records_of(sweep_of(tmp_path))) == 8


@pytest.mark.soak
def test_fewer_failures_are_over_as_they_are_and_the_search_succeeds(tmp_path: Path) -> None:
    words = ("model=unlucky", "model.hidden_dim=12,13", bring_nets(tmp_path), "hydra.sweeper.max_failure_rate=1")
    search(tmp_path, *words, "trainer.max_epochs=2", space=(LR,), trials=6)
    before = records_of(sweep_of(tmp_path))
    assert {record.status for record in before.values()} == {"finished", "failed"}
    assert "src.resume" not in (tmp_path / ".stdout").read_text(), "it would train none of them again"
    search(tmp_path, *words, "trainer.max_epochs=2", space=(LR,), trials=6)
    assert records_of(sweep_of(tmp_path)) == before


def test_trials_without_an_objective_stop_the_study_and_it_says_so(tmp_path: Path) -> None:
    done = quick(tmp_path, *SEARCH, "sweep.name=s", "trainer.max_steps=2", LR, "hydra.sweeper.batch_size=8")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith("it ended without a finite val/loss")


def test_timeout_begins_no_further_round(tmp_path: Path) -> None:
    search(tmp_path, "hydra.sweeper.timeout=0.001", trials=12, batch=4)
    assert 0 <= len(list(sweep_of(tmp_path).glob("*/record.json"))) <= 4
    assert "timeout" in (tmp_path / ".stdout").read_text()


def test_suggestion_that_comes_twice_is_trained_once(tmp_path: Path) -> None:
    search(
        tmp_path,
        "hydra/sweeper/sampler=random",
        trials=12,
        batch=4,
        space=("model.hidden_dim=4,8", "data.batch_size=32,64"),
    )
    assert len(records_of(sweep_of(tmp_path))) <= 4


def test_search_works_under_hydras_own_launcher_and_goes_on_there(tmp_path: Path) -> None:
    words = ("hydra/launcher=basic", "hydra/sweeper/pruner=halving", "hydra/sweeper/sampler=random")
    search(tmp_path, *words, trials=4, batch=4)
    before = records_of(sweep_of(tmp_path))
    search(tmp_path, *words, trials=9, batch=4)
    after = records_of(sweep_of(tmp_path))
    assert before.items() <= after.items()
    assert len(after) == 9
    assert {record.status for record in after.values()} == {"finished", "pruned"}
