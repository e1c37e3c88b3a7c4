"""Files are whole or not there, whatever ends the process that writes them."""

from __future__ import annotations

import errno
import fcntl
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import limited
from matplotlib.figure import Figure
from safetensors.torch import load_file

from lvef import files
from lvef.errors import LvefError, OutputError, errors_of_threads, of_files
from lvef.files import (
    is_unfinished,
    make_room,
    replacing,
    write_arrays,
    write_bytes,
    write_csv,
    write_figure,
    write_json,
    write_tensors,
    write_text,
)

LARGE = np.random.default_rng(0).random(20_000)
WRITERS = {
    "a.txt": lambda path: write_text(path, "x" * 100_000),
    "a.json": lambda path: write_json(path, {"x": LARGE.tolist()}),
    "a.csv": lambda path: write_csv(path, pd.DataFrame({"x": LARGE})),
    "a.npz": lambda path: write_arrays(path, {"x": LARGE}),
    "a.safetensors": lambda path: write_tensors(path, {"x": torch.tensor(LARGE)}, {"a": "b"}),
    "a.png": lambda path: write_figure(path, _figure(), dpi=60),
}
WRITE_FOR_EVER = """
import sys
from lvef.files import write_bytes
number = 0
print("ready", flush=True)
while True:
    number += 1
    write_bytes(sys.argv[1], bytes([number % 256]) * 3_000_000)
"""


def _figure() -> Figure:
    figure = Figure()
    figure.add_subplot().imshow(LARGE.reshape(100, 200))
    return figure


@contextmanager
def writing(path: Path) -> Iterator[subprocess.Popen]:
    """Start a process that replaces a file for ever."""
    words = [sys.executable, "-c", WRITE_FOR_EVER, str(path)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def write_half(path: Path, error: type[BaseException]) -> None:
    with replacing(path) as unfinished:
        unfinished.write_text("half")
        raise error


@pytest.mark.parametrize("name", WRITERS)
def test_what_finds_no_room_leaves_the_file_that_was_there(tmp_path, name):
    path = tmp_path / "folder" / name
    WRITERS[name](path)
    before = path.read_bytes()
    assert len(before) > 10_000
    with (
        limited(8192),
        pytest.raises(OutputError, match=r"cannot be written: File too large: make"),
    ):
        WRITERS[name](path)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [name], "and nothing beside it"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_told_in_one_line(tmp_path):
    with pytest.raises(OutputError, match=r"a\.txt cannot be written: No space left on device"), \
         replacing(tmp_path / "a.txt"), Path("/dev/full").open("w") as full:  # fmt: skip
        full.write("x" * 100_000)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("check", [make_room, lambda path: write_text(path, "x")])
def test_where_nothing_can_be_written_is_told_in_one_line(tmp_path, check):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    places = [tmp_path / "file" / "a.txt", tmp_path / "folder", Path("/proc/a.txt")]
    for path in places if Path("/proc").is_dir() else places[:2]:
        with pytest.raises(OutputError, match=f"{path} cannot be written: ") as told:
            check(path)
        assert "\n" not in str(told.value)
    check(tmp_path / "new" / "a.txt")
    assert not [name for name in os.listdir(tmp_path / "new") if name != "a.txt"]


def test_what_is_neither_file_nor_folder_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OutputError, match="no file"):
        write_text(tmp_path / "pipe", "x")
    assert (tmp_path / "pipe").is_fifo()


def test_an_error_or_a_signal_in_the_middle_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    for error in (ValueError, KeyboardInterrupt, SystemExit):
        with pytest.raises(error):
            write_half(path, error)
        assert path.read_text() == "old"
        assert os.listdir(tmp_path) == ["a.txt"]


def is_locked(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def test_a_process_that_is_killed_leaves_a_whole_file_and_the_next_one_tidies_up(tmp_path):
    path = tmp_path / "a.bin"
    write_bytes(path, bytes(3_000_000))
    random.seed(0)
    with writing(path) as process:
        left: list[str] = []
        while not left:
            process.send_signal(signal.SIGCONT)
            time.sleep(random.uniform(0.02, 0.1))
            process.send_signal(signal.SIGSTOP)  # in the middle, more often than not
            os.waitid(os.P_PID, process.pid, os.WSTOPPED)
            # Not in the moment between the making of a file and its lock.
            others = [name for name in os.listdir(tmp_path) if name != "a.bin"]
            left = [name for name in others if is_locked(tmp_path / name)]
        assert all(is_unfinished(name) for name in left)
        for name in left:  # as if it had been there for long
            os.utime(tmp_path / name, (0, 0))
        files._swept.clear()
        write_text(tmp_path / "other.txt", "x")
        there = [name for name in left if (tmp_path / name).exists()]
        assert there == left, "the file of a process that lives is left alone"
    assert len(set(path.read_bytes())) == 1
    assert path.stat().st_size == 3_000_000
    files._swept.clear()
    young = tmp_path / f".{'0' * 32}.part.bin"
    young.write_bytes(b"half")  # of another machine, perhaps, whose locks are not seen
    write_text(tmp_path / "other.txt", "x")
    assert sorted(os.listdir(tmp_path)) == [young.name, "a.bin", "other.txt"]


@pytest.mark.slow
def test_twenty_kills_at_random_moments_leave_a_whole_file(tmp_path):
    path, seen = tmp_path / "a.bin", 0
    random.seed(1)
    for _ in range(20):
        with writing(path) as process:
            time.sleep(random.uniform(0, 0.2))
            process.kill()
            process.wait()
        left = [name for name in os.listdir(tmp_path) if name != "a.bin"]
        assert all(is_unfinished(name) for name in left)
        seen += len(left)
        for name in left:
            (tmp_path / name).unlink()
        if path.exists():
            assert path.stat().st_size == 3_000_000
            assert len(set(path.read_bytes())) == 1
    assert seen, "some were killed in the middle"


def test_every_writer_is_read_back(tmp_path):
    for name, write in WRITERS.items():
        write(tmp_path / name)
    assert np.array_equal(np.load(tmp_path / "a.npz", allow_pickle=False)["x"], LARGE)
    assert np.array_equal(load_file(tmp_path / "a.safetensors")["x"].numpy(), LARGE)
    assert np.array_equal(pd.read_csv(tmp_path / "a.csv")["x"], LARGE)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    umask = os.umask(0)
    os.umask(umask)
    assert (tmp_path / "a.csv").stat().st_mode & 0o777 == 0o666 & ~umask, "readable as any file"


def test_what_the_system_says_of_files_is_one_line_and_a_fault_of_the_program_is_none(tmp_path):
    with pytest.raises(OSError, match="No such file") as missing:
        (tmp_path / "missing").read_text()
    assert str(of_files(missing.value)) == f"{tmp_path / 'missing'}: No such file or directory"
    nameless = OSError(errno.ENOSPC, "No space left on device")
    assert str(of_files(nameless)) == "No space left on device: make room, or choose another disk"
    nameless.__context__ = missing.value
    assert str(of_files(nameless)).startswith(f"{tmp_path / 'missing'}: No space left"), "by name"
    wrong = ValueError("a bug")
    wrong.__cause__ = nameless
    for error in (wrong, OSError("no number"), ConnectionResetError(errno.ECONNRESET, "x")):
        assert of_files(error) is None


def test_what_a_thread_cannot_write_is_told_in_the_end():
    def fail(error: Exception) -> None:
        raise error

    def run(error: Exception) -> None:
        thread = threading.Thread(target=fail, args=(error,))
        thread.start()
        thread.join()

    with pytest.raises(LvefError, match="No space left"), errors_of_threads():
        run(OSError(errno.ENOSPC, "No space left on device"))
    usual = []
    before, threading.excepthook = threading.excepthook, usual.append
    try:
        with errors_of_threads():
            run(ValueError("a bug"))
    finally:
        threading.excepthook = before
    assert len(usual) == 1, "shown as ever"
