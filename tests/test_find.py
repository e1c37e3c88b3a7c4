"""Which files of a folder or a pattern are clips, and what is said of the others."""

from __future__ import annotations

import os
from pathlib import Path

import av
import numpy as np
import pytest
from dicoms import write_dicom
from found import found_rows
from helpers import told, touch

from lvef.cli.commands import main
from lvef.data.formats import read_frames
from lvef.errors import ConfigurationError, DatasetError
from lvef.predict.find import Search, refuse_expanded
from lvef.predict.stream.inputs import clip_inputs

GREY = np.zeros((3, 20, 20), np.uint8)


def found_in(where: object, search: Search | None = None) -> list[Path]:
    return [clip.path for clip in clip_inputs([where], search)]


def names(where: object) -> list[str]:
    """Return the names of the clips that are found."""
    return sorted(path.name for path in found_in(where))


def test_clips_are_told_by_extension_or_first_bytes_and_the_rest_is_counted(tmp_path):
    touch(
        tmp_path,
        *(
            f"a.{e}"
            for e in ["avi", "MP4", "m4v", "mov", "mkv", "webm", "wmv", "mpg", "MPEG", "dcm"]
        ),
    )
    touch(tmp_path, "notes.txt", "more.txt", "sheet.xlsx", "README", "below/b.mp4")
    touch(tmp_path, ".DS_Store", "._a.avi", ".hidden.avi", "__MACOSX/c.avi")
    for name in ("IM_0001", "image.img", "1.2.840.7", "loop.jpg"):
        write_dicom(tmp_path / name, GREY, model="MONOCHROME2")
    search = Search()
    assert sorted(path.name for path in found_in(tmp_path, search)) == [
        "1.2.840.7", "IM_0001", "a.MP4", "a.MPEG", "a.avi", "a.dcm", "a.m4v", "a.mkv", "a.mov",
        "a.mpg", "a.webm", "a.wmv", "b.mp4", "image.img", "loop.jpg",
    ]  # fmt: skip
    assert search.remarks(None) == [
        "not read as no clip: 4 files (2 .txt, 1 .xlsx, 1 without extension)"
    ]


@pytest.mark.parametrize(
    ("extension", "codec", "pixels"),
    [
        ("mov", "libx264", "yuv420p"), ("mkv", "libx264", "yuv420p"), ("m4v", "mpeg4", "yuv420p"),
        ("wmv", "wmv2", "yuv420p"), ("mpg", "mpeg2video", "yuv420p"),
        ("webm", "libvpx", "yuv420p"),
    ],
)  # fmt: skip
def test_clips_of_other_containers_are_read(tmp_path, extension, codec, pixels):
    path = tmp_path / f"clip.{extension}"
    with av.open(str(path), "w", format="mp4" if extension == "m4v" else None) as container:
        stream = container.add_stream(codec, rate=50)
        stream.width, stream.height, stream.pix_fmt = 112, 112, pixels
        for grey in range(0, 200, 20):
            picture = np.full((112, 112, 3), grey, np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    (tmp_path / "keys.csv").write_text("video,ed,es\nclip,2,7\n")
    table = found_rows(tmp_path, tmp_path / "keys.csv")
    assert table[["num_frames", "reason"]].to_numpy().tolist() == [[10, ""]]
    grey = read_frames(path, [2, 7]).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(grey, [40, 140], atol=6)


def test_a_place_without_a_clip_says_what_it_holds(tmp_path):
    touch(tmp_path, "a/x.avi", "b/y.avi", "c/list.csv")
    with pytest.raises(DatasetError) as error:
        found_in(tmp_path / "c")
    assert str(error.value) == f"{tmp_path}/c holds no clip; not read as no clip: 1 file (1 .csv)"
    with pytest.raises(DatasetError, match=r"holds no clip; not searched: 2 folders in it"):
        found_in(f"{tmp_path}/[ab]")
    with pytest.raises(DatasetError, match="holds no clip"):
        found_in(tmp_path / "nothing*")
    with pytest.raises(DatasetError, match="is no file, folder or pattern"):
        found_in(tmp_path / "nothing")
    with pytest.raises(DatasetError, match="no clip is named"):
        list(clip_inputs([]))
    with pytest.raises(DatasetError, match=r"is no file|File name too long"):
        found_in("x" * 5000)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.avi", ["a.avi", "b [1].avi"]),
        ("**/*.avi", ["a.avi", "b [1].avi", "c.avi", "d.avi", "e.avi"]),
        ("**", ["a.avi", "b [1].avi", "c.avi", "d.avi", "e.avi", "f.mp4"]),
        ("**/*", ["a.avi", "b [1].avi", "c.avi", "d.avi", "e.avi", "f.mp4"]),
        ("*/*.avi", ["c.avi", "d.avi"]),
        ("study [[]2]/**/*.avi", ["d.avi", "e.avi"]),
        ("study [2]/*.avi", ["d.avi"]),
        ("study [2]", ["d.avi", "e.avi", "f.mp4"]),
        ("b [1].avi", ["b [1].avi"]),
        ("**/deep/?.avi", ["e.avi"]),
        (".*.avi", [".hidden.avi"]),
        ("study?1/../a.avi", ["a.avi"]),
    ],
)
def test_patterns_mean_what_a_shell_means(tmp_path, pattern, expected):
    touch(tmp_path, "a.avi", "b [1].avi", "study 1/c.avi", "study [2]/d.avi", ".hidden.avi")
    touch(tmp_path, "study [2]/deep/e.avi", "study [2]/deep/f.mp4", ".cache/g.avi", "note.txt")
    assert names(f"{tmp_path}/{pattern}") == expected


def test_a_pattern_that_goes_everywhere_leaves_no_folder_unsearched(tmp_path):
    touch(tmp_path, "a.avi", "study/b.avi")
    search = Search()
    assert len(found_in(f"{tmp_path}/**/*", search)) == 2
    assert not search.remarks(None)
    assert len(found_in(f"{tmp_path}/*", search)) == 1
    assert search.remarks(None) == ["not searched: 1 folder in it"]


def test_links_in_circles_and_to_nowhere_end(tmp_path):
    touch(tmp_path, "a/b/x.avi", "z/y.avi")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "b" / "here").symlink_to(tmp_path / "a")
    (tmp_path / "latest").symlink_to(tmp_path / "z")
    (tmp_path / "self").symlink_to(tmp_path / "self")
    (tmp_path / "lost.avi").symlink_to(tmp_path / "gone.avi")
    found = found_in(f"{tmp_path}/**/*.avi")
    assert sorted(str(p.relative_to(tmp_path)) for p in found) == [
        "a/b/x.avi",
        "lost.avi",
        "z/y.avi",
    ]
    assert names(tmp_path / "latest") == ["y.avi"]
    table = found_rows(f"{tmp_path}/**/lost.avi")
    assert table["reason"].tolist() == ["lost.avi: no such file"]


def test_home_and_the_folder_one_is_in_need_not_be_spelt_out(tmp_path, monkeypatch):
    touch(tmp_path, "clips/a.avi")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path / "clips")
    for where in ("~/clips", "~/clips/*.avi", "~/cl*/a.avi", ".", "*.avi", "../clips/**/*.avi"):
        assert names(where) == ["a.avi"], where
    with pytest.raises(DatasetError, match="is no file"):
        found_in("~nobody_of_that_name/clips")


RESULTS = [
    "run/shards/01-of-01/journal-00000.jsonl", "run/overlays/a.mp4", "run/overlays/deep/b.mp4",
    "run/previews/a.jpg", "run/sr/a.dcm", "segments/a.dcm",
]  # fmt: skip


@pytest.mark.parametrize("manifest", ['{"dicom_sr": "sr", "dicom_seg": "../segments"}', "[1", "[]"])
def test_films_that_earlier_results_wrote_are_no_clips(tmp_path, manifest):
    touch(tmp_path, "a.avi", "overlays/mine.mp4", "run/own.avi", "shards/theirs.avi", *RESULTS)
    (tmp_path / "run" / "manifest.json").write_text(manifest)
    own = ["a.avi", "mine.mp4", "own.avi", "theirs.avi"]
    known = "dicom_sr" in manifest  # `segments` holds no folder, so that the pattern passes it by
    search = Search()
    found = sorted(path.name for path in found_in(tmp_path, search))
    assert found == (own if known else ["a.avi", "a.dcm", "a.dcm", *own[1:]])
    count = 5 if known else 3
    wrote = f"not searched: {count} folders of results"
    assert search.remarks(None)[-1] == wrote
    assert names(f"{tmp_path}/**/*.mp4") == ["mine.mp4"]
    with pytest.raises(DatasetError, match=f"not searched: {count - known} folders of results"):
        found_in(f"{tmp_path}/*/*/*.mp4")
    assert names(tmp_path / "run") == (["own.avi"] if known else ["a.dcm", "own.avi"])
    assert names(tmp_path / "run" / "overlays") == ["a.mp4", "b.mp4"], "which is asked for by name"
    (tmp_path / "run" / "manifest.json").unlink()
    assert "b.mp4" in names(tmp_path), "no results are told by their folders' names alone"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_told(tmp_path):
    touch(tmp_path, "a.avi", "closed/b.avi")
    (tmp_path / "closed").chmod(0)
    search = Search()
    assert [path.name for path in found_in(f"{tmp_path}/**/*.avi", search)] == ["a.avi"]
    assert search.remarks(None) == ["not opened, as that is not allowed: 1 folder"]
    with pytest.raises(DatasetError, match=r"cannot be searched: Permission denied|not allowed"):
        found_in(tmp_path / "closed")
    (tmp_path / "closed").chmod(0o700)


def test_many_files_are_told_in_one_line(tmp_path):
    for number in range(2_000):
        (tmp_path / f"{number:05d}{'.avi' if number % 2 else '.txt'}").touch()
    search = Search()
    assert len(found_in(tmp_path, search)) == 1_000
    assert search.remarks(None) == ["not read as no clip: 1,000 files (1,000 .txt)"]


def test_a_pattern_that_the_shell_spelt_out_is_explained(capsys):
    refuse_expanded(["predict", "--data.videos", "a.avi", "--data.keyframes", "keys.csv"])
    refuse_expanded(["predict", "--data.videos=a.avi", "--trainer.devices", "1"])
    with pytest.raises(ConfigurationError, match="takes one path, but 2 follow it"):
        refuse_expanded(["--data.keyframes", "a.csv", "b.csv"])
    words = ["predict", "--config", "x.yaml", "--data.videos", "a.avi", "b.avi", "c.avi"]
    assert main([*words, "--trainer.max_epochs", "1"]) == 1
    assert told(capsys.readouterr().err) == [
        "error: --data.videos takes one path, but 3 follow it (a.avi, b.avi, ...): the shell spelt "
        "the pattern out, so put it in quotes, such as --data.videos 'clips/*.avi'"
    ]
