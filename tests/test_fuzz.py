"""Thousands of damaged files: each is read or refused in one line, and nothing else happens."""

from __future__ import annotations

import multiprocessing
import resource
import shutil
import signal
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from clips import numbered, write_clip
from found import found_rows

from lvef.data.formats import clip_info, read_frames, stream_frames
from lvef.data.layouts import read_labels
from lvef.data.prepare import prepare_file
from lvef.errors import LvefError, VideoError
from lvef.phantom import PhantomClip, write_phantoms
from lvef.predict.keyframes import read_keyframes
from lvef.predict.stream.inputs import clip_inputs
from lvef.predict.stream.work import ClipWork, WorkOptions

pytestmark = pytest.mark.slow
VIDEOS, TABLES, DECODED, ANALYSED = 3000, 500, 20_000, 1000
PORTION = 300
LONGEST = 20
"""Seconds that a file may take."""
KINDS = {
    "mjpeg.avi": ("mjpeg", "yuvj420p", {"qmin": "2", "qmax": "4"}),
    "h264.mp4": ("libx264", "yuv420p", {}),
    "h264.avi": ("libx264", "yuv420p", {}),
    "hevc.mkv": ("libx265", "yuv420p", {"x265-params": "log-level=none"}),
    "vp9.webm": ("libvpx-vp9", "yuv420p", {"cpu-used": "8", "deadline": "realtime"}),
    "mpeg4.avi": ("mpeg4", "yuv420p", {"bf": "2"}),
    "wmv2.wmv": ("wmv2", "yuv420p", {}),
    "mpeg2.mpg": ("mpeg2video", "yuv420p", {"bf": "2"}),
    "ffv1.mkv": ("ffv1", "bgr0", {}),
    "raw.avi": ("rawvideo", "bgr24", {}),
}


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kinds")
    for name, (codec, pixels, options) in KINDS.items():
        write_clip(folder / name, numbered(40), codec, pixels, options)
    frames = PhantomClip(5, 0).frames()[:60, ..., None].repeat(3, axis=-1)
    write_clip(folder / "phantom.mp4", frames)
    return folder


def damage(data: bytes, rng: np.random.Generator) -> bytes:
    """Return a file with some of its bytes changed, cut off, doubled or left out."""
    out = bytearray(data)
    how = rng.integers(5)
    start = int(rng.integers(len(out)))
    if how == 0:
        return bytes(out[:start])
    if how == 1:  # anywhere
        for place in rng.integers(len(out), size=int(rng.integers(1, 60))):
            out[place] = rng.integers(256)
    elif how == 2:  # where the headers are
        for place in rng.integers(min(600, len(out)), size=int(rng.integers(1, 12))):
            out[place] = rng.integers(256)
    elif how == 3:  # a size or a count
        place = int(rng.integers(min(600, len(out)) - 4))
        out[place : place + 4] = rng.choice([b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff"])
    else:
        end = start + int(rng.integers(400))
        out[start:end] = b"" if rng.random() < 0.5 else out[start:end] * 2
    return bytes(out)


def read_damaged(folder: Path, kinds: Path, first: int, queue) -> None:
    """Damage and read `PORTION` files, and tell every one that is neither read nor refused."""
    sources = sorted(kinds.iterdir())
    bad = []
    for number in range(first, first + PORTION):
        rng = np.random.default_rng(number)
        source = sources[number % len(sources)]
        path = folder / f"{number}{source.suffix}"
        path.write_bytes(damage(source.read_bytes(), rng))
        signal.alarm(LONGEST)
        for read in (
            clip_info,
            lambda path: read_frames(path, [0, 17, 31]),
            lambda path: [frames.shape for frames in stream_frames(path)],
            prepare_file,
        ):
            try:
                read(path)
            except VideoError as error:
                if "\n" in str(error) or str(folder) in str(error).replace(str(path), ""):
                    bad.append((path.name, str(error)))
            except Exception as error:
                bad.append((path.name, repr(error)))
        signal.alarm(0)
        if number % 10:
            path.unlink()
    queue.put((bad, most_memory()))


def most_memory() -> float:
    """Return the most gigabytes that this process held; `ru_maxrss` begins with its parent's."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 2**20


def test_three_thousand_damaged_videos_are_read_or_refused(kinds, tmp_path):
    context = multiprocessing.get_context("spawn")
    for first in range(0, VIDEOS, PORTION):
        queue = context.Queue()
        reader = context.Process(target=read_damaged, args=(tmp_path, kinds, first, queue))
        reader.start()
        reader.join(PORTION * LONGEST)
        assert reader.exitcode == 0, f"the process ended among the files {first} and following"
        bad, gigabytes = queue.get()
        assert not bad
        assert gigabytes < 2
    kept = len(list(tmp_path.iterdir()))
    assert kept == VIDEOS // 10
    table = found_rows(tmp_path)
    assert table["video"].nunique() == kept
    assert not table["reason"].str.contains("an error of lvef").any()


def test_five_hundred_damaged_tables_are_read_or_refused(tmp_path):
    root = write_phantoms(tmp_path / "root", num_videos=12, seed=3, progress=False)
    keys = tmp_path / "keys.csv"
    keys.write_text("video,ed,es\n" + "".join(f"PHANTOM003N00000{i},3,9\n" for i in range(9)))
    whole = {path: path.read_bytes() for path in (*root.glob("*.csv"), keys)}
    for number in range(TABLES):
        rng = np.random.default_rng(number)
        for path, data in whole.items():
            path.write_bytes(damage(data, rng) if rng.random() < 0.6 else data)
        for read in (lambda: read_labels(root, 0.5), lambda: read_keyframes(keys)):
            with suppress(LvefError):
                read()
    for path, data in whole.items():
        path.write_bytes(data)
    assert len(read_labels(root).table) == 12


def test_memory_stays_flat_over_twenty_thousand_clips(kinds, tmp_path):
    analyse = ClipWork(WorkOptions(records=False))
    [clip] = clip_inputs([kinds / "phantom.mp4"])
    paths = [kinds / name for name in KINDS]

    def peak() -> float:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10

    for path in paths * 20:
        read_frames(path, [0, 17, 31])
    for _ in range(20):
        analyse(clip)
    before = peak()
    for number in range(DECODED):
        read_frames(paths[number % len(paths)], [0, 17, 31])
    for _ in range(ANALYSED):
        analyse(clip)
    assert peak() - before < 64, "MiB"
    shutil.rmtree(tmp_path)
