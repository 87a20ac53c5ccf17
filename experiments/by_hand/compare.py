"""Trains the notes' net four ways by hand and with the pipeline, from one start; writes `result/`.

    python -m experiments.by_hand.compare

In half a minute it leaves `table.csv`, `curves.svg` and `provenance.json`. The README says what came out.
"""

import contextlib
import csv
import io
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from src import by_hand, naming
from src.build import build
from src.by_hand import Start, Trained, Weights
from src.check import check
from src.provenance import provenance
from src.record import Row, read_history
from src.run import fit

HERE = Path(__file__).parent
CONF = HERE.parent.parent / "conf"
STEPS = 500
LR = {"sgd": 1e-6, "adam": 1e-4}
PRECISION = {"float64": "64", "float32": "32"}
WAYS: dict[str, tuple[str, Callable[[Start, int, float], Trained]]] = {
    "1 tensors alone": ("sgd", by_hand.tensors_alone),
    "2 autograd": ("sgd", by_hand.with_autograd),
    "3 nn.Sequential": ("sgd", by_hand.with_sequential),
    "4 Adam": ("adam", by_hand.with_adam),
}
"""By name: the optimizer with which the pipeline takes the same steps, and the function."""
TRAINER = "Trainer"
COLUMNS = [
    "way", "against", "optimizer", "steps", "dtype", "final_loss", "losses_apart", "weights_apart", "weights_moved",
]  # fmt: skip


class Result(NamedTuple):
    """One training: who did it, what it is held against, and what came out."""

    way: str
    against: str
    optimizer: str
    dtype: str
    start: Start
    trained: Trained


def main() -> None:
    """Trains all, and writes the table, the figure and where they come from."""
    naming.register()
    out = HERE / "result"
    out.mkdir(exist_ok=True)
    results = list(all_results())
    write_table(results, out / "table.csv")
    draw(results, out / "curves.svg")
    cfg = check(composed())
    about = provenance({"seed": cfg.seed, "data.seed": cfg.data.seed}, cfg.trainer.accelerator)
    (out / "provenance.json").write_text(json.dumps(about, indent=2) + "\n")
    print((out / "table.csv").read_text(), end="")


def composed(optimizer: str = "sgd", dtype: str = "float64", steps: int = STEPS, *overrides: str) -> DictConfig:
    """The config of `python -m src.train experiment=by_hand`, with an optimizer and its learning rate in the notes."""
    told = [f"optimizer={optimizer}", f"optimizer.lr={LR[optimizer]}", f"trainer.precision={PRECISION[dtype]}"]
    told += ["experiment=by_hand", "tracking=disabled", f"trainer.max_epochs={steps}", *overrides]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("train", told)


def start_of(config: DictConfig) -> Start:
    """The data and the first weights that the pipeline makes of a config."""
    run = build(check(config))
    x, y = run.data.split("train")
    # Trainer.fit casts the weights in the same way: they are drawn in float32 whatever the precision.
    return Start(x, y, {name: weight.to(x.dtype) for name, weight in run.module.net.state_dict().items()})


def train(config: DictConfig) -> tuple[list[Row], Weights]:
    """Trains a config as `python -m src.train` does: the history in its run folder, and the last weights."""
    with tempfile.TemporaryDirectory() as name, contextlib.redirect_stdout(io.StringIO()):
        folder = Path(name)
        (folder / ".hydra").mkdir()
        OmegaConf.save(config, folder / ".hydra" / "config.yaml")
        fit(check(config), folder, config, [])
        state = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        return read_history(folder), {name: state[f"net.{name}"] for name in by_hand.WEIGHT_NAMES}


def all_results() -> Iterator[Result]:
    """For each dtype and optimizer the pipeline's training, those by hand that should equal it, and a control.

    The control is a way by hand held against itself with its rows in reverse: what rounding alone does, since a sum
    over rows in another order is rounded in another way. The pipeline too takes the rows in an order of its own.
    """
    for dtype in PRECISION:
        for optimizer, lr in LR.items():
            config = composed(optimizer, dtype)
            start, (rows, weights) = start_of(config), train(config)
            trained = Trained([row["train/loss"] for row in rows], weights)
            yield Result(TRAINER, TRAINER, optimizer, dtype, start, trained)
            ways = {way: function for way, (its_optimizer, function) in WAYS.items() if its_optimizer == optimizer}
            for way, function in ways.items():
                yield Result(way, TRAINER, optimizer, dtype, start, function(start, STEPS, lr))
            other_order = function(start._replace(x=start.x.flip(0), y=start.y.flip(0)), STEPS, lr)
            yield Result(f"{way} (rows reversed)", way, optimizer, dtype, start, other_order)


def losses_apart(one: Trained, other: Trained) -> float:
    """The largest relative difference of two loss histories."""
    return max(abs(a - b) / abs(b) for a, b in zip(one.losses, other.losses, strict=True))


def weights_apart(one: Weights, other: Weights) -> float:
    """The largest difference of two weights, relative to the largest weight of the same tensor."""
    return max(float((one[name] - weight).abs().max() / weight.abs().max()) for name, weight in other.items())


def write_table(results: list[Result], path: Path) -> None:
    """A row for each training, with its distance from the one it is held against and from its start."""
    trained_by = {(result.way, result.optimizer, result.dtype): result.trained for result in results}
    with path.open("w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(COLUMNS)
        for way, against, optimizer, dtype, start, trained in results:
            other = trained_by[against, optimizer, dtype]
            apart = losses_apart(trained, other), weights_apart(trained.weights, other.weights)
            moved = weights_apart(trained.weights, start.weights)
            told = [f"{number:.1e}" for number in (*apart, moved)]
            out.writerow([way, against, optimizer, len(trained.losses), dtype, f"{trained.losses[-1]:.10g}", *told])


def draw(results: list[Result], path: Path) -> None:
    """The losses in float64: the Trainer's as a broad band, those by hand as marks on it, each way at its own steps."""
    import altair as alt  # here: the tests compare without it

    shown = [result for result in results if result.dtype == "float64" and result.against == TRAINER]
    order = [TRAINER, *WAYS]
    colours = alt.Scale(domain=order, range=["#c9d3df", "#1b4965", "#d1495b", "#edae49", "#00798c"])
    shapes = alt.Scale(domain=order, range=["stroke", "circle", "square", "triangle-up", "diamond"])
    panels = []
    for optimizer, lr in LR.items():
        rows = [
            {"step": step, "loss": loss, "way": result.way, "mark": (step + 10 * order.index(result.way)) % 40 == 0}
            for result in shown
            if result.optimizer == optimizer
            for step, loss in enumerate(result.trained.losses)
        ]
        base = alt.Chart(alt.Data(values=rows)).encode(
            alt.X("step:Q", title="step"),
            alt.Y(
                "loss:Q",
                title="sum of squared errors",
                scale=alt.Scale(type="log" if optimizer == "adam" else "linear", zero=False),
            ),
            alt.Color("way:N", scale=colours, sort=order, title=None),
        )
        band = base.transform_filter(f"datum.way === '{TRAINER}'").mark_line(strokeWidth=9, strokeCap="round")
        marks = (
            base.transform_filter(f"datum.mark && datum.way !== '{TRAINER}'")
            .mark_point(size=42, filled=True, opacity=1)
            .encode(alt.Shape("way:N", scale=shapes, sort=order, title=None))
        )
        panels.append(
            (band + marks).properties(title=f"optimizer={optimizer} optimizer.lr={lr}", width=340, height=260)
        )
    chart = alt.hconcat(*panels).resolve_scale(color="shared", shape="shared")
    chart.configure_axis(labelFontSize=12, titleFontSize=13).configure_title(fontSize=14).configure_legend(
        labelFontSize=13, symbolSize=120, orient="bottom"
    ).save(path)


if __name__ == "__main__":
    main()
