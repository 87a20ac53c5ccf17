"""What `tracking=online` costs a training, with a server that works and with each way of failing.

Diabetes, 32 hidden units, 400 epochs. Every measurement is a command in a process of its own, and a stand-in server on
loopback that fails either from the start or once the first rows have arrived.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from src.record import read, read_history
from tests.benchmarks.table import save
from tests.online.server import KEY, Server

ROOT = Path(__file__).parent.parent.parent
COMMAND = ["-m", "src.train", "hydra.run.dir=run", "trainer.max_epochs=400", "trainer.accelerator=cpu"]
FAULTS = ["none", "no key", "wrong key", "refused", "hang", "500", "429", "close"]
LATER = ["hang", "500", "429", "close", "away"]


def measure(fault: str, mode: str = "online", later: bool = False) -> list[str]:
    """A row of the table: training, end of the process, and rows on the server before and after `src.sync`."""
    server = Server()
    with tempfile.TemporaryDirectory() as place:
        settings = {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": KEY, "HOME": place, "PYTHONPATH": str(ROOT)}
        _break(server, settings, fault, later)
        folder = Path(place) / "run"
        _run(place, settings, *COMMAND, f"tracking={mode}")
        ended = time.time() - (folder / "metrics.csv").stat().st_mtime
        before = _arrived(server)
        record, rows = read(folder), len(read_history(folder))
        _mend(server, settings)
        if mode == "online":
            _run(place, settings, "-m", "src.sync", "run")
        name = f"{fault}, in the middle" if later else fault if mode == "online" else f"tracking={mode}"
        after = _arrived(server)
        if server.listens:
            server.stop()
    return [name, f"{record.timing['fit_seconds']:.2f}", f"{ended:.1f}", str(rows), str(before), str(after)]


def _run(place: str, settings: dict[str, str], *words: str) -> None:
    quiet = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")} | settings
    subprocess.run([sys.executable, *words], cwd=place, env=quiet, check=True, capture_output=True)


def _break(server: Server, settings: dict[str, str], fault: str, later: bool) -> None:
    kind: int | str | None = int(fault) if fault.isdigit() else fault if fault in ("hang", "close", "away") else None
    if fault == "no key":
        del settings["WANDB_API_KEY"]
    elif fault == "wrong key":
        settings["WANDB_API_KEY"] = "0" * 40
    elif fault == "refused":
        server.stop()
    elif later and kind is not None:
        server.fault_after = ("file_stream", kind)
    else:
        server.fault = kind


def _mend(server: Server, settings: dict[str, str]) -> None:
    settings["WANDB_API_KEY"] = KEY
    if server.listens:
        server.stop()
    server.fault = server.fault_after = None
    server.start()


def _arrived(server: Server) -> int:
    return sum(len(run.by_step()) for run in server.runs.values())


def main() -> None:
    """Measures all of it three times, in turns, and saves the medians."""
    cases: list[tuple[str, str, bool]] = [("none", "disabled", False), ("none", "offline", False)]
    cases += [(fault, "online", False) for fault in FAULTS] + [(fault, "online", True) for fault in LATER]
    rounds = [[measure(*case) for case in cases] for _ in range(3)]
    rows = [[names[0], *(f"{median(map(float, cells)):g}" for cells in columns)]
            for names, *columns in (zip(*found, strict=True) for found in zip(*rounds, strict=True))]  # fmt: skip
    head = ["fault", "training, s", "from its end to the process's, s", "rows", "on the server", "after src.sync"]
    notes = "Medians of three. Training is `fit_seconds`; its end is when the last row was written."
    save("online", "Online tracking that never hurts", head, rows, notes)


if __name__ == "__main__":
    main()
