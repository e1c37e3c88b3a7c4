"""`predictions.csv`, `beats.csv` and `predictions.json`: what was said of clips, and by what."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from lvef.evaluation.uncertainty import LEVEL
from lvef.files import write_csv, write_json
from lvef.notice import NOT_FOR_DIAGNOSIS
from lvef.run_files import PREDICTIONS


def write_predictions(folder: Path, videos: pd.DataFrame, made_with: dict[str, Any]) -> None:
    """Write what was said of labelled clips, each file whole or not at all.

    Args:
        folder: The run's folder.
        videos: A row a clip; see `clip_rows`.
        made_with: See `made_with`.

    Raises:
        OutputError: A file cannot be written.
    """
    write_csv(folder / PREDICTIONS, videos)
    write_json((folder / PREDICTIONS).with_suffix(".json"), made_with)


def made_with(task: Any, data: Any, checkpoint: str, trained_on: str) -> dict[str, Any]:
    """Return what predictions were made with.

    Args:
        task: The task that was asked.
        data: The data module.
        checkpoint: Where the task came from.
        trained_on: What taught whatever answers.
    """
    level = getattr(task, "interval_level", None)
    finder = getattr(data, "finder", None)  # found the beats, where they were found
    by = {} if finder is None else {
        "segmenter": str(data.segmenter), "segmenter_trained_on": str(finder.trained_on),
        "segmenter_recalibrated": finder.recalibrated, "segmenter_remark": str(finder.remark),
    }  # fmt: skip
    return {
        "note": NOT_FOR_DIAGNOSIS,
        "task": type(task).__name__,
        "kind": getattr(task, "kind", None),
        "frames": list(getattr(task, "frames", [])),
        "backbone": getattr(task, "network_title", ""),
        "checkpoint": checkpoint,
        "trained_on": trained_on,
        "recalibrated": dict(getattr(task, "recalibrated", {})),
        "phantom": data.videos is None and data.is_phantom,
        "threshold": getattr(task, "decision_threshold", None),
        "level": LEVEL if level is None else level,
        "version": version("lvef"),
        **by,
    }
