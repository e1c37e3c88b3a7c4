"""When the heart does what: beats, the contraction curve, and the openness of the valves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from lvef.phantom.anatomy import Contraction
from lvef.phantom.population import Patient


@dataclass(frozen=True)
class Beat:
    """One beat, from end-diastole to the next end-diastole.

    Attributes:
        start: Time of end-diastole in seconds; may lie before the clip.
        systole: Time from end-diastole to end-systole in seconds.
        length: Time to the next end-diastole in seconds.
        strength: Peak contraction relative to the patient's own (1 but in arrhythmia).
        filling: Contraction left at the beat's end (0 but after a short, badly filled beat).
        initial: Contraction at the beat's start, the `filling` of the beat before.
    """

    start: float
    systole: float
    length: float
    strength: float
    filling: float
    initial: float

    @property
    def end_systole(self) -> float:
        """Time of end-systole in seconds."""
        return self.start + self.systole

    @property
    def end(self) -> float:
        """Time of the next end-diastole in seconds."""
        return self.start + self.length


@dataclass(frozen=True)
class Motion:
    """The state of the heart at every frame; all arrays are `(num_frames,)` float64.

    Attributes:
        contraction: 0 at a full ventricle, 1 at the patient's own end-systole.
        phase: 0 at ED, rising to 0.5 at ES and to 1 at the next ED.
        mitral: Openness of the mitral valve, 0 to 1.
        beats: The beats that touch the clip, in order.
        septal: Contraction of the septal side, where it lags behind; None where it does not.
    """

    contraction: NDArray[np.float64]
    phase: NDArray[np.float64]
    mitral: NDArray[np.float64]
    beats: tuple[Beat, ...]
    septal: NDArray[np.float64] | None = None

    def state(self, frame: int) -> Contraction:
        """Return the contraction of a frame, of both sides apart in a dyssynchronous heart."""
        lateral = float(self.contraction[frame])
        return lateral if self.septal is None else (float(self.septal[frame]), lateral)


def sample_motion(patient: Patient, rng: np.random.Generator, lag: float = 0.0) -> Motion:
    """Draw the beats of a clip and the state of the heart at each of its frames.

    Systole takes about a third of a second and shortens with the square root of the beat's
    length; filling has an early wave, a pause and, without arrhythmia, an atrial kick.

    Args:
        patient: Heart rate, arrhythmia, frame rate and length of the clip.
        rng: Source of randomness.
        lag: Seconds by which the septum follows the lateral wall.
    """
    early_share = 0.95 if patient.arrhythmia else rng.uniform(0.6, 0.8)
    beats = _sample_beats(patient, rng)
    time = np.arange(patient.num_frames) / patient.fps
    contraction, phase, mitral = (np.zeros(patient.num_frames) for _ in range(3))
    for beat in beats:
        inside = (time >= beat.start) & (time < beat.end)
        since = time[inside] - beat.start
        contraction[inside] = _contraction_curve(beat, early_share)(since)
        phase[inside] = np.interp(since, [0, beat.systole, beat.length], [0, 0.5, 1])
        mitral[inside] = _mitral_opening(beat, since, patient.arrhythmia)
    septal = np.interp(time - lag, time, contraction) if lag else None
    return Motion(contraction, phase, mitral, tuple(beats), septal)


def _sample_beats(patient: Patient, rng: np.random.Generator) -> list[Beat]:
    mean_length = 60.0 / patient.heart_rate
    variation = 0.2 if patient.arrhythmia else 0.015
    systole_scale = rng.uniform(0.31, 0.37)
    duration = patient.num_frames / patient.fps
    start = -mean_length * rng.uniform(0.05, 0.95)
    beats: list[Beat] = []
    strength, initial = 1.0, 0.0
    while start < duration:
        length = mean_length * float(np.clip(1 + variation * rng.normal(), 0.6, 1.6))
        # A short pause leaves the ventricle underfilled, so the next beat is smaller.
        filling = max(0.0, 0.7 * (1 - length / mean_length)) if patient.arrhythmia else 0.0
        systole = min(systole_scale * float(np.sqrt(length)), 0.6 * length)
        beats.append(Beat(start, systole, length, strength, filling, initial))
        strength = 1.0 - 0.5 * filling
        initial = filling * 0.6
        start += length
    return [
        Beat(b.start, b.systole, b.length, b.strength, b.filling * 0.6, b.initial) for b in beats
    ]


def _contraction_curve(beat: Beat, early_share: float) -> PchipInterpolator:
    isovolumic = min(0.035, 0.1 * beat.systole)
    diastole = beat.length - beat.systole
    relaxed = beat.systole + min(0.07, 0.15 * diastole)
    early_end = relaxed + min(0.17, 0.35 * diastole)
    kick = beat.length - min(0.12, 0.25 * diastole)
    peak, rest = beat.strength, beat.filling
    late = rest + (peak - rest) * (1 - early_share)
    first = beat.initial
    knots = [
        (0.0, first),
        (isovolumic, first + 0.02 * (peak - first)),
        (0.5 * (isovolumic + beat.systole), first + 0.66 * (peak - first)),
        (beat.systole, peak),
        (relaxed, peak - 0.02 * (peak - late)),
        (early_end, late + 0.12 * (peak - late)),
        (kick, late),
        (beat.length, rest),
    ]
    return PchipInterpolator(*np.array(knots).T)


def _mitral_opening(
    beat: Beat, since: NDArray[np.float64], arrhythmia: bool
) -> NDArray[np.float64]:
    diastole = beat.length - beat.systole
    opening = beat.systole + min(0.07, 0.15 * diastole)
    early = np.exp(-(((since - opening - 0.25 * diastole) / (0.16 * diastole)) ** 2))
    late = np.exp(-(((since - beat.length + 0.15 * diastole) / (0.08 * diastole)) ** 2))
    rest = 0.35 * ((since > opening + 0.2 * diastole) & (since < beat.length - 0.1 * diastole))
    openness = np.maximum(np.maximum(early, 0.0 if arrhythmia else 0.7 * late), rest)
    return np.asarray(np.where(since > opening, openness, 0.0))
