"""What checkpoints of this and of earlier versions say of themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lvef.errors import CheckpointError

FORMAT = 1
"""Of what a checkpoint says of itself. Whoever changes that raises this number, and lets
`brought_up` bring up to it what earlier versions wrote."""


def brought_up(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a checkpoint says of itself, as a checkpoint of this version would say it.

    Version 0.1 wrote no `format` and no `class_path`, but the name of a task of its own; also of
    an ensemble's members.

    Raises:
        CheckpointError: A later version wrote it.
    """
    written = metadata.get("format", 0)
    if not isinstance(written, int) or written > FORMAT:
        raise CheckpointError(
            f"written by a later version of lvef (format {written}, this one reads {FORMAT}): "
            "update lvef"
        )
    if "class_path" in metadata:
        return dict(metadata)
    return {**metadata, "class_path": f"lvef.models.{metadata.get('task')}"}
