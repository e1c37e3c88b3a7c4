"""Clips of a Ray dataset, where Ray is there already: the same work, in its own processes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import pandas as pd
import torch

from lvef.errors import ConfigurationError
from lvef.files import printable
from lvef.models.inference import best_device
from lvef.models.segmentation.weights import SHIPPED
from lvef.predict.find import status_of
from lvef.predict.pending import PendingClips
from lvef.predict.stream.answers import Answers
from lvef.predict.stream.found import network_on
from lvef.predict.stream.inputs import ClipInput
from lvef.predict.stream.merge import tables_of_rows
from lvef.predict.stream.schema import ROWS
from lvef.predict.stream.work import ClipWork, WorkOptions

if TYPE_CHECKING:
    from ray.data import Dataset


def analyse_dataset(
    dataset: Dataset,
    column: str = "path",
    model: str | None = None,
    segmenter: str = SHIPPED,
    fps: float | None = None,
    beats: bool = False,
    trusted: Sequence[str] = (),
    **placed: Any,
) -> Dataset:
    """Analyse the clips of a Ray dataset; nothing runs before its rows are taken.

    Research use only, not for diagnosis. Needs `ray[data]` (the extra `lvef[ray]`). A file that
    kills its process is Ray's to deal with: it starts the task again, and gives up in the end.

    Args:
        dataset: A row a clip, with its path; other columns are carried on.
        column: The column with the path, which every worker must be able to read.
        model: Checkpoint of a model of EF; None where geometry alone answers.
        segmenter: What finds the beats; see `ClipAnalyser`.
        fps: Frames a second of all clips, in place of what the files state.
        beats: Whether to return a row a beat, as `beats.csv`, in place of a row a clip.
        trusted: Modules that may be imported for a model of a user's own.
        placed: Where and how often it runs, as `Dataset.flat_map` takes it, such as
            `compute=ray.data.ActorPoolStrategy(size=8), num_gpus=1`. By default two processes of
            one core each.

    Returns:
        A dataset with the columns of `predictions.csv`, or of `beats.csv`, after its own.

    Raises:
        ConfigurationError: Ray is not installed.
    """
    try:
        from ray.data import ActorPoolStrategy
    except ImportError as error:
        raise ConfigurationError("analyse_dataset needs Ray: pip install 'lvef[ray]'") from error
    given = {"column": column, "model": model, "segmenter": segmenter, "fps": fps, "beats": beats,
             "trusted": tuple(trusted)}  # fmt: skip
    placed = {"compute": ActorPoolStrategy(size=2), "num_cpus": 1, **placed}
    return dataset.flat_map(_Analyse, fn_constructor_kwargs=given, **placed)


class _Analyse:
    """What one process of Ray's does to its clips."""

    def __init__(
        self,
        column: str,
        model: str | None,
        segmenter: str,
        fps: float | None,
        beats: bool,
        trusted: tuple[str, ...],
    ) -> None:
        torch.set_num_threads(1)  # the processes are the parallelism
        cv2.setNumThreads(1)
        self.column, self.beats = column, beats
        device = best_device()
        self.answers = None if model is None else Answers(model, trusted, device)
        seen = None if self.answers is None else self.answers.seen
        network = None if device.type == "cpu" else network_on(segmenter, device)
        self.work = ClipWork(WorkOptions(segmenter, seen, fps, records=False), network)
        self.frames = () if seen is None else seen.frames
        taught = self.work.analyser if self.answers is None else self.answers.task
        self.trained_on = str(taught.trained_on)

    def __call__(self, row: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the rows of the clip of a row."""
        path = Path(str(row[self.column]))
        size, mtime_ns = status_of(path)
        clip = ClipInput(path, printable(str(path)), printable(path.name), size, mtime_ns)
        rows: list[dict[str, Any]] = []
        pending = PendingClips(lambda _, own, __: rows.extend(own))
        pending.add(clip, self.work(clip))
        pending.answer(self.answers, last=True)
        known = pd.DataFrame(rows).reindex(columns=ROWS.names)
        videos, beats = tables_of_rows(known, self.frames, self.trained_on)
        table = (beats if self.beats else videos).astype(object)
        told = table.where(table.notna(), None).to_dict("records")
        return [{**row, **{str(k): _plain(value) for k, value in each.items()}} for each in told]


def _plain(value: Any) -> Any:
    """Return whole numbers as floats, too, so that columns have one type whatever is missing."""
    value = value.item() if hasattr(value, "item") else value
    return float(value) if isinstance(value, int) else value
