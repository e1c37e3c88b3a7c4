"""Writes the pages that `COMMAND --help` prints: `python -m lvef.cli.write_help`.

To be run after an option, its default or its text changed; a test says when.
"""

from __future__ import annotations

from contextlib import redirect_stdout, suppress
from io import StringIO

from lvef.cli.commands import (
    LIGHTNING_COMMANDS,
    OTHER_COMMANDS,
    page_of,
    run_lightning,
    run_other,
)
from lvef.cli.help_pages import FOLDER, file_of

COMMANDS = (*LIGHTNING_COMMANDS, *OTHER_COMMANDS)
"""Commands whose page is stored."""


def rendered(command: str) -> str:
    """Return what the parser of a command says of itself."""
    out = StringIO()
    with redirect_stdout(out), suppress(SystemExit):
        if command in LIGHTNING_COMMANDS:
            run_lightning([command, "--help"])
        else:
            run_other(command, ["--help"])
    return out.getvalue()


def main() -> None:
    """Write them, and take away those of commands that are gone."""
    FOLDER.mkdir(exist_ok=True)
    pages = {file_of(page_of(command)): rendered(command) for command in COMMANDS}
    for file in set(FOLDER.iterdir()) - set(pages):
        file.unlink()
    for file, text in pages.items():
        file.write_text(text, encoding="utf-8")
    print(f"{len(pages)} pages in {FOLDER}")


if __name__ == "__main__":
    main()
