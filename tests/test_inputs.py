"""Which clips there are, how they are called, and whose share each is."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from dicoms import write_dicom
from helpers import touch
from pydicom import dcmread
from pydicom.fileset import FileSet

from lvef.data.options import num_cores
from lvef.errors import ConfigurationError, DatasetError
from lvef.predict.find import Search
from lvef.predict.stream.inputs import Shard, clip_inputs, listed_paths, without
from lvef.predict.stream.machine import own_device, own_workers

GREY = np.zeros((3, 20, 20), np.uint8)


def names(*where: object) -> list[str]:
    return [clip.name for clip in clip_inputs([str(each) for each in where])]


def test_a_folder_is_searched_with_all_below_and_clips_are_called_by_their_place(tmp_path):
    touch(tmp_path, "b.avi", "a.avi", "study7/a4c.avi", "study7/a4c.mp4", "study7/deep/x.mp4",
          "study8/a4c.avi", "notes.txt", ".hidden.avi", "__MACOSX/y.avi")  # fmt: skip
    search = Search()
    found = list(clip_inputs([tmp_path], search))
    assert [clip.name for clip in found] == [
        "a", "b", "study7/a4c.avi", "study7/a4c.mp4", "study8/a4c", "study7/deep/x",
    ]  # fmt: skip
    assert all(clip.path.is_file() and clip.size == 0 and clip.mtime_ns > 0 for clip in found)
    assert search.others.total() == 1


def test_names_of_several_places_say_which(tmp_path):
    one = touch(tmp_path / "one" / "clips", "a.avi")
    two = touch(tmp_path / "two" / "clips", "a.avi")
    assert names(one) == ["a"]
    assert names(one, two) == ["one/clips/a", "two/clips/a"]
    assert names(one / "a.avi", one) == ["a", "a"], "the same file, which is taken once"
    assert len(list(without(clip_inputs([one / "a.avi", one]), set()))) == 1
    touch(one, "a.mp4")
    assert names(one / "a.avi", one / "a.mp4") == ["a.avi", "a.mp4"], "each has a picture"
    (one / "a.mp4").unlink()
    assert names(tmp_path / "*" / "clips" / "*.avi") == ["one/clips/a", "two/clips/a"]


def test_what_is_named_is_told_of_whatever_it_is(tmp_path):
    touch(tmp_path, "notes.txt", "a.avi")
    assert names(tmp_path / "notes.txt", tmp_path / "a.avi") == ["notes.txt", "a"]
    (tmp_path / "gone.avi").symlink_to(tmp_path / "nowhere.avi")
    [gone] = clip_inputs([tmp_path / "gone.avi"])
    assert (gone.size, gone.mtime_ns) == (-1, -1)


@pytest.mark.parametrize("missing", ["nothing.avi", "no*.avi", "empty"])
def test_a_place_without_a_clip_is_refused_in_one_line(tmp_path, missing):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match=r"holds no clip|is no file, folder or pattern"):
        names(tmp_path / missing)
    touch(tmp_path / "full", "a.avi")
    places = [str(tmp_path / "full"), str(tmp_path / missing)]
    if missing == "nothing.avi":  # told before the first clip is worked on
        with pytest.raises(DatasetError, match="is no file, folder or pattern"):
            next(clip_inputs(places))
        return
    with pytest.warns(UserWarning, match="holds no clip"):
        assert len(list(clip_inputs(places))) == 1


def test_a_name_in_bytes_that_are_no_utf8_is_a_clip_like_any(tmp_path):
    path = os.fsencode(tmp_path) + b"/caf\xe9.avi"
    Path(os.fsdecode(path)).touch()
    [clip] = clip_inputs([tmp_path])
    assert clip.name == "caf\\xe9"
    assert clip.path.exists()
    assert len(clip.key) == 16


def test_a_list_names_files_from_its_own_folder(tmp_path, monkeypatch):
    folder = touch(tmp_path / "lists", "a.avi", "b.avi")
    listed = folder / "clips.txt"
    listed.write_text(f"\ufeff# loops\na.avi\n\n{folder}/b.avi\n")
    monkeypatch.chdir(tmp_path)
    assert names(*listed_paths(listed)) == ["a", "b"]
    listed.write_text("# nothing\n")
    with pytest.raises(DatasetError, match="names no file"):
        listed_paths(listed)
    with pytest.raises(DatasetError, match="No such file"):
        listed_paths(folder / "none.txt")


def test_a_dicomdir_means_the_files_that_it_lists(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    files = FileSet()
    for number in range(2):
        data = dcmread(write_dicom(source / f"{number}.dcm", GREY, model="MONOCHROME2"))
        data.StudyDate, data.StudyTime, data.StudyID = "20260101", "120000", "1"
        data.SeriesInstanceUID, data.SOPInstanceUID = "1.2.3", f"1.2.3.{number + 1}"
        data.PatientID, data.Modality, data.SeriesNumber, data.InstanceNumber = "x", "US", 1, number
        files.add(data)
    files.write(tmp_path / "medium")
    found = list(clip_inputs([tmp_path / "medium" / "DICOMDIR"]))
    assert len(found) == 2
    assert all(clip.path.is_file() and clip.path.name != "DICOMDIR" for clip in found)
    assert {clip.path for clip in clip_inputs([tmp_path / "medium"])} == {c.path for c in found}


def test_shards_share_the_clips_out_by_name_wherever_they_lie(tmp_path):
    many = [f"study{n % 7}/clip{n}.avi" for n in range(200)]
    here, there = touch(tmp_path / "here", *many), touch(tmp_path / "there", *many)
    for count in (1, 2, 4):
        shares = [
            {clip.name for clip in clip_inputs([here]) if Shard(index, count).has(clip)}
            for index in range(count)
        ]
        assert set.union(*shares) == {clip.name for clip in clip_inputs([here])}
        assert sum(map(len, shares)) == 200
        assert min(map(len, shares)) > 100 / count
        again = {clip.name for clip in clip_inputs([there]) if Shard(0, count).has(clip)}
        assert again == shares[0]


def test_a_shard_is_told_by_hand_or_by_who_starts_it(monkeypatch):
    assert Shard.parse("2/8") == Shard(1, 8)
    assert str(Shard(1, 8)) == "02-of-08"
    for wrong in ("0/8", "9/8", "2", "a/b", "2/8/3", ""):
        with pytest.raises(ConfigurationError, match="as 2/8"):
            Shard.parse(wrong)
    for name in [*os.environ]:
        if name in ("RANK", "WORLD_SIZE") or name.startswith("SLURM_ARRAY"):
            monkeypatch.delenv(name)
    assert Shard.of_environment() == Shard()
    array(monkeypatch, task=7, count=4, first=5)
    assert Shard.of_environment() == Shard(2, 4)
    array(monkeypatch, task=9, count=4, first=5, last=14, step=3)
    with pytest.raises(ConfigurationError, match="no shares that follow each other"):
        Shard.of_environment()
    array(monkeypatch, task=11, count=4, first=5, last=14, step=3)
    assert Shard.of_environment() == Shard(2, 4)
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert Shard.of_environment() == Shard(3, 4), "torchrun, also within a SLURM job"
    monkeypatch.setenv("RANK", "x")
    with pytest.raises(ConfigurationError, match="--shard K/N"):
        Shard.of_environment()


@pytest.mark.parametrize(("task", "first", "last"), [(7, 1, 7), (1, 1, 7), (4, 1, None)])
def test_an_array_that_leaves_numbers_out_loses_no_clip_unsaid(monkeypatch, task, first, last):
    monkeypatch.delenv("RANK", raising=False)
    array(monkeypatch, task=task, count=3, first=first, last=last)
    with pytest.raises(ConfigurationError, match="a SLURM array gives no shares"):
        Shard.of_environment()


def array(monkeypatch, task, count, first, last=None, step=1):
    """Say what SLURM says of a task of an array."""
    told = {"ID": task, "COUNT": count, "MIN": first, "MAX": last, "STEP": step}
    for name, value in told.items():
        if value is None:
            monkeypatch.delenv(f"SLURM_ARRAY_TASK_{name}", raising=False)
        else:
            monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", str(value))


def test_processes_on_one_machine_share_its_cores(monkeypatch):
    for name in ("LOCAL_WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert own_workers() == num_cores()
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert own_workers() == max(1, num_cores() // 2)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "9999")
    assert own_workers() == 1
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert own_device("cpu").type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert own_device(None) == torch.device("cuda", 1), "each has a GPU of its own"
    assert own_device("cuda:0") == torch.device("cuda", 0)


def test_a_clip_that_was_written_again_is_another(tmp_path):
    path = touch(tmp_path, "a.avi") / "a.avi"
    [before] = clip_inputs([path])
    path.write_bytes(b"more")
    [after] = clip_inputs([path])
    assert before.key != after.key
    assert list(without([after], {before.key})) == [after]
    assert list(without([after, after], set())) == [after]
