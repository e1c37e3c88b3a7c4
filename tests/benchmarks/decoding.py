"""Three key frames a clip: our reader against OpenCV's whole clip, decord and torchcodec.

Each way reads the same clips, by turns, in one process and in two at a time. OpenCV decodes with
the number of threads that is fastest for it; decord and torchcodec (which wants a system FFmpeg)
are measured where they are installed. The frames of every way are compared with those of the whole
clip decoded in order: a reader that returns others is named.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import av
import cv2
import harness
import numpy as np
from harness import Line, Measured, Settings, best_of, by_turns

from lvef.data.formats import read_frames, stream_frames, write_video
from lvef.phantom import PhantomClip

KEY_FRAMES = [17, 43, 70]
CLIPS = 8
TARGETS = {"mp4": 3.0, "avi": 9.0}
Way = Callable[[str], np.ndarray]


def opencv(path: str, threads: int = 1) -> np.ndarray:
    """Decode every frame and keep three, as EchoNet-Dynamic's code does."""
    capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, threads])
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


def read_all(way: Way, paths: list[str]) -> None:
    """Read every clip."""
    for path in paths:
        way(path)


def together(pool: ProcessPoolExecutor, processes: int, way: Way, paths: list[str]) -> None:
    """Have each of some processes read every clip."""
    for job in [pool.submit(read_all, way, paths) for _ in range(processes)]:
        job.result()


def claims(settings: Settings) -> Iterator[Line]:
    """Yield clips a second against OpenCV's, for both containers, one and two processes."""
    others: dict[str, Way] = {"pyav, reading on": pyav}
    others |= {w.__name__: w for w in (decord, torchcodec) if find_spec(w.__name__)}
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(2) as pool:
        for extension in ("avi", "mp4"):
            paths = write(Path(folder), extension)
            ours_differ, differ = (
                wrong(ours, paths),
                {n: wrong(w, paths) for n, w in others.items()},
            )
            for processes in (1, 2):
                ask = partial(together, pool, processes)
                kinds = {f"{n} threads": partial(opencv, threads=n) for n in (1, 2)}
                best = best_of(2, {name: partial(ask, way, paths) for name, way in kinds.items()})
                ways = {"ours": ours, "opencv": kinds[best], **others}
                seconds = by_turns(
                    settings.rounds, {n: partial(ask, way, paths) for n, way in ways.items()}
                )
                count = processes * len(paths)
                per_clip = {n: [1000 * s / count for s in took] for n, took in seconds.items()}
                name = f"key_frames_{extension}_{processes}"
                theirs = Measured(f"OpenCV, whole clip, {best}", per_clip["opencv"], "ms a clip")
                mine = Measured(
                    f"read_frames, {processes} processes", per_clip["ours"], "ms a clip"
                )
                note = f"other pixels in {ours_differ}" * bool(ours_differ)
                yield Line(name, mine, theirs, TARGETS[extension], note=note)
                for other in others:
                    note = f"other pixels in {differ[other]} of {len(paths)}" * bool(differ[other])
                    way = Measured(other, per_clip[other], "ms a clip")
                    yield Line(f"{name}_{other.split(',')[0]}", way, theirs, note=note)


def wrong(way: Way, paths: list[str]) -> int:
    """Return of how many clips a way returns other frames than there are."""
    truth = [np.concatenate(list(stream_frames(path)))[KEY_FRAMES] for path in paths]
    return sum(not np.array_equal(way(p), t) for p, t in zip(paths, truth, strict=True))


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


def main(words: list[str] | None = None) -> None:
    """Measure."""
    cv2.setNumThreads(1)
    harness.main(claims, __doc__, words)


if __name__ == "__main__":
    main()
