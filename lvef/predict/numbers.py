"""Numbers in place of the names of clips, which may be patients', and the key to them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from lvef.errors import DatasetError
from lvef.files import printable, read_csv, write_csv

_COLUMNS = ["case", "path"]


def number_clips(paths: Sequence[Path], key: Path | str) -> dict[Path, str]:
    """Return a name for each clip that says nothing but its number, and keep which is which.

    A clip that the key knows already keeps its number.

    Args:
        paths: The clips.
        key: CSV file `case, path`; it is made, or gone on with. It tells who is who: keep it where
            what is passed on does not lie.

    Returns:
        `case_0001` and so on, by path.

    Raises:
        DatasetError: There is a file of another kind where the key shall be.
        OutputError: The key cannot be written.
    """
    key = Path(key)
    known = _known(key)
    places = {path: printable(str(path.absolute())) for path in paths}
    last = max((int(case.removeprefix("case_")) for case in known.values()), default=0)
    for place in places.values():
        if place not in known:
            last += 1
            known[place] = f"case_{last:04d}"
    write_csv(key, pd.DataFrame([(c, p) for p, c in known.items()], columns=_COLUMNS))
    return {path: known[place] for path, place in places.items()}


def _known(key: Path) -> dict[str, str]:
    if not key.exists():
        return {}
    try:
        table = read_csv(key, dtype=str)
        ours = list(table.columns) == _COLUMNS and table["case"].str.fullmatch(r"case_\d+").all()
    except (OSError, ValueError) as error:
        raise DatasetError(f"{key}: not a key of an earlier run ({error})") from error
    if not ours:
        raise DatasetError(f"{key} is no key of an earlier run: name another file")
    return dict(zip(table["path"], table["case"], strict=True))
