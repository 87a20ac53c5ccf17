"""Seconds per training step: the hand-written loop, what people write with Lightning, and Tandem's own run."""

import contextlib
import io
import tempfile
import time
from pathlib import Path
from statistics import median

import torch

from src.build import build
from src.check import check
from src.models import TwoLayerNet
from src.run import fit
from tests.benchmarks.plain import PlainModule, plain_fit, plain_loaders
from tests.benchmarks.table import save, spread
from tests.conftest import composed, write_hydra_folder

STEPS_PER_EPOCH = 100
SIZES = {"64x1000x100x10": (64, 1000, 100, 10, 5), "32x10x32x1": (32, 10, 32, 1, 20)}
"""Batch, inputs, hidden units, outputs, epochs of one repeat."""


def by_hand(sizes: tuple[int, int, int, int, int], fused: bool) -> float:
    """The Adam loop of the notes, on one fixed batch; seconds per step."""
    rows, inputs, hidden, outputs, epochs = sizes
    x, y = torch.randn(rows, inputs), torch.randn(rows, outputs)
    net, loss_fn = TwoLayerNet(inputs, hidden, outputs), torch.nn.MSELoss()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=fused)
    steps = STEPS_PER_EPOCH * epochs
    started = time.perf_counter()
    for _ in range(steps):
        loss = loss_fn(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return (time.perf_counter() - started) / steps


def by_hand_in_full(sizes: tuple[int, int, int, int, int]) -> float:
    """The fused loop on the data, batches and validation that Lightning's ways have; seconds per step."""
    rows, inputs, hidden, outputs, epochs = sizes
    data = build(check(composed(*overrides(sizes, torch.get_num_threads())))).data
    (x, y), (val_x, val_y) = data.split("train"), data.split("val")
    net, loss_fn = TwoLayerNet(inputs, hidden, outputs), torch.nn.MSELoss()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)
    started, steps = time.perf_counter(), 0
    for _ in range(epochs):
        for chosen in torch.randperm(len(x)).split(rows):
            loss = loss_fn(net(x[chosen]), y[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            steps += 1
        with torch.no_grad():
            for some_x, some_y in zip(val_x.split(rows), val_y.split(rows), strict=True):
                loss_fn(net(some_x), some_y)
    return (time.perf_counter() - started) / steps


def overrides(sizes: tuple[int, int, int, int, int], threads: int) -> list[str]:
    rows, inputs, hidden, outputs, epochs = sizes
    num_rows = round(rows * STEPS_PER_EPOCH / 0.7)
    data = f"data=synthetic data.num_rows={num_rows} data.input_dim={inputs} data.output_dim={outputs}"
    rest = f"model.hidden_dim={hidden} num_threads={threads} trainer=cpu trainer.max_epochs={epochs}"
    return f"{data} data.batch_size={rows} {rest}".split()


def tandem(sizes: tuple[int, int, int, int, int], threads: int) -> float:
    """Tandem's own run: validation every epoch, record, history, checkpoints, offline W&B; seconds per step."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        config = composed(*overrides(sizes, threads))
        write_hydra_folder(Path(folder), config)
        record = fit(check(config), Path(folder), config, [])
    return 1 / record.timing["steps_per_second"]


def plain(sizes: tuple[int, int, int, int, int], threads: int) -> float:
    """A plain LightningModule that logs every step, validated and tracked; seconds per step."""
    rows, inputs, hidden, outputs, epochs = sizes
    data = build(check(composed(*overrides(sizes, threads)))).data
    loaders = plain_loaders(data.split("train"), data.split("val"), rows)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
        started = time.perf_counter()
        plain_fit(PlainModule(inputs, hidden, outputs, 1e-3), loaders, epochs, Path(folder), tracked=True)
        return (time.perf_counter() - started) / (epochs * len(loaders[0]))


def measured(sizes: tuple[int, int, int, int, int], threads: int, repeats: int) -> dict[str, list[float]]:
    """Microseconds a step of every way, interleaved; each goes once before, to pay for caches and imports."""
    torch.set_num_threads(threads)
    ways = {
        "by hand, Adam": lambda: by_hand(sizes, fused=False),
        "by hand, fused Adam": lambda: by_hand(sizes, fused=True),
        "by hand, fused Adam, fresh batches, validated": lambda: by_hand_in_full(sizes),
        "plain LightningModule, logs every step": lambda: plain(sizes, threads),
        "Tandem": lambda: tandem(sizes, threads),
    }
    times: dict[str, list[float]] = {way: [] for way in ways}
    for repeat in range(repeats + 1):
        for way, measure in ways.items():
            seconds = measure()
            if repeat:
                times[way].append(seconds * 1e6)
    return times


def main(repeats: int = 5) -> None:
    """Measures all and writes `results/steps.md`."""
    rows = []
    for name, sizes in SIZES.items():
        for threads in (1, 2):
            times = measured(sizes, threads, repeats)
            yardstick = median(times["by hand, Adam"])
            rows += [(name, threads, way, spread(us), f"{median(us) / yardstick:.2f}") for way, us in times.items()]
    columns = ["batch x inputs x hidden x outputs", "threads", "what", "µs a step, median (middle half)", "ratio"]
    notes = (
        f"Lightning's ways take epochs of {STEPS_PER_EPOCH} steps, each followed by a validation, with offline "
        "tracking; theirs is the whole fit divided by its steps. The first two hand-written loops see one fixed batch, "
        "which stays in the cache, and are not validated. The ratio is to the first, the Adam loop of the notes."
    )
    save("steps", "Time of a training step", columns, rows, notes)


if __name__ == "__main__":
    main()
