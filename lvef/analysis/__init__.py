"""Any clip: where the ventricle is, when it beats, and how much it ejects."""

from lvef.analysis.analyse import ClipAnalyser, analyse_clip
from lvef.analysis.biplane import BiplaneResult, biplane
from lvef.analysis.result import AnalysedBeat, ClipAnalysis

__all__ = [
    "AnalysedBeat",
    "BiplaneResult",
    "ClipAnalyser",
    "ClipAnalysis",
    "analyse_clip",
    "biplane",
]
