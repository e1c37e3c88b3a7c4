"""From a log folder to the cases of a report: predictions, frames, heat maps, contours, curves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from lvef.analysis.analyse import ClipAnalyser
from lvef.analysis.record import ClipRecord, read_record, record_path, write_record
from lvef.data.dataset import FRAME_COLUMNS, KeyFrameDataset, prepare_for_workers
from lvef.data.echonet import EchoNetFolder, read_echonet
from lvef.data.videos import video_table
from lvef.errors import (
    ConfigurationError,
    DatasetError,
    FitError,
    LvefError,
    NotFittedError,
    VideoError,
)
from lvef.models import EFTask
from lvef.models.loading import load_task
from lvef.models.saliency import Method, SaliencyMapper
from lvef.report.answer import answered_case
from lvef.report.case import (
    CaseCurve,
    CaseFrame,
    ReportCase,
    heat_uri,
    picture_uri,
)
from lvef.report.run import Run

SHOWN = ("EDF", "ESF", "MF")
_BATCH = 16


def report_cases(
    run: Run,
    root: str | None,
    checkpoint: Path | None,
    method: Method | None,
    analyse: bool,
    most: int | None,
) -> list[ReportCase]:
    """Return the cases of a run with their pictures.

    Args:
        run: The run; what cannot be had is added to its notes.
        root: EchoNet folder, in place of what the config says.
        checkpoint: Checkpoint, in place of what the run says.
        method: Kind of heat map; None for none.
        analyse: Find contours and beats in the clips of a test too.
        most: Most cases that get pictures.
    """
    rows = run.cases.reset_index(drop=True)
    cases = [answered_case(number, row, run) for number, (_, row) in enumerate(rows.iterrows(), 1)]
    table, folder = _videos(run, root)
    if table is None:
        return cases
    mapper, frames, seen = _mapper(run, checkpoint, method)
    if mapper is not None and not run.data.get("remove_artifacts", True):
        run.notes.append(
            "The model sees frames with their artifacts; heat maps are of frames without them."
        )
    by_name = table.drop_duplicates("video").set_index("video", drop=False)
    usable = [
        number for number, case in enumerate(cases)
        if case.status == "ok" and rows.loc[number, "video"] in by_name.index
    ][:most]  # fmt: skip
    if len(usable) < sum(case.status == "ok" for case in cases):
        run.notes.append(f"Pictures are shown of {len(usable)} of {len(cases)} cases.")
    wanted = by_name.loc[rows.loc[usable, "video"]].reset_index(drop=True)
    for column in FRAME_COLUMNS.values():  # predictions.csv says which frames were taken
        if column in rows:
            wanted[column] = rows.loc[usable, column].to_numpy(int)
    prepare_for_workers()
    dataset = KeyFrameDataset(
        wanted, SHOWN, seen.get("image_size", 112), remove_artifacts=True, crop=folder is None
    )
    analyser = ClipAnalyser() if analyse and run.tested else None
    bar = tqdm(total=len(usable), desc="cases", unit="case")
    for first in range(0, len(usable), _BATCH):
        items = list(range(first, min(first + _BATCH, len(usable))))
        looks: dict[int, torch.Tensor] = {}
        for item in items:
            look = dataset[item].get("frames")
            if look is None:
                run.notes.append(f"The clip of case {usable[item] + 1} cannot be read any more.")
            elif not dataset.has_sector(item):
                run.notes.append(
                    f"No ultrasound sector was found in the clip of case {usable[item] + 1}: its "
                    "pictures are left out, as text could not be told from tissue."
                )
            else:
                looks[item] = look
        maps = _maps(mapper, method, frames, looks)
        for item, pictures in looks.items():
            row = wanted.iloc[item]
            record = _record(run, row, analyser)
            cases[usable[item]] = _with_pictures(
                cases[usable[item]], pictures.numpy(), maps.get(item, {}), row,
                _Drawer(run, folder, record, dataset, item),
            )  # fmt: skip
        bar.update(len(items))
    bar.close()
    return cases


def _videos(run: Run, root: str | None) -> tuple[pd.DataFrame | None, EchoNetFolder | None]:
    """Return the table of the run's videos, or None with a note where they are gone."""
    data = run.data
    try:
        if data.get("videos") is not None:  # predictions.csv knows the frames
            return video_table(root or data["videos"], None), None
        root = root or data.get("root")
        if root is None:
            raise ConfigurationError("the run does not say where its videos are; give --root")
        folder = read_echonet(root, 1.0)
        return folder.table[folder.table["split"] == "TEST"], folder
    except LvefError:
        run.notes.append(
            "The videos are not where the run had them: no pictures. Give their folder with --root."
        )
        return None, None


def _mapper(
    run: Run, checkpoint: Path | None, method: Method | None
) -> tuple[SaliencyMapper | None, list[str], dict[str, Any]]:
    """Return what makes heat maps, the frames it sees, and how they are prepared."""
    data = run.data
    seen = {"image_size": data.get("image_size", 112)}
    path = checkpoint or run.about.get("checkpoint") or run.config.get("ckpt_path")
    if method is None or not path:
        return None, [], seen
    try:
        task = load_task(path)
        if not isinstance(task, EFTask):
            return None, [], seen
        return SaliencyMapper(task), task.frames, seen
    except (FitError, NotFittedError):
        run.notes.append("This Gaussian process was approximated: it has no heat maps.")
        return None, [], seen
    except LvefError:
        run.notes.append("The checkpoint cannot be read: no heat maps. Give it with --ckpt_path.")
        return None, [], seen


def _maps(
    mapper: SaliencyMapper | None,
    method: Method | None,
    frames: list[str],
    looks: dict[int, torch.Tensor],
) -> dict[int, dict[str, NDArray[np.float32]]]:
    """Return heat maps by item and frame."""
    if mapper is None or method is None or not looks:
        return {}
    slots = [SHOWN.index(name) for name in frames]
    found = mapper.maps(torch.stack([look[slots] for look in looks.values()]), method).numpy()
    return {
        item: dict(zip(frames, maps, strict=True)) for item, maps in zip(looks, found, strict=True)
    }


def _record(run: Run, row: Any, analyser: ClipAnalyser | None) -> ClipRecord | None:
    """Return what was found in a clip, from the log folder or anew."""
    path = record_path(run.folder, str(row["video"]))
    if analyser is not None and not path.is_file():
        try:
            write_record(analyser(row["path"]), path)
        except VideoError:
            return None
    return read_record(path)


@dataclass(frozen=True)
class _Drawer:
    """Knows contours and curves of one case."""

    run: Run
    folder: EchoNetFolder | None
    record: ClipRecord | None
    dataset: KeyFrameDataset
    item: int

    def contour(self, video: str, name: str, frame: int) -> tuple[list[list[float]] | None, str]:
        """Return a contour in pixels of the picture, and who drew it."""
        points, source = self._points(video, name, frame)
        if points is None or not len(points):
            return None, ""
        return np.round(self.dataset.to_view(self.item, points), 1).tolist(), source

    def _points(self, video: str, name: str, frame: int) -> tuple[NDArray[np.float64] | None, str]:
        truth = self._truth(video)
        if truth is not None:
            return np.asarray(truth["contour"][frame], float), "true contour of the phantom"
        traced = self._tracing(video, name, frame)
        if traced is not None:
            return traced, "traced by a reader"
        if self.record is not None and frame in self.record.contours:
            return self.record.contours[frame], "found by the LV segmenter"
        return None, ""

    def _tracing(self, video: str, name: str, frame: int) -> NDArray[np.float64] | None:
        if self.folder is None or name == "MF":
            return None
        try:
            return self.folder.contour(video, frame)
        except DatasetError:
            return None

    def curve(self, video: str, row: Any) -> CaseCurve | None:
        """Return the LV area over time, where it is known."""
        truth = self._truth(video)
        if truth is not None:
            fps = float(row["fps"])
            ed, es = truth["ed_frames"].tolist(), truth["es_frames"].tolist()
            return CaseCurve(fps, _plain(truth["area"]), "true area of the phantom", ed, es)
        if self.record is not None:
            held = self.record
            ed, es = (held.beats[:, column].astype(int).tolist() for column in (0, 1))
            return CaseCurve(held.fps, _plain(held.area), "found by the LV segmenter", ed, es)
        return None

    def _truth(self, video: str) -> Any:
        if self.folder is None:
            return None
        path = Path(self.folder.root) / "Truth" / f"{video}.npz"
        return np.load(path) if path.is_file() else None


def _with_pictures(
    case: ReportCase,
    pictures: NDArray[np.uint8],
    maps: dict[str, NDArray[np.float32]],
    row: Any,
    drawer: _Drawer,
) -> ReportCase:
    video = str(row["video"])
    scale = max((float(found.max()) for found in maps.values()), default=0.0)
    frames = []
    for name, picture in zip(SHOWN, pictures, strict=True):
        number = int(row[FRAME_COLUMNS[name]])
        contour, source = drawer.contour(video, name, number)
        heat = heat_uri(maps[name], scale) if name in maps and scale > 0 else None
        frames.append(CaseFrame(name, number, picture_uri(picture), heat, contour, source))
    return replace(
        case, frames=frames, picture_size=pictures.shape[-1], curve=drawer.curve(video, row)
    )


def _plain(values: NDArray[np.floating]) -> list[float | None]:
    return [None if not np.isfinite(v) else round(float(v), 1) for v in values]
