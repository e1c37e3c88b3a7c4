"""What phantoms look like, coarsely: written beside, so that no change of them goes unseen.

    python tests/phantom_pixels.py

writes it anew. Do so only after `GENERATOR` in `lvef/data/phantom_folder.py` was raised.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from lvef.data.phantom_folder import GENERATOR
from lvef.phantom import PhantomClip
from lvef.phantom.hard import HARD_KINDS
from lvef.phantom.purpose import Purpose
from lvef.phantom.solid import SolidClip, SolidStudy
from lvef.phantom.solid.clip import SolidView

KEPT = Path(__file__).with_suffix(".json")
_BLOCK = 28


def phantoms() -> dict[str, PhantomClip | SolidView]:
    """Return a few phantoms of every kind, by what they are."""
    drawn: dict[str, PhantomClip | SolidView] = {
        "standard": PhantomClip(1, 0),
        "standard, of TEST, heavily marked": PhantomClip(1, 5, "heavy", purpose=Purpose.TEST),
        "randomised": PhantomClip(1, 0, breadth=1.0),
        "randomised, wider, of TRAIN": PhantomClip(1, 2, breadth=1.5, purpose=Purpose.TRAIN),
        "solid": SolidClip(1, 0),
        "solid, a judge": SolidClip(1, 3, purpose=Purpose.JUDGES),
        "solid, four-chamber view of a study": SolidStudy(1, 0).a4c,
        "solid, two-chamber view of it": SolidStudy(1, 0).a2c,
    }
    for index, kind in enumerate(HARD_KINDS):
        drawn[f"hard, {kind}"] = PhantomClip(1, index, breadth=1.0, hard={kind: 1.0})
    return drawn


def described(clip: PhantomClip | SolidView) -> dict[str, Any]:
    """Return what a clip is: its labels, and means of blocks of 28 x 28 pixels of two frames.

    Means tell another draw of the speckle (by a grey level or so), and not a pixel that another
    processor or library rounds to the next grey level.
    """
    moments = [clip.ed_frame, clip.es_frame]
    frames = clip.frames(moments).astype(np.float64)
    blocks = frames.reshape(2, 112 // _BLOCK, _BLOCK, 112 // _BLOCK, _BLOCK).mean(axis=(2, 4))
    volumes = clip.truth()["volume"][moments].astype(float)
    return {
        "frames": clip.patient.num_frames,
        "ed_es": moments,
        "volumes": np.round(volumes, 3).tolist(),
        "blocks": np.round(blocks, 2).reshape(2, -1).tolist(),
    }


def main() -> None:
    """Write what phantoms look like."""
    pictures = {name: described(clip) for name, clip in phantoms().items()}
    lines = [f"  {json.dumps(name)}: {json.dumps(each)}" for name, each in pictures.items()]
    text = ",\n".join([f'  "generator": {GENERATOR}', *lines])
    KEPT.write_text(f"{{\n{text}\n}}\n")


if __name__ == "__main__":
    main()
