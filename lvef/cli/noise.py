"""Warnings that are of no use to whoever reads them, and of which commands that is true."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

# Each is the beginning of a message, as `warnings` matches it. A fit has most to lose: what is
# muted there is true of every fit as it is meant to be, and says nothing about this one.
_ALWAYS = (
    r"`?torch\.jit\.script`? is deprecated",  # linear_operator's, on which GPyTorch stands
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",  # Lightning's own
    # The data module shares the cores out, and features that lie in memory need no worker.
    r"The '\w+_dataloader' does not have many workers",
    # Of a split of one class, which has neither curve: the figures say so by being none.
    r"No positive samples (in targets|found in target)",
    r"No negative samples in targets",
)
_OF_LIGHTNING = (
    # An epoch has its figures all the same.
    r"The number of training batches \(\d+\) is smaller than the logging interval",
    r"Precision \S+ is not supported by the model summary",  # which is about megabytes alone
    # The figures of VAL and TEST are of gathered cases, the same in every process; of train/loss
    # each process draws its own share of the curve. Not so a metric of another name.
    r"It is recommended to use `self\.log\('(val|test|train/loss)\b",
)
_WITHOUT_A_FIT = (
    r"The dirpath has changed",
    r"Be aware that when using `ckpt_path`, callbacks used to create the checkpoint",
)
_OF_COMMANDS = {
    # A segmenter predicts no batch: the beats are found already.
    "predict": (r"Total length of `\w+` across ranks is zero",),
}


@contextmanager
def quiet(command: str) -> Iterator[None]:
    """Leave out what is of no use to whoever runs a command.

    Args:
        command: fit, validate, test or predict, or one of our own.
    """
    lightning = command in ("fit", "validate", "test", "predict")
    muted = (
        *_ALWAYS,
        *(_OF_LIGHTNING if lightning else ()),
        *(_WITHOUT_A_FIT if lightning and command != "fit" else ()),
        *_OF_COMMANDS.get(command, ()),
    )
    with warnings.catch_warnings():
        mute(*muted)
        yield


def mute(*beginnings: str) -> None:
    """Leave out warnings from here on, within `quiet`.

    Args:
        beginnings: Patterns of how their messages begin.
    """
    for beginning in beginnings:
        warnings.filterwarnings("ignore", beginning)
