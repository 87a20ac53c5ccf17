"""A finished run's best checkpoint on a split or a new file: scores, predictions, and a W&B run of its own.

Shapes: N rows, O targets.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.text import Text
from torch import Tensor, nn

from src.again import as_it_stood
from src.build import make_data, set_up
from src.cells import csv_of
from src.checkpoints import open_best
from src.commands import command
from src.config import Tracking
from src.consistency import opened
from src.data.base import Arrays, Scale, TabularData
from src.data.laws import check_same, sums_of
from src.errors import ConfigError
from src.instantiate import instantiate
from src.metric_names import MetricName, free_name
from src.places import from_here, short
from src.record import Record, replace_file
from src.record_check import Damaged, one_line
from src.scores import Scores
from src.secrecy import stored
from src.summary import best_epoch, metrics_table, printable
from src.tracking import called_as_stored, track

_NO_ROWS = "the rows have no numbers: the dataset's split_rows() does not say which rows it held out"


@dataclass
class Scored:
    """Predictions on one dataset, in the user's units.

    Attributes:
        rows: (N,) row numbers in the file (from 0 below its header, empty lines count) or in the dataset, from 0; None
            where a dataset of the user's own does not say which they are.
        target_names: O names.
        targets: (N, O); a target that a new file lacks is NaN.
        predictions: (N, O).
        metrics: loss, MAE and R², over all targets and of each where there are several; empty without targets.
    """

    rows: np.ndarray | None
    target_names: list[str]
    targets: np.ndarray
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
    config = as_it_stood(config, folder)
    scored = predict(config, open_best(folder, record), split, path)
    target = from_here(output) if output else folder / "predictions.csv"
    _write(scored, target)  # before anything is told or tracked: it may not be possible
    console = Console()
    if scored.metrics:
        label = Path(path).name if path else split  # a file that is called train.csv is not the train split
        named = {f"{label}/{name}": value for name, value in scored.metrics.items()}
        title = f"{folder.name}{best_epoch(record)}"
        console.print(metrics_table(named, title, console.width))
        _track(folder, record, config, named)
    notes = [*_renamed(scored.target_names), *([_NO_ROWS] if scored.rows is None else [])]
    for line in ["", *notes, f"{len(scored.predictions)} predictions in {short(target)}"]:
        console.print(Text(printable(line)), soft_wrap=True, highlight=False)
    return scored


def predict(config: DictConfig, checkpoint: dict[str, Any], split: str, path: str | None) -> Scored:
    """Predictions of a checkpoint on a split of the run's own data, or on a new file."""
    state = checkpoint["state_dict"]
    scale = Scale(*(state[name] for name in Scale.__annotations__))
    dtype = next(value.dtype for name, value in state.items() if name.startswith("net."))
    data = make_data(config.data)
    if own := checkpoint.get(type(data).__qualname__):
        data.load_state_dict(own)
    precision = torch.promote_types(dtype, data.dtype)  # as it trained: float64 is not rounded
    if path:
        data.dtype = precision
        scored = _from_file(data, path, scale)
    else:
        _check_loader(data, split)
        set_up(data, precision)
        check_same(checkpoint.get("splits"), sums_of(data), type(data).__name__)
        scored = _from_split(data, split, scale)
    net = instantiate(config.model, input_dim=len(scale.feature_mean), output_dim=len(scale.target_mean))
    weights = {name.removeprefix("net."): value for name, value in state.items() if name.startswith("net.")}
    try:
        net.to(dtype).load_state_dict(weights)
    except RuntimeError as error:
        raise Damaged("the checkpoint's weights are not those of this run's model", one_line(error)) from error
    with torch.inference_mode():
        predicted = net.eval()(scored.features.to(dtype)).double()
    loss = instantiate(config.loss)
    loss = loss.double() if isinstance(loss, nn.Module) else loss
    if own := {name.removeprefix("loss."): value for name, value in state.items() if name.startswith("loss.")}:
        loss.load_state_dict(own)
    metrics = _metrics(predicted, scored.scaled.double(), loss, scale.target_std, scored.target_names)
    in_units = (predicted * scale.target_std + scale.target_mean).numpy()
    return Scored(scored.rows, scored.target_names, scored.targets, in_units, metrics)


@dataclass
class _ToScore:
    """What is scored: standardised features (N, D) and targets (N, O), and what `Scored` says of them."""

    features: Tensor
    scaled: Tensor
    rows: np.ndarray | None
    target_names: list[str]
    targets: np.ndarray


def _from_split(data: TabularData, split: str, scale: Scale) -> _ToScore:
    """The tensors that training held out, whichever way the dataset came to them."""
    features, scaled = data.split(split)
    if not len(features):
        raise ConfigError(f"this run has no {split} split", f"data.{split}_fraction=0", "split=train")
    rows, targets = _in_units(data, split)
    if targets is None:
        targets = (scaled.double() * scale.target_std + scale.target_mean).numpy()
    names = getattr(data, "target_names", None) or [f"y{i}" for i in range(scaled.shape[1])]
    return _ToScore(features, scaled, rows, list(names), targets)


def _in_units(data: TabularData, split: str) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Numbers and targets of a split's rows; None where the rows that the dataset names are not those of its split."""
    if split not in getattr(data, "rows", {}):
        return None, None
    rows, arrays = data.rows[split], data.arrays(data.rows["train"])
    if not all(map(_equal, data.scaled(arrays, rows), data.split(split))):
        return None, None
    return _numbers(arrays, rows), arrays.targets[rows]


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(one, other)


def _check_loader(data: TabularData, split: str) -> None:
    """Scoring takes a split as `split` gives it, so training must have done so."""
    for name in (f"{split}_dataloader", "_batches", "_whole"):
        if getattr(type(data), name, None) is not getattr(TabularData, name):
            owner = type(data).__name__
            law = f"src.evaluate scores what {owner}.split({split!r}) gives, and cannot know what its loader does"
            raise ConfigError(law, f"{owner} overrides {name}", f"override split_rows() or split() instead of {name}")


def _from_file(data: TabularData, path: str, scale: Scale) -> _ToScore:
    if not hasattr(data, "arrays_of"):
        law = "only a run that was trained on a table can score a file"
        raise ConfigError(law, type(data).__name__, command("train", "data=table", "data.path=…", "data.target=…"))
    arrays = data.arrays_of(path)
    rows = _numbers(arrays, np.arange(len(arrays.features)))
    return _ToScore(*data.scaled(arrays, scale=scale), rows, arrays.target_names, arrays.targets)


def _numbers(arrays: Arrays, rows: np.ndarray) -> np.ndarray:
    return rows if arrays.row_numbers is None else arrays.row_numbers[rows]


def _metrics(predicted: Tensor, targets: Tensor, loss: Any, std: Tensor, names: list[str]) -> dict[str, float]:
    """Loss, MAE and R² (standardised values in, the user's units out), and of each target where there are several."""
    known = torch.isfinite(targets).all(dim=1)
    if not known.any():
        return {}
    predicted, targets = predicted[known], targets[known]

    with torch.inference_mode():
        whole = loss(predicted, targets)  # of all targets at once: it may have a weight for each

    def scores(columns: Any) -> dict[str, float]:
        summed = Scores(std[columns], getattr(loss, "reduction", "mean"))
        summed.add(whole, predicted[:, columns], targets[:, columns])
        return {name: float(value) for name, value in summed.summed_up().items()}

    metrics = scores(slice(None))
    for i, name in enumerate(names if len(names) > 1 else []):
        of_one = scores([i])
        metrics |= {str(MetricName("", metric, name)): of_one[metric] for metric in ("mae", "r2")}
    return metrics


def _write(scored: Scored, target: Path) -> None:
    try:
        replace_file(target, csv_of(_frame(scored)))
    except OSError as error:
        law = "output must be a file that can be written"
        raise ConfigError(law, f"{target}: {error.strerror}", "output=predictions.csv") from error


def _frame(scored: Scored) -> pl.DataFrame:
    rows, *predicted = column_names(scored.target_names)
    numbers = [None] * len(scored.predictions) if scored.rows is None else scored.rows
    columns = [pl.Series(rows, numbers, dtype=pl.Int64)]
    for i, (name, prediction) in enumerate(zip(scored.target_names, predicted, strict=True)):
        columns += [pl.Series(name, scored.targets[:, i]), pl.Series(prediction, scored.predictions[:, i])]
    return pl.DataFrame(columns)


def column_names(targets: Sequence[str]) -> list[str]:
    """The columns of `predictions.csv` beside the targets: `row`, and `<target>_predicted` of each target.

    A target keeps its name. Where one has a name that is needed here, an underscore sets the other apart.
    """
    names: list[str] = []
    for wanted in ["row", *(f"{target}_predicted" for target in targets)]:
        names.append(free_name(wanted, {*targets, *names}))
    return names


def _renamed(targets: Sequence[str]) -> list[str]:
    """A line for each column that is not called as usual."""
    usual = ["row", *(f"{target}_predicted" for target in targets)]
    pairs = zip(usual, column_names(targets), strict=True)
    return [f"column {name!r} holds what is usually in {wanted!r}" for wanted, name in pairs if name != wanted]


def _track(folder: Path, record: Record, config: DictConfig, metrics: dict[str, float]) -> None:
    """Tracks the scores beside the run that they judge, in a W&B run of job type `evaluate`."""
    settings = Tracking(**OmegaConf.to_container(config.tracking, resolve=True))  # type: ignore[arg-type]
    settings = called_as_stored(settings, {"tracking": stored(config.tracking)})
    about = {"run": str(folder), "wandb_id": record.wandb.get("id"), "key": record.key}
    group = record.wandb.get("group")
    tracker = track(folder, settings, about, name=f"evaluate {record.key}", group=group, job_type="evaluate")
    tracker.finish(metrics, exit_code=0)
