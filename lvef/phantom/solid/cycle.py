"""When the heart does what: a ventricle of time-varying elastance between atrium and aorta.

The volume curve is not drawn: it is what a pump does whose stiffness follows the double-Hill
curve of Stergiopulos et al., *Am J Physiol* 270:H2050 (1996), fed by an atrium through a valve
and emptied through another into a two-element windkessel. Isovolumic phases, rapid filling,
diastasis, the atrial kick and the weaker beat after a short pause all follow.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from lvef.phantom.solid.population import SolidPatient

_STEP = 0.002
_WARM_UP = 4
_ATRIAL_LEAD, _ATRIAL_WIDTH = 0.17, 0.15
"""Seconds from the atrium's contraction to the ventricle's, and how long it lasts."""


@dataclass(frozen=True)
class Cycle:
    """The heart at every frame, `(num_frames,)` float64, and its beats.

    Attributes:
        emptying: 0 at the median beat's end-diastole, 1 at its end-systole.
        mitral: Openness of the mitral valve, 0 to 1.
        ed_seconds: End-diastole of each beat, in seconds of the clip; may lie outside of it.
        es_seconds: End-systole of the same beats.
    """

    emptying: NDArray[np.float64]
    mitral: NDArray[np.float64]
    ed_seconds: NDArray[np.float64]
    es_seconds: NDArray[np.float64]

    def phase(self, fps: float) -> NDArray[np.float64]:
        """Return 0 at ED, rising to 0.5 at ES and to 1 at the next ED, for every frame."""
        moments = np.stack([self.ed_seconds, self.es_seconds], axis=1).ravel()
        turns = np.arange(len(moments)) / 2
        return np.asarray(np.interp(np.arange(len(self.emptying)) / fps, moments, turns) % 1.0)


def sample_cycle(patient: SolidPatient, rng: np.random.Generator) -> Cycle:
    """Draw the beats of a clip and run the pump through them.

    Args:
        patient: Heart rate, rhythm, frame rate and length of the clip.
        rng: Source of randomness.
    """
    lengths, force = _beats(patient, rng)
    onsets = np.concatenate([[0.0], np.cumsum(lengths)])
    first = onsets[_WARM_UP] + rng.uniform(0, 1) * lengths[_WARM_UP]
    fibrillating = patient.arrhythmia
    volume, inflow = _pump(onsets, lengths, force, fibrillating, rng)
    time = np.arange(len(volume)) * _STEP
    ed, es = _moments(volume, onsets)
    # What is said of the patient is true of the beats that the clip shows.
    end = first + patient.num_frames / patient.fps
    shown = (time[es] > first) & (time[es] < end)
    shown = shown if shown.any() else np.ones(len(ed), bool)
    full, empty = np.median(volume[ed[shown]]), np.median(volume[es[shown]])
    frames = first + np.arange(patient.num_frames) / patient.fps
    emptying = np.interp(frames, time, (full - volume) / (full - empty))
    return Cycle(
        emptying=emptying,
        mitral=np.interp(frames, time, _openness(inflow)),
        ed_seconds=time[ed] - first,
        es_seconds=time[es] - first,
    )


def _beats(
    patient: SolidPatient, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return lengths in seconds and relative force of beats that outlast the clip."""
    length = 60 / patient.heart_rate
    count = _WARM_UP + 4 + int(np.ceil(2.2 * patient.num_frames / patient.fps / length))
    spread = 0.2 if patient.arrhythmia else 0.02
    lengths = length * np.clip(1 + spread * rng.normal(size=count), 0.62, 1.6)
    force = np.clip(1 + 0.02 * rng.normal(size=count), 0.9, 1.1)
    if patient.weak_beat:
        place = _WARM_UP + 1 + int(rng.integers(2))
        early = rng.uniform(0.62, 1.0)
        lengths[place - 1] *= early
        lengths[place] *= 2 - early
        force[place] *= rng.uniform(0.45, 0.8)
        force[place + 1] *= rng.uniform(1.0, 1.12)
    return lengths, force


def _pump(
    onsets: NDArray[np.float64],
    lengths: NDArray[np.float64],
    force: NDArray[np.float64],
    fibrillating: bool,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return ventricular volume in mL and mitral flow in mL / s at every step.

    Explicit Euler; pressures in mmHg, elastances in mmHg / mL, resistances in mmHg s / mL.
    """
    strongest, passive = rng.uniform(2.0, 3.2), rng.uniform(0.05, 0.1)
    venous, kick = rng.uniform(11.0, 16.0), 0.0 if fibrillating else rng.uniform(0.12, 0.4)
    mitral, aortic, arterial = rng.uniform(0.015, 0.032), 0.07, rng.uniform(0.6, 1.1)
    compliance, veins, pace = (
        rng.uniform(1.0, 1.6),
        rng.uniform(0.06, 0.12),
        rng.uniform(0.62, 0.78),
    )
    steps = int(onsets[-1] / _STEP)
    stiffness, atrial = np.full(steps, passive), np.full(steps, 0.16)
    for onset, length, strength in zip(onsets, lengths, force, strict=False):
        since = np.arange(steps) * _STEP - onset
        own = (since >= 0) & (since < length)
        stiffness[own] += strength * (strongest - passive) * _double_hill(since[own], length, pace)
        lead = since + _ATRIAL_LEAD
        active = (lead > 0) & (lead < _ATRIAL_WIDTH)
        atrial[active] += kick * np.sin(np.pi * lead[active] / _ATRIAL_WIDTH) ** 2
    ventricle, atrium, aorta = 110.0, 60.0, 80.0
    volume, inflow = np.empty(steps), np.empty(steps)
    for i, (hard, squeezed) in enumerate(zip(stiffness.tolist(), atrial.tolist(), strict=True)):
        inside, above = hard * (ventricle - 10.0), squeezed * (atrium - 15.0)
        filling = max(0.0, (above - inside) / mitral)
        ejected = max(0.0, (inside - aorta) / aortic)
        volume[i], inflow[i] = ventricle, filling
        ventricle += _STEP * (filling - ejected)
        atrium += _STEP * ((venous - above) / veins - filling)
        aorta += _STEP * (ejected - aorta / arterial) / compliance
    return volume, inflow


def _double_hill(since: NDArray[np.float64], length: float, pace: float) -> NDArray[np.float64]:
    """Return the normalised elastance `(n,)` at times since the beat's onset, in seconds.

    Systole shortens with the square root of the beat's length, as Bazett found of the QT time.
    """
    time = since / (pace * np.sqrt(length / 0.8))
    rise = (time / 0.303) ** 1.32
    fall = (time / 0.508) ** 21.9
    return np.asarray(1.672 * rise / (1 + rise) / (1 + fall))


def _moments(
    volume: NDArray[np.float64], onsets: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the steps at which each beat is fullest, and at which it is emptiest."""
    ed, es = [], []
    for onset, after in pairwise(onsets[1:]):
        start, end = round((onset - 0.06) / _STEP), round((onset + 0.12) / _STEP)
        full = start + int(np.argmax(volume[start:end]))
        end = min(round((onset + 0.62 * np.sqrt(after - onset)) / _STEP), round(after / _STEP))
        ed.append(full)
        es.append(full + int(np.argmin(volume[full:end])))
    return np.array(ed), np.array(es)


def _openness(inflow: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far flow pushes the leaflets apart, 0 to 1; they float between the two waves."""
    pushed = np.sqrt(inflow / np.percentile(inflow, 99.5)).clip(0, 1)
    spread = round(0.02 / _STEP)
    window = np.hanning(2 * spread + 1)
    return np.asarray(np.convolve(pushed, window / window.sum(), mode="same"))
