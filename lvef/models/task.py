"""The contract of a task: what it is asked, and what a checkpoint says of it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pandas as pd
import torch
from lightning import LightningModule
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from numpy.typing import NDArray
from torch import Tensor

from lvef.errors import CheckpointError, ConfigurationError
from lvef.models.checkpoint_format import FORMAT, brought_up

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lvef.models.answers import Answer

Batch = dict[str, Tensor]
Cases = dict[str, Tensor]
"""Columns of cases (see `lvef.columns`), CPU tensors `(n,)` by name, `row` among them."""

Visible = Callable[[NDArray[np.uint8]], NDArray[np.bool_] | None]

REGISTRY: dict[str, type[Task]] = {}
"""Every task that is imported, by class path; see `lvef.models.registry`."""


@dataclass(frozen=True)
class TestReport:
    """What a task says of TEST.

    Attributes:
        metrics: What metrics.json holds under `metrics`.
        text: The same as a table to print.
        facts: What else metrics.json holds, plain data.
    """

    __test__ = False  # not a test, whatever pytest thinks of the name
    metrics: Mapping[str, Any]
    text: str
    facts: dict[str, Any] = field(default_factory=dict)


class Task(LightningModule):
    """Base of all tasks: whatever the rest of the package asks of a model stands here.

    A subclass, also one of a user's own outside this package, is found by its class path in a
    configuration and in a checkpoint. `lvef.testing.check_task` tells whether it keeps the
    contract. What `__init__` takes must be plain data, and be saved with `save_hyperparameters`.

    Attributes:
        kind: What it answers: a class, an EF, or where the ventricle is.
        monitor: The VAL metric that chooses the best checkpoint; see `watch`.
        monitor_mode: Whether it is best when `max` or `min`.
        learns: Whether gradient descent trains it; a task that is fitted at once does not.
        finds_beats: Whether it looks at whole clips and finds their beats itself; others are
            given key frames.
        stands_alone: Whether it can be fitted without checkpoints of other tasks.
        exports: Whether it has a form that can be exported; see `exportable`.
        explains: Whether heat maps can be made of it; of whole clips they cannot.
        smallest_batch: Cases that a batch of training needs; batch norm learns nothing from one.
        trainer_arguments: Arguments of the Trainer that it needs, whatever the trainer was told.
        data_arguments: The same of the data module.
        frames: Names of the key frames of a case, in slot order; empty where it takes none.
        source: Where the weights come from: a checkpoint, or a fit; empty where nobody taught them.
        trained_on: "phantoms" when they taught the checkpoint that was loaded, the weights that
            training started from, or any member of an ensemble, else empty.
        patients: Whether clips of patients, or what nobody knows, took part in teaching what was
            loaded.
        cases: After an epoch of evaluation, the columns of its cases.
    """

    kind: ClassVar[Literal["classification", "regression", "segmentation"]]
    monitor: str
    monitor_mode: str
    learns: ClassVar[bool] = True
    finds_beats: ClassVar[bool] = False
    stands_alone: ClassVar[bool] = True
    exports: ClassVar[bool] = True
    explains: bool = False
    smallest_batch: ClassVar[int] = 2
    trainer_arguments: ClassVar[Mapping[str, Any]] = {}
    data_arguments: ClassVar[Mapping[str, Any]] = {}
    frames: list[str]
    source: str = ""
    trained_on: str = ""
    patients: bool = False
    cases: Cases

    def __init_subclass__(cls, **options: Any) -> None:
        """Register the class, so that it can be listed."""
        super().__init_subclass__(**options)
        REGISTRY[cls.class_path()] = cls

    def __init__(self) -> None:
        super().__init__()
        self.frames = []
        self.cases = {}

    @classmethod
    def class_path(cls) -> str:
        """Return the path that names this class in a configuration and in a checkpoint."""
        inside = cls.__module__.split(".")[0] == "lvef"
        return f"lvef.models.{cls.__name__}" if inside else f"{cls.__module__}.{cls.__qualname__}"

    @classmethod
    def complete_arguments(
        cls,
        arguments: Mapping[str, Any],
        locate: Callable[[str], str],  # noqa: ARG003
    ) -> dict[str, Any]:
        """Return the arguments of a configuration with the checkpoints that they name located.

        Args:
            arguments: What `__init__` is to be called with.
            locate: Returns the checkpoint file of a name: a file, a run's folder, or an
                experiment, of which the newest run is taken.
        """
        return dict(arguments)

    @property
    def decision_threshold(self) -> float | None:
        """The probability from which a case is called reduced; None where no such is chosen."""
        return None

    @property
    def interval_level(self) -> float | None:
        """The coverage that stated intervals promise, in 0..1; None where none are stated."""
        return None

    @property
    def network_title(self) -> str:
        """What a page calls the network that sees the frames; empty where there is no name."""
        return ""

    @property
    def is_calibrated(self) -> bool:
        """Whether VAL has taught the task what its answers need."""
        return True

    @abstractmethod
    def test_report(self, title: str) -> TestReport:
        """Return what `test` writes and prints of `cases`.

        Args:
            title: Which data, split and how many.
        """

    def figures(
        self, split: Literal["VAL", "TEST"], table: pd.DataFrame, data: str, visible: Visible
    ) -> dict[str, Figure]:
        """Return pictures of `cases` by name: some in every epoch for VAL, all of them for TEST.

        Args:
            split: Which.
            table: The data module's table.
            data: What every title begins with, such as "PHANTOM ".
            visible: Returns what of a clip `(n, H, W)` may be shown, `(H, W)`, as text that is
                burned in may name a patient; None where that cannot be told.
        """
        return {}

    def exportable(self) -> Answer:
        """Return its answer as one function of pictures, to be exported.

        Raises:
            NotFittedError: It was never calibrated, or a part of it never fitted.
            FitError: It has no closed form.
            ConfigurationError: It has no such form at all.
        """
        raise ConfigurationError(
            f"a {type(self).__name__} has no form that can be exported: see Task.exportable"
        )

    def watch(self, monitor: str, mode: Literal["min", "max"]) -> None:
        """Let another metric of VAL choose the best epoch of this fit, and end it.

        Args:
            monitor: The metric.
            mode: Whether it is best when `max` or `min`.
        """
        for callback in getattr(self.trainer, "callbacks", []):
            if getattr(callback, "monitor", None) != self.monitor:
                continue
            worst = torch.tensor(torch.inf if mode == "min" else -torch.inf)
            if isinstance(callback, ModelCheckpoint):
                callback.monitor, callback.mode, callback.kth_value = monitor, mode, worst
            if isinstance(callback, EarlyStopping):
                callback.monitor, callback.mode, callback.best_score = monitor, mode, worst
                callback.min_delta = abs(callback.min_delta) * (1 if mode == "max" else -1)
        self.monitor, self.monitor_mode = monitor, mode

    def on_train_end(self) -> None:
        """Know that somebody taught the weights."""
        self.source = "a fit in the same process"

    def on_test_start(self) -> None:
        """Refuse to judge what nobody taught."""
        self._refuse_untaught()

    def on_predict_start(self) -> None:
        """Refuse to predict by what nobody taught."""
        self._refuse_untaught()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Say in the checkpoint what it is a checkpoint of."""
        datamodule = getattr(self.trainer, "datamodule", None)
        of_data = ("frames", "image_size", "remove_artifacts", "is_phantom")
        of_folds = (
            "train_fold", "without_fold", "fold_seed", "calibration_share", "folds", "fold"
        )  # fmt: skip
        folds = getattr(datamodule, "folds", None)
        checkpoint["lvef"] = {
            "format": FORMAT,
            "task": type(self).__name__,
            "class_path": self.class_path(),
            "hparams": dict(self.hparams),
            "data": {
                **{name: getattr(datamodule, name) for name in of_data if datamodule is not None},
                **{name: getattr(folds, name) for name in of_folds if folds is not None},
            },
            # On whose labels it was fitted, and whose taught its backbone before.
            "train_part": dict(getattr(datamodule, "train_part", {})),
            # Also where a later fit, on patients, went on from what phantoms taught.
            "trained_on": self.trained_on,
            "patients": self.patients or not getattr(datamodule, "is_phantom", False),
            # How it was judged on VAL, so that this can be tried again.
            "figures": {
                name: float(value)
                for name, value in self.trainer.callback_metrics.items()
                if name.startswith("val/")
            },
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint of another task.

        Raises:
            CheckpointError: It holds another task.
        """
        if "lvef" not in checkpoint:
            raise CheckpointError("the checkpoint holds a model of another package")
        metadata = brought_up(checkpoint["lvef"])
        if metadata["class_path"] != self.class_path():
            raise CheckpointError(
                f"the checkpoint holds a {metadata['task']}, not a {type(self).__name__}"
            )
        if metadata["data"].get("is_phantom"):
            self.trained_on = "phantoms"
        elif metadata.get("trained_on"):
            self.trained_on = metadata["trained_on"]
        self.patients = metadata.get("patients", not metadata["data"].get("is_phantom"))
        path = getattr(self._trainer, "ckpt_path", None)
        self.source = str(path or self.source or "a checkpoint")

    def _refuse_untaught(self) -> None:
        """Raise where no checkpoint was loaded and nothing was fitted.

        Raises:
            CheckpointError: So it is.
        """
        if not self.source:
            raise CheckpointError(
                f"this {type(self).__name__} has the weights that it was made with: give a "
                "checkpoint with --ckpt_path, or fit it first"
            )

    def _datamodule(self) -> Any:
        datamodule = getattr(self.trainer, "datamodule", None)
        if datamodule is None:
            raise ConfigurationError("a task of this package is trained with an EchoNetDataModule")
        return datamodule
