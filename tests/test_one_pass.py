"""The way of a new clip: what was decoded and found once is carried on."""

import builtins
import io
from collections import Counter
from os import PathLike

import av
import numpy as np
import pandas as pd
import pytest
import torch
from pictures import on_screen

from lvef.data.datamodule import EchoNetDataModule
from lvef.data.dataset import KeyFrameDataset
from lvef.data.decode import decode_clip
from lvef.data.formats import open_clip, write_video
from lvef.data.keyframes import KeyFrameDataModule
from lvef.data.looks import VIEW
from lvef.data.masked_clips import MaskedClipDataModule
from lvef.data.prepare import prepare_decoded, prepare_file
from lvef.data.views import ClipView, FrameOptions
from lvef.errors import ConfigurationError
from lvef.models.inference import best_device
from lvef.phantom import PhantomClip
from lvef.predict.new_clips import NewClipsDataModule
from lvef.predict.stream.inputs import clip_inputs
from lvef.predict.stream.manifest import read_manifest
from lvef.predict.stream.store import stored_clips
from lvef.predict.stream.work import ClipWork, WorkOptions

SEEN = FrameOptions(("EDF", "ESF"), 64)


@pytest.fixture
def opened(monkeypatch):
    """Return how often each file was opened by Python or by FFmpeg so far."""
    count = Counter()

    def counting(really):
        def counted(file, *args, **kwargs):
            if isinstance(file, str | PathLike):
                count[str(file)] += 1
            return really(file, *args, **kwargs)

        return counted

    monkeypatch.setattr(av, "open", counting(av.open))
    for module in (io, builtins):  # pathlib opens by one, the rest by the other
        monkeypatch.setattr(module, "open", counting(open))
    return count


@pytest.fixture(params=[112, 400])
def clip(request, tmp_path):
    frames = PhantomClip(5, 0).frames()
    path = tmp_path / "clips" / "a.mp4"
    path.parent.mkdir()
    write_video(path, frames if request.param == 112 else on_screen(frames), 50)
    return path


def decode(path):
    with open_clip(path) as file:
        return decode_clip(file)


def test_a_clip_is_decoded_once_from_its_file_to_the_frames_of_its_model(clip, opened):
    work = ClipWork(WorkOptions(seen=SEEN))
    [asked] = clip_inputs([clip])
    opened.clear()
    found = work(asked)
    assert all(row["reason"] == "" for row in found.rows)
    assert opened == {str(clip): 1}
    again = KeyFrameDataset(pd.DataFrame(found.rows), *vars(SEEN).values(), crop=True)
    frames = torch.stack([one["frames"] for one in again])
    assert torch.equal(torch.from_numpy(found.frames), frames)
    assert opened[str(clip)] > 1


def test_frames_that_are_not_kept_are_read_anew_in_the_sector_that_was_found(clip, opened):
    decoded = decode(clip)
    row = {"path": str(clip), "num_frames": decoded.info.num_frames, "ef_true": np.nan,
           "ed_frame": 3, "es_frame": 11}  # fmt: skip
    shut = np.zeros_like(decoded.sector)
    shut[20:60, 30:70] = True
    view = ClipView.of(decoded)
    told = ClipView(view.shape, np.packbits(shut))
    frames = [
        KeyFrameDataset(pd.DataFrame([{**row, VIEW: one}]), ["EDF"], crop=True)[0]["frames"]
        for one in (None, view, told)
    ]
    assert torch.equal(frames[0], frames[1])
    assert not torch.equal(frames[0], frames[2])
    assert view.look([3], 64, remove_artifacts=True) is None


def test_frames_are_kept_as_the_model_asks_for_them_or_not_at_all(clip):
    view = ClipView.of(decode(clip), [3, 11], SEEN)
    assert view.look([11, 3], 64, remove_artifacts=True).shape == (2, 3, 64, 64)
    assert view.look([3, 4], 64, remove_artifacts=True) is None
    assert view.look([3], 112, remove_artifacts=True) is None
    assert view.look([3], 64, remove_artifacts=False) is None


def test_a_clip_too_large_to_be_held_is_prepared_the_same(clip, monkeypatch):
    whole = prepare_file(clip)
    monkeypatch.setattr("lvef.data.decode._HELD", 10_000)
    with open_clip(clip) as file:
        decoded = decode_clip(file)
        assert decoded.pictures is None
        parts = prepare_decoded(decoded)
        again = decoded.frames([5, 2])
    assert np.array_equal(parts.frames, whole.frames)
    assert parts.square == whole.square
    assert np.array_equal(again, np.stack([*PictureList(clip)])[[5, 2]])


class PictureList:
    """All pictures of a file, by PyAV itself."""

    def __init__(self, path):
        self.path = path

    def __iter__(self):
        with av.open(str(self.path)) as container:
            for frame in container.decode(video=0):
                yield frame.to_ndarray(format="rgb24")


def test_new_clips_are_for_predict_alone(clip):
    with pytest.raises(ConfigurationError, match="they are for predict, not fit"):
        NewClipsDataModule(str(clip)).setup("fit")


def test_batches_of_beats_come_before_the_last_clip_is_opened(tmp_path, monkeypatch):
    frames = PhantomClip(5, 0).frames()
    for name in "abc":
        write_video(tmp_path / f"{name}.avi", frames, 50)
    (tmp_path / "aa.avi").write_bytes(b"no video " * 99)
    begun = []
    really = ClipWork.__call__
    monkeypatch.setattr(
        ClipWork, "__call__", lambda work, clip: begun.append(clip.name) or really(work, clip)
    )
    data = NewClipsDataModule(str(tmp_path), ["EDF", "ESF"], batch_size=2, num_workers=0)
    data.prepare_data()
    data.setup("predict")
    data.keep_in(tmp_path / "run", lambda: {"frames": ["EDF", "ESF"]})
    batches = iter(data.predict_dataloader())
    first = next(batches)
    assert begun == ["a"]
    assert first["frames"].shape[:3] == (2, 2, 3)
    assert first["frames"].dtype == torch.uint8
    assert [case["video"] for case in first["cases"]] == ["a", "a"]
    assert not list(stored_clips(data_shard(tmp_path))), "its beats are not answered yet"
    every = [first, *batches]
    for number, batch in enumerate(every):
        ef = torch.full((len(batch["row"]),), 40.0 + number)
        data.pending.answered({"row": batch["row"], "ef": ef})
    assert begun == ["a", "aa", "b", "c"]
    assert data.progress.ok == 3
    assert data.progress.failed == 1
    data.close()
    every_clip = list(stored_clips(data_shard(tmp_path)))
    assert len(every_clip) == 4, "none twice"
    found = {clip.rows[0]["video"]: clip for clip in every_clip}
    assert set(found) == {"a", "aa", "b", "c"}
    assert "not a readable video" in found["aa"].rows[0]["reason"]
    assert found["a"].rows[0]["ef"] == 40.0
    beats = [case["video"] for batch in every for case in batch["cases"]]
    assert [len(found[name].rows) for name in "abc"] == [beats.count(name) for name in "abc"]
    assert all(clip.record for name, clip in found.items() if name != "aa")
    said = [row["ef"] for name in "abc" for row in found[name].rows]
    assert said == [40.0 + n for n, batch in enumerate(every) for _ in batch["cases"]]


def test_the_data_module_of_the_command_line_begins_no_clip_once_it_is_told_to_stop(tmp_path):
    for name in "abc":
        (tmp_path / f"{name}.avi").write_bytes(b"no video " * 99)
    data = EchoNetDataModule(videos=str(tmp_path), num_workers=0)
    data.setup("predict")
    data.keep_in(tmp_path / "run", lambda: {"frames": ["ESF"]}, lambda: data.progress.clips >= 2)
    assert not (tmp_path / "run" / "manifest.json").exists()
    assert not list(data.predict_dataloader())
    assert data.progress.failed == 2
    data.close()
    made = {"shards": 1, "anonymised": None, "made_with": {"frames": ["ESF"]}}
    assert read_manifest(tmp_path / "run" / "manifest.json") == made, "before the first clip"


def data_shard(folder):
    return folder / "run" / "shards" / "01-of-01"


def test_one_list_of_options_stands_for_the_data_module_of_each_job():
    assert isinstance(EchoNetDataModule().labelled, KeyFrameDataModule)
    masked = EchoNetDataModule(masks=True, videos="clips")
    assert isinstance(masked.labelled, MaskedClipDataModule)
    assert masked.new.frames is None, "geometry alone answers"
    assert EchoNetDataModule(videos="clips", fps=30.0).new.fps == 30.0
    assert EchoNetDataModule(image_size=64).image_size == 64
    with pytest.raises(AttributeError, match="nonsense"):
        _ = EchoNetDataModule().nonsense
    data = EchoNetDataModule(feature_cache="auto")
    data.feature_cache = "elsewhere"
    assert data.labelled.feature_cache == "elsewhere"


def test_a_device_that_is_not_there_is_refused():
    assert best_device("cpu").type == "cpu"
    with pytest.raises(ConfigurationError, match="device nonsense: no kind of device"):
        best_device("nonsense")
    with pytest.raises(ConfigurationError, match="device cuda:99: there is none here"):
        best_device("cuda:99")
