"""A model of EF that is asked about the beats that were found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from lvef.data.views import FrameOptions


class Answers:
    """Asks a model about batches of beats.

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

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Return what the model says of a batch of `PendingClips`."""
        return self.predictor.batch(batch)
