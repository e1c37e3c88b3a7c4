"""Who the phantoms are: EF, volumes, heart rate, frame rate and clip length of a population.

The marginals follow the EchoNet-Dynamic table (EF percentiles, ln EDV, frame rate, clip length)
and so do the correlations of EF with the volumes. Nothing here knows what a heart looks like:
shape depends on the end-diastolic volume and on chance, never on EF, so that an end-diastolic
frame can tell about EF no more than the volume does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.stats import norm

_EF_PROBABILITY = np.array([0.0005, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.9995])
_EF_PERCENTILE = np.array([8.0, 17.9, 27.9, 51.6, 59.2, 64.0, 69.1, 74.3, 88.0])
_EF_OF_SCORE = PchipInterpolator(norm.ppf(_EF_PROBABILITY), _EF_PERCENTILE)

# ln EDV falls with EF, steeply below a knee (dilated hearts pump badly) and gently above it.
# Slopes and scatter were fitted to mean 4.41, SD 0.44, corr(EF, ln EDV) = -0.49 and
# corr(EF, ln ESV) = -0.77; `tests/test_phantom.py` holds them to that.
_EDV_KNEE, _EDV_SLOPE_BELOW, _EDV_SLOPE_ABOVE = 55.0, -0.022, -0.008
_LOG_EDV_AT_KNEE, _LOG_EDV_SCATTER = 4.338, 0.375

# ln(frames of a clip): median 171, 1 % = 74, 99 % = 354; it spreads less above the median.
_LOG_FRAMES, _LOG_FRAMES_BELOW, _LOG_FRAMES_ABOVE = float(np.log(171)), 0.36, 0.317
_SECONDS = (1.2, 9.0)
_BEATS, _BEATS_OF_ARRHYTHMIA = 1.5, 2.6
"""Beats of the mean length that a clip holds at least: a whole systole, whenever it begins."""

_OTHER_FPS = np.array([18.0, 25.0, 30.0, 34.0, 40.0, 46.0, 55.0, 60.0, 75.0, 90.0, 138.0])


@dataclass(frozen=True)
class Patient:
    """One phantom's physiology and acquisition.

    Attributes:
        ef: Ejection fraction in percent.
        end_diastolic_volume: EDV in mL.
        heart_rate: Beats a minute.
        arrhythmia: Whether beat lengths and stroke volumes vary as in atrial fibrillation.
        fps: Frames a second.
        num_frames: Frames in the clip.
    """

    ef: float
    end_diastolic_volume: float
    heart_rate: float
    arrhythmia: bool
    fps: float
    num_frames: int

    @property
    def end_systolic_volume(self) -> float:
        """ESV in mL."""
        return self.end_diastolic_volume * (1 - self.ef / 100)


def sample_patient(rng: np.random.Generator) -> Patient:
    """Draw one patient.

    Args:
        rng: Source of randomness; the same state gives the same patient.

    Returns:
        A patient whose clip holds at least one whole beat and about five at most.
    """
    ef = float(_EF_OF_SCORE(np.clip(rng.normal(), -3.29, 3.29)))
    log_edv = (
        _LOG_EDV_AT_KNEE
        + _EDV_SLOPE_BELOW * min(ef - _EDV_KNEE, 0.0)
        + _EDV_SLOPE_ABOVE * max(ef - _EDV_KNEE, 0.0)
        + rng.normal() * _LOG_EDV_SCATTER
    )
    fps = 50.0 if rng.random() < 0.79 else float(rng.choice(_OTHER_FPS))
    score = float(np.clip(rng.normal(), -3.0, 3.0))
    frames = np.exp(_LOG_FRAMES + score * (_LOG_FRAMES_BELOW if score < 0 else _LOG_FRAMES_ABOVE))
    seconds = float(np.clip(frames / fps, *_SECONDS))
    arrhythmia = bool(rng.random() < 0.08)
    least = _BEATS_OF_ARRHYTHMIA if arrhythmia else _BEATS
    slowest, fastest = max(42.0, least * 60 / seconds), min(130.0, 5.6 * 60 / seconds)
    heart_rate = float(np.clip(70 * np.exp(0.2 * rng.normal()), slowest, max(slowest, fastest)))
    return Patient(
        ef=ef,
        end_diastolic_volume=float(np.exp(np.clip(log_edv, np.log(22.0), np.log(420.0)))),
        heart_rate=heart_rate,
        arrhythmia=arrhythmia,
        fps=fps,
        num_frames=round(seconds * fps),
    )
