"""Backbone, heads and tasks."""

from lvef.models.backbone import NUM_FEATURES, ResNet50Backbone
from lvef.models.base import EFTask
from lvef.models.classifier import EFClassifier
from lvef.models.mlp import MLPHead
from lvef.models.regressor import EFRegressor

__all__ = [
    "NUM_FEATURES",
    "EFClassifier",
    "EFRegressor",
    "EFTask",
    "MLPHead",
    "ResNet50Backbone",
]
