"""What pictures show: the sector alone, whatever stands or blinks beside it."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

import lvef
from lvef.analysis.caption import Caption, fitted
from lvef.analysis.overlay import headline, write_overlay
from lvef.callbacks.run_figures import _samples
from lvef.cardiac import survey
from lvef.data.datamodule import EchoNetDataModule
from lvef.data.dataset import KeyFrameDataset
from lvef.data.formats import clip_info, read_frames, write_video
from lvef.data.prepare import sector_square
from lvef.data.sector import find_sector, shown_sector
from lvef.data.shown import case_sector, picture_name, shown_frames
from lvef.data.transforms import Augmentation
from lvef.figures.heat_maps import heat_map_sheet
from lvef.phantom import PhantomClip
from lvef.phantom.regions import sector_mask

Frames = NDArray[np.uint8]
KEPT = 0.03
"""Share of a name's pixels that may be left, where letters stand a pixel or two from tissue."""
NAME = ("DOE^JOHN", "19501231", "ID 4711")


@pytest.fixture(scope="module")
def clip() -> PhantomClip:
    return PhantomClip(21, 0, marks=False)


@pytest.fixture(scope="module")
def frames(clip: PhantomClip) -> Frames:
    return clip.frames(range(80))


def written(clip: PhantomClip) -> Frames:
    """A patient's name on either side of the sector's tip and in a lower corner, `(112, 112)`."""
    text = np.zeros((112, 112), np.uint8)
    for row, word in enumerate(NAME):
        for left, top in ((1, 8 + 9 * row), (66, 8 + 9 * row)):
            cv2.putText(text, word, (left, top), cv2.FONT_HERSHEY_PLAIN, 0.5, 220, 1)
    cv2.putText(text, NAME[0], (1, 108), cv2.FONT_HERSHEY_PLAIN, 0.5, 220, 1)
    text[sector_mask(clip)] = 0
    return text


def marks(kind: str, frame: int) -> Frames:
    """What moves beside a sector, `(112, 112)`."""
    drawn = np.zeros((112, 112), np.uint8)
    if kind == "blinks" and frame // 13 % 2:
        cv2.circle(drawn, (9, 38), 8, 255, -1)
        cv2.circle(drawn, (106, 34), 5, 255, -1)
        cv2.circle(drawn, (30, 32), 4, 255, -1)
        cv2.circle(drawn, (106, 5), 4, 255, -1)
    if kind == "counts":
        cv2.putText(drawn, f"{20 * frame} ms", (1, 46), cv2.FONT_HERSHEY_PLAIN, 0.8, 255, 2)
    if kind == "sweeps":
        cv2.line(drawn, (0, 40), (2 * frame % 112, 40), 255, 3)
    return drawn


def screen(clip: PhantomClip, frames: Frames, kind: str) -> tuple[Frames, NDArray[np.bool_]]:
    """The clip with a name and with what moves beside the sector; and where its letters are."""
    text = written(clip)
    inside = sector_mask(clip)
    moving = np.stack([np.where(inside, 0, marks(kind, k)) for k in range(len(frames))])
    shown = np.maximum(np.maximum(frames, text), moving.astype(np.uint8))
    if kind == "fades in":
        shown[:8] = (shown[:8] * np.linspace(0, 0.9, 8)[:, None, None]).astype(np.uint8)
    if kind == "black frame":
        shown[0] = 0
    at_the_edge = cv2.dilate(inside.astype(np.uint8), np.ones((3, 3))) > 0
    return shown, (text > 60) & ~at_the_edge


KINDS = ["stands still", "blinks", "counts", "sweeps", "fades in", "black frame"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_beside_the_sector_is_not_shown_whatever_else_moves_there(clip, frames, kind):
    seen, letters = screen(clip, frames, kind)
    sector = shown_sector(seen)
    assert sector is not None
    assert (sector & letters).sum() <= KEPT * letters.sum()
    truth = sector_mask(clip)
    assert (sector & truth).sum() >= 0.85 * truth.sum(), "and the sector stays"


def test_a_blinking_mark_did_widen_what_was_shown(clip, frames):
    """The test above can fail: the models' own sector of such a clip holds much of the name."""
    seen, letters = screen(clip, frames, "blinks")
    sector = find_sector(np.repeat(seen[survey(80)][..., None], 3, -1))
    assert (sector & letters).sum() > 0.1 * letters.sum()


@pytest.mark.parametrize("suffix", [".avi", ".mp4"])
@pytest.mark.parametrize("kind", ["blinks", "counts"])
def test_codecs_do_not_bring_letters_back(clip, frames, tmp_path, suffix, kind):
    seen, letters = screen(clip, frames, kind)
    write_video(tmp_path / f"clip{suffix}", seen, clip.patient.fps)
    sector = shown_sector(read_frames(tmp_path / f"clip{suffix}", range(len(seen))))
    assert (sector & letters).sum() <= KEPT * letters.sum()
    assert (sector & sector_mask(clip)).sum() >= 0.8 * sector_mask(clip).sum()


def test_no_letter_of_a_name_is_legible_in_an_overlay(clip, frames, tmp_path):
    seen, letters = screen(clip, frames[:48], "blinks")
    write_video(tmp_path / "clip.mp4", seen, clip.patient.fps)
    analysis = lvef.analyse_clip(tmp_path / "clip.mp4")
    path = write_overlay(analysis, tmp_path / "overlay.mp4")
    assert path.name == "overlay.mp4"
    drawn = read_frames(path, range(0, clip_info(path).num_frames, 7))[:, :250, :280].min(-1)
    where = cv2.resize(letters.astype(np.uint8), (336, 336), interpolation=cv2.INTER_NEAREST)
    assert (drawn[:, where[:250, :280] > 0] > 60).mean() <= KEPT
    figure = analysis.plot(before=True)
    for axis in figure.axes[:3]:
        picture = np.asarray(axis.get_images()[0].get_array())
        grey = picture if picture.ndim == 2 else picture.max(-1)
        assert (grey[letters] > 60).mean() <= KEPT
    assert "text blanked" in figure.axes[0].get_title()


@pytest.mark.parametrize("count", [1, 12])
def test_where_text_cannot_be_told_the_overlays_name_and_the_figure_say_so(
    clip, frames, tmp_path, count
):
    still = np.repeat(screen(clip, frames, "")[0][:1], count, axis=0)
    assert shown_sector(still) is None
    analysis = lvef.analyse_clip(still, fps=50)
    path = write_overlay(analysis, tmp_path / "a.mp4")
    assert [file.name for file in tmp_path.iterdir()] == ["a.text-not-removed.mp4"]
    assert path.name == "a.text-not-removed.mp4"
    assert "was not removed" in analysis.plot().get_suptitle()


def large(clip: PhantomClip, frames: Frames, blinks: bool) -> Frames:
    seen = np.zeros((len(frames), 300, 400), np.uint8)
    seen[:, 40:264, 88:312] = frames.repeat(2, 1).repeat(2, 2)
    if blinks:
        for frame in seen[::2]:
            cv2.circle(frame, (40, 90), 21, 255, -1)
    return np.repeat(seen[..., None], 3, -1)


def test_a_blinking_mark_does_not_widen_the_crop_of_a_large_clip():
    clip = PhantomClip(21, 1, marks=False)
    looks = clip.frames(survey(80))
    plain = find_sector(large(clip, looks, blinks=False))
    marked = find_sector(large(clip, looks, blinks=True))
    wanted, found = (sector_square((300, 400), sector) for sector in (plain, marked))
    assert abs(found.side - wanted.side) <= 4
    assert abs(found.left - wanted.left) <= 4


def test_a_clip_of_112_pixels_reaches_the_models_as_ever(frames):
    """They learned from such: a mark that blinks counts, as it did; not in a clip to be cropped."""
    small = np.stack([cv2.resize(frame, (72, 72)) for frame in frames[survey(80)]])
    for side, counts in ((112, True), (114, False)):
        seen = np.zeros((len(small), side, side), np.uint8)
        seen[:, 20:92, 40:112] = small
        seen[::2, 40:60, 4:24] = 255
        sector = find_sector(np.repeat(seen[..., None], 3, -1))
        assert sector[50, 10] == counts


def test_what_is_shown_does_not_change_what_a_model_sees(clip, frames, tmp_path):
    seen, _ = screen(clip, frames, "stands still")
    seen[56::2, 30:46, :16] = 255  # later than where models look for the sector
    seen[56::2, 30:46, 96:] = 255
    write_video(tmp_path / "a.avi", seen, 50)
    rows = pd.DataFrame({
        "path": [str(tmp_path / "a.avi")], "num_frames": 80, "ef_true": 50.0, "ed_frame": 20,
    })  # fmt: skip
    one, other = (KeyFrameDataset(rows, ["EDF"]) for _ in range(2))
    case_sector(one, 0)
    assert torch.equal(one[0]["frames"], other[0]["frames"])


@pytest.fixture(scope="module")
def marked(clip, frames, tmp_path_factory):
    """A table of one clip with a name and a blinking mark, and one that stands still."""
    folder = tmp_path_factory.mktemp("marked")
    seen, letters = screen(clip, frames, "blinks")
    write_video(folder / "a.avi", seen, 50)
    write_video(folder / "still.avi", np.repeat(seen[:1], 80, 0), 50)
    rows = pd.DataFrame({
        "path": [str(folder / "a.avi"), str(folder / "still.avi")], "num_frames": 80,
        "ef_true": 50.0, "ed_frame": 20, "es_frame": 34, "mid_frame": 27,
        "video": ["a", "still"], "split": "TRAIN",
    })  # fmt: skip
    return rows, letters


@pytest.mark.parametrize("remove_artifacts", [True, False])
def test_frames_of_a_case_are_shown_without_text_and_seen_as_before(marked, remove_artifacts):
    rows, letters = marked
    dataset = KeyFrameDataset(rows, ["EDF", "ESF"], 112, remove_artifacts)
    before = KeyFrameDataset(rows, ["EDF", "ESF"], 112, remove_artifacts)[0]["frames"]
    shown = shown_frames(dataset, 0)
    assert (shown.numpy()[..., letters] > 60).mean() <= KEPT
    assert (before.numpy()[..., letters] > 60).mean() > 0.1
    assert torch.equal(dataset[0]["frames"], before), "looking does not change what a model sees"
    assert case_sector(dataset, 1) is None
    assert shown_frames(dataset, 1).max() == 0
    assert picture_name("b", case_sector(dataset, 1)) == "b.text-not-removed"


def test_heat_maps_show_no_letters_either(marked):
    rows, letters = marked
    dataset = KeyFrameDataset(rows, ["EDF"], 112, False)
    frames, sector = dataset[0]["frames"].numpy(), case_sector(dataset, 0)
    traced = {"gradients": letters[None] * 1.0}  # a model that looks at the letters
    figure = heat_map_sheet(frames, traced, ["EDF"], "TEST", sector)
    pictures = [
        np.asarray(image.get_array()) for axis in figure.axes for image in axis.get_images()
    ]
    assert (pictures[0][letters] > 60).mean() <= KEPT
    sector = sector[0]
    heat = pictures[2][..., 3] * (~sector)
    edges = letters & ~cv2.erode(letters.astype(np.uint8), np.ones((2, 2))).astype(bool)
    beside = cv2.dilate(letters.astype(np.uint8), np.ones((3, 3))).astype(bool) & ~letters
    assert heat.max() > 0, "that it looks there is shown"
    assert abs(heat[edges & ~sector].mean() - heat[beside & ~sector].mean()) < 12


def test_the_sample_sheet_is_without_text_and_leaves_the_runs_random_numbers(marked):
    rows, _ = marked
    data = EchoNetDataModule(
        "folder", ["EDF"], remove_artifacts=False, num_workers=0,
        augmentation=Augmentation(rotation=0, translation=0, scale=0, speckle=0),
    )  # fmt: skip
    data.table = rows
    task = SimpleNamespace(frames=["EDF"])
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    sheet = _samples(SimpleNamespace(datamodule=data), task.frames, np.array([0, 1]))
    assert torch.equal(torch.rand(1), expected)
    letters = marked[1]
    assert sheet.shape == (2, 1, 3, 112, 112)
    assert (sheet[0].numpy()[..., letters] > 0.25).mean() <= KEPT
    assert sheet[0].max() > 0.5
    assert sheet[1].max() == 0


def test_words_fit_the_picture_with_letters_that_can_be_read():
    said = "Refused: not good enough: the contour and the grey levels do not move together"
    lines = fitted(said, 13, 328, most=2)
    assert " ".join(lines) == said, "nothing is cut"
    for line in lines:
        caption = Caption.of(line, 13, (255, 255, 255))
        assert caption.width <= 330
        assert 12 <= caption.height <= 20
    assert fitted("x" * 200, 13, 328, most=1)[0].endswith("…")
    one, other = (Caption.of(sign, 13, (255, 255, 255)).ink for sign in ("±", "\uffff"))
    assert one.shape != other.shape or not np.array_equal(one, other), "the font has the sign"
    picture = np.full((40, 60, 3), 255, np.uint8)
    Caption.of("ED", 26, (64, 176, 255)).put(picture, 30, 20)
    assert picture[20:].min() == 0, "an outline stands against white"
    assert picture[:20].min() == 255


def test_a_headline_is_written_whole():
    found = SimpleNamespace(reason="", ef=60.0, ef_std=13.0, beats=[0] * 12, quality=1.0,
                            view="A4C")  # fmt: skip
    said = headline(found)  # type: ignore[arg-type]
    assert "±" in said
    assert " ".join(fitted(said, 13, 328, most=2)) == said
