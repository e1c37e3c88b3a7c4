"""What every run takes beside Lightning's own arguments, and which defaults it has."""

from __future__ import annotations

from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser

from lvef import models
from lvef.callbacks import EarlyStopping
from lvef.cli.imports import HELP as IMPORT_HELP
from lvef.runs import LOG_FOLDER

_DEFAULTS = {
    "checkpoint.filename": "best",
    "checkpoint.enable_version_counter": False,
    "early_stopping.patience": 10,
    "early_stopping.check_finite": False,  # VAL of one class has no AUC
    # The task says which metric it is, and where it is best: see `lvef.cli.rules`.
    "checkpoint.monitor": None,
    "early_stopping.monitor": "",
    "trainer.max_epochs": 40,
    "trainer.gradient_clip_val": 1.0,
    "trainer.log_every_n_steps": 10,
}


def add_arguments(parser: LightningArgumentParser) -> None:
    """Add the callbacks of every run, and what can be set by name."""
    parser.usage = (
        "python -m lvef COMMAND --config EXPERIMENT [--config MORE] [--data.root DIR] "
        "[--import MODULE] [options]"
    )
    first, *others = _tasks()
    parser.description = (
        f"Options of the tasks: --model.help {first} (or {', '.join(others)}). "
        f"--print_config after other options shows the whole configuration. {IMPORT_HELP}"
    )
    parser.add_argument(
        "--experiment", default="run", help=f"Name of the run's folder under {LOG_FOLDER}."
    )
    parser.add_argument(
        "--saliency",
        type=bool | None,
        default=None,
        help="Save heat maps: true in predict for every video, false in test for none; by "
        "default test saves those of a few chosen cases.",
    )
    parser.add_argument(
        "--anonymize",
        type=str | None,
        default=None,
        help="predict: name new clips case_0001 and so on in tables, records and pictures, and "
        "keep which is which in this CSV file, which must lie outside the run's folder.",
    )
    parser.add_lightning_class_args(ModelCheckpoint, "checkpoint")
    parser.add_lightning_class_args(EarlyStopping, "early_stopping")
    parser.add_lightning_class_args(LearningRateMonitor, "lr_monitor")
    parser.set_defaults(_DEFAULTS)


def _tasks() -> list[str]:
    """Return the names of the package's tasks: those that no other is derived from."""
    classes = [getattr(models, name) for name in models.__all__]
    tasks = [kind for kind in classes if isinstance(kind, type) and issubclass(kind, models.Task)]
    bases = {base for task in tasks for base in task.__mro__[1:]}
    return [task.__name__ for task in tasks if task not in bases]
