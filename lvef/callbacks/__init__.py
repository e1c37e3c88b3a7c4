"""What happens around a run: predictions, results, pictures, heat maps."""

from lvef.callbacks.clean_stop import CleanStop
from lvef.callbacks.predictions import PredictionWriter
from lvef.callbacks.results import TestResults
from lvef.callbacks.saliency import SaliencyMaps
from lvef.callbacks.tensorboard import TensorBoardFigures

__all__ = ["CleanStop", "PredictionWriter", "SaliencyMaps", "TensorBoardFigures", "TestResults"]
