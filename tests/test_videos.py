"""What becomes of many new clips, some of which are broken."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from clips import numbered, patched, two_sizes, write_clip
from found import found_rows
from helpers import CONFIGS, newest, told

from lvef.cli.commands import main
from lvef.errors import DatasetError, OutputError, VideoError
from lvef.files import read_csv
from lvef.predict.clip_beats import FoundBeats
from lvef.predict.numbers import number_places, place_of
from lvef.predict.stream.store import stored_clips


def found(file, name):
    beat = SimpleNamespace(ed_frame=1, es_frame=7, mid_frame=4, ef=55.0, ef_std=8.0, ef_reach=1.6,
                           quality=0.7)  # fmt: skip
    return FoundBeats((beat, beat), 0.9, "")


def clips(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        write_clip(folder / name, numbered(12), "mjpeg", "yuvj420p", {"qmin": "2", "qmax": "4"})
    return folder


def test_no_file_ends_the_others_whatever_is_wrong_with_it(tmp_path):
    folder = clips(tmp_path / "clips", "a.avi", "z.avi")
    good = folder / "a.avi"
    patched(good, folder / "b.avi", (b"vidsMJPG", 4, b"QQQQ"), (b"\0MJPG", 1, b"QQQQ"))
    patched(good, folder / "c.avi", (b"strh", 40, b"\xff\xff\xff\xff"))
    two_sizes(folder / "d.avi")
    (folder / b"caf\xe9.avi".decode("utf-8", "surrogateescape")).write_bytes(good.read_bytes())
    (folder / "e.avi").write_bytes(b"no video " * 99)

    def finder(file, name):
        if file.path.name == "z.avi":
            raise ZeroDivisionError("an error of ours")
        return found(file, name)

    table = found_rows(folder, find=finder)
    reasons = table.groupby("video")["reason"].first().to_dict()
    assert reasons.pop("a") == reasons.pop("c") == reasons.pop("d") == ""
    assert reasons.pop("caf\\xe9") == ""
    assert reasons.pop("z") == "an error of lvef (ZeroDivisionError), please report it"
    assert reasons.pop("b") == "b.avi: its compression is not known to FFmpeg: convert it to MP4"
    assert "e.avi: not a readable video" in reasons.pop("e")
    assert not reasons
    assert (table["video"].value_counts()[["a", "c", "d"]] == 2).all()


def test_what_cannot_be_kept_stops_the_run(tmp_path):
    folder = clips(tmp_path / "clips", "a.avi")

    def finder(file, name):
        raise OutputError("a full disk")

    with pytest.raises(OutputError, match="a full disk"):
        found_rows(folder, find=finder)


@pytest.mark.parametrize(
    "patient",
    [
        "Echo archive, export of 12 March/Doe_Jane_born_1950-12-31_MRN778899" + "/study" * 30,
        "[2023] Doe Jane MRN778899",
        "Doe 'Jane' \"MRN778899\" (1950)",
        "Müller, Jörg – MRN778899",
        "Doe: Jane MRN778899",
        "error] Doe, Jane MRN778899",
    ],
)
def test_no_reason_names_the_folder_of_a_file(tmp_path, patient):
    folder = clips(tmp_path / "archive" / patient, "good.avi", "far.avi")
    whole = (folder / "good.avi").read_bytes()
    (folder / "cut.avi").write_bytes(whole[:400])
    (folder / "text.avi").write_bytes(b"no video " * 300)
    (folder / "text.dcm").write_bytes(b"no video " * 300)
    (folder / "text.mp4").write_bytes(b"\0\0\0\x20ftypisom" + bytes(300))
    (folder / "empty.avi").write_bytes(b"")
    (folder / "gone.avi").symlink_to(folder / "nowhere.avi")
    write_clip(folder / "still.mp4", numbered(1))
    (folder / "linked.avi").symlink_to(folder / "text.avi")
    keys = tmp_path / "keys.csv"
    keys.write_text("video,ed,es\nfar,3,99\n")

    def finder(file, name):
        raise VideoError(f"{file.path}: a complaint about {file.path}")

    pattern = str(tmp_path / "archive") + "/**/*"
    table = pd.concat([found_rows(pattern, keys), found_rows(pattern, find=finder)])
    assert {"cut", "text", "empty", "still", "linked", "far"} <= {
        Path(name).name.split(".")[0] for name in table["video"]
    }
    assert table["reason"].ne("").all()
    told = " ".join(table["reason"])
    for secret in ("MRN778899", "Doe", "Jörg", str(tmp_path)):
        assert secret not in told
    assert np.unique(table["path"]).size == len(table) // 2


def numbered_by(key, *paths):
    cases = number_places(map(place_of, paths), key)
    return [cases[place_of(path)] for path in paths]


def test_a_key_elsewhere_explains_numbers_that_stay(tmp_path):
    folder = clips(tmp_path / "Doe_Jane", "Doe_1.avi", "Doe_2.avi")
    key = tmp_path / "safe" / "key.csv"
    one, two = sorted(folder.iterdir())
    assert numbered_by(key, one, two) == ["case_0001", "case_0002"]
    assert read_csv(key).set_index("case")["path"]["case_0002"] == str(two)
    (more,) = clips(tmp_path / "Alder", "Alder.avi").iterdir()
    assert numbered_by(key, more, two) == ["case_0003", "case_0002"]
    (tmp_path / "other.csv").write_text("video,ed,es\na,1,2\n")
    with pytest.raises(DatasetError, match=r"other\.csv is no key of an earlier run"):
        numbered_by(tmp_path / "other.csv", one)


def test_predict_names_clips_by_numbers_and_keeps_the_key_elsewhere(tmp_path, capsys):
    folder = tmp_path / "Doe_Jane"
    folder.mkdir()
    (folder / "Doe.avi").write_bytes(b"no video " * 99)
    asked = ["predict", "--config", str(CONFIGS / "lv_seg.yaml"), "--data.videos", str(folder),
             "--trainer.default_root_dir", str(tmp_path), "--anonymize"]  # fmt: skip
    assert main([*asked, str(tmp_path / "safe" / "key.csv")]) == 0
    run = newest(tmp_path, "predictions.csv").parent
    table = read_csv(run / "predictions.csv")
    assert table["video"].tolist() == ["case_0001"]
    assert table.loc[0, "reason"].startswith("case_0001: not a readable video")
    for path in run.rglob("*"):
        yours = path.name in ("config.yaml", "run.json")  # they hold what was typed
        assert yours or path.is_dir() or b"Doe" not in path.read_bytes(), path.name
    (clip,) = stored_clips(run / "shards" / "01-of-01")
    assert clip.path == b"000000000001"
    assert "Doe.avi" in (tmp_path / "safe" / "key.csv").read_text()
    inside = run.with_name("version_1") / "key.csv"
    assert main([*asked, str(inside)]) == 1
    (line,) = told(capsys.readouterr().err)
    assert "lies in the run's folder" in line
    assert not inside.exists()


def test_a_segmenter_without_its_config_predicts_and_says_how_many_failed(
    phantom_root, tmp_path, caplog
):
    folder = tmp_path / "clips"
    folder.mkdir()
    (folder / "a.avi").symlink_to(min((phantom_root / "Videos").iterdir()))
    (folder / "b.avi").write_bytes(b"no video " * 99)
    asked = ["predict", "--model", "lvef.models.LVSegmenter", "--data.videos", str(folder)]
    assert main([*asked, "--trainer.default_root_dir", str(tmp_path)]) == 0
    path = newest(tmp_path, "predictions.csv")
    assert read_csv(path)["status"].tolist() == ["ok", "failed"]
    assert f"Predictions: {path} (1 of 2 failed: see reason there)" in caplog.text
