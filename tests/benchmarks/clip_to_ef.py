"""From a file to its EF: two key frames by `lvef.load`, against R(2+1)D-18 on 32 frames.

Once with key frames that are given and once with frames that are found. The video model is run as
it was published (float32, as PyTorch lays it out), and at its own best setting: bfloat16 and
channels_last_3d where they are faster, one thread or all. Ours runs as it comes against the first,
and with `lvef.load(..., fast=True)` against the second. Weights are random on both sides.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import given
import harness
import torch
import video_model
from harness import Line, Measured, Settings, by_turns

import lvef
from lvef.data.layouts import read_labels

CLIPS, THEIR_CLIPS, FOUND = 24, 3, 2
TARGETS = {"float32": 60.0, "best": 18.0}


def claims(settings: Settings) -> Iterator[Line]:
    """Yield a line for each precision, and one for frames that are found."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root = given.phantoms(folder, settings.of(64, 40))
        checkpoint = given.checkpoint(folder / "runs", root)
        table = read_labels(root).table.head(CLIPS)
        paths, keys = table["path"].tolist(), given.key_frames(table, folder / "keys.csv")
        kinds = {
            "float32": (lvef.load(checkpoint), video_model.Setting(threads=settings.threads)),
            "best": (lvef.load(checkpoint, fast=True), _best(settings, paths[:1])),
        }
        found: dict[str, Measured] = {}
        for kind, (model, setting) in kinds.items():
            net = video_model.network(setting).eval()

            def ours(model: lvef.predict.predictor.Predictor = model) -> None:
                torch.set_num_threads(settings.threads)
                assert (model.predict(paths, keys)["status"] != "failed").all()

            def theirs(net=net, setting=setting) -> None:
                video_model.predict(net, setting, paths[:THEIR_CLIPS])

            ways = {"ours": ours, "theirs": theirs}
            seconds = by_turns(settings.rounds, ways)
            fast = ", fast" * (kind == "best")
            mine = Measured(
                f"lvef.load{fast}, {settings.threads} threads, {len(paths)} clips",
                [1000 * s / len(paths) for s in seconds["ours"]], "ms a clip",
            )  # fmt: skip
            other = Measured(
                f"r2plus1d_18, {setting}", [1000 * s / THEIR_CLIPS for s in seconds["theirs"]],
                "ms a clip",
            )  # fmt: skip
            found[kind] = other
            yield Line(f"clip_to_ef_{kind}", mine, other, TARGETS[kind])

        def search() -> None:
            torch.set_num_threads(settings.threads)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                kinds["best"][0].predict(paths[:FOUND])

        took = by_turns(settings.of(3, 1), {"ours": search})["ours"]
        mine = Measured(
            "lvef.load, fast, frames found", [1000 * s / FOUND for s in took], "ms a clip"
        )
        yield Line("clip_to_ef_frames_found", mine, found["best"])


def _best(settings: Settings, paths: list[str]) -> video_model.Setting:
    """Return the setting in which the video model is fastest."""

    def work(setting: video_model.Setting):
        net = video_model.network(setting).eval()
        return lambda: video_model.predict(net, setting, paths)

    return video_model.best_setting(settings.threads, work)


def main(words: list[str] | None = None) -> None:
    """Measure."""
    harness.main(claims, __doc__, words)


if __name__ == "__main__":
    main()
