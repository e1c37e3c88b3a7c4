"""What it takes to start: `import lvef` and three pages of help, against `import torch`.

Each in a Python of its own, by turns, from the files that the system has in memory already. `import
lightning` stands beside them: the full help lists its options, and cannot take less.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from functools import partial

import harness
from harness import Line, Measured, Settings, by_turns

WAYS: dict[str, tuple[list[str], float | None]] = {
    "import_lvef": (["-c", "import lvef"], 0.1),
    "help": (["-m", "lvef", "--help"], 0.2),
    "fit_help": (["-m", "lvef", "fit", "--help"], 0.2),
    "fit_help_all": (["-m", "lvef", "fit", "--help=all"], 3.0),
    "import_lightning": (["-c", "import lightning"], None),
}


def claims(settings: Settings) -> Iterator[Line]:
    """Yield a line each."""
    words = {name: way for name, (way, _) in WAYS.items()} | {"torch": ["-c", "import torch"]}
    ways = {
        name: partial(subprocess.run, [sys.executable, *way], check=True, capture_output=True)
        for name, way in words.items()
    }
    seconds = by_turns(settings.rounds, ways)
    theirs = Measured("python -c 'import torch'", seconds["torch"])
    for name, (way, target) in WAYS.items():
        mine = Measured(f"python {' '.join(way)}", seconds[name])
        yield Line(f"start_{name}", mine, theirs, target, at_most=True)


def main(words: list[str] | None = None) -> None:
    """Measure."""
    harness.main(claims, __doc__, words)


if __name__ == "__main__":
    main()
