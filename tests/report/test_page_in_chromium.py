"""The page of a real sweep of 512 trials, opened from disk."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys

from src.report.write import write_report
from tests.report.browser import CHROMIUM, DRIVER, Browser, browser
from tests.report.folders import write_sweep, write_trial
from tests.sweep.commands import SHORT, quick

pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver on the PATH")
GRID = ("optimizer.lr=1e-4,1e-3,1e-2,1e-1", "optimizer.weight_decay=0,1e-4,1e-3,1e-2", "optimizer=adamw,sgd")
EVERY_PLOT = [
    *["curves-0", "curves-1", "parallel", "against-optimizer.lr", "against-optimizer.weight_decay"],
    *["against-optimizer", "importances", "heat", "states"],
]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """512 trials trained by one command, once for all of pytest's processes."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "trained"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "outputs/sweeps/s/report.html").is_file():
            done = quick(folder, "-m", *SHORT, "sweep.name=s", *GRID, "seed=range(16)")
            assert done.returncode == 0, done.stderr
    return folder / "outputs/sweeps/s"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture
def page(sweep: Path, chromium: Browser) -> Browser:
    """The page as it is when it was opened."""
    chromium.open(sweep / "report.html")
    return chromium


@pytest.fixture
def seen(sweep: Path, chromium: Browser) -> Browser:
    """The page, whatever was clicked on it before."""
    if chromium.driver.current_url != (sweep / "report.html").resolve().as_uri():
        chromium.open(sweep / "report.html")
    return chromium


def column(page: Browser, name: str) -> list[str]:
    place = [button.text for button in page.all("#trial-table th button")].index(name) + 1
    return [cell.text for cell in page.all(f"#trial-table td:nth-child({place})")]


def click(page: Browser, name: str) -> None:
    (button,) = (button for button in page.all("#trial-table th button") if button.text == name)
    button.click()


def test_no_error_and_no_request_but_for_the_file_itself(sweep: Path, chromium: Browser) -> None:
    chromium.requests()
    chromium.open(sweep / "report.html")
    assert chromium.errors() == []
    own = (sweep / "report.html").resolve().as_uri()
    assert {url for url in chromium.requests() if not url.startswith(("data:", "blob:"))} == {own}
    assert (sweep / "report.html").stat().st_size < 15e6


def test_each_plot_is_drawn_with_its_data(seen: Browser) -> None:
    assert sorted(place.get_attribute("data-plot") or "" for place in seen.all("[data-plot]")) == sorted(EVERY_PLOT)
    drawn = {
        name: seen.run("return document.querySelector(`[data-plot='${arguments[0]}']`).data.length", name)
        for name in EVERY_PLOT
    }
    assert all(drawn.values()), drawn
    marks = {
        "curves-0": ".scatterlayer .js-line",
        "parallel": ".parcoords .y-axis",
        "against-optimizer.lr": ".scatterlayer .point",
        "importances": ".barlayer .point",
        "heat": ".heatmaplayer image",
        "states": ".scatterlayer .js-fill",
    }
    counts = {name: len(seen.all(f"[data-plot='{name}'] {selector}")) for name, selector in marks.items()}
    assert counts["curves-0"] >= 8
    assert counts["parallel"] == 4
    assert counts["against-optimizer.lr"] >= 512
    assert counts["importances"] == 3
    assert all(counts.values()), counts


def test_table_is_sorted_by_clicks(page: Browser) -> None:
    assert page.all("#count")[0].text == "512 of 512 trials"
    click(page, "val/loss")
    shown = [float(text) for text in column(page, "val/loss")]
    assert shown == sorted(shown)
    assert len(shown) == 50
    click(page, "val/loss")
    worst = [float(text) for text in column(page, "val/loss") if text]
    assert worst == sorted(worst, reverse=True)
    assert worst[0] > shown[0]
    assert [cell.get_attribute("aria-sort") for cell in page.all("#trial-table th[aria-sort]")] == ["descending"]


def test_table_is_sorted_and_turned_by_keyboard(page: Browser) -> None:
    (button,) = (button for button in page.all("#trial-table th button") if button.text == "seed")
    button.send_keys(Keys.ENTER)
    assert set(column(page, "seed")) <= {"0", "1"}
    page.all("#next")[0].send_keys(Keys.SPACE)
    assert page.all("#page")[0].text == "page 2 of 11"


def test_table_is_filtered_by_words_comparisons_and_status(page: Browser) -> None:
    words = page.all("#words")[0]
    words.send_keys("seed=3 lr<0.01")
    assert page.all("#count")[0].text == "16 of 512 trials"
    assert set(column(page, "seed")) == {"3"}
    words.send_keys(Keys.CONTROL, "a", Keys.DELETE)
    words.send_keys("sgd")
    assert page.all("#count")[0].text == "256 of 512 trials"
    words.send_keys(Keys.CONTROL, "a", Keys.DELETE)
    words.send_keys("nothing is called so")
    assert page.all("#count")[0].text == "0 of 512 trials"
    words.send_keys(Keys.CONTROL, "a", Keys.DELETE)
    buttons = {button.get_attribute("data-status"): button for button in page.all("#status-buttons button")}
    buttons["finished"].click()
    assert set(column(page, "status")) == {"finished"}
    assert buttons["finished"].get_attribute("aria-pressed") == "true"


def test_link_of_a_trial_leads_to_its_folder(seen: Browser, sweep: Path) -> None:
    link = seen.all("#trial-table a")[0]
    assert link.get_attribute("href") == f"{(sweep / link.text).resolve().as_uri()}/"
    assert (sweep / link.text / "record.json").is_file()


def test_dark_page_has_dark_ground_and_light_text_in_plots_too_and_follows_the_system(seen: Browser) -> None:
    tick = "return getComputedStyle(document.querySelector('[data-plot=curves-0] .xtick text')).fill"
    ground = "return getComputedStyle(document.body).backgroundColor"
    before = seen.run(tick), seen.run(ground)
    seen.choose("dark")
    seen.wait("return document.documentElement.dataset.drawn === 'dark'")
    after = seen.run(tick), seen.run(ground)
    lightness = [[sum(map(int, colour[4:-1].split(","))) / 3 for colour in colours] for colours in (before, after)]
    assert lightness[0][0] < 80 < 180 < lightness[0][1]
    assert lightness[1][1] < 80 < 180 < lightness[1][0]


def test_page_is_never_wider_than_the_screen(chromium: Browser, sweep: Path) -> None:
    chromium.open(sweep / "report.html", 320)
    for width in (320, 390, 768, 1280):
        chromium.resize(width)
        chromium.wait(f"return innerWidth === {width}")
        assert chromium.run("return document.documentElement.scrollWidth") <= width


def test_everything_that_can_be_used_is_reached_by_tab_and_has_a_name(seen: Browser) -> None:
    unnamed = seen.run("""
        return [...document.querySelectorAll("a[href], button, input, [tabindex], [role=img], section")].filter((one) =>
          !(one.textContent.trim() || one.getAttribute("aria-label") || one.getAttribute("aria-labelledby")
            || (one.labels && one.labels.length))).map((one) => one.outerHTML.slice(0, 80))""")
    assert unnamed == []
    assert seen.run("return document.querySelectorAll('th:not([scope])').length") == 0


def test_page_of_a_run_and_of_several_sweeps_open_without_an_error(chromium: Browser, sweep: Path) -> None:
    run = next(sweep.glob("*/record.json")).parent
    for folders, num_plots in (([run], 3), ([sweep, run], 3)):
        chromium.open(write_report(folders).page)
        assert chromium.errors() == []
        assert len(chromium.all("[data-plot] .main-svg .scatterlayer, [data-plot] .main-svg .boxlayer")) >= num_plots


def test_names_that_attack_stay_text(chromium: Browser, tmp_path: Path) -> None:
    attack = "</script><img src=x onerror=document.title='owned'><b>x</b>"
    sweep = write_sweep(tmp_path / attack.replace("/", "∕"), argv=["-m", attack])
    for place in range(16):
        words = (f"data.target={attack}{place % 2}", f"+{attack}={place // 2 % 2}", f"seed={place}")
        tags = {"tracking": {"tags": [attack]}, "objective": {"metric": "val/loss", "direction": "minimize"}}
        write_trial(sweep / f"k{place}", *words, objective=1.0 + place, config=tags)
    chromium.open(write_report([sweep]).page)
    assert chromium.errors() == []
    assert "owned" not in chromium.driver.title.replace(attack.replace("/", "∕"), "")
    assert chromium.all("img, main b, svg a") == []
    assert any(attack in cell for cell in column(chromium, "target"))
    labels = chromium.run("return [...document.querySelectorAll('svg text')].map((one) => one.textContent).join(' ')")
    assert "<img src=x" in labels
    assert "&lt;" not in labels
