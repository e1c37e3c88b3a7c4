"""What the geometry is worth: EF by motion and by contours against the true one."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np

from lvef.errors import WeightsError
from lvef.evaluation.metrics import normal_reach
from lvef.evaluation.uncertainty import LEVEL


@dataclass(frozen=True)
class GeometryCalibration:
    """What phantoms taught about the geometry; it travels with the segmenter's weights.

    Attributes:
        motion: What EF by motion is worth, `(a, b, c)` of x (a + b x / 100 + c s) with x in percent
            and s the contrast of the edge, see `edge_contrast`: optical flow underestimates EF,
            and the more the less of the edge is seen.
        contours: What the EF between two contours is worth, `(a, b)` of x (a + b x / 100).
        trust: Share of the EF by motion in the geometric EF, 0 to 1.
        std: Standard deviation of the geometric EF's error in percent, on the worst population.
        reach: Standard deviations on either side of the geometric EF within which the true one
            lies with probability `LEVEL`: the largest conformal quantile of any population.
    """

    motion: tuple[float, float, float] = (1.35, 0.0, 0.0)
    contours: tuple[float, float] = (1.0, 0.0)
    trust: float = 0.6
    std: float = 8.0
    reach: float = float(normal_reach(LEVEL))

    @classmethod
    def read(cls, text: str) -> GeometryCalibration:
        """Return what is written with weights, as JSON.

        Raises:
            WeightsError: It was written by another version.
        """
        try:
            values = json.loads(text)
            if "motion" in values:  # weights of before had no contrast
                a, b, *c = map(float, values["motion"])
                values["motion"] = (a, b, *(c or [0.0]))
            if "contours" in values:
                values["contours"] = (float(values["contours"][0]), float(values["contours"][1]))
            return cls(**values)
        except (ValueError, TypeError, IndexError) as error:
            raise WeightsError(f"segmenter weights of another version: {text}") from error

    def both(self, by_motion: float, by_contours: float, contrast: float) -> tuple[float, float]:
        """Return EF by motion and by contours in percent, calibrated."""
        a, b, c = self.motion
        d, e = self.contours
        return (
            by_motion * (a + b * by_motion / 100 + c * contrast),
            by_contours * (d + e * by_contours / 100),
        )

    def combined(self, by_motion: float, by_contours: float, contrast: float) -> float:
        """Return the geometric EF in percent."""
        motion, contours = self.both(by_motion, by_contours, contrast)
        return float(np.clip(self.trust * motion + (1 - self.trust) * contours, 0.0, 95.0))
