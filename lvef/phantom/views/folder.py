"""Write clips of every kind as a folder, with a table of what they show."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from lvef.data.formats import write_video
from lvef.errors import ConfigurationError
from lvef.files import write_csv
from lvef.phantom.purpose import Purpose
from lvef.phantom.views.clip import ViewClip
from lvef.phantom.views.kinds import KINDS

TABLE = "views.csv"


def write_views(
    root: Path,
    each: int,
    seed: int = 0,
    kinds: Sequence[str] = tuple(KINDS),
    purpose: Purpose = Purpose.LOOK,
) -> Path:
    """Write `root/NAME.avi` (MJPEG) and `views.csv`.

    The table has a row a clip: `FileName`, `View`, `Kind`, `EF` (whether one may be given, 0 or 1)
    and `HeldOut` (whether nothing may be trained on it).

    Args:
        root: Folder to write; made if missing, refused if it holds anything.
        each: Clips of each kind.
        seed: Seed of the population.
        kinds: Names of kinds; all by default.
        purpose: What the clips are for.

    Returns:
        The table's path.

    Raises:
        ConfigurationError: The folder holds something, or there is no such kind.
    """
    if root.is_dir() and any(root.iterdir()):
        raise ConfigurationError(f"{root} is not empty; choose another folder")
    root.mkdir(parents=True, exist_ok=True)
    rows = []
    for kind in kinds:
        for index in range(each):
            clip = ViewClip(seed, kind, index, purpose)
            write_video(root / f"{clip.name}.avi", clip.frames(), clip.fps)
            shown = (clip.name, clip.view, kind, int(clip.ef), int(clip.held_out))
            rows.append(shown)
    table = pd.DataFrame(rows, columns=["FileName", "View", "Kind", "EF", "HeldOut"])
    write_csv(root / TABLE, table)
    return root / TABLE
