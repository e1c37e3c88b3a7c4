"""Backbones, heads and tasks. Each is imported when it is asked for: few need GPyTorch."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lvef.models.backbones import Backbone, ResNet50Backbone
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
    "Backbone",
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
_MODULES = {
    "Backbone": "backbones",
    "EFClassifier": "classifier",
    "EFEnsemble": "ensemble",
    "EFGaussianProcess": "gaussian_process",
    "EFPredictor": "predictor",
    "EFRegressor": "regressor",
    "EFTask": "base",
    "ExactGPHead": "gp.head",
    "LVSegmenter": "segmenter",
    "MLPHead": "mlp",
    "ResNet50Backbone": "backbones",
    "Task": "task",
}


def import_all() -> None:
    """Import everything, so that a command line knows tasks by their own names alone."""
    for module in _MODULES.values():
        import_module(f"{__name__}.{module}")


if not TYPE_CHECKING:  # which would hide from mypy that a name is misspelt

    def __getattr__(name: str) -> Any:
        """Import what is asked for."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
