"""What happens in a run on its own: its history, its best checkpoint, its tracking, divergence and pruning."""

import math
import shutil
from pathlib import Path
from typing import Any

import lightning as L

from src.checkpoints import origin
from src.config import Config
from src.durable import flush
from src.journal import Journal, write_checkpoint
from src.module import Regressor
from src.progress import Progress
from src.record import History, Prune, Row
from src.rows import parse_history
from src.tracking import Tracker


class RunJournal(Journal):
    """Keeps one run's history and best checkpoint, tracks it, and notices when it diverges.

    Args:
        folder: the run folder.
        key: the run's.
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
        self, folder: Path, key: str, cfg: Config, tracker: Tracker, progress: Progress, prune: Prune | None = None
    ) -> None:
        super().__init__(folder / "checkpoints" / "last.ckpt", cfg)
        self._progress, self._objective = progress, cfg.objective
        self._key = key
        self.best_checkpoint = folder / "checkpoints" / "best.ckpt"
        self._earlier_best = folder / "checkpoints" / "earlier.ckpt"  # see `src.checkpoints`
        self._keeps_earlier = False
        self.best: Row = {}
        self.diverged_at: int | None = None
        self.pruned = self._over = False
        self._prune = prune
        self._folder = folder
        self._tracker = tracker
        self._earlier_rows: list[Row] = []

    def begin(self, trainer: L.Trainer) -> None:
        assert isinstance(trainer.lightning_module, Regressor)
        trainer.lightning_module.origin = self._origin
        self._history = History(self._folder, self._earlier_rows, writes=trainer.is_global_zero)
        if trainer.is_global_zero:
            self._earlier_best.unlink(missing_ok=True)
            if not self._earlier_rows:
                self.best_checkpoint.unlink(missing_ok=True)
        for row in self._history.rows:
            self._is_best(row)
            self._is_behind(row)
            self._tracker.log(row)
        trainer.should_stop = self._over

    def epoch_ended(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        assert isinstance(module, Regressor)
        about = {"epoch": trainer.current_epoch, "trainer/global_step": trainer.global_step}
        row: Row = about | module.rates.means() | module.metrics
        module.metrics = {}
        self._history.add(row)
        self._tracker.log(row)
        if self._is_best(row) and self._saves:
            self._save_best(trainer)
        self._progress.show(row, self.best.get(self.metric))
        if not math.isfinite(row["train/loss"]):
            self.diverged_at, trainer.should_stop = int(row["epoch"]), True
        elif self._is_behind(row):
            self.pruned = trainer.should_stop = True
        self._over = trainer.should_stop

    def state_dict(self) -> dict[str, Any]:
        ends = {"over": self._over, "pruned": self.pruned, "diverged_at": self.diverged_at}
        kept = {"history": self._history.text, "best_epochs": self._rows_to_best()}
        return super().state_dict() | kept | ends

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._earlier_rows = parse_history(state_dict["history"])
        self._over, self.pruned = state_dict["over"], state_dict["pruned"]
        self.diverged_at = state_dict["diverged_at"]

    def _save(self, trainer: L.Trainer) -> None:
        if trainer.is_global_zero:  # what `last.ckpt` builds on is on the disk before it
            kept = ("record.json", ".hydra/config.yaml", "metrics.csv")
            flush([self.best_checkpoint, *(self._folder / name for name in kept)])
        super()._save(trainer)
        if self._keeps_earlier:
            self._earlier_best.unlink(missing_ok=True)
        self._keeps_earlier = False

    def _save_best(self, trainer: L.Trainer) -> None:
        if trainer.is_global_zero and not self._keeps_earlier and self.best_checkpoint.is_file():
            _link_or_copy(self.best_checkpoint, self._earlier_best)
            self._keeps_earlier = True
        write_checkpoint(trainer, self.best_checkpoint, weights_only=True)

    def _origin(self) -> dict[str, Any]:
        return origin(self._key, len(self._history.rows), self._history.digest)

    def _rows_to_best(self) -> int:
        """How many epochs had passed with the best one; 0 while there is none."""
        return int(self.best["epoch"]) + 1 if self.best else 0

    def _is_behind(self, row: Row) -> bool:
        """Whether the run is dropped after the row's epoch."""
        best = self.best.get(self.metric)
        return self._prune is not None and best is not None and self._prune(int(row["epoch"]) + 1, best)

    def _is_best(self, row: Row) -> bool:
        costs = self._objective.costs(row)
        better = math.isfinite(costs[0]) and not (self.best and costs >= self._objective.costs(self.best))
        self.best = row if better else self.best
        return better


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:  # a file system without links
        shutil.copyfile(source, target)
