"""`run.json` of a study that is made of a trained model and a data folder."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lvef.callbacks.run_record import FINISHED, RUN_RECORD, file_record
from lvef.circumstances import machine, package, versions
from lvef.data.fingerprint import folder_fingerprint
from lvef.files import write_json


def write_study_record(
    folder: Path,
    command: str,
    started: datetime,
    options: dict[str, Any],
    root: Path | str,
    ckpt_path: Path,
) -> None:
    """Write down with what a study was made, once it is done.

    Args:
        folder: Where its results are.
        command: Its name.
        started: When it began.
        options: What it was asked for.
        root: The data folder.
        ckpt_path: The checkpoint.

    Raises:
        OutputError: It cannot be written.
    """
    ended = datetime.now(UTC)
    record = {
        "command": command,
        "options": {
            name: str(value) if isinstance(value, Path) else value
            for name, value in options.items()
        },
        "state": FINISHED,
        "started": started.isoformat(timespec="seconds"),
        "ended": ended.isoformat(timespec="seconds"),
        "seconds": round((ended - started).total_seconds(), 1),
        "package": package(),
        "versions": versions(),
        "machine": machine(),
        "data": folder_fingerprint(root),
        "files": {"ckpt_path": file_record(ckpt_path)},
    }
    write_json(folder / RUN_RECORD, record)
