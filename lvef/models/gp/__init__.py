"""The exact Gaussian process: kernels, the search for hyperparameters, predictions."""

from lvef.models.gp.head import ExactGPHead

__all__ = ["ExactGPHead"]
