"""Processes that may die: each does one job at a time, within limits of time and memory."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any, Generic

import numpy as np
import torch

from lvef.errors import ConfigurationError
from lvef.predict.stream.worker import (
    GIGABYTE,
    LOOK,
    READY,
    Answer,
    Job,
    Network,
    Work,
    died_of,
    memory_of,
    one_thread,
    serve,
)

_POLL = 0.2
"""Seconds between two looks at how long workers take, and how much memory they have."""


@dataclass(frozen=True)
class Limits:
    """What one job may take.

    Attributes:
        seconds: From its start to its end.
        gigabytes: Memory beyond what an idle worker has.
    """

    seconds: float = 300.0
    gigabytes: float = 6.0


@dataclass(frozen=True)
class Finished(Generic[Job, Answer]):
    """A job that came to an end.

    Attributes:
        job: The job.
        answer: What it gave; None where it was lost with its worker.
        reason: Why it was lost; empty where it was not.
        seconds: How long it took.
    """

    job: Job
    answer: Answer | None
    reason: str
    seconds: float


@dataclass
class _Worker(Generic[Job]):
    process: Any
    connection: Connection
    idle_bytes: int = 0
    ready: bool = False
    job: Job | None = None
    since: float = 0.0
    alone: bool = False


class Pool(Generic[Job, Answer]):
    """Does jobs in processes of their own; whatever one of them dies of, the others go on.

    A job whose worker died is tried once more, alone, after all others, and is then lost. One that
    takes too long or too much memory is lost at once, and its worker replaced.

    Args:
        start: Called in each worker, returns what does a job there. With `network` it is given a
            function to call in place of the network. It must be picklable.
        workers: How many processes.
        limits: What one job may take.
        network: Where the device is this process's alone, the network on it: workers send what it
            shall look at, and those that wait at the same time are looked at together.
    """

    def __init__(
        self,
        start: Callable[[Network | None], Work[Job, Answer]],
        workers: int,
        limits: Limits = Limits(),
        network: Network | None = None,
    ) -> None:
        self._start, self._limits, self._network = start, limits, network
        self._context = get_context("spawn")
        self._workers: list[_Worker[Job]] = []
        self._count = workers
        self._again: deque[Job] = deque()

    def __enter__(self) -> Pool[Job, Answer]:
        """Start the workers."""
        self._workers = [self._new() for _ in range(self._count)]
        return self

    def __exit__(self, *_about: object) -> None:
        """End the workers, whatever they do."""
        for worker in self._workers:
            self._end(worker)
        self._workers = []

    def run(
        self, jobs: Iterator[Job], stop: Callable[[], bool] = lambda: False
    ) -> Iterator[Finished[Job, Answer]]:
        """Do jobs, and yield each as it ends.

        Args:
            jobs: Taken one by one, no earlier than a worker is free.
            stop: Returns whether no more may be begun; those that run are still ended.
        """
        source: Iterator[Job] | None = jobs
        while True:
            if stop():
                source, self._again = None, deque()
            source = self._hand_out(source)
            if source is None and not self._again and not any(w.job for w in self._workers):
                return
            yield from self._collect()

    def _hand_out(self, jobs: Iterator[Job] | None) -> Iterator[Job] | None:
        """Give each idle worker a job; return the jobs, or None once there are no more.

        What is tried again waits for the end: alone in the midst of the others, it would have to
        wait for the slowest of them, and all with it.
        """
        idle = [w for w in self._workers if w.ready and w.job is None]
        if jobs is None:
            if self._again and len(idle) == len(self._workers):
                self._give(idle[0], self._again.popleft(), alone=True)
            return None
        for worker in idle:
            job = next(jobs, None)
            if job is None:
                return None
            self._give(worker, job)
        return jobs

    def _give(self, worker: _Worker[Job], job: Job, alone: bool = False) -> None:
        worker.job, worker.since, worker.alone = job, time.monotonic(), alone
        with suppress(OSError):  # it has died: that is seen when its end is collected
            worker.connection.send(job)

    def _collect(self) -> Iterator[Finished[Job, Answer]]:
        """Yield what ends within a moment."""
        by_handle: dict[Any, _Worker[Job]] = {}
        for worker in self._workers:
            by_handle[worker.connection] = by_handle[worker.process.sentinel] = worker
        looks: list[tuple[_Worker[Job], Any]] = []
        heard = {id(by_handle[handle]): by_handle[handle] for handle in wait([*by_handle], _POLL)}
        for worker in heard.values():
            message = self._message(worker)
            if message is None:
                yield from self._died(worker, died_of(worker.process))
            elif message[0] == READY:
                worker.ready, worker.idle_bytes = True, memory_of(worker.process.pid)
            elif message[0] == LOOK:
                looks.append((worker, message[1:]))
            else:
                yield self._ended(worker, message[1], "")
        if looks:
            self._look(looks)
        yield from self._beyond_limits()

    def _message(self, worker: _Worker[Job]) -> Any:
        """Return what a worker says; None where it has died."""
        try:
            return worker.connection.recv() if worker.connection.poll() else None
        except (EOFError, OSError):
            return None

    def _ended(
        self, worker: _Worker[Job], answer: Answer | None, reason: str
    ) -> Finished[Job, Answer]:
        job, seconds = worker.job, time.monotonic() - worker.since
        worker.job, worker.alone = None, False
        assert job is not None
        return Finished(job, answer, reason, seconds)

    def _died(self, worker: _Worker[Job], reason: str) -> Iterator[Finished[Job, Answer]]:
        """Put another worker in the place of a dead one; try its job again, or give it up.

        Raises:
            ConfigurationError: It died before it could do anything.
        """
        if not worker.ready:
            raise ConfigurationError(f"a worker cannot start ({reason}): see what it says above")
        if worker.job is not None:
            if worker.alone:
                yield self._ended(worker, None, f"its process died, twice ({reason}): a damaged "
                                  "file, or a fault of its decoder")  # fmt: skip
            else:
                self._again.append(worker.job)
        self._replace(worker)

    def _beyond_limits(self) -> Iterator[Finished[Job, Answer]]:
        for worker in [*self._workers]:
            if worker.job is None:
                continue
            reason = self._beyond(worker)
            if reason:
                yield self._ended(worker, None, reason)
                self._replace(worker)

    def _beyond(self, worker: _Worker[Job]) -> str:
        """Return what a worker has too much of; empty where it has not."""
        if time.monotonic() - worker.since > self._limits.seconds:
            return f"it took more than {self._limits.seconds:g} s (--max_seconds)"
        used = memory_of(worker.process.pid) - worker.idle_bytes
        if used > self._limits.gigabytes * GIGABYTE:
            return f"it wanted more than {self._limits.gigabytes:g} GB of memory (--max_memory)"
        return ""

    def _look(self, looks: list[tuple[_Worker[Job], Any]]) -> None:
        """Answer what workers wait for, looks of one shape together."""
        assert self._network is not None
        shapes: dict[Any, list[tuple[_Worker[Job], Any]]] = {}
        for each in looks:
            clip, survey, told_of = each[1]
            shapes.setdefault((clip.shape, survey.shape, told_of), []).append(each)
        for (_, _, told_of), group in shapes.items():
            pairs = zip(*(pair[:2] for _, pair in group), strict=True)
            clips, surveys = (torch.from_numpy(np.concatenate(arrays)) for arrays in pairs)
            answers = self._network(clips, surveys, told_of)
            logits, told = (None if a is None else a.float().cpu().numpy() for a in answers)
            for place, (worker, _) in enumerate(group):  # each asked for one clip
                own = [None if a is None else a[place : place + 1] for a in (logits, told)]
                with suppress(OSError):
                    worker.connection.send(own)

    def _replace(self, worker: _Worker[Job]) -> None:
        self._end(worker)
        self._workers[self._workers.index(worker)] = self._new()

    def _new(self) -> _Worker[Job]:
        here, there = self._context.Pipe()
        process = self._context.Process(
            target=serve,
            args=(there, self._start, self._network is not None, self._limits.gigabytes),
            daemon=True,
        )
        with one_thread():
            process.start()
        there.close()
        return _Worker(process, here)

    def _end(self, worker: _Worker[Job]) -> None:
        worker.process.kill()
        worker.process.join()
        worker.connection.close()


def inline(
    work: Work[Job, Answer], jobs: Iterator[Job], stop: Callable[[], bool] = lambda: False
) -> Iterator[Finished[Job, Answer]]:
    """Do jobs in this process, without limits, as for a few in a notebook.

    Args:
        work: Does a job.
        jobs: The jobs.
        stop: Returns whether no more may be begun.
    """
    for job in jobs:
        if stop():
            return
        since = time.monotonic()
        answer = work(job)
        yield Finished(job, answer, "", time.monotonic() - since)
