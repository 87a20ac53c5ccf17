"""Runs the experiment's studies and writes its result: `python -m experiments.search.compare`.

A study that is there already is not searched again.
"""

import json
import subprocess
import sys
from itertools import product
from multiprocessing.pool import ThreadPool
from pathlib import Path

import altair as alt
import polars as pl
from scipy import stats

from experiments.learning_rate.sweep import holm, mean_interval
from src.provenance import commits, provenance
from src.record import read, read_history

RESULT = Path(__file__).parent / "result"
SWEEPS = Path("outputs/sweeps")
REPEATS = range(12)
SPACE = (
    "optimizer.lr=tag(log,interval(1e-4,1))",
    "optimizer.weight_decay=tag(log,interval(1e-6,1e-1))",
    "optimizer.betas=[0.9,0.999],[0.5,0.999],[0.9,0.9]",
)
PROBLEMS = {
    "diabetes": (),
    "teacher": ("data=synthetic", "data.num_rows=1000", "data.input_dim=20", "data.output_dim=1", "data.teacher_dim=8",
                "data.batch_size=32"),
}  # fmt: skip
HALVING = ("hydra/sweeper/pruner=halving", "hydra.sweeper.pruner.min_epochs=6")
FULL = ("hydra.sweeper.num_trials=63",)
METHODS = {
    "random": ("hydra/sweeper/sampler=random", *FULL),
    "tpe, 4 at once": ("hydra.sweeper.batch_size=4", *FULL),
    "tpe, 8 at once": ("hydra.sweeper.batch_size=8", *FULL),
    "tpe, 32 at once": ("hydra.sweeper.batch_size=32", *FULL),
    "random + halving": ("hydra/sweeper/sampler=random", *HALVING, "hydra.sweeper.num_trials=243"),
    # More of TPE's later suggestions pass the rungs: so many take about the same trial-epochs.
    "tpe + halving, 32 at once": ("hydra.sweeper.batch_size=32", *HALVING, "hydra.sweeper.num_trials=192"),
}
PAIRS = [(method, "random") for method in METHODS if method != "random"] + [
    ("tpe, 4 at once", "tpe, 8 at once"),
    ("tpe, 4 at once", "tpe, 32 at once"),
]
"""Which method is compared with which other."""
Study = tuple[str, str, int]


def folder_of(study: Study) -> Path:
    """The sweep folder of a problem, a method and a repeat."""
    problem, method, repeat = study
    return SWEEPS / f"search-{problem}-{method.replace(' ', '').replace(',', '-')}-{repeat}"


def search(study: Study) -> None:
    """One study; what its command prints goes to a log beside its folder."""
    problem, method, repeat = study
    folder = folder_of(study)
    # The same repeat is the same split for every method: differences are paired.
    seeds = [f"hydra.sweeper.seed={repeat}", f"seed={repeat}", f"data.seed={repeat}"]
    words = ["experiment=search", f"sweep.name={folder.name}", *PROBLEMS[problem], *METHODS[method], *seeds, *SPACE]
    command = [sys.executable, "-m", "src.train", "-m", "hydra/sweeper=optuna", *words]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".log").open("w") as log:
        subprocess.run(command, check=True, stdout=log, stderr=log)


def measured(study: Study) -> dict[str, object]:
    """What a study found: its best trial's losses, and the epochs of all trials that it took."""
    folders = [path.parent for path in folder_of(study).glob("*/record.json")]
    finished = [record for record in map(read, folders) if record.status == "finished" and record.objective is not None]
    best = min(finished, key=lambda record: record.objective or 0)
    epochs = sum(len(read_history(folder)) for folder in folders)
    losses = {"val": best.objective or 0.0, "test": best.metrics["test/loss"] or 0.0}
    about = dict(zip(("problem", "method", "repeat"), study, strict=True))
    return about | losses | {"trials": len(folders), "trial_epochs": epochs}


def means(frame: pl.DataFrame) -> pl.DataFrame:
    """What each method comes to: the mean over repeats of its losses and of its cost."""
    values = pl.col("trials", "trial_epochs", "val", "test").mean()
    return frame.group_by("problem", "method", maintain_order=True).agg(values)


def gains(frame: pl.DataFrame) -> pl.DataFrame:
    """How much lower a method's loss is than another's, paired by repeat.

    With the 95 % interval of the mean (Student's t), and the p-value of its being 0, as it is and adjusted for the
    number of comparisons in the table (Holm).
    """
    rows = []
    for problem, (method, other), split in product(PROBLEMS, PAIRS, ("val", "test")):
        own, others = (frame.filter(problem=problem, method=name).sort("repeat")[split] for name in (method, other))
        gain, low, high = mean_interval((others - own).to_numpy())
        p = float(stats.ttest_rel(others, own).pvalue)
        row = {"problem": problem, "method": method, "against": other, "split": split}
        rows.append(row | {"gain": gain, "low": low, "high": high, "p": p})
    table = pl.DataFrame(rows)
    return table.with_columns(p_holm=pl.Series(holm(table["p"].to_list())))


def draw(table: pl.DataFrame) -> alt.FacetChart:
    """How much lower than random search's each method's loss is, with its interval."""
    values = table.filter(against="random").to_dicts()
    base = alt.Chart().encode(
        y=alt.Y("method:N", sort=list(METHODS), title=None),
        color=alt.Color("split:N", title="loss"),
        yOffset="split:N",
    )
    dots = base.mark_point(filled=True, size=50).encode(x=alt.X("gain:Q", title="random search's loss - its own"))
    lines = base.mark_rule().encode(x="low:Q", x2="high:Q")
    zero = alt.Chart().mark_rule(strokeDash=[3, 3], color="grey").encode(x=alt.datum(0))
    chart = alt.layer(zero, lines, dots, data=alt.Data(values=values)).properties(width=330, height=220)
    return chart.facet(column=alt.Column("problem:N", title=None)).resolve_scale(x="independent")


def main() -> None:
    """Searches what is missing and writes `result/`."""
    source = provenance({}, "cpu")  # before the result changes what it says of the code
    studies = list(product(PROBLEMS, METHODS, REPEATS))
    with ThreadPool(2) as pool:
        for _ in pool.imap_unordered(search, studies):
            print(".", end="", flush=True)
    paths = [path for study in studies for path in folder_of(study).glob("*/record.json")]
    source["trained_by"] = commits(read(path.parent).provenance for path in paths)
    frame = pl.DataFrame([measured(study) for study in studies])
    table = gains(frame)
    RESULT.mkdir(exist_ok=True)
    frame.write_csv(RESULT / "studies.csv", float_precision=5)
    means(frame).write_csv(RESULT / "table.csv", float_precision=5)
    table.write_csv(RESULT / "gains.csv", float_precision=5)
    draw(table).save(RESULT / "gains.svg")
    (RESULT / "provenance.json").write_text(json.dumps(source, indent=2) + "\n")
    with pl.Config(tbl_rows=-1, tbl_cols=-1, fmt_str_lengths=40, tbl_width_chars=200):
        print(means(frame), table)


if __name__ == "__main__":
    main()
