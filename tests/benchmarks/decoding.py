"""Three key frames a clip: our reader against reading whole clips with OpenCV, as EchoNet does."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from lvef.data import video
from lvef.data.formats import read_frames, write_video
from lvef.phantom import PhantomClip

KEY_FRAMES = [17, 43, 70]
CLIPS, ROUNDS = 6, 6


def whole_clip_with_opencv(path: Path) -> np.ndarray:
    """Decode every frame and keep three."""
    capture = cv2.VideoCapture(str(path))
    frames = []
    while True:
        there, frame = capture.read()
        if not there:
            break
        frames.append(frame)
    return np.stack([frames[index][..., ::-1] for index in KEY_FRAMES])


def main() -> None:
    """Print videos a second and the ratio to OpenCV, for both containers."""
    cv2.setNumThreads(1)
    ways: dict[str, Callable[[Path], np.ndarray]] = {
        "OpenCV, whole clip": whole_clip_with_opencv,
        "read_frames, PyAV": lambda path: read_frames(path, KEY_FRAMES, "pyav"),
    }
    if video.decord is not None:
        ways["read_frames, decord"] = lambda path: read_frames(path, KEY_FRAMES, "decord")
    with tempfile.TemporaryDirectory() as folder:
        for extension in ("avi", "mp4"):
            paths = []
            for index in range(CLIPS):
                clip = PhantomClip(0, 100 + index)
                paths.append(Path(folder) / f"{index}.{extension}")
                count = max(clip.patient.num_frames, KEY_FRAMES[-1] + 1)
                frames = clip.frames([i % clip.patient.num_frames for i in range(count)])
                write_video(paths[-1], frames, clip.patient.fps)
            rates = {name: rate(way, paths) for name, way in ways.items()}
            slowest = rates["OpenCV, whole clip"]
            for name, value in rates.items():
                print(f"{extension}  {name:22s}{value:7.0f} videos/s  {value / slowest:5.1f} x")


def rate(way: Callable[[Path], np.ndarray], paths: list[Path]) -> float:
    """Return videos a second, after one round that is not timed."""
    for path in paths:
        way(path)
    start = time.perf_counter()
    for _ in range(ROUNDS):
        for path in paths:
            way(path)
    return ROUNDS * len(paths) / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
