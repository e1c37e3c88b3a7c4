"""Clips of one study: what a list says of them, biplane EF, and a row a study."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lvef.analysis.biplane import BeatDisks
from lvef.cardiac import Disks
from lvef.cli.commands import main
from lvef.data.apical import apical_view
from lvef.data.formats import write_video
from lvef.errors import ConfigurationError, DatasetError
from lvef.phantom import write_phantoms
from lvef.phantom.layouts import write_lists
from lvef.phantom.solid import SolidStudy
from lvef.phantom.solid.clip import SolidView
from lvef.predict.stream.inputs import clip_inputs
from lvef.predict.stream.merge import merge_shards, tables_of
from lvef.predict.stream.schema import ROWS, StoredClip
from lvef.predict.stream.studies import Studies
from lvef.predict.stream.study_table import StudyTable


@pytest.mark.parametrize(
    ("text", "view"),
    [
        ("A4C", "A4C"), ("4CH", "A4C"), ("ap4", "A4C"), ("Apical 4-chamber view", "A4C"),
        ("apical four chamber", "A4C"), ("4", "A4C"), ("A2C", "A2C"), ("2ch", "A2C"),
        ("apical two-chamber", "A2C"), ("PLAX", ""), ("PSAX 4", ""), ("A3C", ""), ("", ""),
        ("subcostal 4 chamber", ""),
    ],
)  # fmt: skip
def test_the_view_that_words_name(text, view):
    assert apical_view(text) == view


def listed(folder: Path, rows: list[tuple[str, str, str]], header: str = "study,view,path") -> Path:
    """Write a list of clips that are empty files."""
    for *_, path in rows:
        if path:
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).touch()
    file = folder / "studies.csv"
    file.write_text("\n".join([header, *(",".join(row) for row in rows)]))
    return file


def test_a_list_says_what_each_clip_is_of(tmp_path):
    file = listed(
        tmp_path,
        [("7", "4CH", "a/one.avi"), ("7", "apical 2 chamber", "a/two.avi"),
         ("8", "PLAX", "b/one.avi")],
        "Study ID;View Name;File Path",
    )  # fmt: skip
    file.write_text("\ufeff" + file.read_text().replace(",", ";"))
    studies = Studies.read(file)
    (tmp_path / "c.avi").touch()
    clips = list(studies(clip_inputs([*studies.paths, tmp_path / "c.avi"])))
    assert [(clip.study, clip.view) for clip in clips] == [
        ("7", "A4C"), ("7", "A2C"), ("8", "PLAX"), ("", ""),
    ]  # fmt: skip
    assert [clip.problem for clip in clips] == [
        "", "", '"PLAX": of another view than A4C and A2C', "",
    ]  # fmt: skip


def test_a_clip_is_analysed_anew_where_the_list_says_otherwise_of_it(tmp_path):
    one = listed(tmp_path, [("7", "A4C", "one.avi")])
    (before,) = Studies.read(one)(clip_inputs([tmp_path / "one.avi"]))
    (alone,) = clip_inputs([tmp_path / "one.avi"])
    other = listed(tmp_path, [("7", "A2C", "one.avi")])
    (after,) = Studies.read(other)(clip_inputs([tmp_path / "one.avi"]))
    assert len({before.key, alone.key, after.key}) == 3


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([("7", "", "one.avi")], "row 1: a clip has a study, a view and a path"),
        ([("7", "A4C", "one.avi"), ("", "A2C", "two.avi")], "row 2: a clip has"),
        ([("7", "A4C", "one.avi"), ("8", "A4C", "one.avi")], "one.avi is of two studies or views"),
        ([], "names no clip|no rows|empty"),
    ],
)
def test_a_list_that_cannot_be_meant_is_refused_in_one_line(tmp_path, rows, told):
    with pytest.raises(DatasetError, match=told) as caught:
        Studies.read(listed(tmp_path, rows))
    assert "\n" not in str(caught.value)


def test_a_folder_is_no_clip_of_a_study(tmp_path):
    (tmp_path / "loops").mkdir()
    (tmp_path / "studies.csv").write_text("study,view,path\n7,A4C,loops\n")
    with pytest.raises(DatasetError, match="loops is a folder"):
        Studies.read(tmp_path / "studies.csv")


def stored(study: str, stated: str, video: str, left: float = 0.5, **told: object) -> StoredClip:
    """A clip of two equal beats, half an ellipsoid of 90 x 40 mm that `left` of is left over."""
    level = (np.arange(20) + 0.5) / 20
    ed = Disks(40 * np.sqrt(1 - (1 - level) ** 2), 90.0)
    es = Disks(ed.diameters * np.sqrt(left), 90.0)
    row: dict[str, object] = {
        **dict.fromkeys(ROWS.names), "video": video, "path": video.encode(), "reason": "",
        "beat": 0, "study": study, "apical_view": stated, "quality": 0.9, "beat_quality": 0.9,
        "ef_geometric": 100 * (1 - left), "ef_geometric_std": 6.0, "ef_geometric_reach": 1.5,
        "disks": BeatDisks(ed, es, True).packed(), **told,
    }  # fmt: skip
    if row["reason"]:
        row |= {"disks": None, "ef_geometric": None}
    return StoredClip(
        video.encode(), b"", [row, {**row, "beat": 1}] if not row["reason"] else [row]
    )


def rows_of(*clips: StoredClip, by_model: bool = False, by: str = "list") -> pd.DataFrame:
    """Merge clips that are stored as `analyse` stores them."""
    table = StudyTable(by_model, by)
    for videos, _ in tables_of(table.watched(iter(clips)), ["ESF"] if by_model else [], "", by):
        table.told(videos)
    return table.table().set_index("study")


def test_both_views_give_a_biplane_row_and_one_alone_its_own():
    table = rows_of(
        stored("1", "A4C", "a"), stored("1", "A2C", "b"), stored("2", "A4C", "c"),
        stored("3", "A2C", "d"), stored("3", "A4C", "e", reason="no beat"),
    )  # fmt: skip
    assert table["planes"].tolist() == ["biplane", "A4C", "A2C"]
    assert table["remark"].tolist() == ["", "no A2C", "A4C: no beat"]
    assert table["ef"].tolist() == pytest.approx([50, 50, 50])
    volume = 2 / 3 * np.pi * 20**2 * 90 / 1000
    assert table["edv"].tolist() == pytest.approx([volume] * 3, rel=1e-3)
    assert table["esv"].tolist() == pytest.approx([volume / 2] * 3, rel=1e-3)
    assert table["ef_lower"].tolist() == pytest.approx([41] * 3)
    assert table["review"].tolist() == [0, 0, 1], "of a two-chamber view alone"
    assert table["num_clips"].tolist() == [2, 1, 2]


def test_ef_is_the_median_of_the_clips_and_no_surer_than_one_of_them():
    table = rows_of(
        *(stored("1", "A4C", name, ef_geometric=ef, quality=quality)
          for name, ef, quality in (("a", 50.0, 0.7), ("b", 54.0, 0.9), ("c", 20.0, 0.5))),
        stored("1", "A4C", "d", reason="no beat", quality=0.99), stored("1", "PLAX", "e"),
        *(stored("2", "A4C", name) for name in "fghi"),
    )  # fmt: skip
    three, four = table.loc["1"], table.loc["2"]
    assert three[["a4c", "best_a4c", "num_beats"]].tolist() == ["a; b; c", "b", 6]
    assert three[["num_clips", "num_a4c", "num_a2c", "num_other", "num_failed"]].tolist() == [
        5, 3, 0, 1, 1,
    ]  # fmt: skip
    assert three["ef"] == pytest.approx(50)
    assert three["ef_std"] == pytest.approx(np.hypot(6, np.std([50, 54, 20])))
    assert three["ef_upper"] - three["ef"] == pytest.approx(1.5 * three["ef_std"])
    assert three["remark"] == "EFs of A4C clips lie from 20 to 54; no A2C"
    assert four[["ef_std", "ef_lower"]].tolist() == pytest.approx([6, 41]), "not by sqrt(4) less"


def test_two_views_of_several_clips_are_biplane_by_every_pair():
    halves = {"c": 0.2, "a": 0.5, "b": 0.5}
    four = [stored("1", "A4C", name, left=left) for name, left in halves.items()]
    table = rows_of(*four, stored("1", "A2C", "d"), stored("1", "A2C", "e", quality=0.95))
    row = table.loc["1"]
    assert row[["planes", "a4c", "a2c", "best_a2c"]].tolist() == ["biplane", "c; a; b", "d; e", "e"]
    assert row[["ef", "num_beats"]].tolist() == pytest.approx([50, 6])


def test_a_study_without_an_ef_says_why():
    table = rows_of(
        stored("1", "PLAX", "a", reason='"PLAX": of another view than A4C and A2C'),
        stored("2", "A4C", "b", reason="no beat"),
    )  # fmt: skip
    assert table["status"].tolist() == ["failed", "failed"]
    assert table["reason"].tolist() == ["no A4C; no A2C", "A4C: no beat; no A2C"]
    assert table["ef"].isna().all()


def test_long_axes_that_differ_are_told():
    disks = stored("1", "A2C", "b").rows[0]["disks"]
    short = [disks[0], 70.0, 70.0, *disks[3:]]
    table = rows_of(stored("1", "A4C", "a"), stored("1", "A2C", "b", disks=short))
    assert table.loc["1", "lengths_apart"] == pytest.approx(2 / 9)
    assert table.loc["1", "remark"] == "long axes differ by 22%: one view may miss the apex"


def test_a_model_of_ef_answers_for_the_four_chamber_view_and_geometry_stays_beside():
    said = {"ef_std": 2.0, "p_reduced": 0.9, "reduced": 1.0, "review": 0.0}
    table = rows_of(
        stored("1", "A4C", "a", ef=33.0, ef_lower=29.0, ef_upper=37.0, **said),
        stored("1", "A4C", "b", ef=35.0, ef_lower=31.0, ef_upper=39.0, **said),
        stored("1", "A2C", "c", ef=60.0, ef_lower=56.0, ef_upper=64.0, **said),
        stored("2", "A4C", "d", reason="too dark"), stored("3", "A2C", "e", ef=33.0, **said),
        by_model=True,
    )  # fmt: skip
    assert table["status"].tolist() == ["ok", "failed", "failed"]
    assert table.loc["1", ["ef", "ef_geometric"]].tolist() == pytest.approx([34, 50])
    assert table.loc["1", "ef_std"] == pytest.approx(np.hypot(2, 1))
    assert table.loc["1", "ef_upper"] == pytest.approx(34 + 4 * np.hypot(2, 1) / 2)
    assert table.loc["1", "reduced"] == 1
    assert table["reason"].tolist() == ["", "A4C: too dark; no A2C", "no A4C"]
    assert table.loc["3", "ef_geometric"] == pytest.approx(50)


def test_lists_of_phantoms_name_both_views_of_each_heart(tmp_path):
    rows = [
        {"path": f"Videos/{n}A4C.avi", "path_a2c": f"Videos/{n}A2C.avi", "EF": 50.0 + n,
         "Patient": f"S{n}", "Split": split}
        for n, split in enumerate(("TRAIN", "VAL", "TEST"))
    ]  # fmt: skip
    write_lists(tmp_path, rows)
    (tmp_path / "Videos").mkdir()
    for row in rows:
        for column in ("path", "path_a2c"):
            (tmp_path / row[column]).touch()
    studies = Studies.read(tmp_path / "studies.csv")
    assert list(studies.of.values()) == [
        (f"S{n}", view) for n in range(3) for view in ("A4C", "A2C")
    ]
    assert all(Path(path).is_file() for path in studies.paths)
    assert all(view in Path(path).stem for path, (_, view) in studies.of.items())


@pytest.mark.parametrize("layout", ["camus", "list"])
def test_solid_hearts_are_not_domain_randomised(tmp_path, layout):
    with pytest.raises(ConfigurationError, match=f"--breadth with --layout {layout}"):
        write_phantoms(tmp_path, 3, breadth=1.0, progress=False, layout=layout)


@pytest.fixture(scope="module")
def loops(tmp_path_factory) -> Path:
    """A study of two short loops and one of another view, and their list."""
    folder = tmp_path_factory.mktemp("loops")
    study = SolidStudy(1, 2)
    views: dict[str, SolidView] = {"A4C": study.a4c, "A2C": study.a2c}
    rows = []
    for view, clip in views.items():
        fps = clip.patient.fps
        frames = clip.frames(range(clip.ed_frame, clip.ed_frame + round(1.1 * fps)))
        write_video(folder / f"{view}.avi", frames, fps)
        rows.append(f"7,{view},{view}.avi")
    (folder / "axis.avi").write_bytes((folder / "A4C.avi").read_bytes())
    (folder / "studies.csv").write_text("\n".join(["study,view,path", *rows, "7,PLAX,axis.avi"]))
    return folder


def test_an_archive_of_studies_has_a_row_a_study_from_whatever_shards(loops, tmp_path, capsys):
    results = tmp_path / "results"
    options = ["--studies", str(loops / "studies.csv"), "--output", str(results), "--no_previews",
               "--workers", "0"]  # fmt: skip
    for shard in ("1/2", "2/2"):
        assert main(["analyse", *options, "--shard", shard]) == 0
    assert main(["merge", str(results)]) == 0
    (study,) = pd.read_csv(results / "studies.csv").to_dict("records")
    clips = pd.read_csv(results / "predictions.csv").set_index("video")
    assert clips["view"].to_dict() == {"A4C": "A4C", "A2C": "A2C", "axis": "PLAX"}
    assert clips.loc["axis", "status"] == "failed"
    efs = sorted(clips.loc[["A4C", "A2C"], "ef"])
    assert study["planes"] == "biplane"
    assert efs[0] - 1 < study["ef"] < efs[1] + 1
    assert np.isnan(study["edv"]), "an AVI states no scale"
    assert (study["num_clips"], study["trained_on"]) == (3, "phantoms")
    told = capsys.readouterr().out
    assert "and studies.csv" in told
    manifest = json.loads((results / "manifest.json").read_text())
    (results / "studies.csv").unlink()
    merge_shards(results, manifest["made_with"])
    (again,) = pd.read_csv(results / "studies.csv").to_dict("records")
    assert again["ef"] == study["ef"]


def test_a_list_whose_clip_is_gone_is_refused(tmp_path, capsys):
    listed(tmp_path, [("7", "A4C", "gone.avi")])
    (tmp_path / "gone.avi").unlink()
    gone = ["analyse", "--studies", str(tmp_path / "studies.csv"), "--output", str(tmp_path / "r")]
    assert main(gone) == 1
    assert "gone.avi is no file" in capsys.readouterr().err
