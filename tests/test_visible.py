"""How much of a four-chamber phantom's border shows, by the phantom's own tracing."""

from __future__ import annotations

import numpy as np
import pytest

from lvef.cardiac import chords_to_polygon, polygon_mask
from lvef.errors import ConfigurationError
from lvef.phantom.views import ViewClip
from lvef.phantom.views.dress import Dressed
from lvef.phantom.views.four_chamber import FourChamber
from lvef.phantom.views.visible import SEGMENTS, border_seen, segments_seen


def painted(monkeypatch, clip: ViewClip, wall, blood=20):
    """Let a clip show a cavity of one grey level, and around it what `wall` says of x and y."""
    dressed = clip.clip
    assert isinstance(dressed, Dressed)
    assert isinstance(dressed.inner, FourChamber)
    y, x = np.mgrid[:112, :112]

    def frames(indices):
        pictures = []
        for index in indices:
            chords = dressed.inner.tracing(index)[1:]
            cavity = polygon_mask(dressed.placed(chords_to_polygon(chords)), 112, 112)
            around = np.broadcast_to(wall(x, y), cavity.shape)
            pictures.append(np.where(cavity, blood, around).astype(np.uint8))
        return np.stack(pictures)

    monkeypatch.setattr(dressed, "frames", frames)


def moved_clip() -> ViewClip:
    """A clip that its archive keeps at another size and place."""
    clips = (ViewClip(0, "A4C of a clinic", number) for number in range(40))
    return next(clip for clip in clips if abs(clip.clip.placed(np.zeros((1, 2)))).min() > 4)


@pytest.mark.parametrize(("level", "seen"), [(200, 1.0), (20, 0.5), (0, 0.0)])
def test_a_border_is_seen_where_the_wall_is_brighter_than_the_blood(monkeypatch, level, seen):
    clip = moved_clip()
    painted(monkeypatch, clip, lambda x, _: np.full(x.shape, level))
    assert border_seen(clip) == pytest.approx([seen] * 6, abs=0.04)
    assert segments_seen(clip) == (6 if seen == 1 else 0)


def test_segments_go_around_from_the_septal_annulus(monkeypatch):
    clip = moved_clip()
    heart = clip.clip.inner
    tracing = np.stack([clip.clip.placed(heart.tracing(frame)[1:, :2]) for frame in (0, 5, 10)])
    apex, base = tracing[:, 0, 1].min(), tracing[:, -1, 1].max()
    middle = clip.clip.placed(heart.tracing(0)[:1, :2])[0, 0]
    top, low = apex + (base - apex) / 4, base - (base - apex) / 4
    places = {
        "basal inferoseptal": lambda x, y: (x < middle) & (y > low),
        "apical septal": lambda x, y: (x < middle) & (y < top),
        "apical lateral": lambda x, y: (x > middle) & (y < top),
        "basal anterolateral": lambda x, y: (x > middle) & (y > low),
    }
    for name, where in places.items():
        painted(monkeypatch, clip, lambda x, y, where=where: np.where(where(x, y), 20, 200))
        assert np.argmin(border_seen(clip)) == SEGMENTS.index(name)


def test_points_are_placed_as_pictures_are():
    dressed = moved_clip().clip
    picture = np.zeros((112, 112), np.uint8)
    picture[40:43, 60:63] = 255
    y, x = np.average(np.argwhere(dressed._placed(picture) > 128), axis=0)
    assert dressed.placed(np.array([[61.0, 41.0]]))[0] == pytest.approx([x, y], abs=0.6)


def test_both_generators_are_traced_and_hazy_hearts_show_less_than_those_of_a_clinic():
    shown = {
        kind: np.mean([segments_seen(ViewClip(3, kind, number)) for number in range(12)])
        for kind in ("A4C of a clinic", "A4C widest")
    }
    assert shown["A4C of a clinic"] > shown["A4C widest"] + 1
    assert segments_seen(ViewClip(0, "A4C solid", 1)) in range(7)


@pytest.mark.parametrize("kind", ["liver", "reversed", "A4C after black", "mirrored"])
def test_what_has_no_tracing_is_told(kind):
    clip = ViewClip(0, kind, 0)
    assert segments_seen(clip) is None
    with pytest.raises(ConfigurationError, match=f"a clip of '{kind}' has no tracing"):
        border_seen(clip)
