"""What TensorBoard shows beside the curves: pictures, and hyperparameters with their results."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from lvef.data.dataset import KeyFrameDataset
from lvef.data.layouts import SPLITS
from lvef.data.sector import shown_sector
from lvef.data.shown import shown_frames
from lvef.evaluation.uncertainty import LEVELS
from lvef.figures import gallery
from lvef.figures import predictions as figures
from lvef.figures.data import ef_distribution, sample_sheet
from lvef.figures.masks import mask_sheet
from lvef.files import write_figure
from lvef.models import EFClassifier, EFPredictor, EFTask, LVSegmenter


class TensorBoardFigures(Callback):
    """Logs a sample batch, how VAL is predicted, and the hyperparameters with the best metrics.

    After `test` the same figures of TEST are also saved as PNG in the log folder.

    Args:
        max_samples: Cases on the sample sheet.
        interval: Least seconds between two sets of figures of VAL; the end has its own.
    """

    def __init__(self, max_samples: int = 8, interval: float = 20.0) -> None:
        self.max_samples = max_samples
        self.interval = interval
        self._drawn, self._drawn_epoch = -interval, -1
        self._best: dict[str, float] = {}

    def state_dict(self) -> dict[str, Any]:
        """Return the best metrics so far."""
        return {"best": self._best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Know what was the best before an interruption."""
        self._best = dict(state_dict.get("best", {}))

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Show cases of the first batch, augmented as the model sees them."""
        first = trainer.global_step == 0 and batch_idx == 0 and "frames" in batch
        if first and isinstance(pl_module, EFTask) and _shows(trainer):
            rows = batch["row"][: self.max_samples].cpu().numpy()
            sheet = sample_sheet(
                _samples(trainer, pl_module, rows).numpy(),
                pl_module.frames,
                batch["ef"][: self.max_samples].cpu().numpy(),
                f"{_data(trainer)}TRAIN: of the first batch, augmented",
            )
            _log(trainer, "sample_batch", sheet)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show how VAL is predicted, and keep the best metrics for the hyperparameters."""
        if isinstance(pl_module, LVSegmenter) and not trainer.sanity_checking:
            _log(trainer, "val/masks", _masks(trainer, pl_module, "VAL"))
        if (
            trainer.sanity_checking
            or not isinstance(pl_module, EFTask)
            or trainer.state.fn != "fit"
        ):
            return
        if time.monotonic() - self._drawn >= self.interval:
            self._draw(trainer, pl_module)
        now = {k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("val/")}
        better = {"max": float.__gt__, "min": float.__lt__}[pl_module.monitor_mode]
        if not self._best or better(now[pl_module.monitor], self._best[pl_module.monitor]):
            self._best = now

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show how VAL is predicted in the last epoch."""
        shown = self._drawn_epoch == trainer.current_epoch
        if isinstance(pl_module, EFTask) and pl_module.cases and not shown:
            self._draw(trainer, pl_module)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the hyperparameters with the metrics of the best epoch."""
        if not isinstance(pl_module, EFTask) or not self._best:
            return
        best = {f"best_{name}": value for name, value in self._best.items()}
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.log_hyperparams(dict(pl_module.hparams), best)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show how TEST is predicted, in TensorBoard and as PNG."""
        folder = Path(trainer.log_dir or trainer.default_root_dir)
        if not trainer.is_global_zero or not isinstance(pl_module, (EFTask, LVSegmenter)):
            return
        drawn = (
            {"masks": _masks(trainer, pl_module, "TEST")}
            if isinstance(pl_module, LVSegmenter)
            else _figures(trainer, pl_module, "TEST")
        )
        for name, figure in drawn.items():
            write_figure(folder / f"{name}.png", figure, dpi=120)
            _log(trainer, f"test/{name}", figure)

    def _draw(self, trainer: Trainer, task: EFTask) -> None:
        self._drawn, self._drawn_epoch = time.monotonic(), trainer.current_epoch
        for name, figure in _figures(trainer, task, "VAL").items():
            _log(trainer, f"val/{name}", figure)


def _samples(trainer: Trainer, task: EFTask, rows: NDArray[np.int64]) -> Tensor:
    """Return cases augmented anew, `(n, F, 3, S, S)`, without text beside the sector.

    A batch is augmented already: in its frames a sector that was found in the clip has moved.
    """
    data: Any = trainer.datamodule  # type: ignore[attr-defined]
    dataset = KeyFrameDataset(
        data.table.loc[rows], task.frames, data.image_size, data.remove_artifacts
    )
    black = torch.zeros(len(task.frames), 3, data.image_size, data.image_size, dtype=torch.uint8)
    shown = (shown_frames(dataset, item) for item in range(len(rows)))
    frames = torch.stack([black if one is None else one for one in shown])
    if data.augmentation is None:
        return frames
    with torch.random.fork_rng(devices=[]):  # the run's own random numbers stay as they are
        augmented: Tensor = data.augmentation(frames)
    return augmented


def _figures(trainer: Trainer, task: EFTask, split: str) -> dict[str, Figure]:
    cases = {name: column.numpy() for name, column in task.cases.items()}
    title = f"{_data(trainer)}{split}, {len(cases['row'])} videos, {' + '.join(task.frames)}"
    if isinstance(task, EFClassifier):
        drawn = gallery.classifier_figures(cases, float(task.threshold), title)
    elif isinstance(task, EFPredictor) and split == "TEST":
        lower, upper = task.intervals(task.cases)
        inside = (lower <= cases["ef"][:, None]) & (cases["ef"][:, None] <= upper)
        table = trainer.datamodule.table  # type: ignore[attr-defined]
        drawn = gallery.predictor_figures(
            cases,
            dict(zip(LEVELS, inside.mean(axis=0), strict=True)),
            table.loc[cases["row"], "edv"].to_numpy(float),
            title,
        )
    else:
        drawn = {
            "predicted_and_true": figures.predicted_and_true(
                cases["ef_predicted"], cases["ef"], title
            )
        }
    if split == "TEST":
        splits = trainer.datamodule.table.groupby("split")["ef"]  # type: ignore[attr-defined]
        drawn["ef_distribution"] = ef_distribution(
            {name: splits.get_group(name) for name in SPLITS if name in splits.groups},
            f"{_data(trainer)}EF by split",
        )
    return drawn


def _masks(trainer: Trainer, task: LVSegmenter, split: str) -> Figure:
    """Draw the first traced look of each case of the first batch."""
    shown = task.shown
    slots = shown["traced"].int().argmax(1)
    cases = torch.arange(len(slots))
    dice = dict(zip(task.cases["row"].tolist(), task.cases["dice"].tolist(), strict=True))
    sectors = [shown_sector(clip) for clip in shown["clip"].numpy()]
    nothing = np.zeros(shown["clip"].shape[2:], bool)
    may_be_seen = np.stack([nothing if sector is None else sector for sector in sectors])
    return mask_sheet(
        shown["clip"][cases, slots].numpy() * may_be_seen,
        shown["probability"][cases, slots].numpy(),
        shown["mask"][cases, slots].numpy().astype(bool),
        [f"Dice {dice[row]:.2f}" for row in shown["row"].tolist()],
        f"{_data(trainer)}{split}: the first {len(slots)} of {len(task.cases['row'])} videos",
    )


def _data(trainer: Trainer) -> str:
    return "PHANTOM " if getattr(trainer.datamodule, "is_phantom", False) else ""  # type: ignore[attr-defined]


def _shows(trainer: Trainer) -> bool:
    return isinstance(trainer.logger, TensorBoardLogger) and trainer.is_global_zero


def _log(trainer: Trainer, tag: str, figure: Figure) -> None:
    for logger in trainer.loggers if trainer.is_global_zero else []:
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.add_figure(tag, figure, global_step=trainer.global_step)
