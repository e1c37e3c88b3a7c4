"""Which warnings are left out, and of which commands."""

from __future__ import annotations

import warnings

import pytest
from jsonargparse import Namespace

from lvef.cli.noise import quiet
from lvef.cli.rules import mute_what_is_meant
from lvef.models import EFRegressor

ADVICE = (
    "It is recommended to use `self.log('{}', ..., sync_dist=True)` when logging on epoch level"
)
MODES = "Found 3 module(s) in eval mode at the start of training. This may lead to"
NOT_EMPTY = "Checkpoint directory /runs/checkpoints exists and is not empty."
NO_BATCH = "Total length of `DataLoader` across ranks is zero. Please make sure"
RESUMED = "Be aware that when using `ckpt_path`, callbacks used to create the checkpoint need to be"


def shown(command: str, message: str) -> bool:
    """Return whether a warning reaches whoever runs a command."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with quiet(command):
            warnings.warn(message, stacklevel=1)
    return bool(caught)


@pytest.mark.parametrize(
    "message",
    [
        "None of the inputs have requires_grad=True. Gradients will be None",
        "Converting a tensor with requires_grad=True to a scalar may lead to unexpected behavior.",
        "Input Tensor 0 did not already require gradients, required_grads has been set",
        MODES,
        NOT_EMPTY,
        NO_BATCH,
        RESUMED,
        "The dirpath has changed from 'a' to 'b', therefore",
        ADVICE.format("my/metric"),
    ],
)
def test_what_a_fit_may_have_to_lose_is_said(message):
    assert shown("fit", message)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("fit", ADVICE.format("val/mae")),
        ("fit", "The 'train_dataloader' does not have many workers which may be a bottleneck."),
        ("fit", "The number of training batches (3) is smaller than the logging interval Trainer("),
        ("test", "No positive samples in targets, true positive value should be meaningless."),
        ("predict", NO_BATCH),
        ("test", RESUMED),
        ("export", "`torch.jit.script` is deprecated. Please switch to `torch.compile`"),
    ],
)
def test_what_is_true_of_every_run_is_not(command, message):
    assert not shown(command, message)
    assert shown(command, f"but: {message}"), "the whole beginning is looked at"


@pytest.mark.parametrize(
    ("frozen", "resumed", "message", "said"),
    [
        (True, None, MODES, False),
        (3, None, MODES, False),
        (False, None, MODES, True),
        (False, None, NOT_EMPTY, True),
        (False, "last.ckpt", NOT_EMPTY, False),
    ],
)
def test_what_this_fit_was_asked_for_is_not_said(frozen, resumed, message, said):
    backbone = Namespace(freeze=frozen)
    model = Namespace(init_args=Namespace(backbone=backbone))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        mute_what_is_meant(Namespace(model=model, ckpt_path=resumed), "fit", EFRegressor)
        warnings.warn(message, stacklevel=1)
    assert bool(caught) == said
