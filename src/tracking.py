"""Weights & Biases: names, groups, ids, and a tracker that never takes the training down with it.

wandb is imported where a run is tracked, not before: it costs half a second, and `WANDB_MODE` must be set by then.
"""

import logging
import os
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from src.config import Tracking

log = logging.getLogger(__name__)
_LATER = "the rows are on disk; upload them later with: wandb sync"


class Tracker(Protocol):
    """Where a run's history goes besides its record."""

    info: dict[str, str | None]
    """What the record keeps: mode, id, group, url."""

    def log(self, row: Mapping[str, float]) -> None:
        """Adds an epoch's metrics; `row["epoch"]` is the step."""

    def finish(self, summary: Mapping[str, Any], exit_code: int) -> None:
        """Ends the run; any exit code but 0 marks it as failed."""


class NullTracker:
    """Tracks nothing."""

    def __init__(self) -> None:
        self.info: dict[str, str | None] = {"mode": "disabled", "id": None, "group": None, "url": None}

    def log(self, row: Mapping[str, float]) -> None:
        """Does nothing."""

    def finish(self, summary: Mapping[str, Any], exit_code: int) -> None:
        """Does nothing."""


class WandbTracker:
    """One W&B run.

    Args:
        folder: the run folder; the W&B run is kept in its `wandb/`.
        settings: mode, project, entity, tags, name.
        config: the resolved config.
        name: shown in W&B unless `settings.name` says otherwise.
        group: the sweep's name, None for a run alone.
        job_type: `train` or `evaluate`.
        run_id: the W&B id of a run that goes on; None makes a new one.
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
    ) -> None:
        import wandb

        mode = _possible_mode(settings.mode, wandb)
        self._replaced = _unsynced(folder) if run_id else []
        self._forget_replaced()
        self._run = wandb.init(
            id=run_id or new_id(),
            resume="allow" if run_id else None,
            dir=folder,
            mode=mode,
            project=settings.project,
            entity=settings.entity,
            name=settings.name or name,
            group=group,
            job_type=job_type,
            tags=settings.tags,
            config=dict(config),
            reinit="create_new",
            settings=wandb.Settings(**LEAN, **_PATIENCE),
        )
        # Within one second of the kill, the new log lies in the folder of the old one.
        self._replaced = [log for log in self._replaced if log.resolve() != Path(self._run.dir).parent.resolve()]
        _define_metrics(self._run)
        self.info = {
            "mode": mode,
            "id": self._run.id,
            "group": group,
            "url": self._run.url if mode == "online" else None,
        }

    def log(self, row: Mapping[str, float]) -> None:
        """Adds an epoch's metrics."""
        self._safely(lambda: self._run.log(dict(row), step=int(row["epoch"])))

    def finish(self, summary: Mapping[str, Any], exit_code: int) -> None:
        """Ends the W&B run."""
        self._safely(lambda: self._run.summary.update(dict(summary)))
        self._safely(lambda: self._run.finish(exit_code=exit_code))
        self._forget_replaced()  # again: the service of a killed process may have written on for a moment

    def _forget_replaced(self) -> None:
        for run in self._replaced:
            shutil.rmtree(run, ignore_errors=True)

    def _safely(self, action: Callable[[], object]) -> None:
        try:
            action()
        except Exception as error:  # whatever goes wrong in tracking, the training is worth more
            log.warning("W&B: %s; %s", error, _LATER)


LEAN: dict[str, Any] = {
    # The record and the config hold what these would collect again for every run.
    "console": "off",
    "silent": True,
    "disable_git": True,
    "disable_code": True,
    "x_save_requirements": False,
    "x_disable_machine_info": True,
    "x_disable_stats": True,
    # A run killed before the first flush leaves nothing: flush every second instead of every 15.
    "x_transaction_log_flush_interval": 1,
}
_PATIENCE: dict[str, Any] = {"init_timeout": 20, "finish_timeout": 20, "finish_timeout_raises": False}


def track(folder: Path, settings: Tracking, config: Mapping[str, Any], **identity: Any) -> Tracker:
    """Opens the tracker that the settings ask for; one that cannot be opened is said once and left out."""
    if settings.mode == "disabled":
        return NullTracker()
    os.environ["WANDB_MODE"] = settings.mode  # read at import: without it even an offline run looks a host up
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    for place in ("DATA", "CACHE", "CONFIG"):  # nothing is written outside the run folder
        os.environ.setdefault(f"WANDB_{place}_DIR", str(folder / "wandb"))
    try:
        return WandbTracker(folder, settings, config, **identity)
    except Exception as error:  # as above
        log.warning("W&B could not start: %s; this run is tracked by its own record alone", error)
        return NullTracker()


def new_id() -> str:
    """A W&B id that no other run has."""
    return secrets.token_hex(4)


def run_name(overrides: Sequence[str], key: str) -> str:
    """What a run changed, such as `lr=0.01 seed=3`; its key where it changed nothing."""
    told = [o.lstrip("+~") for o in overrides if not o.startswith(("hydra", "tracking", "sweep", "resume"))]
    return " ".join(".".join(o.split("=")[0].split(".")[-1:]) + o[len(o.split("=")[0]) :] for o in told) or key


def _unsynced(folder: Path) -> list[Path]:
    """A killed run's offline logs. When the run goes on, one complete log takes their place.

    Their rows are in `metrics.csv`, from where they are logged again; their own last rows may be lost.
    A log that was synced stays.
    """
    logs = (folder / "wandb").glob("offline-run-*")
    return [run for run in logs if not list(run.glob("*.synced"))]


def _possible_mode(mode: str, wandb: Any) -> Any:
    """Online needs a key; without one W&B would ask for it and wait."""
    if mode == "online" and not wandb.api.api_key:
        log.warning("W&B has no key (wandb login), so this run is tracked offline; %s", _LATER)
        return "offline"
    return mode


def _define_metrics(run: Any) -> None:
    for split in ("train", "val"):
        run.define_metric(f"{split}/loss", step_metric="epoch", summary="min")
        run.define_metric(f"{split}/mae", step_metric="epoch", summary="min")
        run.define_metric(f"{split}/r2", step_metric="epoch", summary="max")
