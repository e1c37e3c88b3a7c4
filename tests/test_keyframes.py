"""Key-frame files as people and other programs write them."""

from __future__ import annotations

import warnings
from pathlib import Path

import pandas as pd
import pytest
from found import found_rows

from lvef.data.formats import write_video
from lvef.phantom import PhantomClip
from lvef.predict.keyframes import assign_keyframes, keyframes_of, read_keyframes

CLIPS = {"Clip01": (2, 9), "Clip02": (3, 8), "Größe": (1, 7)}


def rows(form: str = "{0},{1},{2}") -> str:
    return "".join(form.format(name, *frames) + "\n" for name, frames in CLIPS.items())


WRITTEN = {
    "plain": "video,ed,es\n" + rows(),
    "mark": "\ufeffvideo,ed,es\n" + rows(),
    "semicolon": "video;ed;es\r\n" + rows("{0};{1};{2}").replace("\n", "\r\n"),
    "decimal comma": "video;ed;es\n" + rows("{0};{1},0;{2},0"),
    "tab": "video\ted\tes\n" + rows("{0}\t{1}\t{2}"),
    "capitals": "Video,ED,ES\n" + rows(),
    "echonet": "FileName,EDFrame,ESFrame\n" + rows("{0}.avi,{1},{2}"),
    "own tables": "video,status,ed_frame,es_frame,ef\n" + rows("{0},ok,{1},{2},55"),
    "spelt out": "File,End-diastolic frame,End-systolic frame\n" + rows(),
    "windows path": "video,ed,es\n" + rows("Videos\\{0}.avi,{1},{2}"),
    "relative path": "video,ed,es\n" + rows("./Videos/{0}.AVI,{1},{2}"),
    "lower case": ("video,ed,es\n" + rows()).lower(),
    "float": "video,ed,es\n" + rows("{0},{1}.0,{2}.0"),
    "index": ",video,ed,es\n" + rows("7,{0},{1},{2}"),
    "quotes and spaces": '"video", "ed", "es"\n' + rows('"{0}", "{1}", "{2}"'),
    "twice the same": "video,ed,es\n" + rows() + rows("{0}.avi,{1},{2}"),
    "said separator": "sep=;\nvideo;ed;es\n" + rows("{0};{1};{2}"),
}


@pytest.fixture
def clips(tmp_path: Path) -> list[Path]:
    return [tmp_path / "Videos" / f"{name}.avi" for name in CLIPS]


def read(tmp_path: Path, clips: list[Path], text: str, encoding: str = "utf-8") -> dict:
    """Return the beats by name; a warning is an error."""
    path = tmp_path / "keys.csv"
    path.write_bytes(text.encode(encoding))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        known = keyframes_of(clips, path)
    assert not known.ambiguous
    return {path.stem: beats for path, beats in known.beats.items()}


@pytest.mark.parametrize("case", WRITTEN)
def test_however_key_frames_are_written_they_say_the_same(tmp_path, clips, case):
    expected = {name: [frames] for name, frames in CLIPS.items()}
    assert read(tmp_path, clips, WRITTEN[case]) == expected


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "cp1252"])
def test_key_frames_come_in_other_encodings(tmp_path, clips, encoding):
    expected = {name: [frames] for name, frames in CLIPS.items()}
    assert read(tmp_path, clips, WRITTEN["plain"], encoding) == expected


def test_an_umlaut_is_the_same_letter_however_it_is_stored(tmp_path):
    clip = tmp_path / "Gro\u0308\u00dfe.avi"  # as macOS stores it
    assert read(tmp_path, [clip], "video,ed,es\nGr\u00f6\u00dfe,1,7\n") == {clip.stem: [(1, 7)]}


def test_a_path_of_another_machine_means_the_one_video_of_that_name_and_that_is_said(
    tmp_path, clips
):
    path = tmp_path / "keys.csv"
    path.write_text("video,ed,es\n" + rows("C:\\data\\clips\\{0}.avi,{1},{2}"))
    with pytest.warns(UserWarning, match="3 of 3 rows name a folder of another machine"):
        known = keyframes_of(clips, path)
    assert [known.beats[clip] for clip in clips] == [[frames] for frames in CLIPS.values()]
    # The longest end that is shared counts, and what could mean two means none.
    clips = [tmp_path / study / "a4c.avi" for study in ("p1", "p2")]
    path.write_text("video,ed,es\nD:\\all\\p1\\a4c.avi,1,7\n/mnt/all/p2/a4c.avi,2,8\n")
    with pytest.warns(UserWarning, match="2 of 2 rows name a folder of another machine"):
        known = keyframes_of(clips, path)
    assert [known.beats[clip] for clip in clips] == [[(1, 7)], [(2, 8)]]
    path.write_text("video,ed,es\nD:\\p3\\a4c.avi,1,7\n")
    assert set(keyframes_of(clips, path).ambiguous) == set(clips)
    path.write_text("video,ed,es\nD:\\p3\\a4c.avi,1,7\nD:\\p4\\a4c.avi,2,8\n")
    assert set(keyframes_of(clips[:1], path).ambiguous) == {clips[0]}


def test_a_row_of_a_folder_of_this_machine_is_no_other_clip_s(tmp_path):
    (tmp_path / "p1").mkdir()
    other = tmp_path / "p2" / "a4c.avi"
    path = tmp_path / "keys.csv"
    for name in (tmp_path / "p1" / "a4c.avi", "p1/a4c.avi", "../p1/a4c"):
        path.write_text(f"video,ed,es\n{name},1,7\n")
        with pytest.warns(UserWarning, match="1 of 1 rows belong to no video given"):
            assert not keyframes_of([other], path).beats


def test_the_longest_name_counts_and_its_own_capitals(tmp_path):
    frames = pd.DataFrame(
        {"ed": [1.0, 2, 3, 4], "es": [11.0, 12, 13, 14]},
        index=["a4c", "p1/a4c", "CLIP", "clip"],
    )
    paths = [tmp_path / name for name in ("p1/a4c.avi", "Clip.avi", "clip.avi")]
    known = assign_keyframes(frames, paths)
    assert {p.name: b for p, b in known.beats.items()} == {
        "a4c.avi": [(2, 12)], "clip.avi": [(4, 14)],
    }  # fmt: skip
    assert known.ambiguous == {tmp_path / "Clip.avi": "CLIP"}
    assert known.unused == ["a4c"]


def test_a_video_that_stands_there_twice_has_two_beats(tmp_path):
    write_video(tmp_path / "a.avi", PhantomClip(5, 0).frames(range(40)), 50)
    path = tmp_path / "keys.csv"
    path.write_text("video,ed,es\na,22,31\na,2,11\na.avi,2,11\n")
    table = found_rows(tmp_path / "a.avi", path)
    columns = ["video", "beat", "ed_frame", "es_frame", "mid_frame", "reason"]
    assert table[columns].to_numpy().tolist() == [
        ["a", 0, 2, 11, 6, ""], ["a", 1, 22, 31, 26, ""],
    ]  # fmt: skip
    path.write_text("video,ed,es\na,2,11\na,22,41\n")
    with pytest.warns(UserWarning, match=r"a\.avi: a beat is left out: key frames 22 and 41"):
        table = found_rows(tmp_path / "a.avi", path)
    assert table["reason"].ne("").tolist() == [False, True]


def test_es_before_ed_is_kept_and_told_where_it_is_so_in_every_row(tmp_path):
    path = tmp_path / "keys.csv"
    path.write_text("video,ed,es\na,9,2\nb,8,3\n")
    with pytest.warns(UserWarning, match="ES comes before ED in every row"):
        frames = read_keyframes(path)
    assert frames.loc["a"].tolist() == [9, 2]
    path.write_text("video,ed,es\na,9,2\nb,3,8\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_keyframes(path)
