"""How fast phantoms are rendered: ms a frame of one core, and MJPEG encoding beside it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import harness
from harness import Line, Measured, Settings, by_turns

from lvef.data.formats import write_video
from lvef.phantom import PhantomClip

CLIPS = 6
TARGET = 0.9


def claims(settings: Settings) -> Iterator[Line]:
    """Yield milliseconds a frame, clip set-up included."""
    pictures = [PhantomClip(0, index).frames() for index in range(CLIPS)]
    count = sum(map(len, pictures))

    def render() -> None:
        for index in range(CLIPS):
            PhantomClip(0, index).frames()

    with tempfile.TemporaryDirectory() as folder:

        def encode() -> None:
            for frames in pictures:
                write_video(Path(folder) / "clip.avi", frames, 50)

        seconds = by_turns(settings.rounds, {"render": render, "encode": encode}, warm=False)
    ms = {name: [1000 * s / count for s in took] for name, took in seconds.items()}
    rendered = Measured("112 x 112, set-up included, one core", ms["render"], "ms a frame")
    encoded = Measured("MJPEG encoding of it", ms["encode"], "ms a frame")
    yield Line("phantom_frame_ms", rendered, target=TARGET, at_most=True)
    yield Line("phantom_frame_against_encoding", rendered, encoded)


def main(words: list[str] | None = None) -> None:
    """Measure on one core."""
    cv2.setNumThreads(1)
    harness.main(claims, __doc__, words)


if __name__ == "__main__":
    main()
