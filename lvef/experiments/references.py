"""Published figures on EchoNet-Dynamic's TEST split, to stand beside what is measured.

The reference study's own rows come from one report on single frames. Its R2 do not fit its RMSE:
with TEST's standard deviation of 12.2, RMSE 5.24 / 4.56 / 4.19 mean R2 0.816 / 0.861 / 0.883.
"""

from __future__ import annotations

REFERENCES = {
    "edf_cls": {"accuracy": 0.872, "f1_weighted": 0.85, "roc_auc": 0.89},
    "esf_cls": {"accuracy": 0.885, "f1_weighted": 0.86, "roc_auc": 0.91},
    "mf_cls": {"accuracy": 0.869, "f1_weighted": 0.84, "roc_auc": 0.88},
    "edf_mlp": {"mae": 3.98, "rmse": 5.24, "r2": 0.86},
    "mf_gpr": {"mae": 3.24, "rmse": 4.56, "r2": 0.91},
    "ensemble_mlp": {"mae": 2.97, "rmse": 4.19, "r2": 0.93},
}
"""By experiment; the ensemble is the reference's average of three frames."""

VIDEO_MODELS = {
    "EchoNet-Dynamic R(2+1)D (Ouyang et al., Nature 2020)": {
        "mae": 4.05, "rmse": 5.3, "r2": 0.81,
    },
    "CoReEcho": {"mae": 3.90, "r2": 0.824},
    "Echo-E3Net": {"rmse": 5.20, "r2": 0.82},
}  # fmt: skip
"""End-to-end video models."""

CAVEAT = (
    "Published figures are of EchoNet-Dynamic's TEST split, of other software, and were not "
    "measured here. Which F1 the reference states is not known; 0.84 to 0.86 at 87 % accuracy can "
    'only be the weighted one, in which answering "normal" every time has 0.816 there. '
    "The reference's R2 do not fit its RMSE: with that split's standard deviation "
    "of 12.2, RMSE 5.24 / 4.56 / 4.19 mean R2 0.816 / 0.861 / 0.883. A cubic fitted by "
    "least squares to the true ESV of that split has MAE 5.41, to the true EDV 7.68, and the "
    "conditional median somewhat less: single-frame figures far below that want an explanation."
)

NOT_BESIDE_PHANTOMS = (
    "Nothing measured on phantoms may be read beside these: a phantom's EF is known exactly, while "
    "an error against a reader's label holds the reader's, too (sonographers were 3.8 points from "
    "the final reading on average; He et al., Nature 2023), and synthetic hearts are easier to see."
)
"""Why figures of phantoms do not compare with those of patients."""
