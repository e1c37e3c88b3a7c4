"""From a log folder to the cases of a report: predictions, frames, heat maps, contours, curves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from lvef.analysis.analyse import ClipAnalyser
from lvef.cardiac import NO_FRAME, PICTURE_SIZE
from lvef.data.dataset import KeyFrameDataset, decodable, prepare_for_workers
from lvef.data.layouts import LabelFolder, read_labels
from lvef.data.phantom_folder import PhantomTruth, read_truth
from lvef.data.shown import case_sector
from lvef.data.slots import A2C, A2C_FRAMES, A4C_FRAMES, FRAME_COLUMNS
from lvef.errors import (
    ConfigurationError,
    DatasetError,
    FitError,
    LvefError,
    NotFittedError,
    RecordError,
    VideoError,
)
from lvef.models import EFTask
from lvef.models.attribution import NOT_OF_CLIPS, Method, SaliencyMapper
from lvef.models.inference import best_device
from lvef.models.loading import load_task
from lvef.predict.record import ClipRecord, read_record, record_path, write_record
from lvef.predict.stream.stored import (
    is_anonymised,
    is_archive,
    named_videos,
    stored_records,
    stored_videos,
)
from lvef.report.answer import answered_case
from lvef.report.case import CaseFrame, ReportCase, heat_uri, picture_uri
from lvef.report.known import Known
from lvef.report.run import Run

Auto = Literal["auto"]
AUTO: Auto = "auto"
"""HiResCAM where the backbone has maps for it, else no heat maps."""
_BATCH = 16
_SMALLEST, _LARGEST = 16, 1024
_MOST_NAMED = 10
"""Most numbers of cases in a note."""


def report_cases(
    run: Run,
    root: str | None,
    checkpoint: Path | None,
    asked: Method | Auto | None,
    analyse: bool,
    most: int | None,
    key: Path | None = None,
) -> list[ReportCase]:
    """Return the cases of a run with their pictures.

    Args:
        run: The run; what cannot be had is added to its notes.
        root: EchoNet folder, in place of what the config says.
        checkpoint: Checkpoint, in place of what the run says.
        asked: Kind of heat map; None for none.
        analyse: Find contours and beats in the clips of a test too.
        most: Most cases that get pictures.
        key: CSV file that says where the clip of each number lies, of an anonymised archive.

    Raises:
        ConfigurationError: The backbone has no maps of the kind that the heat map explains.
    """
    method: Method | None = "hirescam" if asked == AUTO else asked
    rows = run.cases.reset_index(drop=True)
    cases = [answered_case(number, row, run) for number, (_, row) in enumerate(rows.iterrows(), 1)]
    table, folder = _videos(run, root, key)
    if table is None:
        return cases
    mapper, frames = _mapper(run, checkpoint, method)
    if mapper is not None and method not in mapper.methods:
        if asked != AUTO:
            raise ConfigurationError(f"--heat_map {asked}: {mapper.left_out}")
        run.notes.append(f"There are no heat maps: {mapper.left_out} (--heat_map).")
        mapper = None
    by_name = table.drop_duplicates("video").set_index("video", drop=False)
    usable = [
        number for number, case in enumerate(cases)
        if case.status == "ok" and rows.loc[number, "video"] in by_name.index
        and (run.tested or rows.loc[number, ["ed_frame", "es_frame"]].notna().all())
    ][:most]  # fmt: skip
    if len(usable) < sum(case.status == "ok" for case in cases):
        run.notes.append(f"Pictures are shown of {len(usable)} of {len(cases)} cases.")
    wanted = by_name.loc[rows.loc[usable, "video"]].reset_index(drop=True)
    if not run.tested:  # predictions.csv says which frames were taken
        for column in (FRAME_COLUMNS[name] for name in A4C_FRAMES):
            wanted[column] = rows.loc[usable, column].fillna(NO_FRAME).to_numpy(int)
    prepare_for_workers()
    shown, there = _shown(run, wanted)
    if mapper is not None and not set(frames) <= set(shown):
        run.notes.append(
            "Which clips of the two-chamber view the model saw is not kept: no pictures of them, "
            "and no heat maps. predict --saliency true draws these."
        )
        mapper = None
    dataset = KeyFrameDataset(
        there, shown, _image_size(run), remove_artifacts=True, crop=folder is None
    )
    known = _Finder(run, folder, analyse and run.tested)
    gone, bare = [], []
    bar = tqdm(total=len(usable), desc="cases", unit="case")
    for first in range(0, len(usable), _BATCH):
        items = list(range(first, min(first + _BATCH, len(usable))))
        looks: dict[int, torch.Tensor] = {}
        sectors: dict[int, NDArray[np.bool_]] = {}
        for item in items:
            look = dataset[item].get("frames")
            sector = None if look is None else case_sector(dataset, item)
            if look is None:
                gone.append(usable[item] + 1)
            elif sector is None:
                bare.append(usable[item] + 1)
            else:
                looks[item], sectors[item] = look, sector
        maps = _maps(mapper, method, frames, looks, shown)
        for item, pictures in looks.items():
            row, place = wanted.iloc[item], usable[item]
            cases[place] = _with_pictures(
                cases[place], shown, pictures.numpy() * sectors[item][:, None],
                maps.get(item, {}), row, known(place + 1, row),
                partial(dataset.to_view, item),
            )  # fmt: skip
        bar.update(len(items))
    bar.close()
    _tell(run.notes, gone, "The clip of {} cannot be read any more, or is shorter than it was.")
    _tell(
        run.notes,
        bare,
        "No ultrasound sector was found in the clip of {}: its pictures are left out, as text "
        "could not be told from tissue.",
    )
    _tell(
        run.notes,
        known.unreadable,
        "What was kept of the clip of {} is missing or cannot be read: no contours or curve of it "
        "are shown.",
    )
    return cases


def _shown(run: Run, wanted: pd.DataFrame) -> tuple[tuple[str, ...], pd.DataFrame]:
    """Return the frames that are shown, and where they are: of an A2C where a model saw any."""
    if not set(run.metadata.frames) & set(A2C_FRAMES) or A2C.column("path") not in wanted:
        return A4C_FRAMES, decodable(wanted)
    return (*A4C_FRAMES, *A2C_FRAMES), decodable(decodable(wanted), A2C)


def _videos(
    run: Run, root: str | None, key: Path | None
) -> tuple[pd.DataFrame | None, LabelFolder | None]:
    """Return the table of the run's videos, or None with a note where they are gone."""
    data = run.data
    if root is None and not run.tested and is_archive(run.folder):
        if key is None and is_anonymised(run.folder):
            run.notes.append(
                "Clips are called by numbers: no pictures. Give the key that says where they lie "
                "with --anonymize."
            )
            return None, None
        return stored_videos(run.folder, set(run.cases["video"]), key), None
    try:
        if data.get("videos") is not None and not run.tested:  # predictions.csv knows the frames
            return named_videos(root or _paths(data["videos"]), set(run.cases["video"])), None
        folder = read_labels(root or _path(data.get("root")), 1.0)
        return folder.table[folder.table["split"] == "TEST"], folder
    except LvefError:
        run.notes.append(
            "The videos are not where the run had them: no pictures. Give their folder with --root."
        )
        return None, None


def _path(value: Any) -> str:
    if not isinstance(value, str):
        raise ConfigurationError("the run does not say where its videos are; give --root")
    return value


def _paths(value: Any) -> str | list[str]:
    return [_path(each) for each in value] if isinstance(value, list) else _path(value)


def _image_size(run: Run) -> int:
    """Return how large the frames are that the model sees, in pixels."""
    size = run.data.get("image_size", PICTURE_SIZE)
    if isinstance(size, int) and _SMALLEST <= size <= _LARGEST:
        return size
    run.notes.append(f"config.yaml states no size of frames: {PICTURE_SIZE} pixels are taken.")
    return PICTURE_SIZE


def _mapper(
    run: Run, checkpoint: Path | None, method: Method | None
) -> tuple[SaliencyMapper | None, list[str]]:
    """Return what makes heat maps, and the frames it sees."""
    path = checkpoint or run.metadata.checkpoint or run.config.get("ckpt_path")
    if method is None or not isinstance(path, (str, Path)):
        return None, []
    try:
        task = load_task(path)
        if not task.explains:
            if task.frames:
                run.notes.append(f"Heat maps: {NOT_OF_CLIPS}.")
            return None, []
        if not run.data.get("remove_artifacts", True):
            run.notes.append(
                "The model sees frames with their artifacts; heat maps are of frames without them."
            )
        return SaliencyMapper(cast(EFTask, task.to(best_device()))), task.frames
    except (FitError, NotFittedError):
        run.notes.append("This Gaussian process was approximated: it has no heat maps.")
    except LvefError:
        run.notes.append("The checkpoint cannot be read: no heat maps. Give it with --ckpt_path.")
    return None, []


def _maps(
    mapper: SaliencyMapper | None,
    method: Method | None,
    frames: list[str],
    looks: dict[int, torch.Tensor],
    shown: Sequence[str],
) -> dict[int, dict[str, NDArray[np.float32]]]:
    """Return heat maps by item and frame."""
    if mapper is None or method is None or not looks:
        return {}
    slots = [shown.index(name) for name in frames]
    heat_maps = mapper.maps(torch.stack([look[slots] for look in looks.values()]), method).numpy()
    return {
        item: dict(zip(frames, maps, strict=True))
        for item, maps in zip(looks, heat_maps, strict=True)
    }


class _Finder:
    """Finds what is known of clips: in the folder, in the run's records, or anew.

    Args:
        run: The run.
        folder: The folder of its videos, where that is one of a data set.
        analyse: Whether what was not kept is found anew.
    """

    def __init__(self, run: Run, folder: LabelFolder | None, analyse: bool) -> None:
        self.run, self.folder = run, folder
        self.analyser = ClipAnalyser() if analyse else None
        self.unreadable: list[int] = []
        self.stored: dict[str, ClipRecord] | None = None
        if not run.tested and is_archive(run.folder):
            self.stored = stored_records(run.folder, set(run.cases["video"]))

    def __call__(self, number: int, row: Any) -> Known:
        """Return what is known of a case, given its number on the page and its row."""
        video = str(row["video"])
        return Known(video, self.folder, self._truth(number, video), self._record(number, row))

    def _truth(self, number: int, video: str) -> PhantomTruth | None:
        if self.folder is None:
            return None
        try:
            return read_truth(self.folder.root, video)
        except DatasetError:
            self.unreadable.append(number)
            return None

    def _record(self, number: int, row: Any) -> ClipRecord | None:
        path = record_path(self.run.folder, str(row["video"]))
        damaged, record = False, None
        try:
            if self.stored is None:
                record = read_record(path)
            else:
                record = self.stored.get(str(row["video"]))
        except RecordError:
            damaged = True
        has_beats = bool(self.run.cases["num_beats"].iloc[number - 1] > 0)
        lacking = damaged or (record is None and has_beats)
        if lacking and self.analyser is None:
            self.unreadable.append(number)
        if record is not None or self.analyser is None:
            return record
        try:
            write_record(self.analyser(row["path"]), path)
        except VideoError:
            return None
        return read_record(path)


def _with_pictures(
    case: ReportCase,
    shown: Sequence[str],
    pictures: NDArray[np.uint8],
    maps: dict[str, NDArray[np.float32]],
    row: Any,
    known: Known,
    to_view: Callable[[NDArray[np.float64]], NDArray[np.float64]],
) -> ReportCase:
    """Return a case with its frames; `to_view` brings pixels of the clip to those of a frame."""
    scale = max((float(frame_map.max()) for frame_map in maps.values()), default=0.0)
    frames = []
    for name, picture in zip(shown, pictures, strict=True):
        number = int(row[FRAME_COLUMNS[name]])
        if number == NO_FRAME:
            continue
        points, source = known.contour(name, number)
        contour = None
        if points is not None and len(points):
            contour = np.round(to_view(points), 1).tolist()
        heat = heat_uri(maps[name], scale) if name in maps and scale > 0 else None
        drawn_by = source if contour else ""
        frames.append(CaseFrame(name, number, picture_uri(picture), heat, contour, drawn_by))
    curve = known.curve(float(row.get("fps", np.nan)))
    return replace(case, frames=frames, picture_size=pictures.shape[-1], curve=curve)


def _tell(notes: list[str], numbers: list[int], sentence: str) -> None:
    """Add a note of cases, where there are any; `sentence` has a place for which."""
    if numbers:
        shown = sorted(set(numbers))
        some = ", ".join(map(str, shown[:_MOST_NAMED]))
        more = f" and {len(shown) - _MOST_NAMED} others" if len(shown) > _MOST_NAMED else ""
        notes.append(sentence.format(f"{'case' if len(shown) == 1 else 'cases'} {some}{more}"))
