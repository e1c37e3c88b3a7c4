"""What clips say of their timing where a list does not."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from lvef.data.names import frames_and_rate
from lvef.errors import VideoError

_AT_A_TIME = 4
"""Threads: to open files waits for a disk or a network."""


def read_headers(paths: pd.Series) -> pd.DataFrame:
    """Read how many frames clips hold and at which rate, without decoding them.

    Args:
        paths: The files; empty where there is none.

    Returns:
        `num_frames` and `fps` (NaN where it is not stated), and `trouble`, why a file cannot be
        read, else empty; with the index of `paths`.
    """
    with ThreadPoolExecutor(_AT_A_TIME) as threads:
        found = list(threads.map(_header, paths))
    table = pd.DataFrame(found, index=paths.index, columns=["num_frames", "fps", "trouble"])
    return table.astype({"num_frames": np.float64, "fps": np.float64, "trouble": object})


def _header(path: str) -> tuple[float, float, str]:
    if not path:
        return np.nan, np.nan, ""
    try:
        return (*frames_and_rate(path), "")
    except VideoError as error:
        return np.nan, np.nan, f"unreadable video: {str(error).replace(path, Path(path).name)}"
