"""Any clip: where the ventricle is, when it beats, and how much it ejects."""

from lvef.analysis.analyse import ClipAnalyser, analyse_clip
from lvef.analysis.result import AnalysedBeat, ClipAnalysis

__all__ = ["AnalysedBeat", "ClipAnalyser", "ClipAnalysis", "analyse_clip"]
