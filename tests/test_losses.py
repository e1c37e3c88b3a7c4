"""Losses by value: their signs, their weights, and where they are least."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from lvef.models import EFClassifier
from lvef.models.options import BackboneOptions
from lvef.models.segmentation.loss import segmentation_loss


def half_traced(size: int = 16) -> Tensor:
    """Return a mask of two pictures: the left half of each is the ventricle."""
    mask = torch.zeros(2, size, size, dtype=torch.uint8)
    mask[:, :, : size // 2] = 1
    return mask


def sure(mask: Tensor, odds: float = 30.0) -> Tensor:
    """Return logits at half the size of a mask that have no doubt of it."""
    return odds * (2 * functional.avg_pool2d(mask.float()[:, None], 2)[:, 0] - 1)


def test_a_right_mask_costs_nothing_and_a_wrong_one_all_of_both_terms():
    mask = half_traced()
    assert float(segmentation_loss(sure(mask), mask)) == pytest.approx(0, abs=1e-5)
    wrong = float(segmentation_loss(sure(1 - mask), mask))
    # Cross-entropy is the odds; Dice is 0 but for the one that keeps it from dividing by nothing.
    assert wrong == pytest.approx(30 + 1 - 1 / 65, abs=1e-4)


def test_not_knowing_costs_a_bit_and_what_dice_says_of_it():
    mask = half_traced()
    # 32 of 64 pixels are the ventricle: the overlap is 2 x 16, the sizes are 32 and 32.
    expected = math.log(2) + 1 - (2 * 16 + 1) / (32 + 32 + 1)
    assert float(segmentation_loss(torch.zeros(2, 8, 8), mask)) == pytest.approx(expected)


def test_less_of_the_ventricle_costs_more_and_each_picture_counts_alike():
    mask = half_traced()
    parts = []
    for width in range(5):
        logits = torch.full((2, 8, 8), -4.0)
        logits[:, :, :width] = 4.0
        parts.append(float(segmentation_loss(logits, mask)))
    assert parts == sorted(parts, reverse=True)
    one, other = (segmentation_loss(sure(m), half_traced()[:1]) for m in (mask[:1], 1 - mask[:1]))
    both = segmentation_loss(torch.cat([sure(mask[:1]), sure(1 - mask[:1])]), mask)
    assert float(both) == pytest.approx((float(one) + float(other)) / 2, rel=1e-5)


def test_both_terms_teach_towards_the_mask():
    """A small ventricle: cross-entropy alone would hardly notice it."""
    mask = torch.zeros(1, 32, 32, dtype=torch.uint8)
    mask[:, 8:12, 8:12] = 1
    logits = torch.full((1, 16, 16), -3.0, requires_grad=True)
    segmentation_loss(logits, mask).backward()
    inside = logits.grad[0, 4:6, 4:6]
    alone = functional.binary_cross_entropy_with_logits(
        start := torch.full((1, 16, 16), -3.0, requires_grad=True),
        functional.avg_pool2d(mask.float()[:, None], 2)[:, 0],
    )
    alone.backward()
    assert bool((inside < 0).all())
    assert bool((inside < 1.2 * start.grad[0, 4:6, 4:6]).all()), "Dice pulls the same way"


OUTPUT = torch.tensor([[2.0, 0.0], [0.0, 1.0], [0.0, 3.0]])
REDUCED = torch.tensor([0, 0, 1])
"""Right and sure, wrong, right and very sure."""


def cross_entropy(true: float, other: float) -> float:
    return math.log(1 + math.exp(other - true))


@pytest.mark.parametrize("balanced", [False, True])
def test_cross_entropy_counts_classes_as_asked(balanced):
    task = EFClassifier(
        ["ESF"], BackboneOptions(weights=None), class_weights="balanced" if balanced else None
    )
    task.take_training_statistics(np.array([30.0, 50.0, 60.0, 65.0]))
    normal, reduced = (4 / 6, 2.0) if balanced else (1.0, 1.0)
    expected = [
        normal * cross_entropy(2, 0), normal * cross_entropy(0, 1), reduced * cross_entropy(3, 0),
    ]  # fmt: skip
    loss = task.case_loss(OUTPUT, {"reduced_true": REDUCED})
    assert loss.tolist() == pytest.approx(expected, rel=1e-5)


def test_smoothed_labels_give_the_other_class_its_share():
    task = EFClassifier(["ESF"], BackboneOptions(weights=None), label_smoothing=0.2)
    loss = task.case_loss(OUTPUT, {"reduced_true": REDUCED})
    right, wrong = cross_entropy(3, 0), cross_entropy(0, 3)
    assert float(loss[2]) == pytest.approx(0.9 * right + 0.1 * wrong, rel=1e-5)
