"""Write loops and masks as NIfTI, as CAMUS keeps them."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lvef.data.formats.nifti import require_nibabel
from lvef.files import write_bytes


def write_nifti(path: Path, pictures: NDArray[np.uint8], millimetres: float) -> None:
    """Write pictures as a packed NIfTI file, the same bytes whenever it is written.

    Args:
        path: A file `.nii.gz` to write.
        pictures: `(H, W)` of a still, or `(T, H, W)`; grey or labels.
        millimetres: Side of a pixel.

    Raises:
        VideoError: nibabel is not installed.
        OutputError: The file cannot be written.
    """
    nibabel = require_nibabel()
    # x first, and x and y as ITK writes them: to the left and the back of a patient.
    affine = np.diag([-millimetres, -millimetres, 1.0, 1.0])
    image = nibabel.Nifti1Image(np.transpose(pictures), affine)
    image.header.set_xyzt_units("mm")
    write_bytes(path, gzip.compress(image.to_bytes(), mtime=0))
