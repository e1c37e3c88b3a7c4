"""How far a probe smears a point: along the beam, across it, and out of the image plane."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_LATERAL_DEFOCUS, _ELEVATION_DEFOCUS = 0.08, 0.15
"""Share of the geometric beam that is left out of focus; less where receive beams follow."""


@dataclass(frozen=True)
class PointSpread:
    """Gaussian widths of a phased array's two-way point spread.

    Along the beam it is the pulse, of constant length. Across, diffraction opens an angle of
    about wavelength over aperture, and away from the focus the aperture's own cone adds to it; in
    elevation a lens of fixed focus does the same (Garcia, SIMUS, *Comput Methods Programs Biomed*
    218:106726 (2022); Gao et al., COLE, *IEEE Trans UFFC* 56:404 (2009) blur with such a spread).

    Attributes:
        wavelength: In mm.
        pulse: Standard deviation of the pulse's amplitude in mm.
        aperture: Width of the array in mm.
        focus: Depth of the lateral focus in mm.
        lens_aperture: Height of the array in mm.
        lens_focus: Depth of the elevation focus in mm.
    """

    wavelength: float
    pulse: float
    aperture: float
    focus: float
    lens_aperture: float
    lens_focus: float

    def lateral(self, depth: Array) -> Array:
        """Return the standard deviation of amplitude across the beam in mm at depths in mm."""
        diffraction = 0.45 * self.wavelength / self.aperture * depth
        cone = _LATERAL_DEFOCUS * self.aperture * np.abs(1 - depth / self.focus)
        return np.hypot(diffraction, cone)

    def elevation(self, depth: Array) -> Array:
        """Return the same out of the image plane."""
        diffraction = 0.45 * self.wavelength / self.lens_aperture * depth
        cone = _ELEVATION_DEFOCUS * self.lens_aperture * np.abs(1 - depth / self.lens_focus)
        return np.hypot(diffraction, cone)

    def across(self, depth: Array, along: Array, aside: Array, out: Array) -> Array:
        """Return the standard deviation in mm of the spread's power in a direction.

        Args:
            depth: Distance from the probe in mm.
            along: Cosine between the direction and the beam.
            aside: Cosine with the direction across the beam in the image plane.
            out: Cosine with the direction out of the plane.
        """
        amplitude = (
            (self.pulse * along) ** 2
            + (self.lateral(depth) * aside) ** 2
            + (self.elevation(depth) * out) ** 2
        )
        return np.asarray(np.sqrt(amplitude / 2))  # the square of a Gaussian is narrower by sqrt 2
