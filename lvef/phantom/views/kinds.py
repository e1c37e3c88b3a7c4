"""The registry: every kind of clip, what it shows, and whether its EF may be given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from lvef.phantom.views import blank, four_chamber, order
from lvef.phantom.views.dress import Dressed
from lvef.phantom.views.organs import organ
from lvef.phantom.views.place import Clip, Place
from lvef.phantom.views.planes import Plane
from lvef.phantom.views.sliced import SlicedClip
from lvef.phantom.views.split import split_screen
from lvef.phantom.views.sweep import doppler, m_mode

View = Literal["A4C", "A4C apex down", "A4C mirrored", "colour", "A2C", "A3C", "PLAX", "PSAX",
               "subcostal", "M-mode", "Doppler", "split", "none"]  # fmt: skip
"""What a single frame shows."""
Make = Callable[[Place], Clip]


@dataclass(frozen=True)
class Kind:
    """A kind of clip.

    Attributes:
        number: Its random numbers are by it: never given to another kind.
        view: What a single frame shows. Of clips out of order it is A4C: one frame does not tell.
        ef: Whether an EF may be given: the apical four-chamber view, upright, in its own order.
        held_out: Whether nothing may be trained on it: it judges what was.
        make: Makes the clip.
    """

    number: int
    view: View
    ef: bool
    held_out: bool
    make: Make


def _dressed(make: Make, marks: bool = True, breadth: float = 1.0) -> Make:
    return lambda place: Dressed(make(place), place, marks, breadth)


def _sliced(plane: Plane, level: tuple[float, float] = (0.5, 0.5)) -> Make:
    return _dressed(lambda place: SlicedClip(plane, place, level))


def _organ(name: str, shape: str) -> Make:
    return _dressed(partial(organ, name=name, shape=shape))


def _beating(place: Place) -> Dressed:
    return Dressed(four_chamber.any_four_chamber(place), place)


def _other(number: int, view: View, make: Make, held_out: bool = False) -> Kind:
    return Kind(number, view, False, held_out, make)


def _screen(number: int, view: View, make: Make, held_out: bool = False) -> Kind:
    return _other(number, view, _dressed(make, marks=False), held_out)


KINDS: dict[str, Kind] = {
    "A4C of a clinic": Kind(1, "A4C", True, False, _dressed(four_chamber.of_clinic)),
    "A4C randomised": Kind(2, "A4C", True, False, _dressed(four_chamber.randomised)),
    "A4C solid": Kind(3, "A4C", True, False, _dressed(four_chamber.solid)),
    "A4C wide": Kind(4, "A4C", True, False, _dressed(four_chamber.wide, breadth=1.25)),
    "A4C widest": Kind(6, "A4C", True, True, _dressed(four_chamber.widest, breadth=1.5)),
    "A4C after black": Kind(
        5, "A4C", True, False, lambda place: order.faded_in(_beating(place), place)
    ),
    "two-chamber": _other(10, "A2C", _sliced("A2C")),
    "three-chamber": _other(11, "A3C", _sliced("A3C")),
    "parasternal long axis": _other(12, "PLAX", _sliced("PLAX")),
    "short axis, apex": _other(13, "PSAX", _sliced("PSAX", (0.18, 0.35))),
    "short axis, papillary muscles": _other(14, "PSAX", _sliced("PSAX", (0.42, 0.62))),
    "short axis, mitral valve": _other(15, "PSAX", _sliced("PSAX", (0.78, 0.92))),
    "short axis, aortic valve": _other(16, "PSAX", _sliced("PSAX", (1.06, 1.14))),
    "subcostal": _other(17, "subcostal", _sliced("subcostal"), held_out=True),
    "apex down": _other(20, "A4C apex down", _dressed(four_chamber.apex_down)),
    "mirrored": _other(21, "A4C mirrored", _dressed(four_chamber.mirrored)),
    "colour box": _other(22, "colour", _dressed(four_chamber.colour_box)),
    "still": _other(30, "A4C", lambda place: order.still(_beating(place), place)),
    "shuffled": _other(31, "A4C", lambda place: order.shuffled(_beating(place), place)),
    "reversed": _other(32, "A4C", lambda place: order.backwards(_beating(place))),
    "one loop repeated": _other(
        33, "A4C", lambda place: order.one_loop(_beating(place), place), held_out=True
    ),
    "M-mode": _screen(40, "M-mode", m_mode, held_out=True),
    "Doppler": _screen(41, "Doppler", doppler),
    "split screen": _screen(42, "split", split_screen),
    "words": _screen(43, "none", blank.words),
    "liver": _other(50, "none", _organ("liver", "convex")),
    "kidney": _other(51, "none", _organ("kidney", "convex"), held_out=True),
    "carotid": _other(52, "none", _organ("carotid", "linear")),
    "lung": _other(53, "none", _organ("lung", "phased")),
    "noise": _other(60, "none", _dressed(blank.noise)),
    "black": _screen(61, "none", blank.black),
    "in air": _other(62, "none", _dressed(blank.in_air)),
}
"""Every kind by its name."""
