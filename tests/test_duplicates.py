"""The same content under two names: a leak between splits, a case counted twice within one."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lvef.data.layouts import ExcludedError, read_labels
from lvef.data.layouts.duplicates import CONTRADICTED, SAME, same_content
from lvef.errors import DatasetError


@pytest.fixture
def folder(phantom_root: Path, tmp_path: Path) -> Path:
    """A folder of the phantoms in which files can be added."""
    (tmp_path / "Videos").mkdir()
    for video in (phantom_root / "Videos").iterdir():
        (tmp_path / "Videos" / video.name).symlink_to(video)
    for name in ("FileList.csv", "VolumeTracings.csv"):
        shutil.copy(phantom_root / name, tmp_path)
    return tmp_path


def again(folder: Path, number: int, copy: bool, **other: object) -> str:
    """List a clip of the folder a second time, as a copy of its bytes or a link; return its name.

    Args:
        folder: The folder.
        number: Row of its list.
        copy: Whether it is a copy.
        other: What the list says otherwise.
    """
    files = pd.read_csv(folder / "FileList.csv")
    row = files.iloc[number]
    video, name = folder / "Videos" / f"{row.FileName}.avi", f"OTHER{number}"
    put = shutil.copyfile if copy else (lambda a, b: b.symlink_to(a))
    put(video, folder / "Videos" / f"{name}.avi")
    pd.concat([files, row.to_frame().T.assign(FileName=name, **other)]).to_csv(
        folder / "FileList.csv", index=False
    )
    tracings = pd.read_csv(folder / "VolumeTracings.csv")
    own = tracings[tracings.FileName == video.name].assign(FileName=f"{name}.avi")
    pd.concat([tracings, own]).to_csv(folder / "VolumeTracings.csv", index=False)
    return name


@pytest.mark.parametrize("copy", [True, False])
def test_the_same_clip_in_two_splits_is_refused(folder, copy):
    name = again(folder, 0, copy, Split="TEST")
    first = pd.read_csv(folder / "FileList.csv").FileName[0]
    with pytest.raises(DatasetError, match="1 clips have the same content") as error:
        read_labels(folder)
    assert f"({first} in TRAIN and {name} in TEST)" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("copy", [True, False])
def test_within_a_split_it_counts_once(folder, copy):
    plain = read_labels(folder)
    name = again(folder, 30, copy)
    read = read_labels(folder)
    pd.testing.assert_frame_equal(read.table, plain.table)
    assert read.excluded[["video", "reason"]].to_numpy().tolist() == [[name, SAME]]
    assert f"and {name}): each counts once" in read.summary()
    with pytest.raises(ExcludedError, match="1 same content as another clip"):
        read_labels(folder, max_excluded=0.01)


def test_labels_that_contradict_each_other_are_not_chosen_from(folder):
    files = pd.read_csv(folder / "FileList.csv")
    name = again(folder, 30, True, EF=files.EF[30] + 1)
    read = read_labels(folder, max_excluded=0.1)
    assert set(read.excluded["video"]) == {files.FileName[30], name}
    assert set(read.excluded["reason"]) == {CONTRADICTED}
    assert len(read.table) == len(files) - 1


def test_only_files_of_the_same_bytes_are_the_same(tmp_path, rng):
    content = bytearray(rng.integers(0, 256, 20_000, dtype=np.uint8).tobytes())
    paths = [tmp_path / str(number) for number in range(6)]
    paths[0].write_bytes(content)
    content[-1] ^= 1  # beyond what is looked at first
    paths[1].write_bytes(content)
    paths[2].write_bytes(content)
    paths[3].write_bytes(content[:-1])
    paths[4].symlink_to(paths[3])
    assert same_content([str(path) for path in paths]) == [[1, 2], [3, 4]]
    assert same_content([]) == []


def test_most_files_are_never_read(tmp_path, monkeypatch):
    for number in range(50):
        (tmp_path / str(number)).write_bytes(bytes(number + 1))
    read = []
    monkeypatch.setattr("lvef.data.layouts.duplicates._looked_at", read.append)
    assert same_content([str(path) for path in tmp_path.iterdir()]) == []
    assert read == []
