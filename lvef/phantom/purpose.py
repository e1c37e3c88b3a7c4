"""What phantoms are for: no heart that teaches is ever one that judges, whatever the seeds."""

from __future__ import annotations

from enum import IntEnum


class Purpose(IntEnum):
    """What phantoms are drawn for. The same seed gives every purpose hearts of its own.

    A split is one, so that a folder's TEST holds none of the hearts that another folder of the
    same seed has in TRAIN, whatever their sizes.
    """

    LOOK = 0
    """To be looked at: of no folder, teaching and judging nothing."""
    TRAIN = 1
    VAL = 2
    TEST = 3
    PRETRAINING = 4
    """Backbones learn from them."""
    SEGMENTER = 5
    """LV segmenters learn from them."""
    JUDGES = 6
    """LV segmenters are compared on them."""
    CALIBRATION = 7
    """The geometry of a segmenter to be shipped is calibrated on them."""
    MODEL_CARD = 8
    """Such a segmenter is measured on them."""
    VIEWS = 9
    """Heads that tell views learn from them."""
    VIEWS_CHOICE = 10
    """The thresholds of such heads are chosen on them."""
    VIEWS_JUDGES = 11
    """What such a head lets through is counted on them."""


TEACHING = (Purpose.TRAIN, Purpose.PRETRAINING, Purpose.SEGMENTER, Purpose.VIEWS)
"""What something learns from; the others choose, calibrate or judge."""
