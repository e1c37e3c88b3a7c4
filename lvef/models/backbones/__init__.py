"""Backbones: what turns a frame into features. Each is imported here, so that it has its name."""

from lvef.models.backbones.base import BACKBONES, Backbone
from lvef.models.backbones.names import new_backbone
from lvef.models.backbones.resnet50 import ResNet50Backbone

__all__ = ["BACKBONES", "Backbone", "ResNet50Backbone", "new_backbone"]
