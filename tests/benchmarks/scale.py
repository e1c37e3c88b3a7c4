"""How time grows with the number of clips: labels, decoding, cache, features of a backbone.

Clips are copies of a few phantoms with bytes of their own. The exponent of each stage is that of
least squares over all sizes; 1 is time that grows as the number of clips does.
"""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import given
import harness
import pandas as pd
import torch
from harness import Line, Measured, Settings, exponent

from lvef.data.dataset import KeyFrameDataset
from lvef.data.features import Request
from lvef.data.frame_cache import FrameCache
from lvef.data.layouts import read_labels
from lvef.data.loaders import decoding_loader
from lvef.models import ResNet50Backbone
from lvef.models.inference import inference

SIZES, QUICK_SIZES = (100, 300, 1000, 3000), (50, 100, 200)
FRAMES = ["EDF", "ESF"]
TARGET = 1.05


def stages(root: Path, kept: FrameCache) -> dict[str, float]:
    """Return the seconds of each stage on a folder."""
    took: dict[str, float] = {}
    backbone = ResNet50Backbone(None).folded()

    def timed(name: str, work) -> object:
        start = time.perf_counter()
        result = work()
        took[name] = time.perf_counter() - start
        return result

    table = timed("labels", lambda: read_labels(root).table)
    assert isinstance(table, pd.DataFrame)
    decode = KeyFrameDataset(table, FRAMES, cache=kept)
    timed("decoding", lambda: [None for _ in decoding_loader(decode, 32, 0)])
    timed("cache", lambda: [None for _ in decoding_loader(decode, 32, 0)])

    def features() -> None:
        request = Request(table, FRAMES, 112, True, "")
        for frame in FRAMES:
            request.digest(frame)
        with inference(torch.device("cpu")):
            for batch in decoding_loader(decode, 32, 0):
                backbone(batch["frames"])

    timed("features", features)
    return took


def claims(settings: Settings) -> Iterator[Line]:
    """Yield the exponent of each stage."""
    sizes = QUICK_SIZES if settings.quick else SIZES
    seconds: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base = given.phantoms(folder, 40)
        for size in (sizes[0], *sizes):  # the first one warms
            root = given.many(folder / f"{size}_{len(seconds['labels'])}", base, size)
            taken = stages(root, FrameCache(folder / "kept" / root.name))
            for stage, each in taken.items():
                seconds[stage].append(each)
    for stage, taken in seconds.items():
        each = ", ".join(f"{s:.3g} s of {n}" for n, s in zip(sizes, taken[1:], strict=True))
        mine = Measured(f"{stage}: {each}", [exponent(sizes, taken[1:])], "")
        yield Line(f"exponent_{stage}", mine, target=TARGET, at_most=True)


def main(words: list[str] | None = None) -> None:
    """Measure."""
    harness.main(claims, __doc__, words)


if __name__ == "__main__":
    main()
