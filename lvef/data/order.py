"""The order of training cases, and the random numbers of training, from the seed and the place.

Nothing is drawn from a state that runs on: what a batch holds and what is drawn for it depends on
the seed, the epoch, the batch and the process. So a fit that goes on from a checkpoint draws what
it would have drawn, on every process, and the number of workers changes nothing.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DistributedSampler

from lvef.cardiac import is_reduced
from lvef.streams import Use, sequence

SeededCase = tuple[int, int]
"""A case, and the seed of what its data set draws for it."""


def seed_of(use: Use, seed: int, *place: int) -> int:
    """Return a seed in 0..2**63 - 1 for a place; see `lvef.streams.sequence`."""
    return int(sequence(use, seed, *place).generate_state(1, np.uint64)[0]) >> 1


def reseed(seed: int, epoch: int, batch: int, process: int) -> None:
    """Seed every generator of this process for a batch of a fit of this seed."""
    own = seed_of(Use.TRAINING_BATCH, seed, epoch, batch, process)
    random.seed(own)
    np.random.seed(own % 2**32)  # noqa: NPY002 (an augmentation may draw from it)
    torch.manual_seed(own)


class EpochOrder(DistributedSampler[int | SeededCase]):
    """Shuffled or class-balanced cases, shared out among processes.

    A `DistributedSampler`, so that Lightning says which epoch it is and wraps it into nothing. A
    pass that ends without being told so goes on to the next epoch.

    Args:
        count: Number of cases.
        seed: Of the fit, the same in every process.
        weights: `(count,)` how often a case is drawn, with replacement; None for a shuffle.
        processes: Number of processes.
        process: Which of them this is.
        epoch: The epoch to begin with.
        done: Cases of that epoch that this process has had already.
        seeds: Whether to give a `SeededCase` in place of a case.
    """

    def __init__(
        self,
        count: int,
        seed: int,
        weights: Tensor | None = None,
        *,
        processes: int = 1,
        process: int = 0,
        epoch: int = 0,
        done: int = 0,
        seeds: bool = False,
    ) -> None:
        super().__init__(range(count), processes, process, seed=seed)  # type: ignore[arg-type]
        self.count = count
        self.weights = weights
        self.epoch = epoch
        self.resumed = (epoch, done)
        self.seeds = seeds

    def __iter__(self) -> Iterator[int | SeededCase]:
        """Yield this process's cases of the epoch, but for those that it has had."""
        epoch = self.epoch
        generator = torch.Generator().manual_seed(seed_of(Use.ORDER_OF_CASES, self.seed, epoch))
        if self.weights is None:
            order = torch.randperm(self.count, generator=generator)
        else:
            order = torch.multinomial(self.weights, self.count, True, generator=generator)
        # As every DistributedSampler does: cases that come twice even the shards out.
        order = order.repeat(-(-self.total_size // self.count))[: self.total_size]
        first, done = self.resumed
        start = done if epoch == first else 0
        for place in range(self.rank, self.total_size, self.num_replicas)[start:]:
            case = int(order[place])
            own = seed_of(Use.TRAINING_CASE, self.seed, epoch, place)
            yield (case, own) if self.seeds else case
        self.epoch = epoch + 1


def class_weights(rows: pd.DataFrame) -> Tensor:
    """Return `(n,)` weights by which reduced and normal cases are drawn equally often."""
    reduced = is_reduced(rows["ef_true"])
    size = np.where(reduced, max(int(reduced.sum()), 1), max(int((~reduced).sum()), 1))
    return torch.as_tensor(1.0 / size)
