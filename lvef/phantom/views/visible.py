"""How much of the left ventricle's border a reader of a four-chamber phantom could see.

A picture in which no border is seen cannot be measured by anybody. The phantom's own tracing says
where the border is, and grey levels on both sides of it say how well it shows, segment by segment
(those of Lang et al., J Am Soc Echocardiogr 2015). Nothing that was learned takes part, so that
what was can be judged apart on pictures with a border and without.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from lvef.errors import ConfigurationError
from lvef.phantom.views.clip import ViewClip
from lvef.phantom.views.dress import Dressed
from lvef.phantom.views.four_chamber import FourChamber

SEGMENTS = (
    "basal inferoseptal", "mid inferoseptal", "apical septal",
    "apical lateral", "mid anterolateral", "basal anterolateral",
)  # fmt: skip
"""Segments of the border in the four-chamber view, around from the septal annulus."""
SEEN = 0.76
"""How often a pixel of the wall is brighter than one of the blood, at least, where a border is
seen: two distributions that lie one standard deviation apart (d' = 1)."""
_BLOOD, _WALL = (0.5, 1.5, 2.5, 3.5), (3.0, 4.0, 5.0, 6.0)
"""Pixels within the tracing where blood is looked at, and outside of it where the wall is: between
them lies the edge, which readers stay inside of."""
_ALONG = 8
"""Places along each segment."""
_FRAMES = 8
"""Frames of a clip that are looked at."""


def segments_seen(clip: ViewClip) -> int | None:
    """Return how many of six segments of the border are seen, at `SEEN`; None without a tracing."""
    return int((border_seen(clip) >= SEEN).sum()) if _traced(clip) else None


def border_seen(clip: ViewClip) -> NDArray[np.float64]:
    """Return how well each segment of the border is seen in a four-chamber phantom.

    Args:
        clip: An upright four-chamber view in its own order, and not after black frames.

    Returns:
        `(6,)` in the order of `SEGMENTS`: the chance that a pixel of the wall is brighter than one
        of the blood beside it (area under the curve), mean of some frames. 0.5 where the two look
        alike, as outside of the sector.

    Raises:
        ConfigurationError: The clip's kind has no tracing.
    """
    traced = _traced(clip)
    if traced is None:
        raise ConfigurationError(f"a clip of {clip.kind!r} has no tracing")
    dressed, heart = traced
    frames = np.unique(np.linspace(0, clip.num_frames - 1, _FRAMES).round().astype(int))
    shown = clip.frames([int(frame) for frame in frames])
    told = []
    for frame, picture in zip(frames, shown, strict=True):
        chords = heart.tracing(int(frame))[1:]
        borders = [dressed.placed(chords[:, :2]), dressed.placed(chords[:, 2:])]
        told.append(_segments(picture, *borders))
    return np.asarray(np.mean(told, axis=0))


def _traced(clip: ViewClip) -> tuple[Dressed, FourChamber] | None:
    """Return a clip as an archive keeps it and what its tracing is of; None where there is none."""
    dressed = clip.clip
    if isinstance(dressed, Dressed) and isinstance(dressed.inner, FourChamber):
        return dressed, dressed.inner
    return None


def _segments(
    picture: NDArray[np.uint8], septal: NDArray[np.float64], lateral: NDArray[np.float64]
) -> list[float]:
    """Return the chance of each segment, from borders `(n, 2)` that begin at the apex."""
    inwards = lateral.mean(axis=0) - septal.mean(axis=0)
    thirds = [*_thirds(septal)[::-1], *_thirds(lateral)]
    return [_chance(picture, part, inwards if i < 3 else -inwards) for i, part in enumerate(thirds)]


def _thirds(border: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Return places along the apical, the middle and the basal third of a border."""
    steps = np.linalg.norm(np.diff(border, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    wanted = (np.arange(3 * _ALONG) + 0.5) / (3 * _ALONG) * along[-1]
    places = np.stack([np.interp(wanted, along, border[:, axis]) for axis in (0, 1)], axis=1)
    return np.split(places, 3)


def _chance(
    picture: NDArray[np.uint8], places: NDArray[np.float64], inwards: NDArray[np.float64]
) -> float:
    """Return how often the wall is brighter than the blood on the other side of some places."""
    along = np.gradient(places, axis=0)
    normals = np.stack([-along[:, 1], along[:, 0]], axis=1)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-9
    normals *= np.sign(normals @ inwards)[:, None]

    def levels(depths: tuple[float, ...]) -> NDArray[np.float32]:
        points = np.concatenate([places + depth * normals for depth in depths]).astype(np.float32)
        found = cv2.remap(picture, points[:, None], None, cv2.INTER_LINEAR)
        return np.asarray(found, np.float32).ravel()

    blood, wall = levels(_BLOOD), levels(tuple(-depth for depth in _WALL))
    gap = wall[:, None] - blood
    return float((gap > 0).mean() + 0.5 * (gap == 0).mean())
