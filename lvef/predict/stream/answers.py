"""What a model of EF says of the beats that were found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lvef.data.views import FrameOptions
from lvef.predict.stream.store import ANSWERS
from lvef.predict.stream.work import FoundClip


class Answers:
    """Asks a model about each clip as it is found.

    Args:
        checkpoint: The model's.
        trusted: Modules that may be imported for a model of a user's own.
        device: Where it runs.

    Attributes:
        task: The model.
        seen: What it sees of each beat.

    Raises:
        CheckpointError: It cannot be loaded.
    """

    def __init__(self, checkpoint: str, trusted: Sequence[str], device: torch.device) -> None:
        from lvef.models.inference import FramePredictor
        from lvef.models.loading import describe_checkpoint, load_ef_task

        self.task = load_ef_task(checkpoint, trusted)
        trained_with = describe_checkpoint(checkpoint)["data"]
        self.seen = FrameOptions.of_checkpoint(self.task.frames, trained_with)
        self.predictor = FramePredictor(self.task, device)

    def add(self, found: FoundClip) -> None:
        """Add to each usable beat of a clip what the model says of it."""
        usable = [row for row in found.rows if not row["reason"]]
        if found.frames is None or not usable:
            return
        batch = {"frames": torch.from_numpy(found.frames), "row": torch.arange(len(usable))}
        [answers] = self.predictor.batches([batch])
        for row, said in zip(usable, said_of(answers), strict=True):
            row.update(said)


def said_of(answers: dict[str, Any]) -> list[dict[str, float]]:
    """Return what is said of each beat of a batch.

    Args:
        answers: What `predict_step` returns: `row`, and answers `(B,)` by name.
    """
    columns = {
        name: answers[name].tolist() for name in ANSWERS if isinstance(answers.get(name), Tensor)
    }
    count = len(answers["row"])
    return [{name: values[n] for name, values in columns.items()} for n in range(count)]
