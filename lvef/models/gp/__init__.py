"""The exact Gaussian process: kernels, the search for hyperparameters, predictions."""
