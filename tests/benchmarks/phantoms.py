"""How fast phantoms are rendered: milliseconds a frame and core, against writing them down."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import cv2

from lvef.data.formats import write_video
from lvef.phantom import PhantomClip

CLIPS = 6


def main() -> None:
    """Render and write a few clips on one core and print what that took."""
    cv2.setNumThreads(1)
    frames = rendering = writing = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for index in range(CLIPS):
            clip = PhantomClip(0, index)
            start = time.perf_counter()
            pictures = clip.frames()
            rendered = time.perf_counter()
            write_video(Path(folder) / "clip.avi", pictures, clip.patient.fps)
            writing += time.perf_counter() - rendered
            rendering += rendered - start
            frames += len(pictures)
    print(f"{CLIPS} clips, {frames:.0f} frames of 112 x 112, one core")
    print(f"render, clip set-up included: {1000 * rendering / frames:.2f} ms a frame")
    print(f"MJPEG encoding beside it:     {1000 * writing / frames:.2f} ms a frame")
    print(f"render / encode:              {rendering / writing:.1f}")


if __name__ == "__main__":
    main()
