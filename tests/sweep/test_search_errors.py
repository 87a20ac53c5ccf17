"""A wrong search costs half a second: exit code 2, at most four lines that say what was meant, and no torch."""

from pathlib import Path

import pytest

from tests.sweep.commands import BROKEN_TORCH, command

LR = "optimizer.lr=tag(log,interval(1e-4,1e-1))"
WRONG = {
    "empty interval": (["optimizer.lr=interval(0.1,0.001)"], "an interval's end lies above its start", "0.001,0.1"),
    "a point": (["optimizer.lr=interval(0.1,0.1)"], "an interval's end lies above its start", "optimizer.lr=0.1"),
    "log of zero": (["optimizer.lr=tag(log,interval(0,1))"], "starts above 0", "tag(log,interval(1e-5,1.0))"),
    "log of zero, whole": (["model.hidden_dim=tag(log,int(interval(0,9)))"], "starts above 0", "interval(1,9)"),
    "empty range": (["model.hidden_dim=range(9,1)"], "a range's stop lies beyond its start", "range(1,9)"),
    "another tag": (["optimizer.lr=tag(logarithmic,interval(1e-4,1))"], "the one tag is log", "tag(log,"),
    "a tagged choice": (["optimizer.lr=tag(log,choice(1e-4,1))"], "the one tag is log", "tag(log,"),
    "nothing to search": (["optimizer.lr=0.1"], "a search needs a key to search", "interval(1e-5,1e-1)"),
    "no such key": (["optimizer.rl=interval(0,1)"], "there is no config key optimizer.rl", "optimizer.lr="),
    "no such option": (["optimizer=adam,adma"], "optimizer is one of", "optimizer=adam"),
    "an end out of range": (["optimizer.lr=interval(-1,1)"], "must be a number at least 0", "optimizer.lr"),
    "a choice out of range": (["model.hidden_dim=4,0"], "model.hidden_dim must be a number at least 1", "hidden_dim"),
    "a share where a count": (["model.hidden_dim=interval(1,9)"], "model.hidden_dim must be a whole number", "hidden"),
    "seed": (["seed=range(4)"], "seed is what a setting is repeated with", "hydra.sweeper.num_seeds=4"),
    "cmaes on choices": (["hydra/sweeper/sampler=cmaes", LR, "model=two_layer_net,sequential"], "no choices", "tpe"),
    "cmaes on one key": (["hydra/sweeper/sampler=cmaes", LR], "two keys or more", "sampler=tpe"),
    "grid on an interval": (["hydra/sweeper/sampler=grid", LR], "that can be counted", "sampler=qmc"),
    "no such sampler": (["hydra/sweeper/sampler=bayes", LR], "hydra/sweeper/sampler is one of: cmaes, gp", "sampler="),
    "sampler's argument": (
        ["hydra/sweeper/sampler=nsgaii", "hydra.sweeper.sampler.population_size=1", LR],
        "hydra.sweeper.sampler must be right for Optuna", "hydra/sweeper/sampler=tpe",
    ),
    "no trials": (["hydra.sweeper.num_trials=0", LR], "hydra.sweeper.num_trials must be a number at least 1", "try"),
    "trials as text": (["hydra.sweeper.num_trials=many", LR], "hydra.sweeper.num_trials must be a whole number", "try"),
    "a failure rate": (["hydra.sweeper.max_failure_rate=2", LR], "at least 0 and at most 1", "max_failure_rate"),
    "no such sweeper key": (["hydra.sweeper.num_trial=9", LR], "hydra.sweeper.num_trial", "num_trials=9"),
    "objective": (["hydra.sweeper.objective=[val/loss,num_params]", LR], "lists some of", "num_parameters"),
    "one objective": (["hydra.sweeper.objective=[val/mae]", LR], "two objectives or more", "objective.metric=val/mae"),
    "pruning on two": (
        ["hydra.sweeper.objective=[val/loss,num_parameters]", "hydra/sweeper/pruner=halving", LR],
        "compares trials by one objective", "hydra/sweeper/pruner=none",
    ),
    "eta": (["hydra/sweeper/pruner=halving", "hydra.sweeper.pruner.eta=1", LR], "at least 2", "pruner.eta=3"),
    "no such pruner": (["hydra/sweeper/pruner=hyperband", LR], "hydra/sweeper/pruner is one of: halving", "pruner="),
    "a pruner that would drop nothing": (
        ["hydra.sweeper.pruner._target_=optuna.pruners.HyperbandPruner", LR],
        "cannot be Optuna's HyperbandPruner", "hydra/sweeper/pruner=halving",
    ),
    "the same within another": (
        ["hydra.sweeper.pruner._target_=optuna.pruners.PatientPruner",
         "+hydra.sweeper.pruner.wrapped_pruner._target_=optuna.pruners.SuccessiveHalvingPruner", LR],
        "cannot be Optuna's SuccessiveHalvingPruner", "hydra/sweeper/pruner=halving",
    ),
    "a rung before there is a value": (
        ["hydra/sweeper/pruner=halving", "trainer.check_val_every_n_epoch=20", LR],
        "halving compares trials after 12 epochs", "hydra.sweeper.pruner.min_epochs=20",
    ),
    "pruning by steps": (
        ["hydra/sweeper/pruner=halving", "trainer.max_epochs=null", "trainer.max_steps=99", LR],
        "needs trainer.max_epochs", "trainer.max_epochs=100",
    ),
    "a password": (
        ["hydra.sweeper.storage=postgresql://user:s3cret@db:5432/x", LR],
        "got: postgresql://…", "'hydra.sweeper.storage=${oc.env:STUDY_DB}'",
    ),
    "a password that is asked for": (
        ["hydra.sweeper.storage='mysql://${oc.env:HOME}@db/x?password=s3cret'", LR],
        "hydra.sweeper.storage must not hold a password", "'hydra.sweeper.storage=${oc.env:STUDY_DB}'",
    ),
    "storage": (["hydra.sweeper.storage=mysqll://x", LR], "hydra.sweeper.storage must be", "sqlite:///study.db"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong_search_is_told_before_torch(tmp_path: Path, name: str) -> None:
    words, law, remedy = WRONG[name]
    (tmp_path / "torch.py").write_text(BROKEN_TORCH)
    done = command(tmp_path, "-m", "hydra/sweeper=optuna", *words)
    assert done.returncode == 2, done.stdout + done.stderr
    lines = done.stderr.splitlines()
    assert law in done.stderr
    assert remedy in lines[-1]
    assert len(lines) <= 4
    assert "s3cret" not in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "outputs").exists()
