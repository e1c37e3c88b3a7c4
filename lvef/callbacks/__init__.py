"""What happens around a run: predictions, results, pictures."""

from lvef.callbacks.predictions import PredictionWriter
from lvef.callbacks.results import TestResults
from lvef.callbacks.tensorboard import TensorBoardFigures

__all__ = ["PredictionWriter", "TensorBoardFigures", "TestResults"]
