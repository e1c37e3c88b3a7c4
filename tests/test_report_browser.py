"""The report in a real browser: it works from disk, and nothing lies on anything else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from helpers import data_of

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
GEOMETRY = (Path(__file__).parent / "geometry.js").read_text()


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=quiet)
        yield started
        started.close()


def opened(browser, page: Path, width: int, height: int, scheme: str = "light"):
    """Return a page opened from disk, what it asked a network for, and what it complained of."""
    tab = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme
    ).new_page()
    asked, complaints = [], []
    tab.on("request", lambda r: asked.append(r.url))
    tab.on("console", lambda m: complaints.append(m.text))
    tab.on("pageerror", lambda e: complaints.append(str(e)))
    tab.goto(page.as_uri())
    tab.wait_for_selector("#scatter .main-svg")
    return tab, asked, complaints


@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
def test_the_page_works_from_disk(browser, tested, width, height):
    tab, asked, complaints = opened(browser, tested, width, height)
    cases = data_of(tested)["cases"]
    assert tab.evaluate("document.documentElement.scrollWidth") <= width, "no sideways scrolling"

    column = tab.locator("#table thead button").all_inner_texts().index("EF (%)")
    button = tab.locator("#table thead button").nth(column)
    for direction, sign in (("ascending", 1), ("descending", -1)):
        button.click()
        header = tab.locator("#table thead th").nth(column)
        assert header.get_attribute("aria-sort") == direction
        shown = [float(t) for t in tab.locator(f"#table tbody td:nth-child({column + 1})")
                 .all_inner_texts()]  # fmt: skip
        assert shown == sorted(shown, key=lambda ef: sign * ef)

    tab.select_option("#kind", "flagged")
    flagged = sum(case["review"] for case in cases)
    assert tab.locator("#table tbody tr:visible").count() == flagged
    assert tab.inner_text("#shown") == f"{flagged} of {len(cases)} cases"
    tab.click("button[type=reset]")
    tab.fill("#number", "2")
    assert tab.locator("#table tbody tr:visible").count() == 1

    tab.click("#table button[data-case='2']")
    assert tab.inner_text("#case-title") == "Case 2"
    assert tab.locator("dialog .frame").count() == 3
    assert tab.locator("dialog svg.contour").count() == 3
    tab.uncheck("#show-contour")
    assert not tab.locator("dialog svg.contour").first.is_visible()
    tab.check("#show-contour")
    assert tab.locator("dialog svg.contour").first.is_visible()
    assert tab.locator("#curve .main-svg").count() > 0
    tab.keyboard.press("Escape")
    assert not tab.locator("dialog").is_visible()
    assert tab.evaluate("document.activeElement.dataset.case") == "2", "focus comes back"
    remote = [url for url in asked if not url.startswith(("file:", "data:", "blob:"))]
    assert remote == []
    assert complaints == []
    tab.context.close()


def test_the_page_is_usable_by_keyboard_and_in_the_dark(browser, tested):
    tab, _, complaints = opened(browser, tested, 1000, 800, "dark")
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(15, 20, 25)"
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.className") == "skip"
    tab.focus("#table button[data-case='1']")
    tab.keyboard.press("Enter")
    assert tab.inner_text("#case-title") == "Case 1"
    tab.keyboard.press("ArrowRight")
    assert tab.inner_text("#case-title") == "Case 2"
    assert tab.evaluate("location.hash") == "#case-2"
    assert tab.locator("img:not([alt])").count() == 0
    assert complaints == []
    tab.context.close()


def test_a_failed_video_says_why_and_a_predicted_one_shows_its_beats(browser, predicted):
    tab, _, complaints = opened(browser, predicted, 1280, 900)
    tab.click("#table button[data-case='3']")
    assert "Not predicted" in tab.inner_text("#case-body")
    tab.keyboard.press("Escape")
    tab.click("#table button[data-case='1']")
    heat = tab.locator("dialog img.heat")
    assert heat.count() == 1, "the model sees ESF alone"
    assert heat.is_visible()
    tab.uncheck("#show-heat")
    assert not heat.is_visible()
    tab.click("#next")
    assert not heat.is_visible(), "what was switched off stays off in the next case"
    tab.check("#show-heat")
    assert heat.is_visible()
    tab.click("#previous")
    beats = len(data_of(predicted)["cases"][0]["beats"])
    assert tab.locator("#case-body tbody tr").count() == beats
    assert complaints == []
    tab.context.close()


def mixed(page: Path, folder: Path) -> Path:
    """Return a page some of whose cases are flagged, and some not, so that it has legends."""
    data = data_of(page)
    for number, case in enumerate(data["cases"]):
        case["review"] = number % 2 == 0
    copy = folder / "mixed.html"
    block = '<script type="application/json" id="data">'
    before, rest = page.read_text().split(block)
    copy.write_text(f"{before}{block}{json.dumps(data)}{rest[rest.index('</script>') :]}")
    return copy


def misplaced(tab) -> list[str]:
    """Return what is wider than its box, lies over another, or scrolls the page sideways."""
    for _ in range(40):  # what observes sizes answers later, and later still on a busy machine
        tab.wait_for_timeout(50)
        found = tab.evaluate(GEOMETRY)
        if not found["wrong"]:
            break
    assert found["drawn"] >= 4, "there is something that could overlap"
    return found["wrong"]


QUICK = [("tested", 1280), ("tested", 1600), ("classified", 768), ("predicted", 390)]


@pytest.mark.parametrize(
    ("report", "width"),
    [
        pytest.param(report, width, marks=[] if (report, width) in QUICK else [pytest.mark.slow])
        for report in ("tested", "classified", "predicted")
        for width in (390, 768, 1280, 1600)
    ],
)
def test_nothing_is_wider_than_its_box_or_lies_on_another(
    browser, request, tmp_path, report, width
):
    page = mixed(request.getfixturevalue(report), tmp_path)
    tab, _, complaints = opened(browser, page, width, 900)
    assert misplaced(tab) == []
    tab.evaluate("document.querySelector('details').open = true")
    for case in (1, len(data_of(page)["cases"])):  # the last of the predictions failed
        tab.evaluate(f"document.querySelector('#table button[data-case=\"{case}\"]').click()")
        if case == 1:
            assert misplaced(tab) == []
        tab.keyboard.press("Escape")
    assert misplaced(tab) == []
    assert complaints == []
    tab.context.close()


def test_plots_keep_to_their_boxes_when_the_window_changes(browser, tested):
    tab, _, _ = opened(browser, tested, 1600, 900)
    for width in (390, 1280):
        tab.set_viewport_size({"width": width, "height": 900})
        assert misplaced(tab) == []
    tab.context.close()


def test_the_geometry_is_seen_to_be_wrong_where_it_is(browser, tested):
    tab, _, _ = opened(browser, tested, 1280, 900)
    tab.evaluate("Plotly.relayout('scatter', { autosize: false, width: 1140 })")
    assert any("scatter" in words and "overlap" in words for words in misplaced(tab))
    tab.context.close()


def test_no_script_runs_but_the_pages_own(browser, tested, tmp_path):
    page = tmp_path / "injected.html"
    added = "<script>document.title = 'run'</script><img src=x onerror=\"document.title='run'\">"
    page.write_text(tested.read_text().replace('<main id="main">', f"<main id=main>{added}"))
    assert added in page.read_text()
    tab, asked, complaints = opened(browser, page, 1280, 900)
    assert tab.title() != "run"
    assert any("Content Security Policy" in words for words in complaints)
    assert [url for url in asked if url.startswith("http")] == []
    tab.context.close()
