"""The report names no patient, and nothing that it shows can become markup."""

from __future__ import annotations

import base64
import json
import re
import shutil
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import PATIENT, WARD, data_of, newest, told
from matplotlib.figure import Figure
from PIL import Image

from lvef.cli.commands import main
from lvef.files import read_csv, write_csv
from lvef.phantom import PhantomClip
from lvef.report.case import CaseFrame, ReportCase
from lvef.report.privacy import scrubbed, without_names
from lvef.report.render import Page, render

MARKUP = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"


def test_predictions_become_a_page_that_names_no_patient(predicted):
    text = predicted.read_text()
    cases = data_of(predicted)["cases"]
    assert [case["status"] for case in cases] == ["ok", "ok", "failed"]
    assert "the video" in cases[2]["reason"]
    for private in (
        PATIENT, "MUSTERMANN", "ERIKA", "19500229", str(predicted.parent), "Dr Doe", "Größe",
        "Station", "Müller",
    ):  # fmt: skip
        assert private not in text
    assert "1950" not in cases[2]["reason"]
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


PATHS = [
    "/data/ward/Erika Mustermann 1950/a4c.avi",
    "/data/ward/MUSTERMANN, ERIKA [1950-02-29]/a4c (2).avi",
    "/srv/Größe & Ärzte/Jürgen 'Jockel' O\"Neill/Clip von Jürgen.MP4",
    "C:\\\\Klinik\\\\Erika Mustermann\\\\a4c.avi",
    "../Дмитрий Иванов/клип.dcm",
    "/very/" + "Mustermann Erika/" * 30 + "a4c.avi",
    "Mustermann/19500229.avi",
]
SENTENCES = [
    "{}: not a readable video ([Errno 1094995529] Invalid data found when processing input: '{}')",
    "{}: frame 120 asked for, but the video holds 60",
    "cannot open {} (No such file or directory)",
    'Error in "{}" at frame 3',
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("sentence", SENTENCES)
def test_no_part_of_a_path_stays_in_a_reason_however_it_is_cut(path, sentence):
    whole = sentence.replace("{}", path)
    names = set(re.findall(r"[^\W\d_]{3,}|\d{4,}", path)) - {"data", "avi", "dcm"}
    for video in (Path(path).stem, "of another name"):
        for start, stop in ((0, None), *((n, None) for n in range(1, len(whole), 3)),
                            *((0, n) for n in range(1, len(whole), 3))):  # fmt: skip
            shown = without_names(whole[start:stop], video)
            left = {name for name in names if re.search(rf"(?<!\w){re.escape(name)}", shown)}
            assert not left, (whole[start:stop], shown)


def test_what_is_wrong_with_a_clip_is_still_told():
    reason = "/data/Erika M/x.avi: not a readable video (Invalid data found when processing input)"
    told = "the video: not a readable video (Invalid data found when processing input)"
    assert without_names(reason, "x") == told
    for kept in (
        "no beat found: 8 frames are too few for a beat",
        "states no frame rate: give it with --data.fps (fps= in Python)",
    ):
        assert without_names(kept, "x") == kept


def test_a_config_is_shown_without_names_that_no_pattern_knows():
    config = {
        "trainer": {"precision": "bf16-mixed", "logger": {
            "class_path": "lightning.pytorch.loggers.WandbLogger",
            "init_args": {"project": "Erika", "name": 19500229, "tags": ["erika"]}}},
        "experiment": 19500229, "anything": "erika mustermann", "Erika Mustermann": 1,
        "checkpoint": {"monitor": "val/mae", "mode": "min"},
    }  # fmt: skip
    text = json.dumps(scrubbed(config)).lower()
    assert "erika" not in text
    assert "19500229" not in text
    shown = scrubbed(config)
    assert shown["trainer"]["precision"] == "bf16-mixed"
    assert shown["trainer"]["logger"]["class_path"] == "lightning.pytorch.loggers.WandbLogger"


class _Elements(HTMLParser):
    """Counts the elements of a page and keeps what loads or runs something."""

    def __init__(self) -> None:
        super().__init__()
        self.count: dict[str, int] = {}
        self.handlers: list[str] = []
        self.values: list[str] = []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.count[tag] = self.count.get(tag, 0) + 1
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        self.values += [str(value) for _, value in attrs]


@pytest.fixture
def copied(predicted, tmp_path) -> Path:
    """A copy of the predictions' run."""
    run = tmp_path / "run"
    shutil.copytree(newest(predicted.parent, "predictions.csv").parent, run)
    return run


def paged(run: Path, folder: Path) -> Path:
    page, key = folder / "shown" / "page.html", folder / "key.csv"
    asked = ["--output", str(page), "--key", str(key), "--heat_map", "null"]
    assert main(["report", str(run), *asked]) == 0
    return page


def test_markup_in_every_cell_and_value_stays_text(copied, tmp_path):
    plain = _Elements()
    plain.feed(paged(copied, tmp_path / "plain").read_text())
    table = read_csv(copied / "predictions.csv", dtype=str, keep_default_na=False)
    table["video"] = [f"{MARKUP}{n}" for n in range(len(table))]
    table["reason"], table["trained_on"] = MARKUP, f"phantom {MARKUP}"
    table["status"] = "failed"
    write_csv(copied / "predictions.csv", table)
    about = json.loads((copied / "predictions.json").read_text())
    about.update(dict.fromkeys(["task", "version", "trained_on", "note"], MARKUP), frames=[MARKUP])
    (copied / "predictions.json").write_text(json.dumps(about))
    (copied / "config.yaml").write_text(json.dumps({"data": {"segmenter": MARKUP, MARKUP: MARKUP}}))
    page = paged(copied, tmp_path / "marked").read_text()
    found = _Elements()
    found.feed(page)
    assert found.count["script"] == plain.count["script"]
    assert found.handlers == []
    assert "img" not in found.count
    assert "alert(1)" not in page


def test_a_page_escapes_every_text_it_is_given(tmp_path):
    row = {"value": MARKUP, "label": MARKUP, "detail": MARKUP, "name": MARKUP, "interval": MARKUP,
           "baseline": MARKUP}  # fmt: skip
    frame = CaseFrame("EDF", 1, "data:,", None, None, MARKUP)
    case = ReportCase(1, "failed", MARKUP, frames=[frame], why=MARKUP)
    page = tmp_path / "page.html"
    page.write_text(
        render(
            Page(
                heading=MARKUP, title=MARKUP, phantom=False, trained_on=MARKUP, notes=[MARKUP],
                headline=[row], summary=[row], baseline=MARKUP, review=[MARKUP],
                figures=[(MARKUP, MARKUP, Figure())], cases=[case], threshold=None, level=90,
                model_facts=[(MARKUP, MARKUP)], heat_words=MARKUP, config=MARKUP,
            )
        )
    )  # fmt: skip
    found = _Elements()
    found.feed(page.read_text())
    assert found.count["script"] == 3, "the data, plotly, and the page's own"
    assert found.count["img"] == 1, "the figure"
    assert found.handlers == []
    assert data_of(page)["cases"][0]["reason"] == MARKUP


def test_a_name_that_a_spreadsheet_would_calculate_is_guarded_in_the_key(copied, tmp_path):
    table = read_csv(copied / "predictions.csv", dtype=str, keep_default_na=False)
    names = ["=cmd|' /C calc'!A0", "-5", "'=x"]
    write_csv(copied / "predictions.csv", table.assign(video=names))
    paged(copied, tmp_path)
    key = tmp_path / "key.csv"
    assert not re.search(r"(^|,)[\"]?[=+@-]", key.read_text().split("\n", 1)[1], re.MULTILINE)
    assert read_csv(key, dtype=str)["video"].tolist() == names


def test_the_key_never_lies_beside_the_page(tested, copied, tmp_path, capsys):
    known = pd.read_csv(newest(tested.parent, "cases.csv"))
    run = newest(tested.parent, "metrics.json").parent
    key = pd.read_csv(run / "report.key.csv")
    assert key["video"].tolist() == known["video"].tolist()
    assert [path.name for path in tested.parent.glob("*.csv")] == []

    (tmp_path / "link").symlink_to(copied)
    pages = tmp_path / "pages"
    for output, more in (
        (copied / "page.html", []),
        (tmp_path / "link" / "page.html", []),
        (pages / "page.html", ["--key", str(pages / "key.csv")]),
    ):
        assert main(["report", str(copied), "--output", str(output), *more]) == 1
        (error,) = told(capsys.readouterr().err)
        assert "beside the page" in error
        assert not output.exists()
    key = tmp_path / "keys" / "of page.csv"
    asked = ["report", str(copied), "--output", str(copied / "page.html"), "--heat_map", "null",
             "--key", str(key)]  # fmt: skip
    assert main(asked) == 0
    assert str(key) in capsys.readouterr().out
    assert PATIENT in key.read_text()


def test_no_file_is_overwritten_that_is_no_page_and_no_key_of_its_own(copied, tmp_path, capsys):
    page = ["report", str(copied), "--output", str(tmp_path / "page.html"), "--heat_map", "null"]
    assert main(page) == 0
    assert main(page) == 0, "the same key again"
    capsys.readouterr()
    cases = read_csv(copied / "predictions.csv", dtype=str, keep_default_na=False)
    write_csv(copied / "predictions.csv", cases.iloc[::-1])
    before = (copied / "page.key.csv").read_bytes()
    for more, words in (
        ([], "is not the key of this page"),
        (["--key", str(copied / "config.yaml")], "is not the key of this page"),
        (["--output", str(copied / "predictions.csv")], "is an .html file"),
        (
            [
                "--output",
                str(copied / "config.yaml" / "page.html"),
                "--key",
                str(tmp_path / "k.csv"),
            ],
            "cannot be written",
        ),
        (["--key", str(copied / "config.yaml" / "key.csv")], "cannot be written"),
    ):
        assert main([*page, *more]) == 1
        (error,) = told(capsys.readouterr().err)
        assert words in error
    assert (copied / "page.key.csv").read_bytes() == before


def test_the_ward_stands_in_no_picture_title_or_link(predicted):
    reader = _Elements()
    reader.feed(predicted.read_text())
    for word in (*WARD.split(), *PATIENT.split()):
        if len(word) > 3:
            assert not [value for value in reader.values if word in value]
