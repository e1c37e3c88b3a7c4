"""Shards that are damaged: what is whole stays, the rest is told, and analysed anew."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_store import MADE, clip, filled, found, rows, small_parts

from lvef import analyse_clip
from lvef.errors import DatasetError
from lvef.phantom import PhantomClip
from lvef.predict.record import packed_record
from lvef.predict.stream.inputs import without
from lvef.predict.stream.merge import merge_shards
from lvef.predict.stream.store import ShardStore, parts_of
from lvef.predict.stream.stored import stored_records, stored_videos

WHOLE = [(f"{n:03d}", 3) for n in range(14)]
__all__ = ["small_parts"]


@pytest.fixture
def shard(tmp_path) -> Path:
    """Three parts of four clips, and a journal of two."""
    return filled(tmp_path / "shards" / "01-of-01", range(14))


def analysed_again(shard: Path) -> list[str]:
    """Do what `analyse` does when it goes on; return the clips that it did."""
    with ShardStore(shard) as store:
        done = []
        for each in without(map(clip, range(14)), set(store.keys())):
            number = int(each.name)
            store.add(each, rows(number, 40 + number / 7), b"record %d" % number)
            done.append(each.name)
    return done


def changed(**values: object):
    def change(line: bytes) -> bytes:
        return json.dumps({**json.loads(line), **values}).encode() + b"\n"

    return change


def changed_row(**values: object):
    def change(line: bytes) -> bytes:
        about = json.loads(line)
        about["rows"][0].update(values)
        return json.dumps(about).encode() + b"\n"

    return change


@pytest.mark.parametrize(
    "damage",
    [
        lambda line: line[:40] + b"\xff\0" + line[42:],
        lambda line: b"\0" * (len(line) - 1) + b"\n",
        lambda line: line.replace(b": [", b": ", 1),
        lambda _: b"[]\n",
        lambda _: b"{}\n",
        lambda _: b"3\n",
        changed(path="no base64"),
        changed(key="no hex"),
        changed(rows=[]),
        changed(rows=[3]),
        changed(rows=None),
        changed(record=None),
        changed_row(video=None),
        changed_row(reason=3),
        changed_row(ef_geometric="40"),
        changed_row(beat=[1]),
    ],
)
@pytest.mark.parametrize("place", [0, 1])
def test_a_damaged_line_costs_its_own_clip_and_is_told(shard, damage, place):
    journal = shard / "journal-000003.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[place] = damage(lines[place])
    journal.write_bytes(b"".join(lines))
    lost = f"{12 + place:03d}"
    with pytest.warns(UserWarning, match="journal-000003.jsonl: a line is damaged"):
        assert merge_shards(shard.parents[1], MADE) == (13, 0)
    with pytest.warns(UserWarning, match="a line is damaged"):
        assert analysed_again(shard) == [lost]
    with warnings.catch_warnings(record=True):
        assert sorted(found(shard)) == WHOLE
        filled(shard, [14, 15])
    assert sorted(found(shard)) == [*WHOLE, ("014", 3), ("015", 3)], "the next part holds all"
    assert len(parts_of(shard)) == 4


def cut(part: Path) -> None:
    part.write_bytes(part.read_bytes()[:-30])


def foreign(part: Path) -> None:
    pq.write_table(pa.table({"path": [b"/a"], "key": [b"k"]}), part)


def blank(part: Path) -> None:
    whole = part.read_bytes()
    part.write_bytes(whole[:4] + bytes(len(whole) // 2) + whole[4 + len(whole) // 2 :])


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("damage", [cut, foreign, blank, lambda part: part.write_bytes(b"")])
def test_a_damaged_part_is_told_and_without_it_its_clips_alone_are_done_anew(shard, damage, number):
    archive = shard.parents[1]
    merge_shards(archive, MADE)
    before = (archive / "predictions.csv").read_bytes()
    part = parts_of(shard)[number]
    damage(part)
    with pytest.raises(DatasetError, match="is damaged") as told:
        merge_shards(archive, MADE)
    assert str(told.value).startswith(f"{part} ")
    assert "remove it and its records, and analyse its clips anew" in str(told.value)
    assert "\n" not in str(told.value)
    assert (archive / "predictions.csv").read_bytes() == before
    assert not list(archive.glob(".*part*"))
    part.unlink()
    part.with_name(part.name.replace("rows", "records")).unlink()
    assert analysed_again(shard) == [f"{n:03d}" for n in range(4 * number, 4 * number + 4)]
    assert sorted(found(shard)) == WHOLE, "none is lost, and none twice"
    filled(shard, range(14, 20))
    assert sorted(found(shard)) == [(f"{n:03d}", 3) for n in range(20)]
    assert merge_shards(archive, MADE) == (20, 0)


def test_records_are_those_of_their_clips_and_a_damaged_one_is_missing(tmp_path):
    analysis = analyse_clip(np.stack([*PhantomClip(5, 0).frames(range(75))]), fps=50)
    record = packed_record(analysis)
    shard = tmp_path / "shards" / "01-of-01"
    with ShardStore(shard) as store:
        for number in range(10):
            broken = number in (2, 9)
            store.add(clip(number), rows(number), record[:-50] if broken else record)
    names = [f"{n:03d}" for n in (0, 2, 5, 8, 9)]
    kept = stored_records(tmp_path, names)
    assert sorted(kept) == ["000", "005", "008"], "of parts and of the journal, what is whole"
    np.testing.assert_array_equal(kept["008"].area, analysis.area)
    (shard / "records-000000.parquet").write_bytes(b"no parquet")
    assert sorted(stored_records(tmp_path, names)) == ["005", "008"]
    table = stored_videos(tmp_path, {"001", "009"}).set_index("video")
    assert table["path"].map(str).to_dict() == {n: f"/archive/{n}.avi" for n in ("001", "009")}
    assert table["num_frames"].tolist() == [100, 100]
    assert stored_videos(tmp_path, {"none"}).empty
