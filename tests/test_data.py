import random

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from found import found_rows
from helpers import on_screen

from lvef.cardiac import survey
from lvef.data.datamodule import EchoNetDataModule
from lvef.data.dataset import KeyFrameDataset, collate
from lvef.data.formats import clip_info, read_frames, write_video
from lvef.data.layouts import read_labels
from lvef.data.sector import _fill_hull, blank_outside, find_sector
from lvef.data.transforms import Augmentation
from lvef.data.views import to_square
from lvef.errors import ConfigurationError, DatasetError, VideoError
from lvef.phantom import PhantomClip
from lvef.predict.clip_beats import FoundBeats
from lvef.predict.stream.inputs import clip_inputs


def test_a_case_holds_the_traced_frames_in_the_order_asked_for(phantom_root):
    table = read_labels(phantom_root).table
    dataset = KeyFrameDataset(table, ["ESF", "MF", "EDF"], remove_artifacts=False)
    sample = dataset[5]
    row = table.loc[5]
    expected = read_frames(row["path"], [row["es_frame"], row["mid_frame"], row["ed_frame"]])
    assert sample["frames"].dtype == torch.uint8
    assert sample["frames"].shape == (3, 3, 112, 112)
    np.testing.assert_array_equal(sample["frames"].permute(0, 2, 3, 1), expected)
    assert float(sample["ef_true"]) == pytest.approx(row["ef_true"], rel=1e-6)
    assert int(sample["reduced_true"]) == int(row["ef_true"] <= 40)
    assert int(sample["row"]) == 5


def test_a_case_is_the_same_the_second_time_its_sector_is_known(phantom_root):
    dataset = KeyFrameDataset(read_labels(phantom_root).table, ["ESF"])
    assert torch.equal(dataset[3]["frames"], dataset[3]["frames"])


def test_frames_keep_the_proportions_of_the_heart():
    frames = np.zeros((1, 60, 120, 3), np.uint8)
    frames[:, 20:40, 50:70] = 255  # a square of 20 x 20 pixels
    square = to_square(frames, 60)[0, 0]
    assert square.shape == (60, 60)
    assert (square > 127).any(0).sum() == (square > 127).any(1).sum() == 10
    assert not to_square(frames, 60)[0, :, :15].any()


def test_text_and_rulers_outside_the_sector_are_blanked_and_tissue_is_not():
    kept, lost = [], []
    for index in range(16):
        clip = PhantomClip(4, index, marks="heavy")
        seen = np.repeat(clip.frames(survey(51))[..., None], 3, axis=-1)
        sector = find_sector(seen)
        after = blank_outside(seen[:1], sector)[0, ..., 0]
        # The ECG at the bottom may run through the sector, where it cannot be told apart.
        marks = clip.marks.still[:90] > 60
        tissue = (seen[0, :90, :, 0] > 60) & (clip.marks.still[:90] == 0)
        kept.append((after[:90] > 60)[marks].mean())
        lost.append((after[:90] == 0)[tissue].mean())
    assert np.mean(kept) < 0.1
    # In one clip of six some of a faint edge is taken for what lies outside.
    assert np.median(lost) < 0.02
    assert np.mean(np.array(lost) > 0.05) < 0.25


def test_a_clip_without_motion_is_left_as_it_is():
    still = np.full((5, 40, 50, 3), 90, np.uint8)
    assert find_sector(still).all()
    assert find_sector(still[:1]).all()


def test_an_unreadable_video_becomes_a_failure_and_stops_all_but_predict(tmp_path):
    bad = tmp_path / "bad.avi"
    bad.write_bytes(b"no video")
    table = pd.DataFrame(
        {"path": [str(bad)], "num_frames": [9], "ef_true": [50.0], "es_frame": [4]}, index=[7]
    )
    batch = collate([KeyFrameDataset(table, ["ESF"])[0]])
    assert "frames" not in batch
    assert batch["failures"][0][0] == 7
    assert "bad.avi" in batch["failures"][0][1]
    with pytest.raises(VideoError, match=r"bad\.avi.* --data\.check_videos true"):
        EchoNetDataModule().on_after_batch_transfer(batch, 0)


def test_a_clip_shorter_than_the_table_says_still_gives_its_key_frames(phantom_root):
    table = read_labels(phantom_root).table.head(1).copy()
    table["num_frames"] += 5000
    table["es_frame"] = clip_info(table.loc[0, "path"]).num_frames - 1
    assert "frames" in KeyFrameDataset(table, ["ESF"])[0]
    table["es_frame"] += 1
    assert "ends at frame" in KeyFrameDataset(table, ["ESF"])[0]["failure"]


def test_frames_of_a_case_are_augmented_alike_and_cases_are_not():
    torch.manual_seed(0)
    frames = torch.randint(0, 255, (1, 1, 3, 48, 48), dtype=torch.uint8).expand(2, 2, -1, -1, -1)
    moved = Augmentation(speckle=0.0)(frames)
    assert moved.dtype == torch.float32
    assert 0 <= float(moved.min()) <= float(moved.max()) <= 1
    assert torch.equal(moved[:, 0], moved[:, 1])
    assert float((moved[0] - moved[1]).abs().mean()) > 0.01


def test_no_augmentation_changes_nothing_and_flips_only_when_asked():
    frames = torch.randint(0, 255, (3, 2, 3, 32, 32), dtype=torch.uint8)
    nothing = {"rotation": 0, "translation": 0, "scale": 0, "gain": 0, "gamma": 0, "speckle": 0}
    torch.testing.assert_close(Augmentation(**nothing)(frames), frames / 255)
    flipped = Augmentation(**nothing, horizontal_flip=1.0)(frames)
    torch.testing.assert_close(flipped, frames.flip(-1) / 255)


def test_a_frame_name_or_size_that_cannot_be_is_refused():
    with pytest.raises(ConfigurationError, match=r"\['SYSTOLE'\], but a frame is one of EDF"):
        EchoNetDataModule(frames=["SYSTOLE"])
    with pytest.raises(ConfigurationError, match="twice"):
        EchoNetDataModule(frames=["EDF", "EDF"])
    with pytest.raises(ConfigurationError, match="batch_size is 0"):
        EchoNetDataModule(batch_size=0)
    with pytest.raises(ConfigurationError, match=r"give an EchoNet folder with --data\.root"):
        EchoNetDataModule().setup("fit")


def batches(root, workers: int, **options) -> list[dict[str, torch.Tensor]]:
    torch.manual_seed(11)
    random.seed(11)
    data = EchoNetDataModule(str(root), ["ESF"], 8, num_workers=workers, image_size=32, **options)
    data.setup("fit")
    loader = data.train_dataloader()
    return [batch for _ in range(3) for batch in loader]


@pytest.mark.parametrize("balanced", [False, True])
def test_a_seed_gives_the_same_batches_at_any_number_of_workers(phantom_root, balanced):
    alone = batches(phantom_root, 0, balanced=balanced)
    assert alone[0]["row"].tolist() != alone[2]["row"].tolist(), "each epoch has its own order"
    helped = batches(phantom_root, 2, balanced=balanced)
    assert [b["row"].tolist() for b in alone] == [b["row"].tolist() for b in helped]
    for one, two in zip(alone, helped, strict=True):
        assert torch.equal(one["frames"], two["frames"])


def test_balanced_sampling_draws_both_classes_alike(phantom_root):
    torch.manual_seed(0)
    data = EchoNetDataModule(str(phantom_root), batch_size=2, num_workers=0, balanced=True)
    data.setup("fit")
    sampler = data.train_dataloader().sampler
    reduced = data.split("TRAIN")["ef_true"].to_numpy() <= 40
    assert 0 < reduced.mean() < 0.4
    drawn = np.concatenate([list(sampler) for _ in range(60)])
    assert reduced[drawn].mean() == pytest.approx(0.5, abs=0.06)


def test_limit_takes_so_many_of_each_split(phantom_root):
    data = EchoNetDataModule(str(phantom_root), limit=2)
    data.setup("fit")
    assert data.table["split"].value_counts().to_dict() == {"TRAIN": 2, "VAL": 2, "TEST": 2}


def test_a_single_case_to_a_batch_is_refused(phantom_root):
    for options in ({"batch_size": 1}, {"limit": 1}):
        data = EchoNetDataModule(str(phantom_root), num_workers=0, **options)
        data.setup("fit")
        with pytest.raises(ConfigurationError, match="at least two cases a batch"):
            data.train_dataloader()


def test_checking_videos_sets_unreadable_ones_aside(phantom_root, tmp_path):
    root = tmp_path / "copy"
    (root / "Videos").mkdir(parents=True)
    for name in ("FileList.csv", "VolumeTracings.csv"):
        (root / name).write_text((phantom_root / name).read_text())
    videos = sorted((phantom_root / "Videos").iterdir())
    for video in videos[1:]:
        (root / "Videos" / video.name).symlink_to(video)
    (root / "Videos" / videos[0].name).write_bytes(videos[0].read_bytes()[:500])
    data = EchoNetDataModule(str(root), num_workers=0, check_videos=True)
    data.setup("fit")
    assert data.folder is not None
    assert len(data.table) == 31
    assert data.folder.excluded["reason"].iloc[0].startswith("unreadable video")
    assert data.table.index.tolist() == list(range(31))


def test_a_new_video_without_usable_key_frames_gets_a_reason(tmp_path):
    clip = PhantomClip(5, 0)
    for name in ("good", "unknown", "late", "same", "text", "007"):
        write_video(tmp_path / f"{name}.avi", clip.frames(range(20)), 50)
    (tmp_path / "broken.avi").write_bytes(b"")
    keys = tmp_path / "keys.csv"
    keys.write_text(
        "video, ed, es\ngood.avi,3,11\nlate,3,20\nsame,4,4\nbroken,1,2\ntext,one,2\n007,1,9\n"
        "misspelt,1,9"
    )
    with pytest.warns(UserWarning, match="1 of 7 rows belong to no video given: misspelt"):
        table = found_rows(tmp_path, keys).set_index("video")
    assert table.loc["good", "reason"] == ""
    assert table.loc["good", "mid_frame"] == 7
    assert "no whole beat: 20 frames" in table.loc["unknown", "reason"], "its beats are looked for"
    assert "do not both lie in 0..19" in table.loc["late", "reason"]
    assert "same frame" in table.loc["same", "reason"]
    assert "not both whole numbers: give frames" in table.loc["text", "reason"]
    assert table.loc["007", "es_frame"] == 9, "a name of digits stays a name"
    assert table.loc["broken", "reason"] == "broken.avi: the file is empty"


def test_a_clip_that_does_not_fit_into_memory_does_not_stop_the_others(tmp_path):
    for name in ("large.avi", "small.avi"):
        write_video(tmp_path / name, PhantomClip(5, 0).frames(range(20)), 50)

    def finder(file, name):
        if file.path.name == "large.avi":
            raise MemoryError
        return FoundBeats((), 0.1, "nothing beats")

    table = found_rows(tmp_path, find=finder).set_index("video")
    assert "not enough memory" in table.loc["large", "reason"]
    assert table.loc["small", "reason"] == "nothing beats"


def test_equal_names_in_several_folders_are_told_apart_by_their_folders(tmp_path):
    frames = PhantomClip(5, 0).frames(range(12))
    for study in ("p1", "p2"):
        (tmp_path / study).mkdir()
        write_video(tmp_path / study / "a4c.avi", frames, 50)
    keys = tmp_path / "keys.csv"
    keys.write_text("video,ed,es\np1/a4c.avi,1,7\np2/a4c,2,8\n")
    table = found_rows(f"{tmp_path}/*/*.avi", keys).set_index("video")
    assert table["ed_frame"].to_dict() == {"p1/a4c": 1, "p2/a4c": 2}
    keys.write_text("video,ed,es\na4c,1,7\n")
    ambiguous = found_rows(f"{tmp_path}/*/*.avi", keys)
    assert ambiguous["reason"].str.contains("could belong to several videos").all()


def test_a_path_that_ends_another_has_a_name_too(tmp_path, monkeypatch):
    for folder in (".", "study"):
        (tmp_path / folder).mkdir(exist_ok=True)
        write_video(tmp_path / folder / "a4c.avi", PhantomClip(5, 0).frames(range(3)), 50)
    monkeypatch.chdir(tmp_path)
    assert [clip.name for clip in clip_inputs(["**/*.avi"])] == ["a4c", "study/a4c"]


def test_no_video_at_all_is_told():
    with pytest.raises(DatasetError, match="no clip is named"):
        next(clip_inputs([]))


def test_beats_of_one_new_clip_are_cropped_alike(tmp_path):
    clip = on_screen(PhantomClip(5, 0).frames())
    noise = np.random.default_rng(0).integers(0, 255, (len(clip) - 60, 140, 45), np.uint8)
    clip[60:, 60:200, 350:395] = noise  # something else moves, but late
    write_video(tmp_path / "large.avi", clip, 50)
    beat = {"path": str(tmp_path / "large.avi"), "num_frames": len(clip), "ef_true": np.nan}
    first, last = len(clip) // 4, len(clip) - 5
    beats = pd.DataFrame([{**beat, "ed_frame": first}, {**beat, "ed_frame": last}])
    dataset = KeyFrameDataset(beats, ["EDF"], crop=True)
    assert all("frames" in dataset[item] for item in (0, 1))
    assert torch.equal(*(dataset.look(item, [first]) for item in (0, 1)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("video,ed\na,1\n", "column es not found"),
        ("a,1,2\nb,3,4\n", "column video, ed, es not found among a, 1, 2"),
        ("", "is empty"),
    ],
)
def test_a_bad_key_frame_file_is_refused(tmp_path, text, message):
    (tmp_path / "a.avi").touch()
    (tmp_path / "keys.csv").write_text(text)
    with pytest.raises(DatasetError, match=message):
        found_rows(tmp_path, tmp_path / "keys.csv")
    with pytest.raises(DatasetError, match=r"not found; --data\.keyframes takes a CSV"):
        found_rows(tmp_path, tmp_path / "none.csv")


@pytest.mark.parametrize("density", [0.0005, 0.02, 0.5])
def test_the_hull_of_what_moves_is_that_of_all_its_pixels(density):
    rng = np.random.default_rng(0)
    for _ in range(40):
        inside = rng.random(rng.integers(1, 130, 2)) < density
        ours, all_of_them = (np.zeros(inside.shape, np.uint8) for _ in range(2))
        _fill_hull(ours, inside)
        if inside.any():
            points = np.argwhere(inside)[:, ::-1].astype(np.int32)
            cv2.fillConvexPoly(all_of_them, cv2.convexHull(points), 1)
        np.testing.assert_array_equal(ours, all_of_them)
