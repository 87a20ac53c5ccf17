"""Weights & Biases: names, groups, ids, and a tracker that never takes the training down with it.

Every run writes its W&B log to disk, and no run waits for a network: with `tracking=online` another process reads the
log while it grows and uploads it (`src.upload`). wandb, half a second, is imported only where something is tracked.
"""

import logging
import re
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from src.commands import command
from src.config import Tracking
from src.lean_wandb import LEAN, bring_wandb_here, prepare, write_within
from src.places import place
from src.secrecy import UNSEEN
from src.suggest import known_keys
from src.tracking_laws import LONGEST
from src.upload import Outcome, Upload, uploads
from src.uploader import is_uploaded

log = logging.getLogger(__name__)


class Tracker(Protocol):
    """Where a run's history goes besides its record."""

    info: dict[str, str | None]
    """What the record keeps: mode, id, group, url."""

    def log(self, row: Mapping[str, float]) -> None:
        """Adds an epoch's metrics; `row["epoch"]` is the step."""

    def finish(self, summary: Mapping[str, Any], exit_code: int, model: Path | None = None) -> None:
        """Ends the run; any exit code but 0 marks it as failed, and a model is kept as an artifact if asked for."""


class NullTracker:
    """Tracks nothing."""

    def __init__(self) -> None:
        self.info: dict[str, str | None] = {"mode": "disabled", "id": None, "group": None, "url": None}

    def log(self, row: Mapping[str, float]) -> None:
        """Does nothing."""

    def finish(self, summary: Mapping[str, Any], exit_code: int, model: Path | None = None) -> None:
        """Does nothing."""


class WandbTracker:
    """One W&B run.

    Args:
        folder: the run folder; the W&B run is kept in its `wandb/`.
        settings: mode, project, entity, tags, name.
        config: the resolved config.
        name: shown in W&B unless `settings.name` says otherwise.
        group: the sweep's name, None for a run alone.
        job_type: `train`, `evaluate` or `sweep`.
        run_id: the W&B id of a run that goes on; None makes a new one.
        notes: the command that was typed.
    """

    def __init__(
        self,
        folder: Path,
        settings: Tracking,
        config: Mapping[str, Any],
        name: str,
        group: str | None = None,
        job_type: str = "train",
        run_id: str | None = None,
        notes: str | None = None,
    ) -> None:
        import wandb  # see `prepare`

        self._settings, self._folder = settings, folder
        earlier = list((folder / "wandb").glob(f"*run-*-{run_id}")) if run_id else []
        states = [state.read_text() for run in earlier for state in run.glob("*.syncstate")]
        self._replaced = [run for run in earlier if not is_uploaded(run)]
        self._forget_replaced()
        self._run = wandb.init(
            id=run_id or new_id(),
            resume="allow" if run_id else None,
            dir=folder,
            mode="offline",
            project=settings.project,
            entity=settings.entity,
            name=settings.name or name,
            group=group,
            job_type=job_type,
            tags=settings.tags,
            notes=notes,
            config=dict(config),
            reinit="create_new",
            settings=wandb.Settings(**LEAN),
        )
        self.log_folder = Path(self._run.dir).parent
        for state in states[:1]:  # the server has rows of it: each keeps its step, and none comes in twice
            (self.log_folder / f"run-{self._run.id}.wandb.syncstate").write_text(state)
        # Within one second of the kill, the new log lies in the folder of the old one.
        self._replaced = [run for run in self._replaced if run.resolve() != self.log_folder.resolve()]
        _define_metrics(self._run)
        self.info: dict[str, str | None] = {"mode": settings.mode, "id": self._run.id, "group": group, "url": None}
        self._upload = Upload(folder, live=True) if settings.mode == "online" and uploads() is None else None
        if self._upload:
            self._upload.add(self.log_folder)

    def log(self, row: Mapping[str, float]) -> None:
        """Adds an epoch's metrics."""
        bring_wandb_here()
        self._safely(lambda: self._run.log(dict(row), step=int(row["epoch"])))

    def finish(self, summary: Mapping[str, Any], exit_code: int, model: Path | None = None) -> None:
        """Ends the W&B run, and waits some seconds for its upload."""
        if model and self._settings.log_model:
            self._safely(lambda: self._keep_model(model))
        self._safely(lambda: self._run.summary.update(dict(summary)))
        self._safely(lambda: self._run.finish(exit_code=exit_code))
        write_within(None)
        self._forget_replaced()  # again: the service of a killed process may have written on for a moment
        self._safely(self._end_upload)

    def keep(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], files: Sequence[Path]) -> None:
        """Adds a table, and files as an artifact."""
        self._safely(lambda: self._keep(name, columns, rows, files))

    def _keep(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], files: Sequence[Path]) -> None:
        import wandb

        self._run.log({"trials": wandb.Table(columns=list(columns), data=[list(row) for row in rows])})
        if files:
            artifact = wandb.Artifact(name, type="report")
            for file in files:
                artifact.add_file(str(file), policy="immutable")
            self._run.log_artifact(artifact)

    def _keep_model(self, model: Path) -> None:
        import wandb

        artifact = wandb.Artifact(f"model-{self._run.id}", type="model")
        artifact.add_file(str(model), policy="immutable")  # it is read where it lies, and not copied
        self._run.log_artifact(artifact, aliases=["best"])

    def _end_upload(self) -> None:
        if self._upload is None:
            if self._settings.mode == "online" and (shared := uploads()):
                shared.add(self.log_folder)
            return
        outcome = self._upload.end()
        self.info |= placed(self.info, self._settings, outcome, self.log_folder)
        say_what_is_left(outcome, self._folder)

    def _forget_replaced(self) -> None:
        for run in self._replaced:
            shutil.rmtree(run, ignore_errors=True)

    def _safely(self, action: Callable[[], object]) -> None:
        try:
            action()
        except Exception as error:  # whatever goes wrong in tracking, the training is worth more
            log.warning("W&B: %s; the run's own record has everything", error)


def track(folder: Path, settings: Tracking, config: Mapping[str, Any], **identity: Any) -> Tracker:
    """Opens the tracker that the settings ask for; one that cannot be opened is said once and left out."""
    if settings.mode == "disabled":
        return NullTracker()
    write_within(folder)
    try:
        prepare(identity.get("run_id"))
        return WandbTracker(folder, settings, config, **identity)
    except Exception as error:  # as above
        log.warning("W&B could not start: %s; this run is tracked by its own record alone", error)
        write_within(None)
        return NullTracker()


def called_as_stored(settings: Tracking, values: Any) -> Tracking:
    """The settings with the name and the tags that a stored config has: none of them tells what a variable holds."""
    kept = values.get("tracking") or {}
    return replace(settings, name=kept.get("name"), tags=list(kept.get("tags") or []))


def placed(info: Mapping[str, str | None], settings: Tracking, outcome: Outcome, run: Path) -> dict[str, str | None]:
    """Where a W&B run is, as its record says it: online at its url if all of it arrived, else on this disk."""
    if run.absolute() in outcome.left:
        return {"mode": "offline", "url": None}
    if outcome.account is None:  # it had arrived before, and nobody asked the server who we are
        return {}
    return {"mode": "online", "url": outcome.account.run_url(settings.entity, settings.project, str(info["id"]))}


def say_what_is_left(outcome: Outcome, folder: Path) -> None:
    """The one warning about an upload: what happened, and what to type later."""
    if outcome.left:
        runs = f"{len(outcome.left)} runs are" if len(outcome.left) > 1 else "the run is"
        later = command("sync", place(folder))
        log.warning("W&B: %s; %s whole on disk, upload later with: %s", outcome.problem, runs, later)


def new_id() -> str:
    """A W&B id that no other run has: 80 bits, for two runs of one id would be one run to the server."""
    return secrets.token_hex(10)


def run_name(overrides: Sequence[str], key: str) -> str:
    """What a run changed, such as `lr=0.01 seed=3`; its key where it changed nothing.

    Of a key the last part is told where that says which one it is: not of `data.seed`, nor of what only a class of the
    user's own has, unless that is the model. A name that W&B would refuse for its length ends in the run's key.
    """
    told = [text.lstrip("+").translate(UNSEEN) for text in overrides if not _NOT_TOLD.match(text)]
    pairs = [text.partition("=") for text in told]
    name = " ".join(_short(typed) + equals + value for typed, equals, value in pairs) or key
    return name if len(name) <= LONGEST else f"{name[: LONGEST - len(key) - 2]}… {key}"


def _short(key: str) -> str:
    group, _, leaf = key.rpartition(".")
    alike = [known for known in _by_leaf().get(leaf, ()) if known != key]
    return leaf if not alike and (group == "model" or leaf in _by_leaf()) else key


@cache
def _by_leaf() -> dict[str, list[str]]:
    """The keys of the schema by their last parts."""
    found: dict[str, list[str]] = {}
    for key in known_keys():
        found.setdefault(key.rpartition(".")[2], []).append(key)
    return found


_NOT_TOLD = re.compile(r"[+~]*(hydra|tracking|sweep|resume)\b")


def _define_metrics(run: Any) -> None:
    for split in ("train", "val"):
        run.define_metric(f"{split}/loss", step_metric="epoch", summary="min")
        run.define_metric(f"{split}/mae", step_metric="epoch", summary="min")
        run.define_metric(f"{split}/r2", step_metric="epoch", summary="max")
