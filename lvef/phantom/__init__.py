"""A digital beating heart with known EF, volumes, contours and frames.

Figures measured on phantoms say how well the software works, not how well it would do on
patients.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lvef.phantom.clip import PhantomClip

if TYPE_CHECKING:
    from lvef.phantom.folder import open_phantom, write_phantoms

__all__ = ["PhantomClip", "open_phantom", "write_phantoms"]


def __getattr__(name: str) -> Any:
    """Import what writes and reads folders once it is asked for: it needs a video library."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from lvef.phantom import folder

    return getattr(folder, name)
