"""The slots of a case: which frame of which apical view a model sees, and the columns that tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lvef.data import apical

NO_A2C = "no two-chamber view"
"""Why a case without that clip cannot be used by a model that sees it."""


@dataclass(frozen=True)
class View:
    """An apical view of the heart, a clip of which a case may have.

    Attributes:
        name: A4C or A2C, as `view_true` has it.
        suffix: What the columns of a clip of this view end in.
        slot_suffix: What the names of its frames end in.
    """

    name: str
    suffix: str = ""
    slot_suffix: str = ""

    def column(self, name: str) -> str:
        """Return what a column of a clip, such as `path` or `ed_frame`, is called for this view."""
        return name + self.suffix


A4C = View(apical.A4C)
A2C = View(apical.A2C, "_a2c", "_A2C")
VIEWS = (A4C, A2C)
_OF_CLIP = {"EDF": "ed_frame", "ESF": "es_frame", "MF": "mid_frame"}
_VIEW_OF = {name + view.slot_suffix: view for view in VIEWS for name in _OF_CLIP}
FRAME_COLUMNS = {
    name + view.slot_suffix: view.column(column)
    for view in VIEWS for name, column in _OF_CLIP.items()
}  # fmt: skip
"""The frames a model can ask for, and the column of the table that tells which they are."""
A4C_FRAMES, A2C_FRAMES = (
    tuple(name for name, of in _VIEW_OF.items() if of == view) for view in VIEWS
)
"""Those of each view."""


def view_of(frame: str) -> View:
    """Return the view that a frame such as `ESF_A2C` is of."""
    return _VIEW_OF[frame]


def slots_by_view(frames: Sequence[str]) -> dict[View, list[int]]:
    """Return the places of the frames of each view that is asked for, in slot order."""
    return {
        view: slots for view in VIEWS
        if (slots := [place for place, name in enumerate(frames) if view_of(name) == view])
    }  # fmt: skip


def asks_for_a2c(frames: Sequence[str] | None) -> bool:
    """Return whether a model of these frames sees the two-chamber view."""
    return any(view_of(name) == A2C for name in frames or ())
