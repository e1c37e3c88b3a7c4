"""Three key frames a clip: our reader against OpenCV, decord and torchcodec.

Each way reads the same clips, by turns, in one process and in two at a time; decord and torchcodec
(which wants a system FFmpeg) are measured where they are installed. The frames of every way are
compared with those of the whole clip decoded in order: a reader that returns others is named.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import av
import cv2
import numpy as np

from lvef.data.formats import read_frames, stream_frames, write_video
from lvef.phantom import PhantomClip

KEY_FRAMES = [17, 43, 70]
CLIPS, ROUNDS = 8, 15


def opencv(path: str) -> np.ndarray:
    """Decode every frame and keep three, as EchoNet-Dynamic's code does."""
    cv2.setNumThreads(1)
    capture = cv2.VideoCapture(path)
    frames = []
    while True:
        there, frame = capture.read()
        if not there:
            break
        frames.append(frame)
    return np.stack([frames[index][..., ::-1] for index in KEY_FRAMES])


def pyav(path: str) -> np.ndarray:
    """Decode up to the last frame asked for."""
    found = []
    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for number, frame in enumerate(container.decode(stream)):
            if number in KEY_FRAMES:
                found.append(frame.to_ndarray(format="rgb24"))
            if number == KEY_FRAMES[-1]:
                break
    return np.stack(found)


def ours(path: str) -> np.ndarray:
    """Read by the package's own function."""
    return read_frames(path, KEY_FRAMES)


def decord(path: str) -> np.ndarray:
    """Ask decord for the three."""
    import decord

    reader = decord.VideoReader(path, ctx=decord.cpu(0), num_threads=1)
    return np.asarray(reader.get_batch(KEY_FRAMES).asnumpy())


def torchcodec(path: str) -> np.ndarray:
    """Ask torchcodec for the three."""
    from torchcodec.decoders import VideoDecoder

    decoder = VideoDecoder(path, dimension_order="NHWC", num_ffmpeg_threads=1)
    return np.asarray(decoder.get_frames_at(KEY_FRAMES).data.numpy())


def repeat(way: Callable[[str], np.ndarray], paths: list[str]) -> float:
    """Return the seconds that one round takes, after a clip that is not timed."""
    way(paths[0])
    start = time.perf_counter()
    for path in paths:
        way(path)
    return time.perf_counter() - start


def main() -> None:
    """Print videos a second and the ratio to OpenCV, for both containers, one and two processes."""
    ways: dict[str, Callable[[str], np.ndarray]] = {"OpenCV, whole clip": opencv}
    ways |= {"PyAV, reading on": pyav, "read_frames": ours}
    ways |= {w.__name__: w for w in (decord, torchcodec) if find_spec(w.__name__)}
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(2) as pool:
        for extension in ("avi", "mp4"):
            paths = write(Path(folder), extension)
            truth = [np.concatenate(list(stream_frames(path)))[KEY_FRAMES] for path in paths]
            wrong = {
                name: sum(not np.array_equal(way(p), t) for p, t in zip(paths, truth, strict=True))
                for name, way in ways.items()
            }
            for processes in (1, 2):
                seconds: dict[str, list[float]] = {name: [] for name in ways}
                for _ in range(ROUNDS):
                    for name, way in ways.items():
                        jobs = [pool.submit(repeat, way, paths) for _ in range(processes)]
                        seconds[name].append(max(job.result() for job in jobs))
                # The least disturbed round, as timeit has it.
                rates = {n: processes * CLIPS / min(s) for n, s in seconds.items()}
                slowest = rates["OpenCV, whole clip"]
                for name, rate in rates.items():
                    note = f"   other pixels in {wrong[name]} of {CLIPS}" if wrong[name] else ""
                    print(
                        f"{extension} {processes} x  {name:20s}{rate:7.0f} videos/s "
                        f"{rate / slowest:5.1f} x{note}"
                    )


def write(folder: Path, extension: str) -> list[str]:
    """Write phantom clips that are long enough."""
    paths = []
    for index in range(CLIPS):
        clip = PhantomClip(0, 100 + index)
        count = max(clip.patient.num_frames, KEY_FRAMES[-1] + 1)
        frames = clip.frames([i % clip.patient.num_frames for i in range(count)])
        path = folder / f"{index}.{extension}"
        write_video(path, frames, clip.patient.fps)
        paths.append(str(path))
    return paths


if __name__ == "__main__":
    main()
