"""The README's pictures of a report: `python -m tests.report.screenshots`, or `make screenshots`.

Trains a sweep of 576 trials if it is not there, and writes `.github/images/`.
"""

import base64
import io
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console

from src.report.terminal import show
from src.report.write import write_report
from tests.conftest import ROOT
from tests.report.browser import CHROMIUM, DRIVER, Browser, browser

IMAGES = ROOT / ".github" / "images"
SWEEP = ROOT / "outputs" / "sweeps" / "widths_and_rates"
GRID = (
    "optimizer=adamw",
    "optimizer.lr=1e-4,3e-4,1e-3,3e-3,1e-2,3e-2,1e-1,3e-1",
    "optimizer.weight_decay=1e-3,1e-2,1e-1",
    "model.hidden_dim=8,32,128",
    "seed=range(8)",
)
WIDTH = 1240


def main() -> None:
    """Writes the pictures."""
    if not (CHROMIUM and DRIVER):
        raise SystemExit("screenshots need chromium and chromedriver on the PATH")
    words = ["-m", "tracking=disabled", "trainer.max_epochs=60", f"sweep.name={SWEEP.name}", *GRID]
    subprocess.run([sys.executable, "-m", "src.train", *words], cwd=ROOT, check=True)
    report = write_report([SWEEP])
    IMAGES.mkdir(parents=True, exist_ok=True)
    console = Console(record=True, width=106, file=io.StringIO())
    show(report, console)
    svg = console.export_svg(title=f"python -m src.report outputs/sweeps/{SWEEP.name}", code_format=_format())
    (IMAGES / "terminal.svg").write_text(svg)
    with tempfile.TemporaryDirectory() as profile, browser(Path(profile)) as chromium:
        for scheme, (first, last) in {"light": ("header", "#curves"), "dark": ("#parallel", "#states")}.items():
            chromium.open(report.page, WIDTH, scheme)
            (IMAGES / f"report_{scheme}.png").write_bytes(_picture(chromium, first, last))


def _picture(chromium: Browser, first: str, last: str) -> bytes:
    """The page from the top of one element to the end of another."""
    chromium.run("for (const bar of document.querySelectorAll('.modebar')) bar.remove()")
    edge = "return document.querySelector(arguments[0]).getBoundingClientRect()[arguments[1]] + scrollY"
    top, end = chromium.run(edge, first, "top"), chromium.run(edge, last, "bottom")
    clip = {"x": 0, "y": max(top - 12, 0), "width": WIDTH, "height": end - max(top - 12, 0) + 16, "scale": 1}
    shot = chromium.driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
    return base64.b64decode(shot["data"])


def _format() -> str:
    """Rich's, without its links to fonts: a picture of the README asks no other host for anything."""
    return re.sub(r"@font-face \{\{.*?\}\}\n|<!--.*?-->", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)


if __name__ == "__main__":
    main()
