"""What happens around a run: predictions, results, pictures, heat maps, and when a fit ends."""

from lvef.callbacks.clean_stop import CleanStop
from lvef.callbacks.guard import FitGuard
from lvef.callbacks.heat_maps import SaliencyMaps
from lvef.callbacks.predictions import PredictionWriter
from lvef.callbacks.results import TestResults
from lvef.callbacks.run_figures import RunFigures
from lvef.callbacks.steps import StepsOfResumedFit
from lvef.callbacks.stopping import EarlyStopping

__all__ = [
    "CleanStop",
    "EarlyStopping",
    "FitGuard",
    "PredictionWriter",
    "RunFigures",
    "SaliencyMaps",
    "StepsOfResumedFit",
    "TestResults",
]
