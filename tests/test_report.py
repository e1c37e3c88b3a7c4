"""The report: one page, in a real browser, that names no patient."""

from __future__ import annotations

import base64
import json
import re
import shutil
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import CONFIGS, best, newest, told, words
from PIL import Image

from lvef.cli import main
from lvef.data.formats import write_video
from lvef.phantom import PhantomClip
from lvef.report.answer import without_names
from lvef.report.run import scrubbed

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
in_a_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
PATIENT = "MUSTERMANN ERIKA 19500229"


def data_of(page: Path) -> dict:
    held = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(),
                     re.DOTALL)  # fmt: skip
    assert held
    return json.loads(held[1])


@pytest.fixture(scope="module")
def tested(logs, phantom_root, tmp_path_factory) -> Path:
    """The report of a test of a Gaussian process."""
    folder = tmp_path_factory.mktemp("tested")
    more = ["--ckpt_path", str(best(logs, "edf_esf_gpr"))]
    assert main(words("test", "edf_esf_gpr", phantom_root, folder, *more)) == 0
    page = folder / "report.html"
    run = newest(folder, "metrics.json").parent
    assert main(["report", str(run), "--output", str(page)]) == 0
    return page


@pytest.fixture(scope="module")
def predicted(logs, tmp_path_factory) -> Path:
    """The report of predictions of three clips named after a patient, one of them damaged."""
    folder = tmp_path_factory.mktemp("predicted")
    clips = folder / "ward of Dr Doe"
    clips.mkdir()
    for index in range(2):
        clip = PhantomClip(21, index, marks="heavy")
        write_video(clips / f"{PATIENT}_{index}.avi", clip.frames(), clip.patient.fps)
    (clips / f"{PATIENT}_2.avi").write_bytes(b"no clip")
    more = ["--data.videos", str(clips), "--ckpt_path", str(best(logs, "esf_mlp"))]
    more += ["--saliency", "true"]
    assert main(words("predict", "esf_mlp", folder, folder, *more)) == 0
    page = folder / "report.html"
    run = newest(folder, "predictions.csv")
    assert main(["report", str(run), "--output", str(page)]) == 0
    return page


def test_a_test_run_becomes_a_page_with_every_case(tested):
    text = tested.read_text()
    cases = data_of(tested)["cases"]
    known = pd.read_csv(newest(tested.parent, "cases.csv"))
    assert [case["number"] for case in cases] == list(range(1, len(known) + 1))
    np.testing.assert_allclose([c["ef"] for c in cases], known["ef_predicted"], atol=1e-3)
    np.testing.assert_allclose([c["ef_label"] for c in cases], known["ef"], atol=1e-3)
    for case in cases:
        assert [frame["name"] for frame in case["frames"]] == ["EDF", "ESF", "MF"]
        assert case["frames"][2]["heat"] is None, "the model sees no mid frame"
        assert all(len(frame["contour"]) == 40 for frame in case["frames"])
        assert len(case["curve"]["area"]) > case["frames"][1]["number"]
    assert "PHANTOM" in text
    assert "Research use only, not for diagnosis." in text
    assert "Bland-Altman" in text
    assert "MAE (EF points)" in text
    key = pd.read_csv(tested.with_suffix(".key.csv"))
    assert key["video"].tolist() == known["video"].tolist()


def test_the_contour_of_a_case_encloses_its_dark_cavity(tested):
    from lvef.cardiac import polygon_mask

    darker = 0
    cases = data_of(tested)["cases"]
    for case in cases:
        frame = case["frames"][0]
        picture = np.asarray(
            Image.open(BytesIO(base64.b64decode(frame["picture"].split(",")[1]))).convert("L")
        ).astype(float)
        size = case["picture_size"]
        assert picture.shape == (size, size)
        mask = polygon_mask(np.array(frame["contour"]), size, size)
        wall = polygon_mask(1.25 * (np.array(frame["contour"]) - np.mean(frame["contour"], axis=0))
                            + np.mean(frame["contour"], axis=0), size, size) & ~mask  # fmt: skip
        darker += picture[mask].mean() < picture[wall].mean()
    assert darker >= len(cases) - 1


def test_predictions_become_a_page_that_names_no_patient(predicted):
    text = predicted.read_text()
    cases = data_of(predicted)["cases"]
    assert [case["status"] for case in cases] == ["ok", "ok", "failed"]
    assert "the video" in cases[2]["reason"]
    for private in (PATIENT, "MUSTERMANN", "ERIKA", "19500229", str(predicted.parent), "Dr Doe"):
        assert private not in text
    assert PATIENT in predicted.with_suffix(".key.csv").read_text()
    for case in cases[:2]:
        assert case["curve"]["source"] == "found by the LV segmenter"
        assert len(case["beats"]) >= 1
        assert case["frames"][1]["contour"], "the model's own frame has a contour"
        assert case["ef_lower"] <= case["ef"] <= case["ef_upper"]
    assert "Trained on phantoms" in text


def test_burned_in_text_is_blanked_in_the_pictures(predicted):
    clip = PhantomClip(21, 0, marks="heavy")
    bare = PhantomClip(21, 0, marks=False)
    case = data_of(predicted)["cases"][0]
    number = case["frames"][0]["number"]
    burned = clip.frames([number])[0].astype(int) - bare.frames([number])[0] > 60
    burned[:, 20:92] = False  # what lies inside the sector stays
    corners = burned[:12]
    assert corners.sum() > 5, "there is something to blank"
    picture = np.asarray(
        Image.open(BytesIO(base64.b64decode(case["frames"][0]["picture"].split(",")[1])))
        .convert("L").resize((112, 112))
    )  # fmt: skip
    assert picture[:12][corners].max() < 40


def test_predict_saves_a_heat_map_of_every_video(predicted):
    names = [path.name for path in predicted.parent.rglob("saliency/*.png")]
    assert sum(name.startswith(f"{PATIENT}_0") for name in names) >= 1
    assert sum(name.startswith(f"{PATIENT}_1") for name in names) >= 1


def test_an_ensemble_of_the_test_split_and_geometry_alone_make_pages_too(
    logs, phantom_root, tmp_path
):
    more = ["--ckpt_path", str(best(logs, "ensemble"))]
    assert main(words("predict", "ensemble", phantom_root, tmp_path, *more)) == 0
    page = tmp_path / "ensemble.html"
    run = newest(tmp_path, "predictions.csv").parent
    assert main(["report", str(run), "--output", str(page)]) == 0
    cases = data_of(page)["cases"]
    assert len(cases) == 7
    assert all(case["ef_label"] is not None and case["frames"] for case in cases)
    assert "each member has its own" in page.read_text()

    videos = str(next((phantom_root / "Videos").glob("*000031.avi")))
    assert main([
        "predict", "--config", str(CONFIGS / "lv_seg.yaml"), "--data.videos", videos,
        "--trainer.default_root_dir", str(tmp_path / "seg"),
    ]) == 0  # fmt: skip
    page = tmp_path / "geometry.html"
    run = newest(tmp_path / "seg", "predictions.csv")
    assert main(["report", str(run), "--output", str(page)]) == 0
    (case,) = data_of(page)["cases"]
    assert case["ef"] is not None
    assert [frame["heat"] for frame in case["frames"]] == [None] * 3
    assert all(frame["contour"] for frame in case["frames"])
    text = page.read_text()
    assert "There are no heat maps." in text
    assert "the geometry of the contours" in text
    assert "Trained on phantoms" in text


def test_a_classifier_and_known_key_frames_make_pages_too(logs, phantom_root, tmp_path):
    assert main(words("fit", "esf_cls", phantom_root, tmp_path)) == 0
    assert main(words("test", "esf_cls", phantom_root, tmp_path)) == 0
    page = tmp_path / "classifier.html"
    run = newest(tmp_path, "metrics.json").parent
    assert main(["report", str(run), "--output", str(page)]) == 0
    cases = data_of(page)["cases"]
    known = pd.read_csv(run / "cases.csv")
    np.testing.assert_allclose([c["p_reduced"] for c in cases], known["p_reduced"], atol=1e-3)
    assert all(case["ef"] is None and case["wrong"] is not None for case in cases)
    assert all(case["frames"][0]["heat"] is None for case in cases), "it sees ESF alone"
    threshold = json.loads((run / "metrics.json").read_text())["threshold"]
    assert data_of(page)["threshold"] == pytest.approx(threshold)
    assert "Reliability" in page.read_text()

    row = pd.read_csv(phantom_root / "FileList.csv").iloc[-1]
    frames = pd.read_csv(phantom_root / "VolumeTracings.csv").query(
        f"FileName == '{row['FileName']}.avi'"
    )["Frame"].unique()  # fmt: skip
    keys = tmp_path / "keys.csv"
    keys.write_text(f"video,ed,es\n{row['FileName']},{frames[1]},{frames[0]}\n")
    more = ["--ckpt_path", str(best(logs, "esf_mlp")), "--data.keyframes", str(keys)]
    more += ["--data.videos", str(phantom_root / "Videos" / f"{row['FileName']}.avi")]
    assert main(words("predict", "esf_mlp", phantom_root, tmp_path, *more)) == 0
    page = tmp_path / "keys.html"
    run = newest(tmp_path, "predictions.csv")
    keys.unlink()  # predictions.csv knows the frames
    assert main(["report", str(run), "--output", str(page)]) == 0
    (case,) = data_of(page)["cases"]
    assert [frame["number"] for frame in case["frames"]][:2] == [frames[1], frames[0]]
    assert case["curve"] is None
    assert case["frames"][0]["picture"]


@pytest.mark.parametrize(
    ("reason", "video", "shown"),
    [
        ("/data/Erika M 1950.avi: no clip ([Errno 2]: '/data/Erika M 1950.avi')", "Erika M 1950",
         "the video: no clip ([Errno 2]: the video)"),
        ("Erika M.avi cannot be read", "Erika M", "the video cannot be read"),
        ("key frames 10 and 31 do not both lie in 0..9", "1",
         "key frames 10 and 31 do not both lie in 0..9"),
        ("1.avi: no beat found: 8 frames", "1", "the video: no beat found: 8 frames"),
        ("key frames of ward/x could belong to several", "other", "key frames of the video could "
         "belong to several"),
    ],
)  # fmt: skip
def test_reasons_name_no_file(reason, video, shown):
    assert without_names(reason, video) == shown


def test_a_config_is_shown_without_paths():
    config = {
        "data": {"root": "/home/erika/data", "frames": ["EDF"], "batch_size": 8},
        "model": {"init_args": {"backbone": {"weights": "my_weights.pt"}, "level": 0.9}},
        "anything": "C:\\Users\\erika", "members": ["/a/b.ckpt"],
    }  # fmt: skip
    shown = json.dumps(scrubbed(config))
    assert "erika" not in shown
    assert "my_weights" not in shown
    assert "b.ckpt" not in shown
    assert scrubbed(config)["data"]["frames"] == ["EDF"]
    assert scrubbed(config)["data"]["batch_size"] == 8


def test_what_is_no_run_is_told(logs, tmp_path, capsys):
    fit = best(logs, "esf_mlp").parents[1]
    for source in (tmp_path / "nothing", tmp_path, fit):
        assert main(["report", str(source)]) == 1
    errors = told(capsys.readouterr().err)
    for error, part in zip(errors, ("not found", "neither", "run python -m lvef test first"),
                           strict=True):  # fmt: skip
        assert part in error


def test_without_its_videos_a_run_is_reported_without_pictures(tested, tmp_path):
    run = newest(tested.parent, "metrics.json").parent
    page = tmp_path / "bare.html"
    asked = ["report", str(run), "--output", str(page), "--root", str(tmp_path / "gone")]
    assert main(asked) == 0
    assert "no pictures" in page.read_text()
    assert all(case["frames"] == [] for case in data_of(page)["cases"])


def test_patients_are_shown_with_their_tracings(tested, phantom_root, tmp_path):
    root = tmp_path / "patients"  # the same clips, which nobody knows for phantoms
    root.mkdir()
    for name in ("FileList.csv", "VolumeTracings.csv", "Videos"):
        (root / name).symlink_to(phantom_root / name)
    run = newest(tested.parent, "metrics.json").parent
    page = tmp_path / "patients.html"
    asked = ["report", str(run), "--output", str(page), "--root", str(root), "--heat_map", "null"]
    assert main(asked) == 0
    for case, before in zip(data_of(page)["cases"], data_of(tested)["cases"], strict=True):
        sources = [frame["contour_source"] for frame in case["frames"]]
        assert sources == ["traced by a reader", "traced by a reader", ""]
        assert case["curve"] is None
        assert all(frame["heat"] is None for frame in case["frames"])
        traced, true = (np.array(c["frames"][0]["contour"]) for c in (case, before))
        np.testing.assert_allclose(traced, true, atol=0.2)


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


@in_a_browser
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


@in_a_browser
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


@in_a_browser
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
