"""A digital beating heart with known EF, volumes, contours and frames.

Figures measured on phantoms say how well the software works, not how well it would do on
patients.
"""

from lvef.phantom.clip import PhantomClip
from lvef.phantom.folder import MARKER, open_phantom, write_phantoms

__all__ = ["MARKER", "PhantomClip", "open_phantom", "write_phantoms"]
