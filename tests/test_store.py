"""Rows of an archive on the disk: whenever it is killed, none is lost and none is twice."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lvef.errors import ConfigurationError, DatasetError
from lvef.predict.clip_beats import EMPTY
from lvef.predict.stream import store as stores
from lvef.predict.stream.inputs import ClipInput
from lvef.predict.stream.manifest import agreed
from lvef.predict.stream.merge import clips_of, merge_shards
from lvef.predict.stream.store import ShardStore, journal_clips, parts_of, stored_clips

MADE = {"frames": [], "trained_on": "phantoms"}


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """Parts of four clips."""
    monkeypatch.setattr(stores, "PART_CLIPS", 4)


def clip(number: int, mtime: int = 1) -> ClipInput:
    return ClipInput(Path(f"/archive/{number:03d}.avi"), f"{number:03d}", "x.avi", 10, mtime)


def rows(number: int, ef: float = 50.0, reason: str = "") -> list[dict]:
    known = {**EMPTY, "video": f"{number:03d}", "reason": reason, "num_frames": 100}
    if reason:
        return [known]
    beats = ((0, ef - 1), (1, ef), (2, ef + 3))
    return [
        {**known, "beat": np.int64(beat), "ed_frame": 3 * beat, "es_frame": 3 * beat + 2,
         "mid_frame": 3 * beat + 1, "ef_geometric": np.float64(value), "ef_geometric_std": 5.0,
         "ef_geometric_reach": 1.5, "beat_quality": 0.9, "quality": 0.8}
        for beat, value in beats
    ]  # fmt: skip


def filled(folder: Path, numbers, **more) -> Path:
    with ShardStore(folder) as store:
        for number in numbers:
            store.add(clip(number), rows(number, 40 + number / 7), b"record %d" % number)
    return folder


def found(folder: Path) -> list[tuple[str, int]]:
    return [(c.rows[0]["video"], len(c.rows)) for c in stored_clips(folder)]


def test_what_is_stored_is_there_again_to_every_digit(tmp_path):
    folder = filled(tmp_path / "shard", range(10))
    assert [part.name for part in parts_of(folder)] == [
        "rows-000000.parquet", "rows-000001.parquet"
    ]  # fmt: skip
    assert len(journal_clips(folder)) == 2
    clips = list(stored_clips(folder))
    assert [c.rows[0]["video"] for c in clips] == [f"{n:03d}" for n in range(10)]
    for number, each in enumerate(clips):
        assert each.key == clip(number).key
        assert os.fsdecode(each.path) == str(clip(number).path)
        wanted = rows(number, 40 + number / 7)
        assert [row["ef_geometric"] for row in each.rows] == [row["ef_geometric"] for row in wanted]
    assert clips[9].record == b"record 9"


@pytest.mark.parametrize("cut", [1, 5, 200])
def test_a_line_that_is_cut_was_never_written_and_the_next_is_whole(tmp_path, cut):
    folder = filled(tmp_path / "shard", range(3))
    journal = folder / "journal-000000.jsonl"
    journal.write_bytes(journal.read_bytes()[:-cut])
    with ShardStore(folder) as store:
        assert len(set(store.keys())) == 2
        store.add(clip(2), rows(2))
    assert found(folder) == [(f"{n:03d}", 3) for n in range(3)]


def test_a_kill_between_part_and_journal_makes_nothing_double(tmp_path, monkeypatch):
    folder, write = tmp_path / "shard", stores._write_part

    def and_die(*part):
        write(*part)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(stores, "_write_part", and_die)
        with pytest.raises(KeyboardInterrupt):
            filled(folder, range(4))
    assert len(parts_of(folder)) == 1, "the part is there"
    assert (folder / "journal-000000.jsonl").exists(), "and so is what it was made of"
    with ShardStore(folder) as store:
        assert len(list(store.keys())) == 4
        assert not (folder / "journal-000000.jsonl").exists(), "which the part holds"
        store.add(clip(4), rows(4))
    assert found(folder) == [(f"{n:03d}", 3) for n in range(5)]


def _killed(*_about, **_more):
    raise KeyboardInterrupt


def test_a_kill_while_a_part_is_written_loses_nothing(tmp_path, monkeypatch):
    folder = tmp_path / "shard"
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", _killed)
        with pytest.raises(KeyboardInterrupt):
            filled(folder, range(4))
    assert not parts_of(folder)
    assert len(found(folder)) == 4
    filled(folder, [4, 5])
    assert found(folder) == [(f"{n:03d}", 3) for n in range(6)]
    assert len(parts_of(folder)) == 1


def test_two_runs_do_not_write_one_shard(tmp_path):
    with ShardStore(tmp_path), pytest.raises(ConfigurationError, match="written by another run"):
        ShardStore(tmp_path)
    ShardStore(tmp_path).__exit__()


def test_the_tables_are_those_of_all_shards_in_the_order_of_paths(tmp_path):
    numbers = np.random.default_rng(3).permutation(30).tolist()
    filled(tmp_path / "one" / "shards" / "01-of-01", numbers)
    for shard in range(3):
        filled(tmp_path / "three" / "shards" / f"0{shard + 1}-of-03", numbers[shard::3])
    for folder in ("one", "three"):
        assert merge_shards(tmp_path / folder, MADE) == (30, 0)
    for name in ("predictions.csv", "beats.csv"):
        one, three = (pd.read_csv(tmp_path / f / name, dtype={"video": str})
                      for f in ("one", "three"))  # fmt: skip
        pd.testing.assert_frame_equal(one, three)
    assert one["video"].tolist() == [f"{n:03d}" for n in range(30) for _ in range(3)]
    videos = pd.read_csv(tmp_path / "one" / "predictions.csv", dtype={"video": str})
    assert videos["video"].tolist() == [f"{n:03d}" for n in range(30)]
    np.testing.assert_allclose(videos["ef"], 40 + np.arange(30) / 7, rtol=1e-12)
    assert (videos["num_beats"] == 3).all()
    assert (videos["trained_on"] == "phantoms").all()
    assert json.loads((tmp_path / "one" / "predictions.json").read_text()) == MADE


def test_a_file_that_has_changed_counts_as_it_is_now(tmp_path):
    folder = tmp_path / "shards" / "01-of-01"
    filled(folder, range(6))
    with ShardStore(folder) as store:
        store.add(clip(1, mtime=2), rows(1, 70.0))
        store.add(clip(5, mtime=2), rows(5, reason="it cannot be read any more"))
    assert [c.rows[0]["video"] for c in clips_of([folder])] == [f"{n:03d}" for n in range(6)]
    assert merge_shards(tmp_path, MADE) == (6, 1)
    videos = pd.read_csv(tmp_path / "predictions.csv", dtype={"video": str}).set_index("video")
    assert videos.loc["001", "ef"] == 70.0
    assert videos.loc["005", "reason"] == "it cannot be read any more"


def test_a_merge_that_is_killed_leaves_the_tables_of_before(tmp_path, monkeypatch):
    folder = tmp_path / "shards" / "01-of-01"
    filled(folder, range(3))
    merge_shards(tmp_path, MADE)
    before = (tmp_path / "predictions.csv").read_bytes()
    filled(folder, [3])
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", _killed)
        with pytest.raises(KeyboardInterrupt):
            merge_shards(tmp_path, MADE)
    assert (tmp_path / "predictions.csv").read_bytes() == before
    assert merge_shards(tmp_path, MADE) == (4, 0)


def test_nothing_to_merge_is_told(tmp_path):
    with pytest.raises(DatasetError, match="holds no shard"):
        merge_shards(tmp_path, MADE)
    ShardStore(tmp_path / "shards" / "01-of-01").__exit__()
    with pytest.raises(DatasetError, match="no clip is analysed yet"):
        merge_shards(tmp_path, MADE)
    assert not (tmp_path / "predictions.csv").exists()


def test_rows_that_were_made_otherwise_are_not_mixed(tmp_path):
    made = {"version": "1", "segmenter": "abc", "shards": 1, "made_with": {"frames": []}}
    path = tmp_path / "manifest.json"
    assert agreed(path, made) == made
    assert agreed(path, {**made, "made_with": {"frames": [], "checkpoint": "moved"}}) == made
    with pytest.raises(ConfigurationError, match=r"segmenter \(abc there, xyz now\)") as told:
        agreed(path, {**made, "segmenter": "xyz"})
    assert "another --output" in str(told.value)
    path.write_text("{")
    with pytest.raises(ConfigurationError, match="damaged"):
        agreed(path, made)
