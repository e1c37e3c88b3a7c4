"""Clips whose frames are not evenly spaced: analysed at even moments, told in their own frames."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lvef.analysis.result import AnalysedBeat, ClipAnalysis
from lvef.data.prepare import PreparedClip


def evened(clip: PreparedClip) -> PreparedClip:
    """Return the clip that shows, at evenly spaced moments, the nearest of a clip's frames."""
    if clip.timing is None or clip.timing.even is None:
        return clip
    return replace(clip, frames=clip.frames[clip.timing.even], timing=None)


def in_own_frames(analysis: ClipAnalysis, clip: PreparedClip) -> ClipAnalysis:
    """Return the analysis of `evened(clip)` told in the frames of the clip itself."""
    rate = clip.timing
    if rate is None or rate.even is None or rate.moments is None:
        return analysis
    moments = rate.moments
    beats = tuple(_beat(beat, rate.even) for beat in analysis.beats)
    return replace(
        analysis,
        clip=clip,
        masks=analysis.masks[moments],
        area=analysis.area[moments],
        length=analysis.length[moments],
        volume=analysis.volume[moments],
        curve=analysis.curve[moments],
        beats=beats,
    )


def _beat(beat: AnalysedBeat, even: NDArray[np.int64]) -> AnalysedBeat:
    ed, es, mid = (int(even[f]) for f in (beat.ed_frame, beat.es_frame, beat.mid_frame))
    return replace(beat, ed_frame=ed, es_frame=es, mid_frame=mid)
