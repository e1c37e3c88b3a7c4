"""The report: one page of a test or of predictions."""

from __future__ import annotations

import base64
import json
import re
from html import escape
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from helpers import CONFIGS, PATIENT, best, data_of, newest, told, words
from PIL import Image

from lvef.cli.commands import main
from lvef.evaluation.metrics import METRIC_NAMES
from lvef.evaluation.sharpness import format_promise, format_uncertainty


def test_a_test_run_becomes_a_page_with_every_case(tested):
    text = tested.read_text()
    cases = data_of(tested)["cases"]
    known = pd.read_csv(newest(tested.parent, "cases.csv"))
    assert [case["number"] for case in cases] == list(range(1, len(known) + 1))
    np.testing.assert_allclose([c["ef"] for c in cases], known["ef"], atol=1e-3)
    np.testing.assert_allclose([c["ef_true"] for c in cases], known["ef_true"], atol=1e-3)
    for case in cases:
        assert [frame["name"] for frame in case["frames"]] == ["EDF", "ESF", "MF"]
        assert case["frames"][2]["heat"] is None, "the model sees no mid frame"
        assert all(len(frame["contour"]) == 40 for frame in case["frames"])
        assert len(case["curve"]["area"]) > case["frames"][1]["number"]
    assert "PHANTOM" in text
    assert "Research use only, not for diagnosis." in text
    assert "Bland-Altman" in text
    assert "MAE (EF points)" in text
    facts = json.loads(newest(tested.parent, "metrics.json").read_text())
    for line in (*format_uncertainty(facts["uncertainty"]), format_promise(facts["calibration"])):
        assert escape(line.strip()) in text, "what intervals rest on, and what an SD is worth"


def test_a_page_says_how_intervals_were_made_in_words_and_shows_no_internal_name(tested):
    page = tested.read_text()
    (line,) = re.findall(r"How the 95 % intervals were calculated\.[^<]*", page)
    assert "coverage of the 80 % interval" in line
    assert "all others: " in line
    assert "_" not in line
    shown = re.sub(r"<(script|style|pre|svg)\b.*?</\1>", "", page, flags=re.DOTALL)
    for name in METRIC_NAMES:
        assert "_" not in name or name not in shown


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
    assert all(case["ef_true"] is not None and case["frames"] for case in cases)
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


def test_a_classifier_makes_a_page_too(classified):
    page = classified
    run = newest(page.parent, "metrics.json").parent
    cases = data_of(page)["cases"]
    known = pd.read_csv(run / "cases.csv")
    np.testing.assert_allclose([c["p_reduced"] for c in cases], known["p_reduced"], atol=1e-3)
    assert all(case["ef"] is None and case["wrong"] is not None for case in cases)
    assert all(case["frames"][0]["heat"] is None for case in cases), "it sees ESF alone"
    threshold = json.loads((run / "metrics.json").read_text())["threshold"]
    assert data_of(page)["threshold"] == pytest.approx(threshold)
    assert "Reliability" in page.read_text()


def test_known_key_frames_make_a_page_too(logs, phantom_root, tmp_path):
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


def test_a_report_on_phantoms_of_another_version_is_refused_in_one_line(tested, tmp_path, capsys):
    run = newest(tested.parent, "metrics.json").parent
    (tmp_path / "phantom.json").write_text("{}")  # as version 1 was, which stated none
    page = tmp_path / "page.html"
    assert main(["report", str(run), "--output", str(page), "--root", str(tmp_path)]) == 1
    [said] = told(capsys.readouterr().err)
    assert "generator 1, and this version of lvef draws generator" in said
    assert "make the folder anew" in said
    assert not page.exists()
