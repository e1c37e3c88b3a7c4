"""A second, independent digital heart: a solid body, and the physics of a probe that looks at it.

No segmenter that ships is ever trained on it. It is the judge of whether what a network learned on
the first generator holds for pictures made otherwise: it shares no anatomy, motion, tissue,
rendering or constant with it. `SolidStudy` shows one heart in two views.

The way of the data: `population` draws a patient, `cycle` runs a pump for its beats, `draw` lays a
`heart` under the probe so that the `section` of the image plane has the patient's EF,
`appearance` draws `tissue` and machine, `body` scatters points through all of it, and `probe`
makes frames of where they are.

What is left out: waves are not simulated (linear convolution, no phase aberration or refraction;
haze, reverberation and shadows are laid over it); strength by angle of incidence is worked out at
end-diastole alone; everything but the leaflets is a function of one contraction, so that torsion
does not lag behind, nor do the walls contract one after another; there is no right-heart flow
and no blood flow, whose speckle is new in every frame; the atria are ellipsoids that only the
descent of the base stretches.
"""

from lvef.phantom.solid.clip import SolidClip
from lvef.phantom.solid.population import EF_QUARTERS, KINDS, SolidPatient
from lvef.phantom.solid.study import SolidStudy

__all__ = ["EF_QUARTERS", "KINDS", "SolidClip", "SolidPatient", "SolidStudy"]
