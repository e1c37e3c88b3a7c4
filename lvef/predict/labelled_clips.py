"""What a model of EF says of the beats of labelled clips: on labelled frames, or on found ones."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from lvef.cardiac import is_reduced
from lvef.columns import SPLITS
from lvef.data.dataset import KeyFrameDataset
from lvef.data.layouts import LabelFolder
from lvef.data.loaders import decoding_loader
from lvef.data.options import default_workers
from lvef.data.slots import A2C
from lvef.data.views import FrameOptions
from lvef.errors import ConfigurationError
from lvef.files import printable
from lvef.models import EFTask
from lvef.models.inference import FramePredictor, best_device
from lvef.models.segmentation.weights import read_weights
from lvef.models.task import Cases
from lvef.predict.find import status_of
from lvef.predict.pending import BEATS, PendingClips
from lvef.predict.rows import clip_rows
from lvef.predict.stream.found import LIMITS, FoundClips, found_clips, rows_of
from lvef.predict.stream.inputs import ClipInput
from lvef.predict.stream.machine import own_workers
from lvef.predict.stream.pool import Finished, Limits
from lvef.predict.stream.progress import Progress, ProgressBar
from lvef.predict.stream.work import FoundClip, WorkOptions

FramesFrom = Literal["labels", "found"]
"""Whether key frames are those of the labels, or found as `predict --data.videos` finds them."""
Split = Literal["TRAIN", "VAL", "TEST", "all"]
_KNOWN = ["video", "ef_true", "patient"]
_AHEAD = 256
"""How many clips may wait for one before them."""


@dataclass(frozen=True)
class LabelledBeats:
    """Raw answers of a model to labelled clips.

    Attributes:
        table: A row a beat, or a clip that cannot be used, as `found_table` has it, the index
            being the row; `video`, `ef_true` and `patient` are those of the labels.
        raw: `row` and what `EFTask.raw_answer` says of each beat that can be used, CPU tensors
            `(n,)`.
    """

    table: pd.DataFrame
    raw: Cases

    @property
    def usable(self) -> pd.DataFrame:
        """The clips with an answer, a row each in the order of the folder."""
        answered = self.table.loc[self.raw["row"].numpy(), _KNOWN]
        return answered.drop_duplicates("video").reset_index(drop=True)

    @property
    def refused(self) -> pd.DataFrame:
        """`video` and `reason` of the clips without an answer."""
        without = self.table[~self.table["video"].isin(self.usable["video"])]
        return without.drop_duplicates("video")[["video", "reason"]].reset_index(drop=True)

    def cases(self, videos: Iterable[str], seed: int = 0) -> Cases:
        """Return the cases that `EFTask.recalibrate` learns from, a row a clip.

        Args:
            videos: Which clips, in this order.
            seed: Chooses the beat that stands for each clip's beats.
        """
        names = list(videos)
        rows = self.raw["row"].numpy()
        beats = pd.DataFrame(
            {name: value.double().numpy() for name, value in self.raw.items() if name != "row"}
        ).assign(video=self.table.loc[rows, "video"].to_numpy())
        of_clips = beats.groupby("video", sort=False)
        columns = of_clips.median().loc[names]
        truth = self.table.drop_duplicates("video").set_index("video").loc[names, "ef_true"]
        columns["ef_true"] = truth
        if "ef" in columns and len(beats) > len(beats["video"].unique()):
            columns["ef_spread"] = of_clips["ef"].std(ddof=0).loc[names]
            one = beats.sample(frac=1, random_state=seed).drop_duplicates("video")
            one = one.set_index("video").loc[names]
            columns["beat_ef"], columns["beat_raw_std"] = one["ef"], one["raw_std"]
        cases = {str(n): torch.tensor(c.to_numpy(copy=True)).float() for n, c in columns.items()}
        reduced = is_reduced(truth.to_numpy(np.float64))
        return {**cases, "reduced_true": torch.as_tensor(reduced).long(),
                "row": torch.arange(len(names))}  # fmt: skip

    def answers(self, task: EFTask) -> pd.DataFrame:
        """Return what a task, as it is calibrated now, says of each usable clip.

        Args:
            task: The one that made the raw answers, or one of the same weights.

        Returns:
            A row a clip in the order of `usable`, as `predictions.csv`, with `ef_true`.
        """
        said = task.calibrated_answer({n: v for n, v in self.raw.items() if n != "row"})
        if self.one_beat_each:
            rows = self.table.loc[self.raw["row"].numpy(), ["video"]].reset_index(drop=True)
            clips = rows.assign(**{name: value.numpy() for name, value in said.items()})
        else:
            rows = self.table.loc[self.raw["row"].numpy()]
            clips, _ = clip_rows(rows, [{"failures": [], "row": self.raw["row"], **said}])
        known = self.usable.set_index("video")["ef_true"]
        clips = clips.set_index("video").loc[known.index]
        return clips.assign(ef_true=known).reset_index()

    @property
    def one_beat_each(self) -> bool:
        """Whether each clip has one beat."""
        return not self.table.loc[self.raw["row"].numpy(), "video"].duplicated().any()


def labelled_beats(
    task: EFTask,
    seen: dict[str, Any],
    folder: LabelFolder,
    frames_from: FramesFrom,
    segmenter: str,
    split: Split = "all",
    limits: Limits = LIMITS,
) -> LabelledBeats:
    """Ask a model about the clips of a labelled folder.

    Args:
        task: The model.
        seen: What its checkpoint says of the pictures it was taught with; see
            `describe_checkpoint`.
        folder: The folder.
        frames_from: Which frames.
        segmenter: What finds the beats, where they are found; see `ClipAnalyser`.
        split: Whose clips.
        limits: What one clip may take, where beats are found; one that takes more is refused.

    Raises:
        ConfigurationError: The split holds no clip, or none can be used.
        DatasetError: The model sees the two-chamber view, and no case has one.
        WeightsError: The segmenter's weights cannot be read.
    """
    folder.check_views(task.frames)
    options = FrameOptions.of_checkpoint(task.frames, seen)
    predictor = FramePredictor(task)
    if frames_from == "found":
        beats = _on_found(split_rows(folder, split), segmenter, predictor, options, limits)
    else:
        rows = split_rows(folder.for_frames(task.frames), split)
        beats = _on_labelled(rows, predictor, options)
    if not len(beats.raw.get("row", ())):
        why = beats.table["reason"].iloc[0]
        raise ConfigurationError(f"{folder.root}: no clip can be used, the first as {why}")
    return beats


def split_rows(folder: LabelFolder, split: Split) -> pd.DataFrame:
    """Return the rows of a split, or of all, with `patient` ("" where it is not known).

    Raises:
        ConfigurationError: There is none.
    """
    table = folder.table
    if split != "all":
        table = table[table["split"] == split]
    if table.empty:
        there = ", ".join(name for name in SPLITS if (folder.table["split"] == name).any())
        raise ConfigurationError(
            f"{folder.root} has no {split} clip: give --split all"
            + (f", or one of {there}" if there else "")
        )
    return table if "patient" in table else table.assign(patient="")


def found_table(
    rows: pd.DataFrame,
    segmenter: str,
    predictor: FramePredictor | None = None,
    seen: FrameOptions | None = None,
    limits: Limits = LIMITS,
) -> pd.DataFrame:
    """Return the beats that are found in labelled clips, with what the labels say.

    They are found as `predict` finds them: by several processes, within limits. A clip that kills
    its process, hangs, or wants more memory is refused with that reason.

    Args:
        rows: Of `LabelFolder.table`, with `patient`.
        segmenter: What finds the beats; see `ClipAnalyser`.
        predictor: A model that is asked about each beat; None where geometry alone answers.
        seen: What it sees of each beat.
        limits: What one clip may take.

    Returns:
        A row a beat, or one for a clip that cannot be used, in the order of `rows`: what `EMPTY`
        names, `video`, `ef_true` and `patient` of the labels, and `EFTask.raw_columns`.

    Raises:
        WeightsError: The segmenter's weights cannot be read.
    """
    read_weights(segmenter)
    places = {_clip(row): place for place, row in enumerate(rows.to_dict("records"))}
    found: dict[int, list[dict[str, Any]]] = {}
    columns = () if predictor is None else predictor.task.raw_columns
    ask = None if predictor is None else partial(_asked, predictor)
    pending = PendingClips(lambda clip, own, _: found.update({places[clip]: own}), columns=columns)
    device = best_device() if predictor is None else predictor.device
    work, progress = WorkOptions(segmenter, seen, records=False), Progress()
    with ExitStack() as stack:
        shown = stack.enter_context(ProgressBar(True, lambda: len(places)))
        ended = found_clips(stack, iter(places), work, own_workers(), device, limits)
        for each in _in_order(ended, places):
            clip = rows_of(each)
            progress.add(clip.rows, clip.seconds)
            shown.show(progress)
            pending.add(each.job, clip)
            pending.answer(ask)
        pending.answer(ask, last=True)
    labels = rows[_KNOWN].to_dict("records")
    return pd.DataFrame([{**row, **labels[p]} for p in sorted(found) for row in found[p]])


def _in_order(ended: FoundClips, places: dict[ClipInput, int]) -> FoundClips:
    """Yield clips in their order, so that whoever was faster, a model sees the same batches.

    One that is tried again, when all others are done, is not waited for by all of them.
    """
    waiting: dict[int, Finished[ClipInput, FoundClip]] = {}
    following = 0
    for each in ended:
        waiting[places[each.job]] = each
        while following in waiting or len(waiting) > _AHEAD:
            place = min(waiting)
            yield waiting.pop(place)
            following = max(following, place + 1)
    yield from (waiting[place] for place in sorted(waiting))


def _clip(row: dict[Any, Any]) -> ClipInput:
    """Return a labelled clip as one to be analysed, with the two-chamber clip of its case."""

    def of(path: Any) -> ClipInput:
        file = Path(path)
        return ClipInput(file, printable(str(row["video"])), printable(file.name), *status_of(file))

    clip, second = of(row["path"]), row.get(A2C.column("path"))
    if not second:
        return clip
    return replace(clip, a2c=replace(of(second), problem=str(row[A2C.column("reason")])))


def _asked(predictor: FramePredictor, batch: dict[str, Any]) -> dict[str, Any]:
    """Return what a model says of a batch before it is calibrated."""
    return {"row": batch["row"], **predictor.raw(batch["frames"])}


def _on_found(
    rows: pd.DataFrame,
    segmenter: str,
    predictor: FramePredictor,
    seen: FrameOptions,
    limits: Limits,
) -> LabelledBeats:
    """Return the raw answers on found frames."""
    table = found_table(rows, segmenter, predictor, seen, limits)
    answered = table[table["reason"] == ""]
    columns = [name for name in predictor.task.raw_columns if name in table]
    raw = {name: torch.tensor(answered[name].to_numpy(np.float32)) for name in columns}
    raw["row"] = torch.tensor(answered.index.to_numpy(np.int64))
    return LabelledBeats(table.drop(columns=columns), raw)


def _on_labelled(
    rows: pd.DataFrame, predictor: FramePredictor, seen: FrameOptions
) -> LabelledBeats:
    """Return the raw answers on labelled frames."""
    table = rows.assign(reason="").reset_index(drop=True)
    looks = KeyFrameDataset(table, seen.frames, seen.image_size, seen.remove_artifacts)
    batches = decoding_loader(looks, BEATS, default_workers())
    reasons, parts = table["reason"].copy(), []
    for batch in tqdm(batches, desc="asking the model", unit="batch"):
        for row, reason in batch.get("failures", []):
            reasons[row] = reason
        if "frames" in batch:
            parts.append(_asked(predictor, batch))
    raw = {name: torch.cat([part[name] for part in parts]) for name in (parts[0] if parts else ())}
    return LabelledBeats(table.assign(reason=reasons), raw)
