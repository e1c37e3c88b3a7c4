"""What `COMMAND --help` prints, as it is stored: at once, where the parser takes seconds to import.

The pages lie in `lvef/cli/help`. The parsers write them, and a test fails where one is stale:

    python -m lvef.cli.write_help
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

FOLDER = Path(__file__).parent / "help"
_ASKS = (["--help"], ["-h"])


def asked_page(name: str, options: Sequence[str]) -> str | None:
    """Return the stored page that is asked for; None where the parser must answer.

    Args:
        name: Of the page.
        options: What follows the command. Where something stands beside `--help`, the parser looks
            at it first.
    """
    file = file_of(name)
    if list(options) not in _ASKS or not file.is_file():
        return None
    return file.read_text(encoding="utf-8")


def file_of(name: str) -> Path:
    """Return where a page is stored."""
    return FOLDER / f"{name}.txt"
