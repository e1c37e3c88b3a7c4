"""Clips by what they show: four-chamber views, other views of the heart, and what is no heart.

A gate that gives no EF for what is no beating four-chamber view is taught and judged on them. The
other views cut the one solid heart of the second generator; the rest is made by other means. No
segmenter is trained on any of them.

The way of the data: a `place` says where the random numbers of a clip are; `planes` holds the
probe, `outflow` and `leaflets` add what the four-chamber view does not show, and `sliced` makes
clips of it; `four_chamber`, `order`, `sweep`, `split`, `organs` (through `speckle`) and `blank`
make the others; `dress` lays a machine's marks and an archive's losses over all of them; `kinds`
is the registry and `clip` the door.
"""

from lvef.phantom.views.clip import ViewClip
from lvef.phantom.views.kinds import KINDS, Kind, View
from lvef.phantom.views.study import ViewStudy

__all__ = ["KINDS", "Kind", "View", "ViewClip", "ViewStudy"]
