"""A journal: a line of JSON a clip, added as soon as the clip is known."""

from __future__ import annotations

import base64
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lvef.files import finite, printable
from lvef.predict.stream.inputs import ClipInput
from lvef.predict.stream.schema import NUMBERS, ROWS, StoredClip


def line_of(clip: ClipInput, rows: list[dict[str, Any]], record: bytes) -> bytes:
    """Return the line of a clip.

    Args:
        clip: The clip.
        rows: A dict a beat; what is no column of `ROWS` is left out.
        record: See `packed_record`.
    """
    about = {
        "path": base64.b64encode(clip.stored_path).decode(),
        "key": clip.key.hex(),
        "size": -1 if clip.case else clip.size,
        "mtime_ns": -1 if clip.case else clip.mtime_ns,
        "rows": [{name: _plain(row.get(name)) for name in ROWS.names[4:]} for row in rows],
        "record": base64.b64encode(record).decode(),
    }
    return json.dumps(finite(about), allow_nan=False).encode() + b"\n"


def clips_in(path: Path) -> Iterator[tuple[int, StoredClip]]:
    """Yield where in a journal each clip's line ends, in bytes, and the clip.

    What no line break ends was cut by a kill. Another line that cannot be read is damaged: that is
    told, and its clip is one that was never analysed.
    """
    if not path.exists():
        return
    end = 0
    with path.open("rb") as file:
        for line in file:
            end += len(line)
            if not line.endswith(b"\n"):
                return
            try:
                clip = _parsed(json.loads(line))
            except (KeyError, TypeError, ValueError, AttributeError):
                warnings.warn(f"{path}: a line is damaged, and the clip in it left out: analyse it "
                              "anew", stacklevel=2)  # fmt: skip
                continue
            yield end, clip


def _plain(value: Any) -> Any:
    """Return a number of NumPy's as one of Python's, and a text that can be written as UTF-8."""
    if isinstance(value, str):
        return printable(value)
    return value.item() if hasattr(value, "item") else value


def _parsed(about: dict[str, Any]) -> StoredClip:
    """Return a clip; ValueError, KeyError, TypeError or AttributeError where it is none."""
    path, key = _bytes(about["path"]), bytes.fromhex(about["key"])
    own = {"path": path, "key": key, "size": about["size"], "mtime_ns": about["mtime_ns"]}
    rows = [{**dict.fromkeys(ROWS.names), **own, **row} for row in about["rows"]]
    if not rows or not all(_is_row(row) for row in rows):
        raise ValueError("a clip without a row")
    return StoredClip(path, key, rows, _bytes(about["record"]))


def _is_row(row: dict[str, Any]) -> bool:
    """Return whether a row holds a text or a number where `ROWS` says so."""
    numbers = (value for name, value in row.items() if name in NUMBERS)
    return all(isinstance(row[name], str) for name in ("video", "reason")) and all(
        value is None or isinstance(value, (int, float)) for value in numbers
    )


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
