"""Trains the experiment's sweep and writes its result: `python -m experiments.learning_rate.sweep`.

A sweep that is there already is not trained again.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import altair as alt
import numpy as np
import polars as pl
from scipy import stats

from src.provenance import commits, provenance
from src.record import read

RESULT = Path(__file__).parent / "result"
SWEEP = Path("outputs/sweeps/learning_rate")
RATES = [float(f"{10 ** (-5 + 0.3 * step):.3g}") for step in range(16)]
SEEDS, SPLITS = 32, 4
PLATEAU = (3e-4, 2e-2)  # read off the curve: nothing that is said of it was foreseen
DEFAULT = 1.26e-3  # the rate nearest to the default config's


def train() -> None:
    """16 learning rates x 32 seeds x 4 splits of the data: 2,048 trials, one stack or more for each split."""
    words = ["experiment=learning_rate", f"sweep.name={SWEEP.name}", f"optimizer.lr={','.join(map(str, RATES))}"]
    words += [f"seed=range({SEEDS})", f"data.seed=range({SPLITS})"]
    subprocess.run([sys.executable, "-m", "src.train", "-m", *words], check=True)


def trials() -> pl.DataFrame:
    """One row per trial: split, rate, seed, best validation loss, test R²."""
    rows = []
    for path in SWEEP.glob("*/record.json"):
        record = read(path.parent)
        told = dict(text.split("=") for text in record.overrides)
        numbers: dict[str, float | None] = {
            "lr": float(told["optimizer.lr"]),
            "seed": int(told["seed"]),
            "split": int(told["data.seed"]),
        }
        rows.append(numbers | {"val_loss": record.objective, "test_r2": record.metrics.get("test/r2")})
    return pl.DataFrame(rows).sort("split", "lr", "seed")


def by_rate(frame: pl.DataFrame) -> pl.DataFrame:
    """Mean and standard deviation over seeds, and the mean's 95 % interval (Student's t), for each split and rate."""
    mean, std = pl.col("val_loss").mean(), pl.col("val_loss").std()
    half = stats.t.ppf(0.975, SEEDS - 1) * std / SEEDS**0.5
    return (
        frame.group_by("split", "lr")
        .agg(
            mean.alias("val_loss"),
            std.alias("val_loss_std"),
            (mean - half).alias("low"),
            (mean + half).alias("high"),
            pl.col("test_r2").mean().alias("test_r2"),
            pl.col("test_r2").std().alias("test_r2_std"),
        )
        .sort("split", "lr")
    )


def verdict(frame: pl.DataFrame) -> pl.DataFrame:
    """For each split: what share of the variance the rate explains, and which rates match the best one.

    `eta2` is the share of the validation loss's variance between rates (one-way analysis of variance), of which chance
    alone gives up to about (rates - 1) / (trials - 1); `eta2_near` the same among the rates within a factor of 4 of the
    best; `eta2_plateau` and `eta2_plateau_test` the same of the validation loss and of the test R² among the rates of
    `PLATEAU`. `matching` are the rates whose loss does not come out different from the best rate's: paired t-tests over
    the 32 seeds, Holm's correction, 5 %. The best rate is chosen by the same losses, which the correction does not
    cover: the p-values are too small. `test_gain` is what the best rate's test R² has over that of `DEFAULT`, with its
    95 % interval (Student's t, paired over seeds).
    """
    rows = []
    for split in range(SPLITS):
        losses = _losses(frame, split, "val_loss")
        best = min(losses, key=lambda rate: losses[rate].mean())
        near = {rate: values for rate, values in losses.items() if 0.25 <= rate / best <= 4}
        matching = _matching(losses, best)
        told = {"best": best, "eta2": _eta2(losses), "eta2_near": _eta2(near)}
        for name, column in {"eta2_plateau": "val_loss", "eta2_plateau_test": "test_r2"}.items():
            told[name] = _eta2(_losses(frame.filter(pl.col("lr").is_between(*PLATEAU)), split, column))
        r2 = _losses(frame, split, "test_r2")
        told |= dict(zip(("test_gain", "test_low", "test_high"), mean_interval(r2[best] - r2[DEFAULT]), strict=True))
        rows.append({"split": split} | told | {"matching": " ".join(map(str, matching))})
    return pl.DataFrame(rows)


def _losses(frame: pl.DataFrame, split: int, column: str) -> dict[float, np.ndarray]:
    """A column's values by rate, each over the same seeds in the same order."""
    wide = frame.filter(split=split).pivot("lr", index="seed", values=column).sort("seed").drop("seed")
    return {float(name): wide[name].to_numpy() for name in wide.columns}


def _eta2(groups: dict[float, np.ndarray]) -> float:
    values = np.stack(list(groups.values()))
    between = values.shape[1] * ((values.mean(axis=1) - values.mean()) ** 2).sum()
    return float(between / ((values - values.mean()) ** 2).sum())


def _matching(losses: dict[float, np.ndarray], best: float) -> list[float]:
    others = [rate for rate in losses if rate != best]
    adjusted = holm([float(stats.ttest_rel(losses[rate], losses[best]).pvalue) for rate in others])
    return sorted([best, *(rate for rate, p in zip(others, adjusted, strict=True) if p > 0.05)])


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for their number (Holm 1979, Scandinavian Journal of Statistics 6, 65-70)."""
    p = np.array(p_values)
    order = p.argsort()
    adjusted = np.empty(len(p))
    adjusted[order] = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)).clip(max=1)
    return adjusted.tolist()


def mean_interval(values: np.ndarray) -> tuple[float, float, float]:
    """The mean and its 95 % interval, by Student's t."""
    mean, half = values.mean(), stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
    return float(mean), float(mean - half), float(mean + half)


def draw(table: pl.DataFrame) -> alt.LayerChart:
    """Validation loss against the rate, a line per split; bands hold two thirds of the seeds (± one deviation)."""
    shown = table.with_columns(
        lower=pl.col("val_loss") - pl.col("val_loss_std"),
        upper=pl.col("val_loss") + pl.col("val_loss_std"),
        split=pl.col("split").cast(pl.String),
    )
    rate = alt.X("lr:Q", scale=alt.Scale(type="log"), title="optimizer.lr")
    base = alt.Chart(alt.Data(values=shown.to_dicts())).encode(x=rate)
    colour = alt.Color("split:N", title="data.seed")
    band = base.mark_area(opacity=0.2).encode(y=alt.Y("lower:Q", title="best val/loss"), y2="upper:Q", color=colour)
    line = base.mark_line(point=True).encode(y="val_loss:Q", color=colour)
    return (band + line).properties(width=520, height=300)


def main() -> None:
    """Trains what is missing and writes `result/`."""
    source = provenance({}, "cpu")  # before the result changes what it says of the code
    train()
    source["trained_by"] = commits(read(path.parent).provenance for path in SWEEP.glob("*/record.json"))
    frame = trials()
    table, told = by_rate(frame), verdict(frame)
    RESULT.mkdir(exist_ok=True)
    table.write_csv(RESULT / "table.csv", float_precision=5)
    told.write_csv(RESULT / "verdict.csv", float_precision=5)
    draw(table).save(RESULT / "curves.svg")
    (RESULT / "provenance.json").write_text(json.dumps(source, indent=2) + "\n")
    with pl.Config(tbl_rows=-1, tbl_cols=-1, fmt_str_lengths=200, tbl_width_chars=200):
        print(
            table.group_by("lr").agg(pl.col("val_loss", "val_loss_std", "test_r2", "test_r2_std").mean()).sort("lr"),
            told,
        )


if __name__ == "__main__":
    main()
