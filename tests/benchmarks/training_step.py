"""A training step of `edf_esf_mlp`, a video, against one of R(2+1)D-18, each at its best.

Forward, backward and optimiser, pictures in memory: two key frames a video in a batch of 16, and 32
frames a video in a batch of 2. Both are tried in float32 and bfloat16, with one thread and all, the
video model with and without channels_last_3d.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import harness
import torch
import video_model
from harness import Line, Measured, Settings, best_of, by_turns

from lvef.models import EFRegressor
from lvef.models.options import BackboneOptions

OURS, THEIRS = 16, 2
TARGET = 25.0


def our_step(bfloat16: bool, threads: int) -> Callable[[], None]:
    """Return a step of our task with its own optimiser."""
    task = EFRegressor(["EDF", "ESF"], backbone=BackboneOptions(weights=None)).train()
    optimizer = torch.optim.AdamW(task.parameters(), 1e-4)
    batch = {
        "frames": torch.randint(256, (OURS, 2, 3, 112, 112), dtype=torch.uint8),
        "ef_true": torch.linspace(20, 70, OURS),
    }

    def step() -> None:
        torch.set_num_threads(threads)
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", enabled=bfloat16):
            output = task.batch_output(batch)
        task.case_loss(output.float(), batch).mean().backward()
        optimizer.step()

    return step


def claims(settings: Settings) -> Iterator[Line]:
    """Yield the one line."""
    kinds = {
        f"{'bfloat16' if low else 'float32'}, {threads} threads": our_step(low, threads)
        for low in (False, True)
        for threads in sorted({1, settings.threads})
    }
    mine = best_of(1, kinds)
    setting = video_model.best_setting(
        settings.threads, lambda each: video_model.training_step(each, THEIRS)
    )
    ways = {"ours": kinds[mine], "theirs": video_model.training_step(setting, THEIRS)}
    seconds = by_turns(settings.rounds, ways)
    yield Line(
        "training_step",
        Measured(f"edf_esf_mlp, {mine}", [1000 * s / OURS for s in seconds["ours"]], "ms a video"),
        Measured(
            f"r2plus1d_18, {setting}", [1000 * s / THEIRS for s in seconds["theirs"]], "ms a video"
        ),
        TARGET,
    )


def main(words: list[str] | None = None) -> None:
    """Measure."""
    harness.main(claims, __doc__, words)


if __name__ == "__main__":
    main()
