"""A second, independent digital heart: a solid body, and the physics of a probe that looks at it.

No network is ever trained on it. It is the judge of whether what a network learned on the first
generator holds for pictures made otherwise: it shares no anatomy, motion, tissue, rendering or
constant with it.
"""

from lvef.phantom.solid.clip import SolidClip
from lvef.phantom.solid.population import EF_BANDS, KINDS, SolidPatient

__all__ = ["EF_BANDS", "KINDS", "SolidClip", "SolidPatient"]
