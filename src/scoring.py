"""A finished run's best checkpoint on a split or a new file: scores, predictions, and a W&B run of its own.

Shapes: N rows, O targets.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from torch import Tensor

from src.checkpoints import open_best
from src.config import Tracking
from src.consistency import opened
from src.data.base import Arrays, Scale, TabularData
from src.data.split import draw_split
from src.errors import ConfigError
from src.module import Scores
from src.record import Record
from src.record_check import Damaged, one_line
from src.summary import metrics_table
from src.tracking import track


@dataclass
class Scored:
    """Predictions on one dataset, in the user's units.

    Attributes:
        rows: (N,) row numbers in the file (from 0 below its header, empty lines count) or in the dataset, from 0.
        arrays: features and targets; a target that a new file lacks is NaN.
        predictions: (N, O).
        metrics: loss, MAE and R², over all targets and of each where there are several; empty without targets.
    """

    rows: np.ndarray
    arrays: Arrays
    predictions: np.ndarray
    metrics: dict[str, float]


def score(folder: Path, record: Record, split: str, path: str | None, output: str | None) -> Scored:
    """Scores a run, prints a table and writes the predictions.

    Args:
        folder: the run folder.
        record: its record.
        split: `train`, `val` or `test`, unless a file is given.
        path: a new file, for a run that was trained on a table.
        output: where the predictions go; None is `predictions.csv` in the run folder.
    """
    record, config = opened(folder)
    scored = predict(config, open_best(folder, record), split, path)
    target = Path(output) if output else folder / "predictions.csv"
    _write(scored, target)  # before anything is told or tracked: it may not be possible
    told = Path(path).stem if path else split
    console = Console()
    if scored.metrics:
        named = {f"{told}/{name}": value for name, value in scored.metrics.items()}
        console.print(metrics_table(named, f"{folder.name}, best epoch {record.timing.get('best_epoch')}"))
        _track(folder, record, config, named)
    console.print(f"\n{len(scored.rows)} predictions in {target}", soft_wrap=True, highlight=False)
    return scored


def predict(config: DictConfig, checkpoint: dict[str, Any], split: str, path: str | None) -> Scored:
    """Predictions of a checkpoint on a split of the run's own data, or on a new file."""
    state = checkpoint["state_dict"]
    data = instantiate(config.data)
    scale = Scale(*(state[name] for name in Scale.__annotations__))
    rows, arrays = _from_file(data, checkpoint, path) if path else _from_split(data, checkpoint, split)
    net = instantiate(config.model, input_dim=len(scale.feature_mean), output_dim=len(scale.target_mean))
    dtype = next(value.dtype for name, value in state.items() if name.startswith("net."))
    data.dtype = torch.promote_types(dtype, data.dtype)  # as it trained: float64 is not rounded
    weights = {name.removeprefix("net."): value for name, value in state.items() if name.startswith("net.")}
    try:
        net.to(dtype).load_state_dict(weights)
    except RuntimeError as error:
        raise Damaged("the checkpoint's weights are not those of this run's model", one_line(error)) from error
    features, targets = data.scaled(arrays, scale=scale)
    with torch.inference_mode():
        predicted = net.eval()(features.to(dtype)).double()
    loss = instantiate(config.loss)
    metrics = _metrics(predicted, targets.double(), loss, scale.target_std, arrays.target_names)
    return Scored(rows, arrays, (predicted * scale.target_std + scale.target_mean).numpy(), metrics)


def _from_split(data: TabularData, checkpoint: dict[str, Any], split: str) -> tuple[np.ndarray, Arrays]:
    if own := checkpoint.get(type(data).__qualname__):
        data.load_state_dict(own)
    drawn = draw_split(data.num_rows(), *data.fractions, data.seed)
    rows = drawn[split]
    if not len(rows):
        raise ConfigError(f"this run has no {split} split", f"data.{split}_fraction=0", "split=train")
    arrays = data.arrays(drawn["train"])
    chosen = Arrays(arrays.features[rows], arrays.targets[rows], arrays.feature_names, arrays.target_names)
    return _numbers(arrays, rows), chosen


def _from_file(data: TabularData, checkpoint: dict[str, Any], path: str) -> tuple[np.ndarray, Arrays]:
    if not hasattr(data, "arrays_of"):
        law = "only a run that was trained on a table can score a file"
        raise ConfigError(law, type(data).__name__, "python -m src.train data=table data.path=… data.target=…")
    data.load_state_dict(checkpoint[type(data).__qualname__])
    arrays = data.arrays_of(path)
    return _numbers(arrays, np.arange(len(arrays.features))), arrays


def _numbers(arrays: Arrays, rows: np.ndarray) -> np.ndarray:
    return rows if arrays.row_numbers is None else arrays.row_numbers[rows]


def _metrics(predicted: Tensor, targets: Tensor, loss: Any, std: Tensor, names: list[str]) -> dict[str, float]:
    """Loss, MAE and R² (standardised values in, the user's units out), and of each target where there are several."""
    known = torch.isfinite(targets).all(dim=1)
    if not known.any():
        return {}
    predicted, targets = predicted[known], targets[known]

    def scores(columns: Any) -> dict[str, float]:
        summed = Scores(std[columns], getattr(loss, "reduction", "mean"))
        summed.add(loss(predicted[:, columns], targets[:, columns]), predicted[:, columns], targets[:, columns])
        return {name: float(value) for name, value in summed.summed_up().items()}

    each = {f"{m} {name}": v for i, name in enumerate(names) for m, v in scores([i]).items() if m != "loss"}
    return scores(slice(None)) | (each if len(names) > 1 else {})


def _write(scored: Scored, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(_frame(scored).write_csv())
    except OSError as error:
        law = "output must be a file that can be written"
        raise ConfigError(law, f"{target}: {error.strerror}", "output=predictions.csv") from error


def _frame(scored: Scored) -> pl.DataFrame:
    columns: dict[str, np.ndarray] = {"row": scored.rows}
    for i, name in enumerate(scored.arrays.target_names):
        columns |= {name: scored.arrays.targets[:, i], f"{name}_predicted": scored.predictions[:, i]}
    return pl.DataFrame(columns)


def _track(folder: Path, record: Record, config: DictConfig, metrics: dict[str, float]) -> None:
    """Tracks the scores beside the run that they judge, in a W&B run of job type `evaluate`."""
    settings = Tracking(**OmegaConf.to_container(config.tracking, resolve=True))  # type: ignore[arg-type]
    about = {"run": str(folder), "wandb_id": record.wandb.get("id"), "key": record.key}
    group = record.wandb.get("group")
    tracker = track(folder, settings, about, name=f"evaluate {record.key}", group=group, job_type="evaluate")
    tracker.finish(metrics, exit_code=0)
