"""What happens in a run on its own: its history, its best checkpoint, its tracking, divergence and pruning."""

import math
from pathlib import Path
from typing import Any

import lightning as L

from src.config import Config
from src.journal import Journal, write_checkpoint
from src.module import Regressor
from src.progress import Progress
from src.record import History, Prune, Row, read_history
from src.tracking import Tracker


class RunJournal(Journal):
    """Keeps one run's history and best checkpoint, tracks it, and notices when it diverges.

    Args:
        folder: the run folder.
        cfg: the run's config.
        tracker: gets every row.
        progress: shown at every epoch.
        prune: whether to drop the run, from its epochs so far and the objective of its best one.

    Attributes:
        best: the row of the best epoch, empty while there is none.
        diverged_at: the epoch whose training loss was not finite.
        pruned: whether the run was dropped.
    """

    def __init__(
        self, folder: Path, cfg: Config, tracker: Tracker, progress: Progress, prune: Prune | None = None
    ) -> None:
        super().__init__(folder / "checkpoints" / "last.ckpt", cfg)
        self._progress, self._objective = progress, cfg.objective
        self.best_checkpoint = folder / "checkpoints" / "best.ckpt"
        self.best: Row = {}
        self.diverged_at: int | None = None
        self.pruned = self._over = False
        self._prune = prune
        self._folder = folder
        self._tracker = tracker
        self._epochs = 0

    def begin(self, trainer: L.Trainer) -> None:
        self._history = History(self._folder, keep_below=self._epochs) if trainer.is_global_zero else None
        for row in read_history(self._folder)[: self._epochs]:
            self._is_best(row)
            self._is_behind(row)
            self._tracker.log(row)
        trainer.should_stop = self._over

    def epoch_ended(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        assert isinstance(module, Regressor)
        about = {"epoch": trainer.current_epoch, "trainer/global_step": trainer.global_step}
        row: Row = about | module.rates.means() | module.metrics
        module.metrics = {}
        self._epochs = int(row["epoch"]) + 1
        if self._history is not None:
            self._history.add(row)
        self._tracker.log(row)
        if self._is_best(row) and self._saves:
            write_checkpoint(trainer, self.best_checkpoint, weights_only=True)
        self._progress.show(row, self.best.get(self.metric))
        if not math.isfinite(row["train/loss"]):
            self.diverged_at, trainer.should_stop = int(row["epoch"]), True
        elif self._is_behind(row):
            self.pruned = trainer.should_stop = True
        self._over = trainer.should_stop

    def state_dict(self) -> dict[str, Any]:
        ends = {"over": self._over, "pruned": self.pruned, "diverged_at": self.diverged_at}
        return super().state_dict() | {"epochs": self._epochs} | ends

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._epochs = state_dict["epochs"]
        self._over, self.pruned = state_dict["over"], state_dict["pruned"]
        self.diverged_at = state_dict["diverged_at"]

    def _is_behind(self, row: Row) -> bool:
        """Whether the run is dropped after the row's epoch."""
        best = self.best.get(self.metric)
        return self._prune is not None and best is not None and self._prune(int(row["epoch"]) + 1, best)

    def _is_best(self, row: Row) -> bool:
        costs = self._objective.costs(row)
        better = math.isfinite(costs[0]) and not (self.best and costs >= self._objective.costs(self.best))
        self.best = row if better else self.best
        return better
