"""Figures for whichever loggers of a run take pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from lightning import Trainer
from lightning.pytorch.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lvef.files import make_room, write_figure

_FOLDER = "figures"


def takes_figures(trainer: Trainer) -> bool:
    """Return whether this process logs, and any of its loggers takes pictures."""
    return trainer.is_global_zero and any(map(_takes, trainer.loggers))


def log_figure(trainer: Trainer, tag: str, figure: Figure) -> None:
    """Hand a figure to every logger of a run that takes pictures, at the step it is at.

    TensorBoard; CSV, which gets `figures/TAG.png` in its folder, the newest of each; MLflow, as an
    artifact of that name; and any with a method `log_image`, as Weights & Biases has.

    Args:
        trainer: The run; only its first process logs.
        tag: Name of the figure, parts of it parted by `/`.
        figure: The figure.

    Raises:
        OutputError: It cannot be written.
    """
    for logger in trainer.loggers if trainer.is_global_zero else []:
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.add_figure(tag, figure, global_step=trainer.global_step)
        elif isinstance(logger, CSVLogger):
            path = Path(logger.log_dir) / _FOLDER / f"{tag}.png"
            make_room(path)
            write_figure(path, figure, dpi=100)
        elif isinstance(logger, MLFlowLogger):
            client: Any = logger.experiment
            client.log_figure(logger.run_id, figure, f"{_FOLDER}/{tag}.png")
        elif hasattr(logger, "log_image"):
            logger.log_image(tag, [_pixels(figure)], step=trainer.global_step)


def _takes(logger: Logger) -> bool:
    known = isinstance(logger, (TensorBoardLogger, CSVLogger, MLFlowLogger))
    return known or hasattr(logger, "log_image")


def _pixels(figure: Figure) -> NDArray[np.uint8]:
    """Return a figure as `(H, W, 4)` colours."""
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    return np.array(canvas.buffer_rgba())
