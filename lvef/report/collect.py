"""From a log folder to the cases of a report: predictions, frames, heat maps, contours, curves."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml
from numpy.typing import NDArray
from tqdm import tqdm

from lvef.analysis.analyse import ClipAnalyser
from lvef.analysis.record import ClipRecord, read_record, record_path, write_record
from lvef.cardiac import REDUCED_EF
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
from lvef.report.case import (
    CaseBeat,
    CaseCurve,
    CaseFrame,
    ReportCase,
    heat_uri,
    picture_uri,
)

SHOWN = ("EDF", "ESF", "MF")
_BATCH = 16
_WITHHELD = "(withheld)"
_PRIVATE = {
    "root", "videos", "keyframes", "feature_cache", "default_root_dir", "save_dir", "dirpath",
    "ckpt_path", "checkpoint", "members", "weights", "experiment", "name", "version", "filename",
    "config",
}  # fmt: skip
_SHARED = {"shipped", "auto", "IMAGENET1K_V1", "IMAGENET1K_V2"}
_FILE_NAME = re.compile(r"[\\/]|\.\w{1,5}$")


@dataclass
class Run:
    """A log folder of `test` or `predict`.

    Attributes:
        folder: The folder.
        about: metrics.json, or predictions.json.
        config: config.yaml as plain data; empty where there is none.
        cases: A row a case, under the names of predictions.csv.
        beats: A row a beat of new videos.
        tested: Whether it is of `test`.
        notes: What the report lacks, and why.
    """

    folder: Path
    about: dict[str, Any]
    config: dict[str, Any]
    cases: pd.DataFrame
    beats: pd.DataFrame
    tested: bool
    notes: list[str] = field(default_factory=list)

    @property
    def data(self) -> dict[str, Any]:
        """The data section of the config."""
        return dict(self.config.get("data") or {})


def read_run(source: Path) -> Run:
    """Read a log folder.

    Args:
        source: The folder of a `test` or `predict` run, or a predictions.csv or cases.csv in it.

    Raises:
        ConfigurationError: It is neither.
    """
    folder = source if source.is_dir() else source.parent
    if not source.exists():
        raise ConfigurationError(f"{source} not found; report takes the folder of a test or "
                                 "predict run, or its predictions.csv")  # fmt: skip
    config_file = folder / "config.yaml"
    config = yaml.safe_load(config_file.read_text()) if config_file.is_file() else {}
    if (folder / "metrics.json").is_file() and source.name != "predictions.csv":
        about = _read_json(folder / "metrics.json")
        if about.get("task") == "EFClassifier" and "threshold" not in about:
            raise ConfigurationError(f"{folder} is of an older version: run python -m lvef test")
        if about.get("task") == "LVSegmenter":
            raise ConfigurationError(f"{folder} is the test of an LV segmenter, which says no EF")
        names = {"ef": "ef_label", "ef_predicted": "ef"}
        cases = pd.read_csv(folder / "cases.csv", dtype={"video": str}).rename(columns=names)
        cases["status"], cases["reason"] = "ok", ""
        return Run(folder, about, config, cases, pd.DataFrame(), tested=True)
    if (folder / "predictions.csv").is_file():
        text = {"video": str, "reason": str}
        cases = pd.read_csv(folder / "predictions.csv", dtype=text, keep_default_na=True)
        cases["reason"] = cases["reason"].fillna("")
        cases = cases.rename(columns={"reduced": "called"})
        about_file = folder / "predictions.json"
        about = _read_json(about_file) if about_file.is_file() else {}
        found = folder / "beats.csv"
        beats = pd.read_csv(found, dtype={"video": str}) if found.is_file() else pd.DataFrame()
        return Run(folder, about, config, cases, beats, tested=False)
    hint = (
        ": it is of a fit; run python -m lvef test first"
        if (folder / "checkpoints").is_dir()
        else ""
    )
    raise ConfigurationError(
        f"{folder} holds neither metrics.json of a test nor predictions.csv{hint}"
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        held: dict[str, Any] = json.loads(path.read_text())
    except ValueError as error:
        raise ConfigurationError(f"{path}: not readable as JSON ({error})") from error
    return held


def scrubbed(config: dict[str, Any]) -> dict[str, Any]:
    """Return a config without paths and names of files, which may name a patient."""

    def clean(value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            return {key: clean(own, key) for key, own in value.items()}
        if isinstance(value, list):
            return [clean(own, name) for own in value]
        if value is None or isinstance(value, (bool, int, float)) or value in _SHARED:
            return value
        if name in ("class_path", "config_class"):
            return value
        return _WITHHELD if name in _PRIVATE or _FILE_NAME.search(str(value)) else value

    return dict(clean(config))


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
    cases = [_said(number, row, run) for number, (_, row) in enumerate(rows.iterrows(), 1)]
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


def _said(number: int, row: Any, run: Run) -> ReportCase:
    """Return what was said of a case, without any picture."""

    def value(name: str) -> float | None:
        found = row.get(name)
        return None if found is None or not np.isfinite(float(found)) else float(found)

    video = str(row["video"])
    reason = str(row["reason"])
    if reason:
        reason = _without_names(reason, video)
    label, called = value("ef_label"), value("called")
    case = ReportCase(
        number=number,
        status=str(row["status"]),
        reason=reason,
        ef_label=label,
        ef=value("ef"),
        ef_std=value("ef_std"),
        ef_lower=value("ef_lower"),
        ef_upper=value("ef_upper"),
        p_reduced=value("p_reduced"),
        called=None if called is None else called > 0,
        wrong=None if None in (called, label) else (called > 0) != (label <= REDUCED_EF),  # type: ignore[operator]
        review=bool(value("review")),
        beats=_beats(run.beats, video),
    )
    return replace(case, why=_why(case, run))


def _without_names(reason: str, video: str) -> str:
    """Return a reason without the path or the name of a file; either may hold spaces."""
    stem = re.escape(Path(video).name)
    name = rf"(?<!\w){stem}(?:\.\w{{1,5}})?(?!\w)"
    begins = re.search(rf"{name}: ", reason)  # an error begins with the path of what it is about
    if begins:
        reason = "the video: " + reason[begins.end() :]
    reason = re.sub(rf"(['\"])[^'\"]*{name}\1", "the video", reason)
    # A video called "1" is known by its extension only, or numbers would be taken for it.
    reason = re.sub(name if len(stem) > 3 else rf"{stem}\.\w{{1,5}}(?!\w)", "the video", reason)
    return " ".join("the video" if re.search(r"[\\/]", w) else w for w in reason.split(" "))


def _why(case: ReportCase, run: Run) -> str:
    """Return why a case is flagged, in words."""
    if not case.review:
        return ""
    level = 100 * float(run.about.get("level", 0.9))
    if case.ef is None:
        return f"At {level:.0f} %, both or neither of the two classes are plausible."
    reasons = []
    low, high = case.ef_lower, case.ef_upper
    if low is not None and high is not None and low <= REDUCED_EF < high:
        reasons.append(
            f"The {level:.0f} % interval, {low:.1f} to {high:.1f} %, reaches over EF 40 %."
        )
    if not reasons:
        std = "" if case.ef_std is None else f" ({case.ef_std:.1f} points)"
        beats = ", or the beats disagree" if len(case.beats) > 1 else ""
        reasons.append(f"The model is unusually unsure{std}{beats}.")
    return " ".join(reasons)


def _beats(beats: pd.DataFrame, video: str) -> list[CaseBeat]:
    if beats.empty:
        return []

    def value(row: Any, name: str) -> float | None:
        found = row.get(name)
        return None if found is None or pd.isna(found) else float(found)

    return [
        CaseBeat(
            int(row["ed_frame"]), int(row["es_frame"]), int(row["mid_frame"]), value(row, "ef"),
            value(row, "ef_geometric"), value(row, "p_reduced"),
        )
        for row in beats[beats["video"] == video].to_dict("records")
    ]  # fmt: skip


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
