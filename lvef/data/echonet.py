"""An EchoNet-Dynamic folder as one validated table, a row a video."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lvef.cardiac import chords_to_polygon, ejection_fraction, mid_frame, polygon_area
from lvef.data.formats import CLIP_EXTENSIONS as VIDEO_EXTENSIONS
from lvef.errors import DatasetError

SPLITS = ("TRAIN", "VAL", "TEST")
HOME_PAGE = "https://echonet.github.io/dynamic/"
EF_TOLERANCE = 2.0
"""Percentage points by which EF may differ from 100 (EDV - ESV) / EDV."""
_LIST_COLUMNS = ("FileName", "EF", "ESV", "EDV", "FPS", "NumberOfFrames", "Split")
_TRACING_COLUMNS = ("FileName", "X1", "Y1", "X2", "Y2", "Frame")


@dataclass(frozen=True)
class EchoNetFolder:
    """What a folder holds.

    Attributes:
        root: The folder.
        table: One row a usable video: `video` (name without extension), `path`, `split`, `ef`
            (percent), `edv`, `esv` (mL), `fps`, `num_frames`, `ed_frame`, `es_frame`,
            `mid_frame`. The index counts from 0; it is the `row` of a batch.
        excluded: `video`, `split`, `reason` of every row that cannot be used.
        tracings: The rows of `VolumeTracings.csv`, indexed by video.
    """

    root: Path
    table: pd.DataFrame
    excluded: pd.DataFrame
    tracings: pd.DataFrame

    def tracing(self, video: str, frame: int) -> NDArray[np.float64]:
        """Return the tracing of a frame: `(n, 4)` x1, y1, x2, y2 in pixels, long axis first.

        Raises:
            DatasetError: That frame of that video was not traced.
        """
        known = video in self.tracings.index
        rows = self.tracings.loc[[video]] if known else self.tracings.iloc[:0]
        rows = rows[rows["Frame"] == frame]
        if rows.empty:
            raise DatasetError(f"{self.root}: frame {frame} of {video} was not traced")
        return rows[["X1", "Y1", "X2", "Y2"]].to_numpy(np.float64)

    def contour(self, video: str, frame: int) -> NDArray[np.float64]:
        """Return the traced LV contour of a frame, `(n, 2)` x, y in pixels."""
        return chords_to_polygon(self.tracing(video, frame)[1:])

    def summary(self) -> str:
        """Return how many videos are usable and why the others are not, in a few lines."""
        splits = self.table["split"].value_counts()
        counts = " / ".join(f"{splits.get(split, 0):,} {split}" for split in SPLITS)
        lines = [f"{self.root}: {len(self.table):,} usable videos ({counts})"]
        if len(self.excluded):
            kinds = self.excluded["reason"].str.split(":").str[0].value_counts()
            lines.append(f"  {len(self.excluded):,} set aside:")
            lines += [f"    {count:,} {reason}" for reason, count in kinds.items()]
        return "\n".join(lines)


class ExcludedError(DatasetError):
    """Too much of a folder is unusable.

    Attributes:
        folder: The folder, with what was set aside.
    """

    def __init__(self, message: str, folder: EchoNetFolder) -> None:
        super().__init__(message)
        self.folder = folder


def read_echonet(root: Path | str, max_excluded: float = 0.05) -> EchoNetFolder:
    """Read and check an EchoNet-Dynamic folder.

    File names may have an extension or not, videos may be `.avi` and `.mp4` mixed, splits may be
    in any case, and further columns are ignored. ED is the traced frame with the larger area.
    Unusable rows are set aside with a reason.

    Args:
        root: Folder with `FileList.csv`, `VolumeTracings.csv` and `Videos/`.
        max_excluded: Share of rows that may be unusable before the folder is refused.

    Raises:
        DatasetError: Something is missing.
        ExcludedError: More than `max_excluded` is unusable.
    """
    root = Path(root)
    videos = root / "Videos"
    for path, is_there in (
        (root, root.is_dir()),
        (root / "FileList.csv", (root / "FileList.csv").is_file()),
        (root / "VolumeTracings.csv", (root / "VolumeTracings.csv").is_file()),
        (videos, videos.is_dir()),
    ):
        if not is_there:
            raise DatasetError(f"{path} not found. {_ways_on(root)}")
    files = _read_csv(root / "FileList.csv", _LIST_COLUMNS)
    tracings = _read_csv(root / "VolumeTracings.csv", _TRACING_COLUMNS)
    numbers = list(_TRACING_COLUMNS[1:])
    tracings[numbers] = tracings[numbers].apply(pd.to_numeric, errors="coerce")
    tracings = tracings.assign(video=_stem(tracings["FileName"]))

    table = _table(files).join(_key_frames(tracings), on="video")
    table["path"] = _locate(files["FileName"], videos)
    table["reason"] = _reasons(table)
    unusable = table["reason"] != ""
    excluded = table.loc[unusable, ["video", "split", "reason"]].reset_index(drop=True)
    usable = table[~unusable].drop(columns=["reason", "traced", "damaged"]).reset_index(drop=True)
    frames = ["num_frames", "ed_frame", "es_frame"]
    usable = usable.astype(dict.fromkeys(frames, np.int64))
    usable["mid_frame"] = [
        mid_frame(ed, es) for ed, es in zip(usable["ed_frame"], usable["es_frame"], strict=True)
    ]
    by_video = tracings.set_index("video").sort_index(kind="stable")
    folder = EchoNetFolder(root, usable, excluded, by_video)
    return check_excluded(folder, max_excluded)


def check_excluded(folder: EchoNetFolder, max_excluded: float) -> EchoNetFolder:
    """Return a folder of which enough is usable.

    Args:
        folder: The folder.
        max_excluded: Share of rows that may be unusable.

    Raises:
        ExcludedError: More is unusable, or there is nothing in the folder; it carries the folder.
    """
    count = len(folder.table) + len(folder.excluded)
    if count == 0:
        raise ExcludedError(f"{folder.root / 'FileList.csv'} lists no video", folder)
    if len(folder.excluded) > max_excluded * count:
        raise ExcludedError(
            f"{folder.summary()}\n{folder.root}: {100 * len(folder.excluded) / count:.1f} % of the "
            f"videos cannot be used, more than max_excluded = {100 * max_excluded:g} %; mend the "
            "folder or raise --data.max_excluded",
            folder,
        )
    return folder


def _ways_on(root: Path) -> str:
    return (
        f"An EchoNet-Dynamic folder holds FileList.csv, VolumeTracings.csv and Videos/; get the "
        f"data from {HOME_PAGE}, or make a phantom: python -m lvef phantom --root {root}"
    )


def _read_csv(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, dtype={"FileName": str})  # 000123 is a name, not a number
    except (ValueError, UnicodeDecodeError, OSError) as error:
        raise DatasetError(f"{path}: not a readable CSV file ({error})") from error
    table.columns = table.columns.str.strip()
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise DatasetError(
            f"{path}: column {', '.join(missing)} not found among {', '.join(table.columns)}. "
            f"{_ways_on(path.parent)}"
        )
    return table


def _stem(names: pd.Series) -> pd.Series:
    pattern = "|".join(extension.replace(".", r"\.") for extension in VIDEO_EXTENSIONS)
    return names.astype(str).str.strip().str.replace(rf"(?i)({pattern})$", "", regex=True)


def _table(files: pd.DataFrame) -> pd.DataFrame:
    def numbers(column: str) -> pd.Series:
        return pd.to_numeric(files[column], errors="coerce").astype(np.float64)

    return pd.DataFrame(
        {
            "video": _stem(files["FileName"]),
            "split": files["Split"].astype(str).str.strip().str.upper(),
            "ef": numbers("EF"),
            "edv": numbers("EDV"),
            "esv": numbers("ESV"),
            "fps": numbers("FPS"),
            "num_frames": numbers("NumberOfFrames"),
        }
    )


def _key_frames(tracings: pd.DataFrame) -> pd.DataFrame:
    """Return `ed_frame`, `es_frame`, how many were `traced`, and whether one is `damaged`."""
    points = tracings[["X1", "Y1", "X2", "Y2"]].to_numpy(np.float64)
    groups: Any = tracings.groupby(["video", "Frame"]).indices
    areas = [
        (video, frame, polygon_area(chords_to_polygon(points[rows][1:])))
        for (video, frame), rows in groups.items()
    ]
    table = pd.DataFrame(areas, columns=["video", "frame", "area"])
    table = table.sort_values(["video", "area"], kind="stable")
    by_video = table.groupby("video")
    damaged = ~(table["area"] > 0) | (table["frame"] % 1 != 0)
    return pd.DataFrame(
        {
            "ed_frame": by_video["frame"].last(),
            "es_frame": by_video["frame"].first(),
            "traced": by_video.size(),
            "damaged": damaged.groupby(table["video"]).any(),
        }
    )


def _locate(names: pd.Series, videos: Path) -> list[str]:
    """Return the path of every video, empty where there is none or the file is empty."""
    sizes = {entry.name: entry.stat().st_size for entry in os.scandir(videos) if entry.is_file()}
    by_stem: dict[str, list[str]] = {}
    for name in sorted(sizes):
        stem, extension = os.path.splitext(name)
        if extension.lower() in VIDEO_EXTENSIONS:
            by_stem.setdefault(stem, []).append(name)
    paths = []
    for stated, stem in zip(names.astype(str).str.strip(), _stem(names), strict=True):
        found = [stated] if stated in sizes and stated != stem else by_stem.get(stem, [])
        paths.append(str(videos / found[0]) if found and sizes[found[0]] > 0 else "")
    return paths


def _reasons(table: pd.DataFrame) -> pd.Series:
    """Return why each row cannot be used, empty where it can; the first reason that holds."""
    from_volumes = pd.Series(ejection_fraction(table["edv"], table["esv"]), index=table.index)
    past_end = table[["ed_frame", "es_frame"]].max(axis=1) >= table["num_frames"]
    negative = table[["ed_frame", "es_frame"]].min(axis=1) < 0
    checks: list[tuple[pd.Series, str]] = [
        (table["video"].duplicated(), "duplicate name"),
        (~table["split"].isin(SPLITS), "split is none of TRAIN, VAL, TEST"),
        (table["path"] == "", "video file missing or empty"),
        (~table["ef"].between(0, 100), "EF outside 0-100"),
        (~((from_volumes - table["ef"]).abs() <= EF_TOLERANCE), "EF inconsistent with volumes"),
        (table["traced"].isna(), "no tracing"),
        (table["traced"] != 2, "not two traced frames"),
        (table["damaged"] != False, "tracing damaged"),  # noqa: E712 (NaN where there is none)
        (~np.isfinite(table["num_frames"]), "number of frames unknown"),
        (past_end | negative, "traced frame outside the clip"),
    ]
    reasons = pd.Series("", index=table.index)
    for failed, reason in checks:
        reasons[failed & (reasons == "")] = reason
    return reasons
