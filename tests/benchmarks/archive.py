"""Clips a second, time to the first row, seconds a stage and peak memory of `analyse`.

    python tests/benchmarks/archive.py [--clips 60] [--rounds 3] [--memory 2000]

PHANTOM clips of 64 frames, 20 of them under as many names as it takes. Speed: two workers and one
process (`--workers 0`) by turns, each in a new process. Memory: one run of two workers, told at
every tenth of it, and how it grows after the first tenth.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np

FRAMES, DISTINCT, MARKS = 64, 20, 10
WAYS = {"two workers": 2, "one process (--workers 0)": 0}


def main() -> None:
    """Print both measurements."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", type=int, default=2000)
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        clips, output, workers, started = options.one
        print(json.dumps(analyse(Path(clips), Path(output), int(workers), float(started))))
        return
    with tempfile.TemporaryDirectory() as folder:
        if options.clips and options.rounds:
            speed(Path(folder), options.clips, options.rounds)
        if options.memory:
            memory(Path(folder), options.memory)


def speed(folder: Path, count: int, rounds: int) -> None:
    """Time each way by turns, and print its best round."""
    clips = write(folder / "clips", count)
    found = defaultdict(list)
    for turn in range(rounds):
        for way, workers in WAYS.items():
            found[way].append(in_new_process(clips, folder / f"{turn} {workers}", workers))
    slowest = min(of_one["seconds"] for of_one in found["one process (--workers 0)"])
    for way, of_way in found.items():
        best = min(of_way, key=lambda of_one: of_one["seconds"])
        rates = ", ".join(f"{count / of_one['seconds']:.2f}" for of_one in of_way)
        stages = ", ".join(f"{n} {s / count:.3f}" for n, s in best["stages"].items())
        print(
            f"PHANTOM {way}: {count / best['seconds']:.2f} clips/s "
            f"({slowest / best['seconds']:.2f} x; rounds {rates}), first row after "
            f"{best['first']:.1f} s; core-seconds a clip: {best['cpu'] / count:.2f} of all, "
            f"stages by the clock: {stages}",
            flush=True,
        )


def memory(folder: Path, count: int) -> None:
    """Print peak memory of the main process and of the workers as clips come."""
    measured = in_new_process(write(folder / "many", count), folder / "memory", WAYS["two workers"])
    taken = np.array(measured["memory"])
    for mark in np.linspace(count / MARKS, count, MARKS).astype(int):
        _, _, _, peak, worker = taken[taken[:, 0] <= mark][-1]
        print(f"PHANTOM {mark:5d} clips: peak of the main process {peak:5.0f} MB, of a worker "
              f"{worker:5.0f} MB")  # fmt: skip
    later = taken[taken[:, 0] >= count / MARKS]
    for name, column in (("the main process", 1), ("all workers", 2)):
        slope = np.polyfit(later[:, 0], later[:, column], 1)[0]
        print(f"{name}: {1000 * slope:+.1f} MB in memory for 1,000 clips more")
    print(f"{count / measured['seconds']:.2f} clips/s")


def in_new_process(clips: Path, output: Path, workers: int) -> dict[str, object]:
    """Return what `analyse` below measures, in a process of its own."""
    words = [sys.executable, __file__, "--one", str(clips), str(output), str(workers)]
    done = subprocess.run([*words, str(time.time())], stdout=subprocess.PIPE, text=True, check=True)
    measured: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return measured


def analyse(clips: Path, output: Path, workers: int, started: float) -> dict[str, object]:
    """Analyse clips, and look after each what is in memory.

    Returns:
        Seconds from `started` to the end and to the first row, core-seconds, seconds of stages,
        and `memory`: clips, megabytes of this process and of all workers, peaks of this process
        and of the worker that had most.
    """
    from lvef.predict.stream.archive import Archive, ArchiveOptions

    archive = Archive(output, ArchiveOptions(previews=False, workers=workers))
    first, taken, peak_of_workers = 0.0, list[tuple[float, ...]](), 0.0

    def look() -> bool:
        nonlocal first, peak_of_workers
        if archive.progress.clips and not first:
            first = time.time() - started
        own, *others = (in_memory(pid) for pid in (os.getpid(), *children()))
        peak_of_workers = max([peak_of_workers, *(peak for _, peak in others)])
        all_workers = sum(now for now, _ in others)
        taken.append((archive.progress.clips, own[0], all_workers, own[1], peak_of_workers))
        return False

    done = archive.run([clips], look, bar=False)
    used = np.sum([os.times()[:4]])
    first = first or time.time() - started
    return {
        "seconds": time.time() - started, "first": first, "cpu": float(used),
        "stages": done.seconds, "memory": taken,
    }  # fmt: skip


def children() -> list[int]:
    """Return the processes that this one started."""
    return [
        int(pid)
        for task in Path("/proc/self/task").iterdir()
        for pid in (task / "children").read_text().split()
    ]


def in_memory(pid: int) -> tuple[float, float]:
    """Return the megabytes that a process has in memory, and the most that it had."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:  # it has ended
        return 0.0, 0.0
    told = dict(line.split(":", 1) for line in lines)
    now, most = (float(told.get(name, "0").split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
    return now, most


def write(folder: Path, count: int) -> Path:
    """Write phantom clips, some under many names."""
    from lvef.data.formats import write_video
    from lvef.phantom import PhantomClip

    folder.mkdir()
    for number in range(count):
        path = folder / f"{number:05d}.avi"
        if number < DISTINCT:
            write_video(path, PhantomClip(0, 500 + number).frames(range(FRAMES)), 50)
        else:
            os.link(folder / f"{number % DISTINCT:05d}.avi", path)
    return folder


if __name__ == "__main__":
    main()
