"""What EF could be told from a volume, were it known exactly: the ceiling of a single frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

_DEGREE = 3


def ef_from_volume(
    train_volume: ArrayLike, train_ef: ArrayLike, volume: ArrayLike
) -> NDArray[np.float64]:
    """Predict EF from one true volume, by a cubic in its logarithm fitted on TRAIN.

    Args:
        train_volume: `(n,)` EDV or ESV in mL.
        train_ef: `(n,)` EF in percent.
        volume: `(m,)` the same volume of the cases to predict, in mL.

    Returns:
        `(m,)` EF in percent, within the range seen in TRAIN.
    """
    log_volume, ef_true = np.log(np.asarray(train_volume, float)), np.asarray(train_ef, float)
    centre, spread = log_volume.mean(), log_volume.std()
    fit = np.polynomial.Polynomial.fit((log_volume - centre) / spread, ef_true, _DEGREE)
    inside = np.clip(np.log(np.asarray(volume, float)), log_volume.min(), log_volume.max())
    return np.asarray(np.clip(fit((inside - centre) / spread), ef_true.min(), ef_true.max()))
