"""Videos and their tracings put together: key frames, and whether the pictures were traced in."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pandas as pd

from lvef.data.layouts.checks import first_reason
from lvef.data.layouts.echonet.filelist import FileList
from lvef.data.layouts.echonet.tracings import CHORDS, Outlines, key_frames
from lvef.data.names import picture_size
from lvef.data.pixels import USUAL_SIZE, Size, scale_into, stated_size
from lvef.errors import VideoError

_OUTSIDE = "tracing outside the picture"


def join_tracings(
    files: FileList, tracings: pd.DataFrame, form: Outlines = CHORDS
) -> tuple[pd.DataFrame, pd.DataFrame, pd.Series, int]:
    """Join the videos of a folder and their tracings.

    Args:
        files: What `FileList.csv` says.
        tracings: As `read_tracings` or `read_outlines` return them.
        form: How their rows say an outline.

    Returns:
        The table, the tracings with the size that they are in, in pixels of their pictures, why
        each row cannot be used, and of how many videos the tracings were scaled.
    """
    traced = files.table.join(key_frames(tracings, form), on="video")
    reasons = files.reasons.where(files.reasons != "", _reasons(traced))
    factors: dict[str, tuple[float, float]] = {}
    for row in traced[(reasons == "") & _doubtful(traced)].index:
        place = _placed(traced.loc[row], tracings, form)
        if isinstance(place, str):
            reasons[row] = place
            continue
        scale, size = place
        traced.loc[row, ["frame_height", "frame_width"]] = size
        if scale != (1.0, 1.0):
            factors[str(traced.loc[row, "video"])] = scale
    for video, (x, y) in factors.items():
        rows = tracings["video"] == video
        tracings.loc[rows, list(form.x)] *= x
        tracings.loc[rows, list(form.y)] *= y
    sizes = traced.drop_duplicates("video").set_index("video")[["frame_height", "frame_width"]]
    columns = ["traced", "damaged", "same", "right", "bottom"]
    return (
        traced.drop(columns=columns), tracings.join(sizes, on="video"), reasons, len(factors)
    )  # fmt: skip


def _reasons(table: pd.DataFrame) -> pd.Series:
    """Return why the tracings of each row cannot be used, empty where they can."""
    frames = table[["ed_frame", "es_frame"]]
    outside = (frames.max(axis=1) >= table["num_frames"]) | (frames.min(axis=1) < 0)
    return first_reason(
        [
            (table["traced"].isna(), "no tracing"),
            (table["traced"] != 2, "not two traced frames"),
            (table["damaged"] != False, "tracing damaged"),  # noqa: E712 (NaN where there is none)
            (table["same"] != False, "ED and ES are traced alike"),  # noqa: E712
            (outside, "traced frame outside the clip"),
        ],
        table.index,
    )


def _doubtful(table: pd.DataFrame) -> pd.Series:
    """Tell the rows whose pictures must be looked at, as their tracings may not lie in them.

    To look at every picture would take a second for each 200 videos. Those of a size that most of
    a folder states, and within it, are compared when they are decoded.
    """
    height, width = table["frame_height"], table["frame_width"]
    most = table[["frame_height", "frame_width"]].dropna().value_counts()
    usual = most.index[0] if len(most) else USUAL_SIZE
    of_usual = height.isna() | width.isna() | ((height == usual[0]) & (width == usual[1]))
    reaches_out = (table["bottom"] > usual[0]) | (table["right"] > usual[1])
    if _is_other(table[of_usual & (table["path"] != "")], usual):
        of_usual[:] = False
    return ~of_usual | reaches_out


def _is_other(table: pd.DataFrame, size: Size) -> bool:
    """Tell whether the first picture is of another size: then most may be."""
    for path in table["path"].head(1):
        with suppress(VideoError):
            return picture_size(path) != size
    return False


def _placed(
    row: pd.Series, tracings: pd.DataFrame, form: Outlines
) -> tuple[tuple[float, float], tuple[int, int]] | str:
    """Return the factors that bring a video's tracings into its picture, and its size; or why not.

    Both frames are judged together: it was one reader, on one screen.
    """
    try:
        picture = picture_size(row["path"])
    except VideoError as error:
        return f"unreadable video: {str(error).replace(row['path'], Path(row['path']).name)}"
    own = tracings[tracings["video"] == row["video"]]
    scales = [
        scale_into(form.outline(own[own["Frame"] == frame]), stated_size(row), picture)
        for frame in (row["ed_frame"], row["es_frame"])
    ]  # fmt: skip
    if None in scales or scales[0] != scales[1]:
        return _OUTSIDE
    assert scales[0] is not None
    return scales[0], picture
