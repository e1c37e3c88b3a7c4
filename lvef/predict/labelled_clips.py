"""What a model of EF says of the beats of labelled clips: on labelled frames, or on found ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from lvef.cardiac import is_reduced
from lvef.columns import SPLITS
from lvef.data.dataset import KeyFrameDataset, prepare_for_workers
from lvef.data.layouts import LabelFolder
from lvef.data.loaders import decoding_loader
from lvef.data.options import default_workers
from lvef.data.views import FrameOptions
from lvef.errors import ConfigurationError
from lvef.models import EFTask
from lvef.models.inference import FramePredictor
from lvef.models.task import Cases
from lvef.predict.finder import BeatFinder
from lvef.predict.frames import key_frame_batches
from lvef.predict.rows import clip_rows
from lvef.predict.video_table import video_table

FramesFrom = Literal["labels", "found"]
"""Whether key frames are those of the labels, or found as `predict --data.videos` finds them."""
Split = Literal["TRAIN", "VAL", "TEST", "all"]
_BATCH = 16
_KNOWN = ["video", "ef_true", "patient"]


@dataclass(frozen=True)
class LabelledBeats:
    """Raw answers of a model to labelled clips.

    Attributes:
        table: A row a beat, or a clip that cannot be used, as `video_table` has it, the index
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

    Raises:
        ConfigurationError: The split holds no clip.
        WeightsError: The segmenter's weights cannot be read.
    """
    options = FrameOptions.of_checkpoint(task.frames, seen)
    rows = rows_of(folder if frames_from == "found" else folder.for_frames(task.frames), split)
    predictor = FramePredictor(task)
    prepare_for_workers()
    if frames_from == "labels":
        table = rows.assign(reason="").reset_index(drop=True)
        looks = KeyFrameDataset(table, options.frames, options.image_size, options.remove_artifacts)
        batches: Iterable[Any] = decoding_loader(looks, _BATCH, default_workers())
    else:
        finder = BeatFinder(segmenter, seen=options, device=predictor.device)
        table = found_table(rows, finder, options.frames)
        batches = key_frame_batches(table, options, _BATCH, workers=0)
    bar = tqdm(batches, desc="asking the model", unit="batch")
    table, raw = _asked(predictor, table, bar)
    if not len(raw.get("row", ())):
        why = table["reason"].iloc[0]
        raise ConfigurationError(f"{folder.root}: no clip can be used, the first as {why}")
    return LabelledBeats(table, raw)


def rows_of(folder: LabelFolder, split: Split) -> pd.DataFrame:
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
    rows: pd.DataFrame, finder: Callable[..., Any], frames: tuple[str, ...] = ()
) -> pd.DataFrame:
    """Return the beats that are found in labelled clips, with what the labels say.

    Args:
        rows: Of `LabelFolder.table`, with `patient`.
        finder: A `BeatFinder`.
        frames: What a model asks for.

    Returns:
        As `video_table`, a row a beat, with `video`, `ef_true` and `patient` of the labels.
    """
    paths = [Path(path) for path in rows["path"]]

    def bar(files: Any) -> Any:
        return tqdm(files, desc="finding beats", unit="clip")

    found = video_table(paths, None, finder, bar, frames=frames)
    places = {path: place for place, path in enumerate(paths)}
    place = np.array([places[path] for path in found["path"]])
    for name in _KNOWN:
        found[name] = rows[name].to_numpy()[place]
    return found.iloc[np.argsort(place, kind="stable")].reset_index(drop=True)


def _asked(
    predictor: FramePredictor, table: pd.DataFrame, batches: Iterable[Any]
) -> tuple[pd.DataFrame, Cases]:
    """Return the table with the reasons why clips failed, and the raw answers to the others."""
    reasons, parts = table["reason"].copy(), []
    for batch in batches:
        for row, reason in batch.get("failures", []):
            reasons[row] = reason
        if "frames" in batch:
            parts.append({"row": batch["row"], **predictor.raw(batch["frames"])})
    raw = {name: torch.cat([part[name] for part in parts]) for name in (parts[0] if parts else ())}
    return table.assign(reason=reasons), raw
