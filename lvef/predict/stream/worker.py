"""A worker of a pool from within: it does jobs, has no more memory, and ends with its parent."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

Job = TypeVar("Job")
Answer = TypeVar("Answer")
Work = Callable[[Job], Answer]
Network = Callable[[Tensor, Tensor, tuple[int, int] | None], tuple[Tensor, Tensor | None]]
"""The segmenter: clips `(B, T, H, W)` and surveys `(B, S, H, W)` to logits; where some of the looks
are asked for, to those of them, and to what it saw in them, see `LVSegmentationNet.described`."""

READY, DONE, LOOK = "ready", "done", "look"
"""How a message of a worker begins: it can start, has an answer, or asks for a look."""
GIGABYTE = 2**30
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@contextmanager
def one_thread() -> Iterator[None]:
    """Let libraries of processes that are started within use one thread: they are the parallelism.

    It must stand in their environment: a library asks when it is loaded.
    """
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def serve(
    connection: Connection,
    start: Callable[[Network | None], Work[Any, Any]],
    asks: bool,
    gigabytes: float,
) -> None:
    """Do jobs until the process that started this one ends."""
    for told in (signal.SIGINT, signal.SIGTERM):  # that is the other one's to answer
        signal.signal(told, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    work = start(_Asking(connection) if asks else None)
    _limit_memory(gigabytes)
    connection.send((READY,))
    while True:
        try:
            job = connection.recv()
        except EOFError:
            return
        connection.send((DONE, work(job)))


class _Asking:
    """Has the other process look at clips with its network."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def __call__(
        self, clips: Tensor, surveys: Tensor, told_of: tuple[int, int] | None
    ) -> tuple[Tensor, Tensor | None]:
        # Arrays: tensors would go by shared memory, which dies with its process.
        self.connection.send((LOOK, clips.numpy(), surveys.numpy(), told_of))
        logits, told = self.connection.recv()
        return torch.from_numpy(logits), None if told is None else torch.from_numpy(told)


def _end_with_parent() -> None:
    """End this process with its parent, even where that was killed and a decoder hangs here."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _limit_memory(gigabytes: float) -> None:
    """Let an allocation fail that goes beyond the limit, where the system can do that."""
    if sys.platform != "linux":
        return
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * os.sysconf("SC_PAGE_SIZE") + int(gigabytes * GIGABYTE)
    with suppress(ValueError, OSError):  # a lower one is in force already
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def memory_of(pid: int | None) -> int:
    """Return the bytes that a process has in memory; 0 where the system does not tell."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def died_of(process: Any) -> str:
    """Return what a process died of."""
    process.join(1)
    code = process.exitcode
    if code is None or code >= 0:
        return f"exit code {code}"
    with suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"
