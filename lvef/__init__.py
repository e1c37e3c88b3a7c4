"""Left-ventricular ejection fraction from key frames of echocardiograms.

Research use only, not for diagnosis.

    import lvef

    analysis = lvef.analyse_clip("clip.avi")           # beats, contours and EF by geometry
    table = lvef.load("best.ckpt").predict("clips/")   # what a trained model says, a row a clip
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lvef.analysis import ClipAnalysis, analyse_clip, biplane
    from lvef.predict.predictor import load
    from lvef.predict.stream.on_ray import analyse_dataset

__all__ = ["ClipAnalysis", "analyse_clip", "analyse_dataset", "biplane", "load"]


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is: `--help` shall not wait for torch."""
    if name == "load":
        from lvef.predict.predictor import load

        return load
    if name == "analyse_dataset":
        from lvef.predict.stream.on_ray import analyse_dataset

        return analyse_dataset
    if name in __all__:
        from lvef import analysis

        return getattr(analysis, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
