"""What TensorBoard shows beside the curves: pictures, and hyperparameters with their results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from matplotlib.figure import Figure

from lvef.evaluation import figures
from lvef.models import EFClassifier, EFTask


class TensorBoardFigures(Callback):
    """Logs a sample batch, how VAL is predicted, and the hyperparameters with the best metrics.

    After `test` the same figures of TEST are also saved as PNG in the log folder.

    Args:
        max_samples: Cases on the sample sheet.
    """

    def __init__(self, max_samples: int = 8) -> None:
        self.max_samples = max_samples
        self._best: dict[str, float] = {}

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Show the first batch as the model sees it."""
        if trainer.global_step == 0 and batch_idx == 0 and isinstance(pl_module, EFTask):
            count = self.max_samples
            sheet = figures.sample_sheet(
                batch["frames"][:count].cpu().numpy(),
                pl_module.frames,
                batch["ef"][:count].cpu().numpy(),
                f"{_data(trainer)}TRAIN: first batch, augmented",
            )
            _log(trainer, "sample_batch", sheet)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show how VAL is predicted, and keep the best metrics for the hyperparameters."""
        if (
            trainer.sanity_checking
            or not isinstance(pl_module, EFTask)
            or trainer.state.fn != "fit"
        ):
            return
        for name, figure in _figures(trainer, pl_module, "VAL").items():
            _log(trainer, f"val/{name}", figure)
        now = {k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("val/")}
        better = {"max": float.__gt__, "min": float.__lt__}[pl_module.monitor_mode]
        if not self._best or better(now[pl_module.monitor], self._best[pl_module.monitor]):
            self._best = now

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the hyperparameters with the metrics of the best epoch."""
        logger = trainer.logger
        if isinstance(logger, TensorBoardLogger) and isinstance(pl_module, EFTask) and self._best:
            best = {f"best_{name}": value for name, value in self._best.items()}
            logger.log_hyperparams(dict(pl_module.hparams), best)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show how TEST is predicted, in TensorBoard and as PNG."""
        folder = Path(trainer.log_dir or trainer.default_root_dir)
        if not trainer.is_global_zero or not isinstance(pl_module, EFTask):
            return
        for name, figure in _figures(trainer, pl_module, "TEST").items():
            folder.mkdir(parents=True, exist_ok=True)
            figure.savefig(folder / f"{name}.png", dpi=120)
            _log(trainer, f"test/{name}", figure)


def _figures(trainer: Trainer, task: EFTask, split: str) -> dict[str, Figure]:
    cases = {name: column.numpy() for name, column in task.cases.items()}
    title = f"{_data(trainer)}{split}, {len(cases['row'])} videos, {' + '.join(task.frames)}"
    if isinstance(task, EFClassifier):
        return {
            "roc_and_pr": figures.roc_and_pr(
                cases["p_reduced"], cases["reduced"], float(task.threshold), title
            ),
            "confusion_matrix": figures.confusion_matrix(
                cases["p_reduced"], cases["reduced"], float(task.threshold), title
            ),
        }
    return {
        "predicted_and_true": figures.predicted_and_true(cases["ef_predicted"], cases["ef"], title)
    }


def _data(trainer: Trainer) -> str:
    return "PHANTOM " if getattr(trainer.datamodule, "is_phantom", False) else ""  # type: ignore[attr-defined]


def _log(trainer: Trainer, tag: str, figure: Figure) -> None:
    if isinstance(trainer.logger, TensorBoardLogger) and trainer.is_global_zero:
        trainer.logger.experiment.add_figure(tag, figure, global_step=trainer.global_step)
