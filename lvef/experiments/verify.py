"""`python -m lvef verify`: judge a checkpoint again, and say whether a run's figures come out."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lvef.callbacks.run_record import RUN_RECORD, figures
from lvef.cli.commands import run_lightning
from lvef.cli.yaml_text import yaml_text
from lvef.data.fingerprint import file_digest, folder_fingerprint
from lvef.errors import CheckpointError, ConfigurationError, LvefError
from lvef.experiments.stored_run import StoredRun, figures_of_test, read_json, read_stored
from lvef.models.loading import describe_checkpoint, task_class
from lvef.options import Range, check_numbers

_RANGES = {"tolerance": Range(0, 1)}
_PARTS = ("package", "versions", "machine")


class VerificationError(LvefError):
    """A run whose figures do not come out again."""


@dataclass(frozen=True)
class Row:
    """A figure that was stored, and what it is now.

    Attributes:
        name: The figure.
        stored: In the run's folder; NaN where it could not be had.
        again: Measured now.
        allowed: By how much they may differ.
    """

    name: str
    stored: float
    again: float
    allowed: float

    @property
    def comes_out(self) -> bool:
        """Whether they agree; what could not be had and still cannot be had does."""
        neither = math.isnan(self.stored) and math.isnan(self.again)
        return neither or abs(self.again - self.stored) <= self.allowed

    def __str__(self) -> str:
        """Return it as a row of the table."""
        difference = self.again - self.stored
        row = f"{self.name:24s}{self.stored:12.5g}{self.again:12.5g}{difference:12.2g}"
        return row if self.comes_out else f"{row}  differs"


def verify(
    run: Path, root: str | None = None, ckpt_path: Path | None = None, tolerance: float = 0.001
) -> None:
    """Judge a run's checkpoint again, and say whether its figures come out.

    The checkpoint of a test is tested again, the best of a fit is judged on VAL again; the run's
    folder stays as it is. Of its config only numbers and names of this package's own options are
    taken: a folder from elsewhere can start nothing.

    Args:
        run: Folder of a test, a validate or a fit.
        root: Folder of labelled clips, where it is not where the run had it.
        ckpt_path: The checkpoint, where it is not where the run had it.
        tolerance: How much a figure may differ: this share of it, or this where it is below 1.

    Raises:
        VerificationError: A figure does not come out, or data or checkpoint have changed.
        ConfigurationError: The folder is of no run that can be judged again, or damaged.
    """
    check_numbers("--", _RANGES, {"tolerance": tolerance})
    stored = read_stored(run)
    checkpoint = _same_checkpoint(stored, ckpt_path)
    root = root or stored.root
    if root is None:
        raise ConfigurationError(f"{run} names no data folder: give it with --root")
    _same_data(stored, root)
    with TemporaryDirectory(prefix="lvef_verify_") as folder:
        again, now = _judge(stored, root, checkpoint, Path(folder))
    rows = [
        Row(name, value, again.get(name, math.nan), tolerance * max(1.0, abs(value)))
        for name, value in stored.figures.items()
    ]
    print(f"{'figure':24s}{'stored':>12s}{'again':>12s}{'difference':>12s}")
    print("\n".join(map(str, rows)))
    print(f"allowed: {tolerance:g} of a figure, and {tolerance:g} where it is below 1")
    for difference in _differences(stored, now):
        print(f"other than then: {difference}")
    off = [row for row in rows if not row.comes_out]
    if off:
        shown = ", ".join(f"{row.name} was {row.stored:.5g}, is {row.again:.5g}" for row in off[:3])
        raise VerificationError(
            f"{run}: {len(off)} of {len(rows)} figures do not come out: {shown}"
            + (", ..." if len(off) > 3 else "")
        )
    print(f"{run}: all {len(rows)} figures come out")


def _same_checkpoint(stored: StoredRun, given: Path | None) -> Path:
    """Return the checkpoint that a run's figures are of.

    Raises:
        VerificationError: It is missing, or another.
    """
    path = given or stored.checkpoint
    beside = stored.folder / "checkpoints" / path.name
    if given is None and not path.is_file() and beside.is_file():  # the folder was moved
        path = beside
    if not path.is_file():
        raise VerificationError(
            f"{stored.folder}: its checkpoint {path} is missing; give it with --ckpt_path"
        )
    if file_digest(path) != stored.checkpoint_sha256:
        raise VerificationError(f"{stored.folder}: {path} has changed since, or is another")
    return path


def _same_data(stored: StoredRun, root: str) -> None:
    """Refuse data that are others.

    Raises:
        VerificationError: They are.
    """
    now = folder_fingerprint(root)
    then = {name: stored.data.get(name) for name in now}
    changed = [name for name in now if now[name] != then[name]]
    if not changed:
        return
    words = {"names_and_sizes": "names or sizes of videos", "bytes": "bytes of videos"}
    changes = [
        f"{then[name]} -> {now[name]} videos" if name == "videos" else words.get(name, name)
        for name in changed
    ]
    raise VerificationError(
        f"{stored.folder}: the data in {root} changed since: {', '.join(changes)}"
    )


def _judge(
    stored: StoredRun, root: str, checkpoint: Path, folder: Path
) -> tuple[dict[str, float], dict[str, Any]]:
    """Return the figures of a checkpoint and the record of the run that found them.

    Args:
        stored: The run.
        root: The data.
        checkpoint: The checkpoint.
        folder: Where to write.
    """
    command = "test" if stored.command == "test" else "validate"
    class_path = describe_checkpoint(checkpoint)["class_path"]
    try:
        task_class(class_path)
    except CheckpointError as error:
        raise ConfigurationError(f"{checkpoint}: {error}") from error
    model: dict[str, Any] = {"class_path": class_path}
    if stored.level is not None:
        model["init_args"] = {"uncertainty": {"level": stored.level}}
    quiet = {
        "default_root_dir": str(folder), "devices": 1, "enable_progress_bar": False,
        "enable_model_summary": False,
    }  # fmt: skip
    config = {
        "seed_everything": stored.seed,
        "experiment": "again",
        "saliency": False,
        "model": model,
        "data": {**stored.data_options, "root": root, "feature_cache": None},
        "trainer": {**stored.trainer_options, **quiet},
        "ckpt_path": str(checkpoint),
    }
    file = folder / "asked.yaml"
    file.write_text(yaml_text(config))
    with redirect_stdout(io.StringIO()):  # its own table and place are not what is asked
        trainer = run_lightning([command, "--config", str(file)]).trainer
    made = Path(trainer.log_dir or trainer.default_root_dir)
    new_figures = figures_of_test(made) if command == "test" else figures(trainer.callback_metrics)
    return new_figures, read_json(made / RUN_RECORD)


def _differences(stored: StoredRun, now: dict[str, Any]) -> Iterator[str]:
    """Yield what of the circumstances is not as it was."""
    for part in _PARTS:
        then = stored.circumstances[part]
        for name in sorted({*then, *now[part]}):
            before, after = then.get(name), now[part].get(name)
            if before != after:
                yield f"{part} {name}: {_short(before)} -> {_short(after)}"


def _short(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text[:12] if len(text) == 64 else text  # a digest
