"""Organs that are no heart: liver, kidney, a carotid artery, and lung."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lvef.phantom.views.place import Place
from lvef.phantom.views.rendered import Rendered, sample_timing
from lvef.phantom.views.speckle import Array2D, Motion, Scene, Tissue, sample_array
from lvef.streams import Use

Array = NDArray[np.float64]
Drawn = tuple[Scene, Motion]


def organ(place: Place, name: str, shape: str) -> Rendered:
    """Return a clip of an organ.

    Args:
        place: Where its random numbers are.
        name: `liver`, `kidney`, `carotid` or `lung`.
        shape: Of the probe, see `Array2D`.
    """
    rng = place.stream(Use.VIEW_CLIP)
    array, timing = sample_array(shape, rng), sample_timing(rng)
    scene, motion = _ORGANS[name](array, rng)
    tissue = Tissue(array, scene, motion, place.stream(Use.VIEW_TISSUE))
    return Rendered(place, timing, tissue.frame)


def _waves(rng: np.random.Generator, size: float) -> Callable[[Array, Array], Array]:
    """Return a smooth random field of x and y in mm, of mean 0 and variance 1 or so."""
    angle, phase = rng.uniform(0, 2 * np.pi, (2, 9))
    length = size * np.exp(0.3 * rng.normal(size=9))

    def field(x: Array, y: Array) -> Array:
        waves = [
            np.cos(2 * np.pi * (x * np.cos(a) + y * np.sin(a)) / n + p)
            for a, n, p in zip(angle, length, phase, strict=True)
        ]
        return np.asarray(np.sum(waves, axis=0) * np.sqrt(2 / 9))

    return field


def _breathing(rng: np.random.Generator, reach: float) -> Motion:
    """Return slow motion of all tissue, with the small one that every pulse gives."""
    period, start, share = rng.uniform(2.5, 6), rng.uniform(0, 6.3), rng.uniform(0, 1)
    pulse, small = rng.uniform(0.6, 1.1), rng.uniform(0, 0.8)
    angle = rng.uniform(-0.6, 0.6)

    def motion(x: Array, y: Array, seconds: float) -> tuple[Array, Array]:
        way = reach * share * np.sin(2 * np.pi * seconds / period + start)
        beat = small * np.exp(-(((seconds / pulse) % 1 - 0.2) ** 2) / 0.02)
        return np.full(x.shape, way * np.cos(angle)), np.full(y.shape, way * np.sin(angle) + beat)

    return motion


def _tube(x: Array, y: Array, start: Array, stop: Array, ends: tuple[float, float]) -> Array:
    """Return how far points are off a straight vessel that narrows, in mm; negative inside."""
    line = stop - start
    along = np.clip(((x - start[0]) * line[0] + (y - start[1]) * line[1]) / (line @ line), 0, 1)
    aside = np.hypot(x - start[0] - along * line[0], y - start[1] - along * line[1])
    return np.asarray(aside - (ends[0] + (ends[1] - ends[0]) * along))


def _liver(array: Array2D, rng: np.random.Generator) -> Drawn:
    """Even tissue with veins without a wall, portal veins with bright ones, and the diaphragm."""
    deep = array.depth
    texture, level = _waves(rng, 14), rng.uniform(0.5, 1.0)
    hub = np.array([rng.uniform(-25, 25), deep * rng.uniform(0.5, 0.8)])
    vessels = []
    for _ in range(int(rng.integers(3, 8))):
        angle = rng.uniform(-2.6, -0.5)
        stop = hub + rng.uniform(0.3, 0.6) * deep * np.array([np.cos(angle), np.sin(angle)])
        start = hub + rng.normal(0, 6, 2)
        wide = float(rng.uniform(3, 6.5))
        bright = float(rng.choice([0.0, rng.uniform(1.5, 3)]))
        vessels.append((start, stop, (wide, wide * rng.uniform(0.2, 0.5)), bright))
    centre, curve = rng.uniform(-30, 30), deep * rng.uniform(0.8, 0.97)
    bend = rng.uniform(0.001, 0.004)
    layers = rng.uniform(9, 20)

    def scene(x: Array, y: Array) -> Array:
        amplitude = level * np.exp(0.2 * texture(x, y))
        for start, stop, ends, bright in vessels:
            off = _tube(x, y, start, stop, ends)
            amplitude = np.where((off < 1.4) & (off >= 0) & (bright > 0), bright, amplitude)
            amplitude = np.where(off < 0, 0.0, amplitude)
        border = curve - bend * (x - centre) ** 2
        amplitude = np.where(np.abs(y - border) < 1.3, 3.0, amplitude)
        amplitude = np.where(y > border + 1.3, 0.3 * amplitude, amplitude)
        wall = 0.9 * (1 + 0.7 * np.sin(2 * np.pi * y / 5))
        return np.asarray(np.where(y < layers, wall, amplitude))

    return scene, _breathing(rng, 9)


def _kidney(array: Array2D, rng: np.random.Generator) -> Drawn:
    """A bean with a dark rim and a bright middle, in liver or spleen."""
    deep, angle = array.depth, rng.uniform(-0.5, 0.5)
    middle = np.array([rng.uniform(-12, 12), deep * rng.uniform(0.42, 0.6)])
    half = np.array([rng.uniform(46, 58), rng.uniform(20, 27)])
    texture, outer, rim = _waves(rng, 12), rng.uniform(0.5, 1.0), rng.uniform(0.3, 0.55)
    sinus, core = rng.uniform(1.2, 2.4), rng.uniform(0.4, 0.52)
    pyramids = rng.uniform(0, 6.3)

    def scene(x: Array, y: Array) -> Array:
        right, down = x - middle[0], y - middle[1]
        a = (right * np.cos(angle) + down * np.sin(angle)) / half[0]
        b = (down * np.cos(angle) - right * np.sin(angle)) / half[1]
        b = b + 0.25 * (a**2 - 0.3)
        share = np.hypot(a, b)
        ripple = np.exp(0.2 * texture(x, y))
        dark = (share < 0.85) & (np.cos(8 * np.arctan2(b, a) + pyramids) > 0.2)
        amplitude = np.where(share < 1, np.where(dark, 0.55, 1.0) * rim, outer) * ripple
        amplitude = np.where((share >= 1) & (share < 1.04), 1.8, amplitude)
        inside = share < core * (1 + 0.15 * texture(2 * x, 2 * y))
        return np.asarray(np.where(inside, sinus * ripple, amplitude))

    return scene, _breathing(rng, 12)


def _carotid(array: Array2D, rng: np.random.Generator) -> Drawn:
    """A vessel along or across with bright walls that pulses, under layers of muscle."""
    deep = array.depth
    middle, slope = deep * rng.uniform(0.42, 0.62), rng.uniform(-0.12, 0.12)
    radius, wall = rng.uniform(2.6, 4.0), rng.uniform(0.6, 1.1)
    round_ = rng.random() < 0.3
    layer, texture = rng.uniform(2.5, 5), _waves(rng, 6)
    vein = middle - radius - rng.uniform(4, 7), rng.uniform(2, 5)
    rate, depth = rng.uniform(0.6, 1.1), rng.uniform(0.15, 0.6)
    start = rng.uniform(0, 1)

    def off(x: Array, y: Array) -> Array:
        line = y - middle - slope * x
        return np.asarray(np.hypot(x - 2, line) if round_ else np.abs(line))

    def scene(x: Array, y: Array) -> Array:
        waves = np.sin(2 * np.pi * (y + 0.08 * x) / layer + texture(x, y))
        amplitude = 0.5 * np.exp(0.7 * waves)
        distance = off(x, y)
        amplitude = np.where((distance > radius) & (distance < radius + wall), 3.0, amplitude)
        lumen = np.hypot((x - 3) / 2.0, y - vein[0]) < vein[1] if round_ else distance < radius
        return np.asarray(np.where(lumen | (distance < radius), 0.01, amplitude))

    def motion(x: Array, y: Array, seconds: float) -> tuple[Array, Array]:
        phase = (seconds / rate + start) % 1
        pulse = depth * np.minimum(phase / 0.12, 1) * np.exp(-3 * np.maximum(phase - 0.12, 0))
        line = y - middle - slope * x
        return 0 * x, pulse * np.tanh(line / radius) * np.exp(-np.abs(line) / 12)

    return scene, motion


def _lung(_: Array2D, rng: np.random.Generator) -> Drawn:
    """The pleura, its echoes at even distances below it, and shadows of ribs."""
    pleura, texture = rng.uniform(14, 26), _waves(rng, 8)
    ribs = rng.uniform(18, 28), rng.uniform(-8, 8)
    comets = rng.uniform(-40, 40, int(rng.integers(0, 3)))

    def scene(x: Array, y: Array) -> Array:
        amplitude = 0.7 * (1 + 0.7 * np.sin(2 * np.pi * y / 4 + texture(x, y)))
        below = y > pleura
        air = 0.18 * np.exp(-(y - pleura) / 60)
        number = np.round(y / pleura)
        lines = np.exp(-(((y - number * pleura) / 0.9) ** 2)) * 2.6 / np.maximum(number, 1) ** 1.3
        amplitude = np.where(below, air + lines, amplitude)
        amplitude = np.where(np.abs(y - pleura) < 1.2, 3.0, amplitude)
        for comet in comets:
            amplitude = amplitude + 0.6 * below * np.exp(-(((x - comet) / 2.0) ** 2))
        beside = np.abs(np.abs(x - ribs[1]) - ribs[0]) < 5
        behind = beside & (y > pleura - 7)
        return np.asarray(np.where(behind, 0.05, amplitude))

    return scene, _breathing(rng, 3)


_ORGANS: dict[str, Callable[[Array2D, np.random.Generator], Drawn]] = {
    "liver": _liver,
    "kidney": _kidney,
    "carotid": _carotid,
    "lung": _lung,
}
