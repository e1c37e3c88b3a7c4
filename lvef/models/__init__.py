"""Backbone, heads and tasks."""

from lvef.models.backbones.resnet50 import NUM_FEATURES, ResNet50Backbone
from lvef.models.base import EFTask
from lvef.models.classifier import EFClassifier
from lvef.models.ensemble import EFEnsemble
from lvef.models.gaussian_process import EFGaussianProcess
from lvef.models.gp.head import ExactGPHead
from lvef.models.mlp import MLPHead
from lvef.models.predictor import EFPredictor
from lvef.models.regressor import EFRegressor
from lvef.models.segmenter import LVSegmenter
from lvef.models.task import Task

__all__ = [
    "NUM_FEATURES",
    "EFClassifier",
    "EFEnsemble",
    "EFGaussianProcess",
    "EFPredictor",
    "EFRegressor",
    "EFTask",
    "ExactGPHead",
    "LVSegmenter",
    "MLPHead",
    "ResNet50Backbone",
    "Task",
]
