"""Key frames that are kept on disk: the pixels of decoding, whatever happens to the files."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import limited, told

from lvef.cli.commands import main
from lvef.data.dataset import KeyFrameDataset
from lvef.data.formats import write_video
from lvef.data.frame_cache import FrameCache, Look
from lvef.data.keyframes import KeyFrameDataModule
from lvef.data.layouts import read_labels
from lvef.errors import OutputError

FRAMES = ["EDF", "ESF"]


def batches(root: Path, folder: Path | None, workers: int = 0, gigabytes: float = 1.0) -> list:
    """Return the frames of TEST, batch by batch, as a data module gives them."""
    kept = None if folder is None else str(folder)
    data = KeyFrameDataModule(
        str(root), FRAMES, 4, workers, 64, frame_cache=kept, frame_cache_gigabytes=gigabytes
    )
    data.setup("test")
    return [batch["frames"] for batch in data.test_dataloader()]


def same(one: list, other: list) -> bool:
    return len(one) == len(other) and all(map(torch.equal, one, other))


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.frames"))


def decoding(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows by the name of each clip that is decoded from now on."""
    decoded: list[str] = []
    usual = KeyFrameDataset.look

    def look(self, item, wanted, *view):
        decoded.append(Path(self._looks[view[0]].paths[item]).name)
        return usual(self, item, wanted, *view)

    monkeypatch.setattr(KeyFrameDataset, "look", look)
    return decoded


def test_the_second_time_nothing_is_decoded_and_pixels_are_the_same(
    phantom_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = batches(phantom_root, None)
    assert same(batches(phantom_root, tmp_path / "kept"), decoded)
    again = decoding(monkeypatch)
    assert same(batches(phantom_root, tmp_path / "kept"), decoded)
    assert not again
    assert len(files(tmp_path / "kept")) == sum(map(len, decoded))


def test_workers_fill_and_read_it(phantom_root: Path, tmp_path: Path) -> None:
    decoded = batches(phantom_root, None)
    for _ in range(2):
        assert same(batches(phantom_root, tmp_path, workers=2), decoded)
    assert len(files(tmp_path)) == sum(map(len, decoded))


@pytest.mark.parametrize("damage", ["cut", "empty", "flipped", "another"])
def test_a_damaged_file_is_named_and_made_anew(
    phantom_root: Path, tmp_path: Path, damage: str
) -> None:
    decoded = batches(phantom_root, tmp_path)
    first, second = files(tmp_path)[:2]
    whole = first.read_bytes()
    flipped = bytearray(whole)
    flipped[-100] ^= 4
    first.write_bytes(
        {"cut": whole[:-7], "empty": b"", "flipped": flipped, "another": second.read_bytes()}[
            damage
        ]
    )
    with pytest.warns(UserWarning, match=f"{first.name} is damaged .* decoded anew"):
        assert same(batches(phantom_root, tmp_path), decoded)
    assert first.read_bytes() == whole


def test_a_clip_that_changed_is_decoded_anew(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    video, cache = tmp_path / "clip.avi", FrameCache(tmp_path / "kept")
    look = Look(str(video), (0, 2), 4, 32, False, False)
    digests = []
    for _ in range(2):
        write_video(video, rng.integers(0, 255, (4, 32, 32), np.uint8), 30)
        digests.append(look.digest())
        assert digests[-1] is not None
        assert cache.load(look, digests[-1]) is None
        cache.save(look, digests[-1], torch.zeros(2, 3, 32, 32, dtype=torch.uint8))
        assert cache.load(look, digests[-1]) is not None
    assert digests[0] != digests[1]
    os.utime(video, (1, 1))  # as if it were written while it was decoded
    (tmp_path / "other").mkdir()
    other = FrameCache(tmp_path / "other")
    other.save(look, digests[1], torch.zeros(2, 3, 32, 32, dtype=torch.uint8))
    assert not files(tmp_path / "other")


@pytest.mark.parametrize(
    "other",
    [{"numbers": (2, 0)}, {"count": 3}, {"image_size": 64}, {"remove_artifacts": True},
     {"crop": True}],
)  # fmt: skip
def test_whatever_frames_depend_on_is_in_their_name(tmp_path: Path, other: dict) -> None:
    video = tmp_path / "clip.avi"
    video.touch()
    look = Look(str(video), (0, 2), 4, 32, False, False)
    assert replace(look, **other).digest() not in (look.digest(), None)


def test_colours_are_kept(tmp_path: Path) -> None:
    (tmp_path / "clip.avi").touch()
    look, cache = Look(str(tmp_path / "clip.avi"), (1,), 2, 32, True, False), FrameCache(tmp_path)
    digest = look.digest()
    assert digest is not None
    frames = torch.randint(256, (1, 3, 32, 32), dtype=torch.uint8)
    for kept in (frames, frames[:, :1].expand(1, 3, 32, 32)):
        cache.save(look, digest, kept)
        loaded = cache.load(look, digest)
        assert loaded is not None
        assert torch.equal(loaded, kept)
        loaded += 1  # a model may write to what it is given
    assert files(tmp_path)[0].stat().st_size < 2000


def test_it_stays_within_its_bound_and_the_oldest_go(tmp_path: Path) -> None:
    video = tmp_path / "clip.avi"
    video.touch()
    cache, bound = FrameCache(tmp_path / "kept", 2e-4), 200_000
    frames = torch.randint(256, (1, 3, 32, 32), dtype=torch.uint8)
    looks = [Look(str(video), (number,), 500, 32, True, False) for number in range(150)]
    for number, look in enumerate(looks):
        digest = look.digest()
        assert digest is not None
        cache.save(look, digest, frames)
        os.utime(cache.path(digest), (1e9 + number, 1e9 + number))
        assert sum(path.stat().st_size for path in files(tmp_path / "kept")) <= bound
    there = [cache.load(look, look.digest() or b"") is not None for look in looks]
    assert there[-1]
    assert there == sorted(there)  # the last ones, and all of them from one on
    assert sum(there) > 40


def _fill(root: Path, folder: Path) -> None:
    for _ in range(50):
        for path in files(folder):
            path.unlink(missing_ok=True)
        batches(root, folder)


def test_a_killed_process_leaves_nothing_that_is_half(phantom_root: Path, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    both = [context.Process(target=_fill, args=(phantom_root, tmp_path)) for _ in range(2)]
    for process in both:
        process.start()
    started = time.monotonic()
    while len(files(tmp_path)) < 3 and time.monotonic() < started + 60:
        time.sleep(0.01)
    for process in both:
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert same(batches(phantom_root, tmp_path), batches(phantom_root, None))
    left = tmp_path / "ab" / f".{'0' * 32}.part.frames"
    left.parent.mkdir(exist_ok=True)
    left.touch()
    os.utime(left, (1, 1))
    FrameCache(tmp_path).open()
    assert not left.exists()


def test_a_full_disk_costs_a_warning_and_not_the_run(phantom_root: Path, tmp_path: Path) -> None:
    decoded = batches(phantom_root, None)
    with limited(2000), pytest.warns(UserWarning, match="no more frames are kept") as warned:
        assert same(batches(phantom_root, tmp_path), decoded)
    assert len([w for w in warned if "no more frames" in str(w.message)]) == 1
    assert not files(tmp_path)


def test_a_folder_that_cannot_be_made_is_told_before_anything_runs(
    phantom_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"data\.frame_cache: .*file"):
        batches(phantom_root, tmp_path / "file")
    words = ["fit", "--config", "esf_mlp", "--data.root", str(phantom_root)]
    more = ["--data.frame_cache", str(tmp_path / "file"), "--model.backbone.weights", "null"]
    assert main([*words, *more, "--trainer.default_root_dir", str(tmp_path)]) == 1
    assert len(told(capsys.readouterr().err)) == 1


def test_a_case_that_cannot_be_read_fails_as_without_it(phantom_root: Path, tmp_path: Path) -> None:
    table = read_labels(phantom_root).table.head(2).copy()
    table.loc[table.index[0], "path"] = str(tmp_path / "gone.avi")
    sample = KeyFrameDataset(table, FRAMES, cache=FrameCache(tmp_path))[0]
    assert "gone.avi" in sample["failure"]


@pytest.mark.slow
def test_two_processes_of_a_fit_share_it(phantom_root: Path, tmp_path: Path) -> None:
    words = ["fit", "--config", "esf_mlp", "--data.root", str(phantom_root)]
    words += ["--data.image_size", "32", "--data.num_workers", "1", "--data.batch_size", "8"]
    words += ["--model.backbone.weights", "null", "--trainer.max_epochs", "2"]
    words += ["--trainer.accelerator", "cpu", "--trainer.devices", "2"]
    words += ["--trainer.strategy", "ddp", "--data.frame_cache", str(tmp_path / "kept")]
    command = [sys.executable, "-m", "lvef", *words, "--trainer.default_root_dir", str(tmp_path)]
    subprocess.run(command, check=True, timeout=300)
    # VAL has 3; of TRAIN's 22 two processes see two whole batches of 8 an epoch, and drop the rest.
    assert 3 + 16 <= len(files(tmp_path / "kept")) <= 3 + 22
