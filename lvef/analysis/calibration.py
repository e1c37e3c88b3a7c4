"""What the geometry is worth: EF by motion and by contours against the true one."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from lvef.errors import WeightsError
from lvef.evaluation.correction import Kind, learn_correction, out_of_fold, scores_of_both
from lvef.evaluation.uncertainty import LEVEL, conformal_quantile, normal_reach

_LEAST_STD = 1e-6


@dataclass(frozen=True)
class GeometryCalibration:
    """What phantoms taught about the geometry; it travels with the segmenter's weights.

    Labelled clips of a user may have moved it, see `recalibrated`.

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
    shift: float = 0.0

    @classmethod
    def read(cls, text: str) -> GeometryCalibration:
        """Return what is written with weights, as JSON.

        Raises:
            WeightsError: It was written by another version, or is damaged.
        """
        try:
            values = json.loads(text)
            if "motion" in values:  # weights of before had no contrast
                a, b, *c = map(float, values["motion"])
                values["motion"] = (a, b, *(c or [0.0]))
            if "contours" in values:
                values["contours"] = (float(values["contours"][0]), float(values["contours"][1]))
            for name in set(values) - {"motion", "contours"}:
                values[name] = float(values[name])
            found = cls(**values)
        except (ValueError, TypeError, IndexError, OverflowError) as error:
            raise WeightsError(f"segmenter weights of another version: {text}") from error
        found.check()
        return found

    def check(self) -> None:
        """Refuse constants that no calibration makes.

        Raises:
            WeightsError: One is no finite number, or a standard deviation, a reach or a share is
                none.
        """
        for name, value in asdict(self).items():
            if not np.all(np.isfinite(value)):
                wrong = "is not finite"
            elif name in ("std", "reach") and value < 0:
                wrong = "is below 0"
            elif name == "trust" and not 0 <= value <= 1:
                wrong = "is no share from 0 to 1"
            else:
                continue
            raise WeightsError(
                f"segmenter weights whose calibration is damaged ({name} is {value}, which "
                f"{wrong}): take them from where they came once more"
            )

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
        mixed = self.trust * motion + (1 - self.trust) * contours + self.shift
        return float(np.clip(mixed, 0.0, 95.0))

    def recalibrated(
        self,
        ef: ArrayLike,
        ef_true: ArrayLike,
        spread: ArrayLike,
        beat_ef: ArrayLike,
        correction: Kind,
    ) -> GeometryCalibration:
        """Return what labelled clips make of it: the same shape, scaled and shifted, a new reach.

        Errors for the reach are out of fold: each clip's EF is moved by what the others taught. It
        holds of clips and of single beats at `LEVEL`.

        Args:
            ef: `(n,)` geometric EF of clips in percent, by these constants.
            ef_true: `(n,)` the truth.
            spread: `(n,)` standard deviation of EF between the beats of each clip.
            beat_ef: `(n,)` EF of one beat of each clip, taken at random.
            correction: How EF may be moved; see `learn_correction`.
        """
        found, truth = np.asarray(ef, np.float64), np.asarray(ef_true, np.float64)
        learned = learn_correction(found, truth, correction)
        slope, moved = learned.slope, out_of_fold(found, truth, correction)
        errors = np.abs(moved - truth)
        std = max(float(np.sqrt(np.mean(errors**2))), _LEAST_STD)
        of_beats = np.abs(moved + slope * (np.asarray(beat_ef) - found) - truth) / std
        of_clips = errors / np.hypot(std, slope * np.asarray(spread))
        a, b, c = self.motion
        return replace(
            self,
            motion=(slope * a, slope * b, slope * c),
            contours=(slope * self.contours[0], slope * self.contours[1]),
            std=std,
            reach=conformal_quantile(scores_of_both(of_clips, of_beats), LEVEL),
            shift=slope * self.shift + learned.offset,
        )
