"""Phantoms as the studies of an archive: several of a patient, of clips that are not all A4C."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lvef.cardiac import ejection_fraction
from lvef.data.formats import write_video
from lvef.data.formats.dicom.write import SYNTAXES, write_dicom
from lvef.data.phantom_folder import truth_path
from lvef.files import write_arrays
from lvef.phantom.clip import PhantomClip

OTHER = "other"
"""The view of the second clip of a study: the same heart on its side, which is no view at all."""
STUDIES_A_PATIENT = 2
_FRAMES = 16


def write_clips(
    clip: PhantomClip, root: Path, paths: tuple[str, str], number: int, container: str
) -> dict[str, float]:
    """Write a phantom as a study of two clips, of the four-chamber view and of none, and its truth.

    Args:
        clip: The phantom.
        root: Folder of the data set, in which its truth is kept.
        paths: Where the clips lie below it, without extension.
        number: Number of the phantom, by which DICOM's transfer syntaxes take turns.
        container: avi, mp4 or dicom.

    Returns:
        EF in percent, EDV and ESV in mL.
    """
    frames, fps = clip.frames(), clip.patient.fps
    on_its_side = np.ascontiguousarray(np.rot90(frames[:_FRAMES], axes=(1, 2)))
    for name, pictures in zip(paths, (frames, on_its_side), strict=True):
        path = root / name
        path = path.with_name(f"{path.name}.{ending(container)}")
        path.parent.mkdir(parents=True, exist_ok=True)
        if container == "dicom":
            write_dicom(path, pictures, fps, SYNTAXES[number % len(SYNTAXES)], patient=clip.name)
        else:
            write_video(path, pictures, fps)
    write_arrays(truth_path(root, Path(paths[0]).name), clip.truth())
    edv, esv = clip.volume(clip.ed_frame), clip.volume(clip.es_frame)
    return {"EF": float(ejection_fraction(edv, esv)), "EDV": edv, "ESV": esv}


def ending(container: str) -> str:
    """Return the extension of a container's files."""
    return "dcm" if container == "dicom" else container
