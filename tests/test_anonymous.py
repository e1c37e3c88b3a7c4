"""`analyse --anonymize`: clips by numbers in all that is written, and a key that lies elsewhere."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from helpers import data_of, told, touch

from lvef.cli.commands import main
from lvef.data.formats import write_video
from lvef.errors import ConfigurationError, DatasetError, LvefError
from lvef.files import read_csv
from lvef.phantom import PhantomClip
from lvef.predict.numbers import number_places, place_of, places_of_cases, secret_of
from lvef.predict.stream import store
from lvef.predict.stream.anonymous import Anonymiser, without_names
from lvef.predict.stream.archive import Archive, ArchiveOptions
from lvef.predict.stream.inputs import ClipInput, Shard, clip_inputs
from lvef.predict.stream.store import shards_of, stored_clips

NAMES = ("Quibblewick", "Zoraida", "Fernsby")
"""Of people; no library in a report spells any word so."""


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Path:
    """Two clips in folders called by names, and two that are none, one of them in no UTF-8."""
    root = tmp_path_factory.mktemp("archive") / "Quibblewick"
    for number, name in enumerate(("Zoraida_1.avi", "study/Zoraida_2.avi")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        write_video(root / name, PhantomClip(5, number).frames(range(64)), 50)
    (root / "Zoraida_0.avi").write_bytes(b"not a video" * 100)
    (root / os.fsdecode(b"Zoraida_\xe9.avi")).write_bytes(b"not a video" * 100)
    return root


@pytest.fixture(scope="module")
def analysed(clips, tmp_path_factory) -> tuple[Path, Path]:
    """What `analyse --anonymize` writes of them, and the key."""
    folder = tmp_path_factory.mktemp("analysed")
    output, key = folder / "out", folder / "safe" / "KEY.csv"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(store, "PART_CLIPS", 3)  # a part, and a journal
        assert main([*_line(clips, output, key), "--overlays", "--report"]) == 0
    return output, key


def _line(clips: Path, output: Path, key: Path) -> list[str]:
    return ["analyse", str(clips), "--output", str(output), "--anonymize", str(key),
            "--workers", "0"]  # fmt: skip


def everything(output: Path) -> dict[str, bytes]:
    """Return all that stands below a folder, also what is packed."""
    content = {str(p.relative_to(output)): p.read_bytes() for p in output.rglob("*") if p.is_file()}
    for path in output.rglob("*.parquet"):
        content[f"{path} unpacked"] = repr(pq.read_table(path).to_pylist()).encode()
    for shard in shards_of(output):
        for clip in stored_clips(shard):
            content[f"{clip.key!r} stored"] = repr(clip).encode()
    return content


def test_nothing_that_is_written_names_a_clip_or_its_folder(clips, analysed):
    output, _ = analysed
    content = everything(output)
    assert {Path(name).suffix for name in content} >= {
        ".csv", ".json", ".jpg", ".mp4", ".html", ".parquet", ".jsonl",
    }  # fmt: skip
    for name, written in content.items():
        for secret in (*NAMES, str(clips.parent)):
            assert secret not in name
            assert secret.encode() not in written, name
    sizes = {str(path.stat().st_size) for path in clips.rglob("*.avi")}
    rows = [row for shard in shards_of(output) for c in stored_clips(shard) for row in c.rows]
    assert not sizes & {str(row["size"]) for row in rows}
    assert {row["mtime_ns"] for row in rows} == {-1}


def test_numbers_go_by_path_and_the_key_says_which_clip_each_is(clips, analysed):
    output, key = analysed
    places = places_of_cases(key)
    files = [path.relative_to(clips).as_posix() for path in places.values()]
    assert files == ["Zoraida_0.avi", "Zoraida_1.avi", "Zoraida_\\xe9.avi", "study/Zoraida_2.avi"]
    rows = pd.read_csv(output / "predictions.csv").set_index("video")
    assert rows.index.tolist() == [*places] == [f"case_000{n}" for n in (1, 2, 3, 4)]
    assert rows["status"].tolist() == ["failed", "ok", "failed", "ok"]
    for case in ("case_0001", "case_0003"):
        assert rows.loc[case, "reason"].startswith(f"{case}: not a readable video")
    assert set(pd.read_csv(output / "beats.csv")["video"]) == {"case_0002", "case_0004"}
    made = json.loads((output / "manifest.json").read_text())
    assert made["anonymised"]
    assert secret_of(key).hex() not in b"".join(everything(output).values()).decode("latin-1")
    shown = data_of(output / "report" / "report.html")["cases"]
    assert [len(case["frames"]) for case in shown] == [0, 3, 0, 3], "the key led to the clips"


def test_the_same_command_again_keeps_numbers_and_gives_new_clips_the_next(
    clips, analysed, tmp_path, capsys
):
    output, key = analysed
    before = pd.read_csv(output / "predictions.csv")
    (clips / "Fernsby.avi").write_bytes(b"no video " * 99)  # before all others by its name
    try:
        assert main([*_line(clips, output, key), "--report"]) == 0
    finally:
        (clips / "Fernsby.avi").unlink()
    said = capsys.readouterr().out
    assert "4 clips are analysed already" in said
    assert "1 clips: 0 analysed" in said
    after = pd.read_csv(output / "predictions.csv")
    pd.testing.assert_frame_equal(after.iloc[:4], before)
    assert after["video"].iloc[4] == "case_0005"
    assert places_of_cases(key)["case_0005"] == clips / "Fernsby.avi"
    assert not any(b"Fernsby" in written for written in everything(output).values())
    page = tmp_path / "page" / "page.html"
    assert main(["report", str(output), "--output", str(page), "--key", str(tmp_path / "k")]) == 0
    assert [len(case["frames"]) for case in data_of(page)["cases"]] == [0] * 5
    assert "Give the key that says where they lie" in page.read_text()


def test_names_and_numbers_of_another_key_are_not_mixed(clips, analysed, tmp_path, capsys):
    output, _ = analysed
    for more, message in (
        ([], "is anonymised: give --anonymize"),
        (["--anonymize", str(tmp_path / "none.csv")], "none.csv is not there"),
        (["--anonymize", str(tmp_path / "other.csv")], "numbered by another key"),
    ):
        secret_of(tmp_path / "other.csv")
        assert main(["analyse", str(clips), "--output", str(output), *more]) == 1
        [line] = told(capsys.readouterr().err)
        assert message in line
        assert "another --output" in line
    assert not (tmp_path / "none.csv").exists()
    Archive(tmp_path / "plain", ArchiveOptions())
    assert main(_line(clips, tmp_path / "plain", tmp_path / "none.csv")) == 1
    [line] = told(capsys.readouterr().err)
    assert "holds clips by their names" in line
    assert not (tmp_path / "none.csv").exists(), "no key is begun in vain"


@pytest.mark.parametrize("inside", ["KEY.csv", "deep/../KEY.csv", ".", "link/KEY.csv"])
def test_the_key_must_not_lie_where_everything_is_passed_on(clips, tmp_path, inside, capsys):
    output = tmp_path / "out"
    output.mkdir()
    (output / "link").symlink_to(output)
    assert main(_line(clips, output, output / inside)) == 1
    [line] = told(capsys.readouterr().err)
    assert "lies in --output" in line
    assert {path.name for path in output.iterdir()} == {"link"}


def test_a_file_of_another_kind_is_not_written_over(clips, tmp_path, capsys):
    other = tmp_path / "other.csv"
    other.write_text("video,ed,es\na,1,2\n")
    assert main(_line(clips, tmp_path / "out", other)) == 1
    [line] = told(capsys.readouterr().err)
    assert "is no key of an earlier run" in line
    assert other.read_text().startswith("video,ed,es")


def test_many_who_number_at_once_agree_and_none_is_lost(tmp_path):
    key = tmp_path / "KEY.csv"
    places = [f"/archive/{n:03d}.avi" for n in range(200)]
    listings = [places[first : first + 100] for first in range(0, 101, 10)]
    with ThreadPoolExecutor(8) as pool:
        secrets = list(pool.map(lambda _: secret_of(key), range(8)))
        found = list(pool.map(lambda listed: number_places(listed, key), listings))
    assert len(set(secrets)) == 1
    kept = {str(path): case for case, path in places_of_cases(key).items()}
    assert set(kept) == set(places)
    assert len(set(kept.values())) == 200
    for listed, cases in zip(listings, found, strict=True):
        assert cases == {place: kept[place] for place in listed}


def test_shards_that_share_a_key_share_the_clips_out(tmp_path):
    root = touch(tmp_path / "in", *(f"{n}/clip{n}.avi" for n in range(60)))
    cases = []
    for index in range(3):
        numbers = Anonymiser(tmp_path / "KEY.csv", tmp_path / "out")
        numbers.number(clip_inputs([root]))
        cases += [c.name for c in numbers(clip_inputs([root])) if Shard(index, 3).has(c)]
    assert sorted(cases) == [f"case_{n:04d}" for n in range(1, 61)]
    touch(root, "late.avi")
    assert len(list(numbers(clip_inputs([root])))) == 60, "the next run numbers it"


def test_a_key_of_predict_is_gone_on_with_and_keeps_its_secret(tmp_path):
    key, root = tmp_path / "KEY.csv", touch(tmp_path / "in", "a.avi", "b.avi")
    key.write_text(f"case,path\ncase_0007,{tmp_path}/elsewhere/../in/b.avi\n")
    secret = secret_of(key)
    a, b = (place_of(root / name) for name in ("a.avi", "b.avi"))
    assert number_places([a, b], key) == {a: "case_0008", b: "case_0007"}
    assert secret_of(key) == secret
    assert len(read_csv(key)) == 3
    key.write_text("case,path\ncase_0000,secret of this key: xyz\n")
    with pytest.raises(DatasetError, match="damaged"):
        secret_of(key)


def test_a_clip_that_was_written_again_is_known_by_its_number(tmp_path):
    root = touch(tmp_path / "in", "a.avi")
    numbers = Anonymiser(tmp_path / "KEY.csv", tmp_path / "out")
    numbers.number(clip_inputs([root]))
    [before] = numbers(clip_inputs([root]))
    (root / "a.avi").write_bytes(b"more")
    [after] = numbers(clip_inputs([root]))
    [plain] = clip_inputs([root])
    assert before.stored_path == after.stored_path == b"%012d" % 1
    assert len({before.key, after.key, plain.key}) == 3
    assert sorted(ClipInput(root, "", "", case=n).stored_path for n in (10_000, 9_999)) == [
        b"%012d" % 9_999, b"%012d" % 10_000,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "reason", "wanted"),
    [
        ("Doe.avi", "{folder}/Doe.avi: cut short", "case_0001: cut short"),
        ("Doe.avi", "Doe.avi holds no frame", "case_0001 holds no frame"),
        ("12", "key frames 12 and 40 do not lie in it", "key frames 12 and 40 do not lie in it"),
        ("19531204", "19531204: no pictures", "case_0001: no pictures"),
        ("IM1", "IM1: IM12 has no pictures", "case_0001: IM12 has no pictures"),
        (os.fsdecode(b"caf\xe9"), "caf\\xe9: damaged", "case_0001: damaged"),
    ],
)
def test_reasons_lose_names_and_keep_the_rest(tmp_path, name, reason, wanted):
    plain = ClipInput(tmp_path / name, "name", "shown")
    given = reason.format(folder=tmp_path)
    assert without_names(plain, given) == given
    assert without_names(ClipInput(tmp_path / name, "case_0001", "", case=1), given) == wanted


def test_what_made_the_rows_is_told_without_folders(tmp_path):
    import lvef

    weights = tmp_path / "Fernsby" / "own.safetensors"
    weights.parent.mkdir()
    weights.symlink_to(Path(lvef.__file__).parent / "weights" / "lv_seg.safetensors")
    options = ArchiveOptions(segmenter=str(weights), anonymize=str(tmp_path / "KEY.csv"))
    made = Archive(tmp_path / "out", options).manifest["made_with"]
    assert made["segmenter"] == "own.safetensors"
    assert b"Fernsby" not in (tmp_path / "out" / "manifest.json").read_bytes()


def test_key_frames_that_are_not_there_leave_no_manifest(tmp_path):
    with pytest.raises(LvefError, match="not found"):
        Archive(tmp_path / "out", ArchiveOptions(keyframes=str(tmp_path / "none.csv")))
    assert not (tmp_path / "out" / "manifest.json").exists()
    with pytest.raises(ConfigurationError, match="lies in --output"):
        Anonymiser(tmp_path / "KEY.csv", tmp_path)
