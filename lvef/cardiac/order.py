"""Whether frames are in the order of a beating heart: their neighbours, and the arrow of time."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from lvef.cardiac.beats import at_heart_rates, periodicity

_THUMB, _COMPONENTS = 28, 4
_LIT = 0.8
"""Share of a clip's usual brightness from which a frame at its beginning is no fading in."""
_STEADY = 0.03
_LAGS = (0.08, 0.12, 0.2, 0.28, 0.4)
"""Seconds between the moments that are compared."""
_PARTS, _HARMONICS = 32, 6
"""Parts of the average beat, and how many of its harmonics are heard."""
_APART = range(1, _PARTS // 2, 2)
"""Parts before and after the lowest point of its first harmonic that are compared."""
ASYMMETRIES = 2 + 2 * len(_LAGS) + _HARMONICS - 1 + len(_APART)


def thumbnails(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return small pictures `(T, 784)` of frames `(T, H, W)`, in which speckle is averaged."""
    size = (_THUMB, _THUMB)
    small = [cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames]
    return np.stack(small).astype(np.float32).reshape(len(frames), -1)


def first_lit(pictures: NDArray[np.float32]) -> int:
    """Return the first of `(T, n)` pictures that is about as bright as most: a clip may fade in."""
    level = pictures.mean(1)
    return int(np.argmax(level >= _LIT * np.median(level)))


def disorder(frames: NDArray[np.uint8]) -> float:
    """Return how little frames have to do with those after them: about 2 in random order.

    The ratio of von Neumann (1941), of the principal component over time in which it is lowest: the
    mean square of the step from one frame to the next, by the variance. A heart at 25 frames a
    second has 0.5 at most.

    Args:
        frames: `(T, H, W)` grey frames.

    Returns:
        0 where nothing changes.
    """
    small = thumbnails(frames)
    small = small[first_lit(small) :]
    if len(small) < 3:
        return 0.0
    left, values, _ = np.linalg.svd(small - small.mean(0), full_matrices=False)
    left = left[:, :_COMPONENTS][:, values[:_COMPONENTS] > 1e-3 * len(small)]
    if not left.size:
        return 0.0
    left = left - left.mean(0)
    ratios = np.square(np.diff(left, axis=0)).sum(0) / np.square(left).sum(0)
    return float(ratios.min())


def jump(loop: NDArray[np.uint8]) -> float:
    """Return how far it is from the last frame of a loop to its first, against its other steps.

    By the principal components over time: 1 is the step that nine in ten do not reach.

    Args:
        loop: `(T, H, W)` grey frames.
    """
    small = thumbnails(loop)
    left, values, _ = np.linalg.svd(small - small.mean(0), full_matrices=False)
    places = (left * values)[:, :_COMPONENTS]
    steps = np.linalg.norm(np.diff(places, axis=0), axis=1)
    usual = float(np.percentile(steps, 90)) if len(steps) else 0.0
    return float(np.linalg.norm(places[0] - places[-1])) / usual if usual > 0 else 0.0


def asymmetries(curve: NDArray[np.float64], fps: float) -> NDArray[np.float64]:
    """Return numbers `(ASYMMETRIES,)` that change their sign where time runs backwards.

    A ventricle empties in a third of a second and fills in the rest of the beat, first quickly:
    they tell the skewness of its changes over some times, products of the third order of moments
    that lie as far apart, and for how much of the time it fills; and of the average beat how far
    its harmonics run ahead of the first one, and how much fuller it is after the lowest point of
    that one than before.

    Args:
        curve: `(T,)` how full the ventricle is, in any unit.
        fps: Frames a second.

    Returns:
        0 where the curve does not change, NaN where some of it is not known.
    """
    if not np.isfinite(curve).all():
        return np.full(ASYMMETRIES, np.nan)
    band = gaussian_filter1d(at_heart_rates(np.asarray(curve, np.float64), fps), _STEADY * fps)
    size = float(band.std())
    if len(band) < 3 or size <= 0:
        return np.zeros(ASYMMETRIES)
    band = (band - band.mean()) / size
    speed = np.gradient(band)
    told = [_skewness(speed), float((speed > 0).mean() - (speed < 0).mean())]
    for lag in _LAGS:
        apart = max(round(lag * fps), 1)
        if apart >= len(band):
            told += [0.0, 0.0]
            continue
        now, before = band[apart:], band[:-apart]
        told += [_skewness(now - before), float(np.mean(now**2 * before - now * before**2))]
    return np.concatenate([told, _of_average_beat(band, periodicity(curve, fps)[0] * fps)])


def _of_average_beat(band: NDArray[np.float64], period: float) -> NDArray[np.float64]:
    """Return asymmetries of the average beat of a curve, by its period in frames."""
    phases = (np.arange(len(band)) - (len(band) - 1) / 2) / period % 1 * _PARTS
    before = np.floor(phases).astype(int)
    places = np.concatenate([before, before + 1]) % _PARTS
    shares = np.concatenate([1 - (phases - before), phases - before])
    weights = np.bincount(places, shares, _PARTS)
    known, every = np.flatnonzero(weights > 1e-6), np.arange(_PARTS)
    sums = np.bincount(places, shares * np.tile(band, 2), _PARTS)
    beat = np.interp(every, known, sums[known] / weights[known], period=_PARTS)
    waves = np.fft.fft(beat)[1 : _HARMONICS + 1]
    size = abs(waves[0]) + 1e-9
    ahead = (waves * np.conj(waves[0] / size) ** np.arange(1, _HARMONICS + 1))[1:].imag / size
    emptiest = (np.pi - np.angle(waves[0])) / (2 * np.pi) * _PARTS
    since = np.interp(every + emptiest, every, beat, period=_PARTS)
    return np.concatenate([ahead, [since[n] - since[-n] for n in _APART]])


def _skewness(changes: NDArray[np.float64]) -> float:
    return float(np.mean(changes**3) / (np.mean(changes**2) ** 1.5 + 1e-9))
