"""When a training is saved, and what stops it: its clock, its last checkpoint and signals."""

import logging
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Checkpoint

from src.config import Config
from src.durable import flush
from src.errors import Interrupted
from src.signals import listen

log = logging.getLogger(__name__)


class Journal(Checkpoint, ABC):
    """Keeps what happens in a training: its clock, its last checkpoint, and the signals that stop it.

    One callback does it all because Lightning pays for every callback at every step. It is a `Checkpoint`, since
    Lightning calls those last, when the epoch's metrics are all there. (Lightning's own ModelCheckpoint warns of
    every folder that a run goes on in.)

    Args:
        last_checkpoint: where the training can go on from, written every so often and at its end.
        cfg: the config; of a stack, any trial's.

    Attributes:
        stops_at_second_signal: whether a second signal ends the training at once, without its checkpoint.
        is_watched: whether callbacks of the user's look on; Lightning goes on with those from the end of an epoch only,
            for it tells them of no epoch's start in its middle.
    """

    stops_at_second_signal = True
    is_watched = False

    def __init__(self, last_checkpoint: Path, cfg: Config) -> None:
        self.last_checkpoint = last_checkpoint
        self.metric = cfg.objective.metric
        self.sign = cfg.objective.sign
        self._interval = cfg.checkpoint.interval_seconds
        self._saves = not cfg.trainer.fast_dev_run
        self._signum: int | None = None
        self._step_started = self._in_steps = self._earlier = self._save_at = 0.0
        self._steps = 0
        self._is_first = True

    @contextmanager
    def stoppable(self) -> Iterator[None]:
        """Around a training: a signal stops it where it can go on from, or as soon as it ends in another way.

        Raises:
            Interrupted: for a signal that came while it trained.
        """
        try:
            yield
        except Exception as error:
            if self._signum:
                log.warning(f"the training was to stop, and failed: {type(error).__name__}: {error}")
                raise Interrupted(self._signum) from error
            raise
        self._stop_if(self._signum)  # it came after the last epoch

    @abstractmethod
    def begin(self, trainer: L.Trainer) -> None:
        """Called once the training's own state is restored and before its first epoch."""

    @abstractmethod
    def epoch_ended(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Keeps the epoch's metrics, and tells the trainer to stop where the training is over."""

    def timing(self) -> dict[str, float]:
        """Training steps, steps per second, and the share of the time that was spent outside of them."""
        seconds = self._seconds()
        return {
            "fit_seconds": round(seconds, 4),
            "steps": self._steps,
            "steps_per_second": round(self._steps / seconds, 2),
            "outside_steps": round(1 - self._in_steps / seconds, 4),
        }

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.begin(trainer)
        self._started = time.perf_counter()
        self._save_at = self._started + self._interval

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # Only now: Lightning has set handlers of its own, which end a training without a checkpoint. It restores those
        # that were there before, however the training ends.
        listen(self._notice)  # the second signal stops at once
        if trainer.received_sigterm:
            self._signum = signal.SIGTERM

    def on_train_batch_start(self, *_: Any) -> None:
        self._step_started = time.perf_counter()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        now = time.perf_counter()
        self._in_steps += now - self._step_started
        self._steps += 1
        is_due = now >= self._save_at and self._interval > 0
        if (is_due or self._signum is not None) and not self.is_watched and _can_go_on_from_here(trainer, batch_idx):
            self._save(trainer)
            self._stop_if(self._signum)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.epoch_ended(trainer, pl_module)
        # The first epoch always: a checkpoint that could not be gone on with is found before hours are lost.
        due_by_now = self._saves and (self._is_first or time.perf_counter() >= self._save_at)
        is_due, signum = _agreed(trainer, due_by_now, self._signum or 0)
        self._is_first = False
        if is_due or signum:
            self._save(trainer)
        self._stop_if(signum)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self._saves:
            self._save(trainer)

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self._steps, "in_steps": self._in_steps, "seconds": self._seconds()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._steps, self._in_steps = state_dict["steps"], state_dict["in_steps"]
        self._earlier = state_dict["seconds"]

    def _seconds(self) -> float:
        return max(self._earlier + time.perf_counter() - self._started, 1e-9)

    def _save(self, trainer: L.Trainer) -> None:
        write_checkpoint(trainer, self.last_checkpoint)
        self._save_at = time.perf_counter() + self._interval

    def _stop_if(self, signum: int | None) -> None:
        if signum:
            self._signum = None
            raise Interrupted(signum)

    def _notice(self, signum: int, frame: FrameType | None) -> None:
        if self._signum is not None and self.stops_at_second_signal:
            raise Interrupted(signum)
        self._signum = signum


def write_checkpoint(trainer: L.Trainer, path: Path, weights_only: bool = False) -> None:
    """Replaces a checkpoint in one step: a process that is killed meanwhile leaves the one before.

    One that a training can go on from is also there after a power cut.
    """
    half = path.with_suffix(".half")  # a name of its own: stacks that train beside each other share a folder
    try:
        trainer.save_checkpoint(half, weights_only=weights_only)
        if trainer.is_global_zero:
            if not weights_only:
                flush([half])
            half.replace(path)
            if not weights_only:
                flush([path])
    except BaseException:  # on a full disk it would take room
        half.unlink(missing_ok=True)
        raise


def _can_go_on_from_here(trainer: L.Trainer, batch_idx: int) -> bool:
    """Whether a checkpoint after this batch has nothing half done: no epoch to complete, no gradients to add to.

    Several processes save together or not at all, and agree on it at the end of an epoch only.
    """
    loop = trainer.fit_loop.epoch_loop
    is_last = loop.batch_progress.is_last_batch or trainer.should_stop or trainer.global_step == trainer.max_steps
    has_stepped = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
    return not is_last and has_stepped and trainer.world_size == 1


def _agreed(trainer: L.Trainer, *numbers: int) -> list[int]:
    """The largest of each number in all processes of the run."""
    if trainer.world_size == 1:
        return list(numbers)
    ours = torch.tensor(numbers, device=trainer.strategy.root_device)
    largest = trainer.strategy.reduce(ours, reduce_op="max")
    assert torch.is_tensor(largest)
    return [int(number) for number in largest]
