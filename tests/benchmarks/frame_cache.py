"""The second epoch of key frames: out of the cache, against decoding it again.

Both data sets have seen every clip once: the one that decodes knows the sectors by then. Read in
this process, without workers, by batches of 32, shuffled; MJPEG AVI and H.264 MP4.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import given
import harness
import torch
from harness import Line, Measured, Settings, by_turns

from lvef.data.dataset import KeyFrameDataset
from lvef.data.frame_cache import FrameCache
from lvef.data.layouts import read_labels
from lvef.data.loaders import decoding_loader

CLIPS, QUICK_CLIPS = 200, 48
FRAMES = ["EDF", "ESF"]
TARGET = 30.0


def claims(settings: Settings) -> Iterator[Line]:
    """Yield one line a container."""
    count = settings.of(CLIPS, QUICK_CLIPS)
    for container in ("avi", "mp4"):
        with tempfile.TemporaryDirectory() as folder:
            root = given.phantoms(Path(folder), count, container)
            table = read_labels(root).table
            kept = FrameCache(Path(folder) / "kept")
            sets = {"ours": KeyFrameDataset(table, FRAMES, cache=kept)}
            sets["theirs"] = KeyFrameDataset(table, FRAMES)

            def epoch(dataset: KeyFrameDataset) -> None:
                order = torch.utils.data.RandomSampler(dataset)
                for batch in decoding_loader(dataset, 32, 0, order):
                    assert len(batch["frames"])

            ways = {name: (lambda data=data: epoch(data)) for name, data in sets.items()}
            seconds = by_turns(settings.rounds, ways)
        ms = {name: [1000 * s / len(table) for s in took] for name, took in seconds.items()}
        yield Line(
            f"second_epoch_{container}",
            Measured("frames out of the cache", ms["ours"], "ms a case"),
            Measured("the same decoded, sectors known", ms["theirs"], "ms a case"),
            TARGET,
        )


def main(words: list[str] | None = None) -> None:
    """Measure."""
    harness.main(claims, __doc__, words)


if __name__ == "__main__":
    main()
