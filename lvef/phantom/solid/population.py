"""Who the solid phantoms are: EF, size, rhythm, clip, and what makes them hard to read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

EF_QUARTERS = ((10.0, 30.0), (30.0, 40.0), (40.0, 55.0), (55.0, 75.0))
"""Bands of EF in percent; clip `index` lies in band `index % 4`, so that each is a quarter."""
_EDV = ((195.0, 0.24), (170.0, 0.24), (130.0, 0.25), (98.0, 0.22))
"""Median of the EDV in mL in each band, and the spread of its logarithm."""
_EDV_RANGE = ((120.0, 300.0), (100.0, 280.0), (75.0, 230.0), (60.0, 150.0))
_OTHER_FPS = (25.0, 30.0, 40.0, 60.0, 75.0, 80.0)

KINDS = {
    "haze": 0.18,
    "thick hazy wall": 0.15,
    "faint lateral wall": 0.28,
    "bright papillary muscles": 0.2,
    "trabeculated": 0.2,
    "false tendon": 0.15,
    "apical dropout": 0.18,
    "bright near field": 0.18,
    "apex at the top": 0.15,
    "foreshortened": 0.2,
    "off plane": 0.2,
    "shadow": 0.15,
    "regional": 0.22,
    "weak beat": 0.14,
    "arrhythmia": 0.1,
}
"""What makes a clip hard, and the probability of each, independent of one another."""


@dataclass(frozen=True)
class SolidPatient:
    """One phantom's physiology and acquisition.

    Attributes:
        ef: EF in percent that a reader's contours of the image plane give, by disks.
        end_diastolic_volume: EDV of the whole cavity, trabeculae included, in mL.
        heart_rate: Beats a minute.
        fps: Frames a second.
        num_frames: Frames in the clip.
        kinds: What makes the clip hard, names from `KINDS` in their order.
    """

    ef: float
    end_diastolic_volume: float
    heart_rate: float
    fps: float
    num_frames: int
    kinds: tuple[str, ...]

    @property
    def arrhythmia(self) -> bool:
        """Whether beats differ in length and have no atrial kick."""
        return "arrhythmia" in self.kinds

    @property
    def weak_beat(self) -> bool:
        """Whether one beat is weaker than its neighbours."""
        return "weak beat" in self.kinds


def sample_patient(index: int, rng: np.random.Generator) -> SolidPatient:
    """Draw one patient.

    Low EF goes with dilated ventricles. The clip is long enough for a whole systole.

    Args:
        index: Number of the clip, which says its band of EF.
        rng: Source of randomness.
    """
    band = index % len(EF_QUARTERS)
    median, spread = _EDV[band]
    volume = np.clip(median * np.exp(spread * rng.normal()), *_EDV_RANGE[band])
    kinds = tuple(kind for kind, chance in KINDS.items() if rng.random() < chance)
    fps = 50.0 if rng.random() < 0.72 else float(rng.choice(_OTHER_FPS))
    seconds = rng.uniform(1.5, 4.0)
    slowest = 60 * (2.4 if "arrhythmia" in kinds else 1.7) / seconds
    heart_rate = max(float(np.clip(rng.normal(74, 14), 48, 115)), slowest)
    return SolidPatient(
        ef=float(rng.uniform(*EF_QUARTERS[band])),
        end_diastolic_volume=float(volume),
        heart_rate=heart_rate,
        fps=fps,
        num_frames=round(seconds * fps),
        kinds=kinds,
    )
