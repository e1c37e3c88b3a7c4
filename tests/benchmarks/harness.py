"""What all benchmarks share: repeats by turns, medians with their spread, one line a claim.

A script says its claims in a function that yields `Line`s, and ends in `main(claims, __doc__)`:

    python tests/benchmarks/decoding.py [--quick] [--json bench.json]

prints `NAME ratio=R target=T pass|fail (ours ..., theirs ...)`, medians with least and most of the
repeats, and adds all repeats to the JSON file, with machine, versions and settings. `bench.py` runs
all scripts.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

from lvef.data.options import num_cores

PACKAGES = (
    "torch", "torchvision", "lightning", "numpy", "pandas", "opencv-python-headless", "av",
    "scikit-learn", "decord", "torchcodec",
)  # fmt: skip
_INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


@dataclass(frozen=True)
class Settings:
    """How much is measured.

    Attributes:
        quick: Whether all of `bench` shall take less than ten minutes on two cores.
        threads: Threads of PyTorch.
        rounds: Repeats, by turns.
    """

    quick: bool = False
    threads: int = 2
    rounds: int = 7

    def of(self, full: int, quick: int) -> int:
        """Return one of two numbers."""
        return quick if self.quick else full


@dataclass(frozen=True)
class Measured:
    """What repeats of one way gave.

    Attributes:
        what: The way, with its settings.
        values: Every repeat.
        unit: Of these.
    """

    what: str
    values: Sequence[float]
    unit: str = "s"

    @property
    def median(self) -> float:
        """The middle repeat."""
        return median(self.values)

    def times(self, factor: float, unit: str) -> Measured:
        """Return the same in another unit."""
        return Measured(self.what, [value * factor for value in self.values], unit)

    def __str__(self) -> str:
        """Return the median with least and most."""
        spread = f" [{min(self.values):.3g}, {max(self.values):.3g}]" * (len(self.values) > 1)
        return f"{self.median:.3g}{spread} {self.unit}: {self.what}"


@dataclass(frozen=True)
class Line:
    """A claim, measured.

    Attributes:
        name: What is claimed.
        ours: This project's way.
        theirs: The alternative; None where the figure stands for itself.
        target: What the ratio must reach; None where nothing is promised.
        at_most: Whether the ratio must not pass the target, in place of reaching it; it is then
            ours over theirs, and else theirs over ours, as of two times.
        note: What the figure needs to be understood.
    """

    name: str
    ours: Measured
    theirs: Measured | None = None
    target: float | None = None
    at_most: bool = False
    note: str = ""

    @property
    def ratio(self) -> float:
        """How many times faster, or where less is asked for how large, by the medians."""
        if self.theirs is None:
            return self.ours.median
        if self.at_most:
            return self.ours.median / self.theirs.median
        return self.theirs.median / self.ours.median

    @property
    def passed(self) -> bool | None:
        """Whether it holds; None where nothing is promised."""
        if self.target is None:
            return None
        return self.ratio <= self.target if self.at_most else self.ratio >= self.target

    def __str__(self) -> str:
        """Return the line that is printed."""
        verdict = {True: "pass", False: "fail", None: "told"}[self.passed]
        target = "none" if self.target is None else f"{self.target:g}"
        least = "at most; " * self.at_most
        theirs = "" if self.theirs is None else f", theirs {self.theirs}"
        note = f"; {self.note}" * bool(self.note)
        return (
            f"{self.name} ratio={self.ratio:.3g} target={target} {verdict} "
            f"({least}ours {self.ours}{theirs}{note})"
        )

    def plain(self) -> dict[str, Any]:
        """Return it as plain data."""
        told = {"ratio": self.ratio, "passed": self.passed}
        for side in ("ours", "theirs"):
            way = getattr(self, side)
            if way is not None:
                told[f"{side}_median"] = way.median
        return asdict(self) | told


@dataclass
class Turns:
    """Ways that are measured by turns, so that what disturbs one disturbs the others, too.

    Attributes:
        ways: What is run, by name.
        seconds: What each repeat took.
    """

    ways: Mapping[str, Callable[[], Any]]
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def run(self, rounds: int, warm: bool = True) -> dict[str, list[float]]:
        """Return the seconds of every repeat; every other round goes backwards.

        Args:
            rounds: Repeats.
            warm: Run each once before, which is not counted.
        """
        if warm:
            for way in self.ways.values():
                way()
        self.seconds = {name: [] for name in self.ways}
        for number in range(rounds):
            for name in list(self.ways)[:: -1 if number % 2 else 1]:
                start = time.perf_counter()
                self.ways[name]()
                self.seconds[name].append(time.perf_counter() - start)
        return self.seconds


def by_turns(
    rounds: int, ways: Mapping[str, Callable[[], Any]], warm: bool = True
) -> dict[str, list[float]]:
    """Return seconds of every repeat; see `Turns.run`."""
    return Turns(ways).run(rounds, warm)


def best_of(rounds: int, ways: Mapping[str, Callable[[], Any]]) -> str:
    """Return the name of the way of least time: an alternative's own best setting."""
    seconds = by_turns(rounds, ways)
    return min(seconds, key=lambda name: median(seconds[name]))


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """Return the power of the size that time grows with, by least squares of the logarithms."""
    import numpy as np

    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def machine() -> dict[str, Any]:
    """Return what kind of machine this is."""
    told: dict[str, Any] = {
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "cores": num_cores(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }  # fmt: skip
    about = Path("/proc/cpuinfo")
    if about.is_file():
        lines = dict(
            map(str.strip, line.split(":", 1)) for line in about.read_text().splitlines()
            if ":" in line
        )  # fmt: skip
        told["processor"] = lines.get("model name", "")
        has = lines.get("flags", "").split()
        told["instructions"] = [name for name in _INSTRUCTIONS if name in has]
    return told


def versions() -> dict[str, str]:
    """Return the versions of what is measured."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def keep(path: Path, lines: Sequence[Line], settings: Settings) -> None:
    """Add lines to a JSON file; those of the same names that stand there already are replaced."""
    known = json.loads(path.read_text()) if path.is_file() else {}
    names = {line.name for line in lines}
    said = {"machine": machine(), "settings": asdict(settings)}
    before = [line for line in known.get("lines", []) if line["name"] not in names]
    told = {"versions": versions(), "lines": before + [line.plain() | said for line in lines]}
    unfinished = path.with_suffix(".part")
    unfinished.write_text(json.dumps(told, indent=1) + "\n")
    unfinished.replace(path)


def parser(about: str | None) -> argparse.ArgumentParser:
    """Return the options that all scripts take."""
    made = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--quick", action="store_true", help="fewer and smaller repeats")
    made.add_argument("--rounds", type=int, help="repeats (7, or 3 when quick)")
    made.add_argument("--threads", type=int, default=2, help="threads of PyTorch (2)")
    made.add_argument("--json", type=Path, help="a file that takes every repeat")
    return made


def settings_of(asked: argparse.Namespace) -> Settings:
    """Return what was asked for."""
    return Settings(asked.quick, asked.threads, asked.rounds or (3 if asked.quick else 7))


def tell(lines: Iterator[Line], settings: Settings, path: Path | None) -> list[Line]:
    """Print lines as they come, and keep each at once."""
    told = []
    for line in lines:
        print(line, flush=True)
        told.append(line)
        if path is not None:
            keep(path, [line], settings)
    return told


def main(
    claims: Callable[[Settings], Iterator[Line]], about: str | None, words: list[str] | None = None
) -> list[Line]:
    """Measure the claims of a script."""
    asked = parser(about).parse_args(words)
    settings = settings_of(asked)
    import torch

    torch.set_num_threads(settings.threads)
    return tell(claims(settings), settings, asked.json)
