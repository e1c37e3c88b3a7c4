"""EF and volumes of a ventricle that is found in two views."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lvef.analysis.result import ClipAnalysis
from lvef.cardiac import (
    Disks,
    biplane_ejection_fraction,
    biplane_volume,
    contour_tracing,
    ejection_fraction,
    lengths_apart,
)

_LEAST_LEFT, _MOST_LEFT = 0.02, 1.5
"""Range of ESV over EDV: what optical flow makes of a picture may be anything."""


@dataclass(frozen=True)
class BeatDisks:
    """The ventricle of one beat in one view, by the contour that is carried from ED to ES.

    Attributes:
        ed: Disks at end-diastole.
        es: Disks at end-systole.
        millimetres: Whether they are in millimetres; else in pixels of the clip's own frames.
    """

    ed: Disks
    es: Disks
    millimetres: bool

    def packed(self) -> list[float]:
        """Return it as numbers: millimetres or not, both lengths, both rows of diameters."""
        lengths = [self.ed.length, self.es.length]
        return [float(self.millimetres), *lengths, *self.ed.diameters, *self.es.diameters]

    @classmethod
    def unpacked(cls, numbers: Sequence[float]) -> BeatDisks:
        """Return what `packed` made numbers of."""
        known, ed, es, *diameters = numbers
        rows = np.reshape(np.array(diameters, np.float64), (2, -1))
        return cls(Disks(rows[0], float(ed)), Disks(rows[1], float(es)), bool(known))


@dataclass(frozen=True)
class ViewDisks:
    """The ventricle of one clip: the mean of its good beats.

    Attributes:
        disks: Their mean disks.
        ef: Calibrated EF of the clip in percent, of its plane alone.
        ef_std: Its expected error in percent.
    """

    disks: BeatDisks
    ef: float
    ef_std: float


@dataclass(frozen=True)
class BiplaneResult:
    """What two views of one ventricle tell.

    Attributes:
        ef: EF in percent by disks in two planes.
        ef_std: Expected error in percent.
        edv: End-diastolic volume in mL; NaN where a clip does not state its scale.
        esv: End-systolic volume in mL that goes with `ef`; likewise.
        lengths_apart: By which share of the longer one the long axes differ at end-diastole; NaN
            where a clip does not state its scale. Above 0.1 one view may miss the apex.
    """

    ef: float
    ef_std: float
    edv: float
    esv: float
    lengths_apart: float


def beat_disks(analysis: ClipAnalysis) -> list[BeatDisks | None]:
    """Return the disks of each good beat of a clip; None where a contour encloses nothing."""
    scale = analysis.clip.millimetres_per_pixel
    unit = analysis.clip.pixels * (scale or 1.0)
    found: list[BeatDisks | None] = []
    for contours in analysis.contours:
        ends = [contour_tracing(contour) for contour in (contours[0], contours[-1])]
        ed, es = (None if end is None else Disks.of(end).times(unit) for end in ends)
        whole = ed is not None and es is not None
        found.append(BeatDisks(ed, es, scale is not None) if whole else None)  # type: ignore[arg-type]
    return found


def view_disks(beats: Sequence[BeatDisks | None], ef: float, ef_std: float) -> ViewDisks | None:
    """Return the mean of the beats of a clip; None where there is none, or no EF.

    Args:
        beats: Disks of its good beats, as `beat_disks` returns them.
        ef: Calibrated EF of the clip in percent.
        ef_std: Its expected error.
    """
    known = [beat for beat in beats if beat is not None]
    if not known or not np.isfinite(ef):
        return None
    ed, es = Disks.mean([beat.ed for beat in known]), Disks.mean([beat.es for beat in known])
    return ViewDisks(BeatDisks(ed, es, known[0].millimetres), ef, ef_std)


def biplane(four: ClipAnalysis, two: ClipAnalysis) -> BiplaneResult:
    """Return EF and volumes of one ventricle by disks in two planes.

    Research use only, not for diagnosis.

    Args:
        four: The clip of its apical four-chamber view.
        two: The clip of its apical two-chamber view. Nothing looks at whether it is one, nor
            whether both are of one patient.

    Raises:
        ValueError: No ventricle or no beat was found in one of them; it says which, and why.
    """
    views = []
    for name, analysis in (("four-chamber", four), ("two-chamber", two)):
        view = view_disks(beat_disks(analysis), analysis.ef, analysis.ef_std)
        if view is None:
            raise ValueError(f"the {name} view has no EF: {analysis.reason or 'no contour'}")
        views.append(view)
    return biplane_of_views(*views)


def biplane_of_views(four: ViewDisks, two: ViewDisks) -> BiplaneResult:
    """Return EF and volumes of one ventricle by disks in two planes.

    The contours of both views give the EF by disks. How far calibration moves the EF of a view
    alone, as a factor of ESV over EDV, it moves that of both, half from each: the ellipses' areas
    are products of the two.

    Args:
        four: The four-chamber view.
        two: The two-chamber view.
    """
    ends = [(view.disks.ed, view.disks.es) for view in (four, two)]
    known = four.disks.millimetres and two.disks.millimetres
    by_contours = biplane_ejection_fraction(ends[0], ends[1], same_unit=known)
    moved = [
        np.log(_left(view.ef)) - np.log(_left(float(ejection_fraction(ed.volume, es.volume))))
        for view, (ed, es) in zip((four, two), ends, strict=True)
    ]
    ef = float(100 * (1 - np.exp(np.log(_left(by_contours)) + np.mean(moved))))
    edv, apart = float("nan"), float("nan")
    if known:
        edv = biplane_volume(four.disks.ed, two.disks.ed) / 1000
        apart = lengths_apart(four.disks.ed, two.disks.ed)
    # The errors of the two views are not independent: the mean, which a mean of two never exceeds.
    std = (four.ef_std + two.ef_std) / 2
    return BiplaneResult(ef, std, edv, edv * (1 - ef / 100), apart)


def _left(ef: float) -> float:
    """Return ESV over EDV."""
    return float(np.clip(1 - ef / 100, _LEAST_LEFT, _MOST_LEFT))
