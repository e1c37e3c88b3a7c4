"""`analyse`: clips to tables and pictures, stopped and begun again, in shares, with a model."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from helpers import data_of, told

import lvef
from lvef.cli.commands import main
from lvef.data.formats import write_video
from lvef.phantom import PhantomClip
from lvef.predict.stream.archive import Archive, ArchiveOptions
from lvef.predict.stream.merge import merge_shards
from lvef.predict.stream.store import shards_of, stored_clips
from lvef.predict.stream.stored import stored_videos

LENGTH = 75


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Path:
    """Four short clips in folders, and one that is none."""
    root = tmp_path_factory.mktemp("clips")
    for number, name in enumerate(("a.avi", "study7/a.avi", "study7/b.mp4", "study8/a.mp4")):
        path = root / name
        path.parent.mkdir(exist_ok=True)
        write_video(path, PhantomClip(5, number).frames(range(LENGTH)), 50)
    (root / "study8" / "broken.avi").write_bytes(b"not a video" * 100)
    (root / "study8" / "notes.txt").write_text("notes")
    return root


@pytest.fixture(scope="module")
def analysed(clips, tmp_path_factory) -> Path:
    """What `analyse` writes of them."""
    output = tmp_path_factory.mktemp("analysed") / "out"
    assert main(["analyse", str(clips), "--output", str(output), "--workers", "2"]) == 0
    return output


def table(output: Path, name: str = "predictions.csv") -> pd.DataFrame:
    return pd.read_csv(output / name)


def test_a_row_a_clip_a_row_a_beat_and_a_picture_a_clip(clips, analysed):
    rows = table(analysed).set_index("video")
    assert rows.index.tolist() == ["a", "study7/a", "study7/b", "study8/a", "study8/broken"]
    assert rows["status"].tolist() == ["ok"] * 4 + ["failed"]
    assert rows.loc["study8/broken", "reason"].startswith("broken.avi: not a readable video")
    for name, path in (("a", "a.avi"), ("study8/a", "study8/a.mp4")):
        alone = lvef.analyse_clip(clips / path)
        assert rows.loc[name, "ef"] == pytest.approx(alone.ef, abs=1e-9)
        assert rows.loc[name, "quality"] == pytest.approx(alone.quality, abs=1e-9)
        assert rows.loc[name, "num_beats"] == len(alone.beats)
        assert rows.loc[name, "ef_lower"] < rows.loc[name, "ef"] < rows.loc[name, "ef_upper"]
    beats = table(analysed, "beats.csv")
    assert beats.groupby("video").size().to_dict() == rows["num_beats"].iloc[:4].to_dict()
    made = json.loads((analysed / "predictions.json").read_text())
    assert made["note"].startswith("Research use only")
    assert made["segmenter_trained_on"] == "phantoms"
    pictures = sorted(p.relative_to(analysed).as_posix() for p in analysed.rglob("*.jpg"))
    assert pictures == [
        "previews/a.jpg", "previews/study7/a.jpg", "previews/study7/b.jpg",
        "previews/study8/a.jpg",
    ]  # fmt: skip
    picture = cv2.imread(str(analysed / pictures[0]))
    assert picture.shape[1] == 672
    assert picture.std() > 20


def test_the_same_command_again_does_what_is_new_and_nothing_twice(
    clips, analysed, tmp_path, capsys
):
    more = tmp_path / "more"
    more.mkdir()
    for name in ("a.avi", "study7", "study8"):
        (more / name).symlink_to(clips / name)
    output = tmp_path / "out"
    line = ["analyse", str(more), "--output", str(output), "--workers", "0", "--no_previews"]
    assert main(line) == 0
    before = table(output)
    assert not (output / "previews").exists()
    write_video(more / "new.avi", PhantomClip(5, 9).frames(range(LENGTH)), 50)
    capsys.readouterr()
    assert main(line) == 0
    assert "5 clips are analysed already" in (said := capsys.readouterr().out)
    assert "1 clips: 1 analysed" in said
    after = table(output)
    assert after["video"].tolist() == ["a", "new", *before["video"][1:]]
    pd.testing.assert_frame_equal(
        after[after["video"] != "new"].reset_index(drop=True), before, check_exact=True
    )
    stored = [clip.path for shard in shards_of(output) for clip in stored_clips(shard)]
    assert len(stored) == len(set(stored)) == 6
    pd.testing.assert_frame_equal(before, table(analysed), rtol=1e-6)


def test_shards_together_are_the_whole(clips, analysed, tmp_path, capsys):
    output = tmp_path / "out"
    for number in (1, 2):
        line = ["analyse", str(clips), "--output", str(output), "--shard", f"{number}/2"]
        assert main([*line, "--workers", "0", "--no_previews"]) == 0
    assert f"python -m lvef merge {output}" in capsys.readouterr().out
    assert not (output / "predictions.csv").exists()
    assert main(["merge", str(output)]) == 0
    for name in ("predictions.csv", "beats.csv"):
        pd.testing.assert_frame_equal(table(output, name), table(analysed, name), rtol=1e-6)


def test_the_report_shows_the_clips_of_an_archive(analysed, tmp_path):
    page = tmp_path / "report.html"
    assert main(["report", str(analysed), "--output", str(page)]) == 0
    shown = data_of(page)["cases"]
    assert len(shown) == 5
    for case in shown[:4]:
        assert [frame["name"] for frame in case["frames"]] == ["EDF", "ESF", "MF"]
        assert all(len(frame["contour"]) > 10 for frame in case["frames"])
        assert len(case["curve"]["area"]) == LENGTH
        assert case["beats"]
    assert "config.yaml is missing" not in page.read_text()
    assert "does not say" not in page.read_text()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--fps", "30"], "fps (None there, 30.0 now)"),
        (["--shard", "1/2"], "shards (1 there"),
        (["--fast"], "fast (None there, True now)"),
    ],
)
def test_rows_made_otherwise_are_refused(clips, analysed, more, message, capsys):
    assert main(["analyse", str(clips), "--output", str(analysed), *more]) == 1
    [line] = told(capsys.readouterr().err)
    assert message in line
    assert "another --output" in line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing.avi"], "is no file, folder or pattern of a clip"),
        ([], "analyse takes clips"),
        (["{clips}", "--model", "none.ckpt"], "none.ckpt not found"),
        (["{clips}", "--segmenter", "none.safetensors"], "none.safetensors"),
        (["{clips}", "--shard", "3/2"], "as 2/8"),
        (["{clips}", "--list", "none.txt"], "none.txt"),
        (["{clips}", "--device", "tpu9"], "device tpu9"),
        (["{clips}", "--keyframes", "none.csv"], "none.csv not found"),
    ],
)
def test_what_cannot_work_is_told_in_one_line(clips, tmp_path, words, message, capsys):
    given = [word.format(clips=clips) for word in words]
    assert main(["analyse", *given, "--output", str(tmp_path / "out"), "--workers", "0"]) == 1
    [line] = told(capsys.readouterr().err)
    assert message in line
    if "nothing.avi" in words or "none.txt" in words[-1:]:
        assert not (tmp_path / "out").exists(), "nothing is made before clips are there"


def test_merge_of_no_archive_is_told_in_one_line(tmp_path, capsys):
    assert main(["merge", str(tmp_path)]) == 1
    [line] = told(capsys.readouterr().err)
    assert "there is none of an archive" in line


def test_help_fits_a_screen_and_nothing_slow_is_imported(tmp_path):
    script = (
        "import sys; from lvef.cli.commands import main\n"
        "try: main(['analyse', '--help'])\n"
        "except SystemExit: pass\n"
        "from lvef.predict.stream.archive import Archive\n"
        "slow = {'lightning', 'torchvision', 'torchmetrics'}\n"
        "print(sorted(slow & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120,
        env={**os.environ, "COLUMNS": "100"},
    )  # fmt: skip
    assert "not for diagnosis" in done.stdout
    assert len(done.stdout.splitlines()) <= 50
    assert done.stderr.strip() == "[]", "each takes a second and more, in every process"


def test_known_key_frames_are_taken_and_the_others_found(clips, tmp_path):
    keys = tmp_path / "keys.csv"
    keys.write_text("video,ed,es\nstudy7/a,3,17\nstudy7/b,70,900\n")
    options = ArchiveOptions(workers=0, previews=False, keyframes=str(keys))
    archive = Archive(tmp_path / "out", options)
    archive.run([clips / "study7"], lambda: False, bar=False)
    rows = {c.rows[0]["video"]: c.rows for c in stored_clips(shards_of(tmp_path / "out")[0])}
    assert [(r["ed_frame"], r["es_frame"]) for r in rows["a"]] == [(3, 17)]
    assert "do not both lie in" in rows["b"][0]["reason"]


def test_a_name_in_bytes_that_are_no_utf8_has_rows_pictures_and_an_answer(clips, tmp_path):
    folder = tmp_path / "clips"
    folder.mkdir()
    name = os.fsdecode(b"caf\xe9.avi")
    (folder / name).symlink_to(clips / "a.avi")
    (folder / os.fsdecode(b"bad\xe9.avi")).write_bytes(b"not a video" * 100)
    archive = Archive(tmp_path / "out", ArchiveOptions(workers=0))
    assert archive.run([folder], lambda: False, bar=False).ok == 1
    merge_shards(tmp_path / "out", archive.manifest["made_with"])
    rows = table(tmp_path / "out").set_index("video")
    assert rows.loc["caf\\xe9", "ef"] == pytest.approx(lvef.analyse_clip(clips / "a.avi").ef)
    assert rows.loc["bad\\xe9", "reason"].startswith("bad\\xe9.avi: not a readable video")
    assert len(list((tmp_path / "out" / "previews").glob("*.jpg"))) == 1
    [video] = stored_videos(tmp_path / "out", {"caf\\xe9"})["path"]
    assert Path(video).exists()


def test_stopping_ends_what_is_in_hand_and_the_next_run_goes_on(clips, tmp_path):
    options = ArchiveOptions(workers=0, previews=False)
    archive = Archive(tmp_path / "out", options)
    done = archive.run([clips], lambda: archive.progress.clips >= 2, bar=False)
    assert done.clips == 2
    again = Archive(tmp_path / "out", options).run([clips], lambda: False, bar=False)
    assert again.clips == 3


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="kill -9")
def test_killed_at_ten_moments_it_loses_no_row_and_none_is_twice(tmp_path):
    """Main process, workers and merge alike; the end is that of a run that nobody disturbed."""
    clips = tmp_path / "clips"
    clips.mkdir()
    for number in range(10):
        write_video(clips / f"{number}.avi", PhantomClip(6, number).frames(range(60)), 50)
    line = [sys.executable, "-m", "lvef", "analyse", str(clips), "--no_previews", "--output"]
    subprocess.run([*line, str(tmp_path / "whole")], check=True, timeout=600)
    rng = random.Random(4)
    for kill in range(10):
        with subprocess.Popen([*line, str(tmp_path / "out")]) as process:
            time.sleep(rng.uniform(4, 14))
            victim = process.pid
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
            if kill % 3 == 0 and children.exists() and children.read_text().split():
                victim = int(rng.choice(children.read_text().split()))
            with suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
            if victim == process.pid:
                process.wait()
            else:
                process.kill()
    subprocess.run([*line, str(tmp_path / "out")], check=True, timeout=600)
    for name in ("predictions.csv", "beats.csv"):
        whole, found = table(tmp_path / "whole", name), table(tmp_path / "out", name)
        pd.testing.assert_frame_equal(whole, found, rtol=1e-6)
    assert len(whole) >= 10


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_what_is_in_hand_and_says_how_to_go_on(tmp_path, sent):
    clips = tmp_path / "clips"
    clips.mkdir()
    for number in range(8):
        write_video(clips / f"{number}.avi", PhantomClip(6, number).frames(range(60)), 50)
    line = [sys.executable, "-m", "lvef", "analyse", str(clips), "--output", str(tmp_path / "o")]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        journal = tmp_path / "o" / "shards" / "01-of-01" / "journal-000000.jsonl"
        while not journal.exists() or not journal.stat().st_size:
            time.sleep(0.1)
        process.send_signal(sent)
        said, _ = process.communicate(timeout=120)
    assert process.returncode == 128 + sent
    assert "The same command goes on" in said
    assert 1 <= len(table(tmp_path / "o")) < 8
    assert np.isfinite(table(tmp_path / "o")["ef"]).all()
