"""Trains a stack and leaves every trial with the folder, record, checkpoints and W&B run that a run alone has.

Shapes: K trials.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from omegaconf import OmegaConf
from torch import Tensor, nn

from src import record as records
from src.build import build_data, build_trainer, device_name, num_parameters
from src.checkpoints import origin, own_stack, write_weights
from src.config import Config
from src.consistency import FILES, seal
from src.data.base import TabularData
from src.data.split import SPLITS
from src.durable import flush_all
from src.halving import Halving
from src.instantiate import instantiate
from src.memory import keep_freed_memory
from src.naming import without_seed
from src.net_laws import check_net, settle
from src.progress import SweepProgress
from src.provenance import diff_of, provenance
from src.record import UNSOUND, Record, Row
from src.record_check import digest_of
from src.rows import history_until
from src.run import told, wandb_config, wandb_identity
from src.stack import Stack
from src.stack_journal import StackJournal
from src.stackable import why_not
from src.tracking import called_as_stored, run_name, track

_MEMORY = 2**29  # bytes that a stack may take, weights and activations together
_LARGEST = 512  # trials of a stack on a CPU: beyond this its caches gain nothing more


@dataclass
class Trial:
    """One run of a sweep.

    Attributes:
        cfg: its checked config.
        config: the same as it is stored, as plain values.
        folder: its run folder.
        key: hash of its config.
        overrides: what the sweep set for it.
    """

    cfg: Config
    config: dict[str, Any]
    folder: Path
    key: str
    overrides: list[str]


def nets_of(trials: Sequence[Trial], data: TabularData) -> list[nn.Module]:
    """A net for each trial, its weights drawn by the trial's seed as those of a run alone are."""
    sizes: dict[str, Any] = {"input_dim": data.input_dim, "output_dim": data.output_dim}
    model = trials[0].cfg.model
    # Much faster for many trials; but what is nested in the config would be made once, for all of them.
    is_flat = not any(OmegaConf.is_config(value) for value in model.values())
    make = instantiate(model, **sizes, _partial_=True) if is_flat else partial(instantiate, model, **sizes)
    nets = []
    for trial in trials:
        L.seed_everything(trial.cfg.seed, verbose=False)
        nets.append(make())
        settle(nets[-1], data)
    return nets


def room(trial: Trial) -> tuple[int, str | None]:
    """How many trials like this fit into one stack, and why they cannot be stacked at all, if so.

    Raises:
        ConfigError: where the data, the net or the loss breaks a law: alone such a trial cannot train either.
    """
    torch.set_num_threads(trial.cfg.num_threads)  # as `build_trainer` does: the same for all sums of a sweep
    data = build_data(trial.cfg)
    features, targets = data.split("train")
    other = replace(trial, cfg=replace(trial.cfg, seed=trial.cfg.seed ^ 1))
    # A run alone draws its net and then its loss, if that draws anything.
    drawn = [(nets_of([each], data)[0].to(features.dtype), _loss(each, features.dtype)) for each in (trial, other)]
    nets, losses = zip(*drawn, strict=True)
    check_net(nets[0], losses[0], data)
    reason = why_not(nets, losses, (features[:2], targets[:2]))
    if reason is not None:
        return 1, reason
    weights = sum(weight.numel() for weight in nets[0].parameters())
    activations = _activations(nets[0], features[: data.batch_size])
    outputs = sum(len(data.split(split)[0]) for split in SPLITS) * data.output_dim
    numbers = 8 * weights + 4 * activations + 6 * outputs  # weights, moments, gradients and copies of the best
    fits = max(1, _MEMORY // (features.element_size() * numbers))
    return min(fits, _LARGEST) if device_name(trial.cfg) == "cpu" else fits, None


def _loss(trial: Trial, dtype: torch.dtype) -> Any:
    loss = instantiate(trial.cfg.loss)
    return loss.to(dtype) if isinstance(loss, nn.Module) else loss


def fit_stack(
    trials: Sequence[Trial], checkpoint: Path, progress: SweepProgress, halving: Halving | None = None
) -> list[Record]:
    """Trains K trials together.

    Args:
        trials: they differ in stackable fields only.
        checkpoint: where the stack's own state is kept; if it is there, the stack goes on from it.
        progress: the sweep's.
        halving: drops the trials that fall behind.

    Returns:
        The trials' records, as they are on disk.

    Raises:
        Interrupted: where a signal stopped the stack; its checkpoint is written.
    """
    started, cfg = time.perf_counter(), trials[0].cfg
    keep_freed_memory()
    kept = _start(trials)
    progress.start_stack(len(trials), cfg.trainer.max_epochs)
    journal = StackJournal(checkpoint, cfg, progress, halving, _settings(trials))
    trainer, data = build_trainer(cfg, [journal]), build_data(cfg)
    nets = nets_of(trials, data)
    size = num_parameters(nets[0])
    stack = Stack(nets, instantiate(cfg.loss), [trial.cfg for trial in trials], data.scale)
    stack.keep_splits(data)
    stack.keys = [trial.key for trial in trials]
    resumed = own_stack(checkpoint, stack.keys)
    with journal.stoppable():
        trainer.fit(stack, datamodule=data, ckpt_path=resumed, weights_only=True)
    progress.stack_trained()
    tested = _test(trainer, stack, journal, data)
    timing = journal.timing() | {"seconds": round(time.perf_counter() - started, 3), "ended": records.now()}
    left = [position for position, record in enumerate(kept) if record.status == "running"]
    all_rows = journal.rows(len(trials))
    for i in left:
        trial, record, rows = trials[i], kept[i], all_rows[i]
        best = _row_of(rows, int(journal.best_epoch[i]))
        record.timing |= timing | {"best_epoch": best.get("epoch"), "steps": int(journal.steps[i])}
        record.status = _status(rows[-1], bool(journal.pruned[i]))
        record.metrics = {**best, **(tested[i] if best else {}), "num_parameters": size}
        history = records.write_history(trial.folder, rows)
        record.digests["history"] = digest_of(history.encode())
        ends = {"last": (journal.last_weights, rows[-1]), "best": (journal.best_weights, best)}
        for name, (weights, row) in ends.items():
            if row:
                epochs = rows.index(row) + 1
                run = origin(trial.key, epochs, digest_of(history_until(epochs, rows, history).encode()))
                about = {"run": run, "splits": stack.splits}
                record.digests[name] = write_weights(trial.folder, name, stack.state_of(i, weights), row, data, about)
    flush_all(trials[0].folder)  # what a record builds on is on the disk before it
    for i in left:
        _finish(trials[i], kept[i], all_rows[i])
        progress.trial_ended(kept[i], trials[i].overrides)
    flush_all(trials[0].folder)  # and the records are before the stack's own checkpoint goes
    return kept


def _row_of(rows: Sequence[Row], epoch: int) -> Row:
    """The row of an epoch, empty where there is none."""
    return next((row for row in rows if row["epoch"] == epoch), {})


def _start(trials: Sequence[Trial]) -> list[Record]:
    """Writes every trial's record; one that was interrupted keeps its W&B id, one that has ended is left alone."""
    stack, now = [trial.key for trial in trials], records.now()
    kept = []
    for position, trial in enumerate(trials):
        earlier = records.read(trial.folder) if (trial.folder / "record.json").is_file() else None
        record = earlier or Record(trial.key, trial.overrides)
        if not record.has_ended:
            record.status, record.error = "running", None
            record.stack = {"size": len(trials), "position": position, "keys": stack}
            record.timing = {"started": record.timing.get("started") or now}
            record.provenance = _source(trial.cfg)
            record.wandb = wandb_identity(trial.cfg, record)
            seal(trial.folder, record, "config")
            records.write(trial.folder, record)
        kept.append(record)
    return kept


def _settings(trials: Sequence[Trial]) -> list[int]:
    """(K,) the number of each trial's setting; trials of one setting differ in their seed."""
    own = [without_seed(trial.overrides) for trial in trials]
    numbers = {setting: number for number, setting in enumerate(dict.fromkeys(own))}
    return [numbers[setting] for setting in own]


def _source(cfg: Config) -> dict[str, Any]:
    """A trial's provenance; the diff of the code, the same for all, is kept once among the `diffs` of `sweep.json`."""
    source = provenance({"seed": cfg.seed, "data.seed": cfg.data.seed}, device_name(cfg))
    git = source["git"]
    kept = next(iter(diff_of(git)), None)
    return source | {"git": git and {**git, "diff": f"{kept} in sweep.json" if kept else ""}}


def _test(trainer: L.Trainer, stack: Stack, journal: StackJournal, data: TabularData) -> list[dict[str, float]]:
    """Every trial's best weights on the test split."""
    if not len(data.split("test")[0]) or not trainer.limit_test_batches:
        return [{}] * stack.size
    stack.load(journal.best_weights)
    trainer.test(stack, data, verbose=False)
    names, columns = list(stack.metrics), [values.tolist() for values in stack.metrics.values()]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def _status(last: Row, pruned: bool) -> str:
    return "pruned" if pruned else "finished" if math.isfinite(last["train/loss"]) else "diverged"


def _finish(trial: Trial, record: Record, rows: list[Row]) -> None:
    """Puts what came out into the trial's W&B run and, last of all, its record."""
    if record.status == "diverged":
        record.error = f"train/loss is not finite in epoch {rows[-1]['epoch']}"
    has_best = record.timing["best_epoch"] is not None
    record.objective = record.metrics[trial.cfg.objective.metric] if has_best else None
    record.checkpoint = FILES["best"] if has_best else None
    _track(trial, record, rows)
    records.write(trial.folder, record)


def _track(trial: Trial, record: Record, rows: list[Row]) -> None:
    """Tracks a trial as a whole once it has ended: one W&B run is open at a time, however many trials there are."""
    identity = {"name": run_name(trial.overrides, trial.key), "group": trial.cfg.sweep.name}
    identity["notes"] = record.provenance["command"]
    config = wandb_config(trial.config, record)
    settings = called_as_stored(trial.cfg.tracking, trial.config)
    tracker = track(trial.folder, settings, config, run_id=record.wandb["id"], **identity)
    record.wandb = dict(tracker.info)
    for row in rows:
        tracker.log(row)
    model = trial.folder / record.checkpoint if record.checkpoint else None
    tracker.finish(told(record), exit_code=int(record.status in UNSOUND), model=model)


def _activations(net: nn.Module, features: Tensor) -> int:
    """Numbers that one trial's forward pass of a batch leaves in memory."""
    sizes: list[int] = []

    def count(module: nn.Module, inputs: Any, output: Any) -> None:
        sizes.append(output.numel() if torch.is_tensor(output) else 0)

    hooks = [module.register_forward_hook(count) for module in net.modules()]
    with torch.no_grad():
        net(features)
    for hook in hooks:
        hook.remove()
    return sum(sizes)
