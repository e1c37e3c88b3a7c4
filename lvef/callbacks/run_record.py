"""`run.json`: with what a run was made, written when it begins and completed when it ends."""

from __future__ import annotations

import hashlib
import json
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from lvef.circumstances import forget_peak_memory, machine, package, peak_memory, versions
from lvef.data.fingerprint import clips_fingerprint, file_digest, folder_fingerprint
from lvef.errors import CheckpointError, LvefError
from lvef.files import finite, write_json
from lvef.models.loading import describe_checkpoint
from lvef.models.segmentation.weights import weights_file
from lvef.runs import data_options

RUN_RECORD = "run.json"
FINISHED = "finished"
_FORMAT = 1
_FIGURES = ("val/", "test/")
_SEGMENTER = ("data", "segmenter")
_NAMED = (
    ("ckpt_path",), _SEGMENTER, ("data", "keyframes"),
    ("model", "init_args", "backbone", "weights"),
    ("model", "init_args", "backbone", "checkpoint"),
    ("model", "init_args", "weights"), ("model", "init_args", "members"),
)  # fmt: skip
"""Options that may name a file which the result depends on."""


class RunRecord(Callback):
    """Writes `run.json` into the run's folder.

    It is for whoever made the run: it may name paths that were typed, and names no video.

    Args:
        command: fit, validate, test or predict.
        config: The resolved configuration, as YAML.
        words: The command line.
    """

    def __init__(self, command: str, config: str, words: Sequence[str]) -> None:
        self._path: Path | None = None
        self._since, self._begun = time.monotonic(), 0.0
        self._steps: list[float] = []
        forget_peak_memory()
        plain = finite(_plain(yaml.safe_load(config)))
        self.record: dict[str, Any] = {
            "format": _FORMAT,
            "command": command,
            "command_line": list(words),
            "state": "running",
            "started": _now(),
            "ended": None,
            "seconds": None,
            "peak_memory_mb": None,
            "seed": plain.get("seed_everything"),
            "config": plain,
            "config_sha256": config_digest(plain),
        }

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write what is known before anything runs; the data have been read."""
        folder = Path(trainer.log_dir or trainer.default_root_dir)  # all processes agree on it
        if not trainer.is_global_zero or self._path is not None:
            return
        self._path = folder / RUN_RECORD
        earlier = _earlier(self._path)
        self.record |= {
            "package": package(),
            "versions": versions(),
            "machine": {
                **machine(),
                "accelerator": type(trainer.accelerator).__name__,
                "devices": trainer.num_devices,
                "processes": trainer.world_size,
                "precision": str(trainer.precision),
            },
            "data": data_fingerprint(trainer.datamodule),  # type: ignore[attr-defined]
            "files": _named_files(self.record["config"]),
            **({"earlier": earlier} if earlier else {}),
        }
        write_json(self._path, self.record)

    def on_test_batch_start(self, *_: Any) -> None:
        """Begin to time a batch."""
        self._begun = time.perf_counter()

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        """Note how long a case took the model, decoding left out."""
        if pl_module.device.type == "cuda":
            torch.cuda.synchronize(pl_module.device)
        taken = time.perf_counter() - self._begun
        self._steps.append(1000 * taken / max(len(batch["row"]), 1))

    def finish(self, trainer: Trainer, state: str) -> None:
        """Complete the record, if the run ever began.

        Args:
            trainer: What ran.
            state: How it ended.
        """
        if self._path is None:
            return
        self.record |= {
            "state": state,
            "ended": _now(),
            "seconds": round(time.monotonic() - self._since, 1),
            "peak_memory_mb": peak_memory(),
        }
        if self._steps:  # the median: the first batch warms up
            self.record["ms_a_case"] = round(statistics.median(self._steps), 2)
        if self.record["command"] == "fit":
            self.record |= _of_checkpoints(trainer)
        elif state == FINISHED:
            self.record["figures"] = figures(trainer.callback_metrics)
        write_json(self._path, self.record)


@contextmanager
def recorded(trainer: Trainer, command: str, config: str, words: Sequence[str]) -> Iterator[None]:
    """Write down what runs within.

    Args:
        trainer: What runs.
        command: fit, validate, test or predict.
        config: The resolved configuration, as YAML.
        words: The command line.
    """
    record = RunRecord(command, config, words)
    trainer.callbacks.append(record)  # type: ignore[attr-defined]
    try:
        yield
    except BaseException as error:
        asked = isinstance(error, (KeyboardInterrupt, SystemExit)) or trainer.received_sigterm
        # What it says may name a clip.
        state = "interrupted" if asked else f"failed: {type(error).__name__}"
        with suppress(LvefError):  # the first error is the one to be told
            record.finish(trainer, state)
        raise
    record.finish(trainer, "interrupted" if trainer.received_sigterm else FINISHED)


def record_of(run: Path) -> dict[str, Any]:
    """Return the record of a run's folder; empty where it holds none."""
    try:
        record = json.loads((run / RUN_RECORD).read_text())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def config_digest(config: dict[str, Any]) -> str:
    """Return the SHA-256 of a configuration as JSON with sorted names."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


def figures(metrics: Any) -> dict[str, float]:
    """Return the figures among what a trainer logged."""
    return {k: float(v) for k, v in sorted(metrics.items()) if k.startswith(_FIGURES)}


def data_fingerprint(datamodule: Any) -> dict[str, Any]:
    """Return what tells whether a data module's data are the same; see `lvef.data.fingerprint`."""
    if datamodule.videos is not None:
        return clips_fingerprint(datamodule.paths())
    if datamodule.root is None:
        return {}
    fingerprint = folder_fingerprint(datamodule.root, getattr(datamodule, "layout", None))
    if "split" in datamodule.table:
        splits = datamodule.table["split"].value_counts().to_dict()
        usable = {name: int(count) for name, count in splits.items() if name}
        fingerprint |= {"usable": usable} if usable else {}
    return fingerprint


def _of_checkpoints(trainer: Trainer) -> dict[str, Any]:
    """Return the checkpoints that a fit leaves, and the figures of the best."""
    kept: dict[str, dict[str, str]] = {}
    best_figures: dict[str, float] = {}
    for callback in trainer.checkpoint_callbacks:
        if not isinstance(callback, ModelCheckpoint):
            continue
        kind = "last" if callback.monitor is None else "best"
        path = Path(callback.best_model_path or callback.last_model_path)
        if path.is_file() and kind not in kept:
            kept[kind] = file_record(path)
            if kind == "best":
                with suppress(CheckpointError):
                    best_figures = figures(describe_checkpoint(path).get("figures", {}))
    return {"checkpoints": kept, "figures": best_figures}


def _named_files(config: dict[str, Any]) -> dict[str, Any]:
    """Return path and digest of every file that a configuration names and a result stands on."""
    named = {}
    config = {**config, "data": data_options(config)}
    for keys in _NAMED:
        value: Any = config
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        several = value if isinstance(value, list) else [value]
        if keys == _SEGMENTER:  # it has a part in the result of new clips alone
            several = [str(weights_file(value))] if value and config["data"].get("videos") else []
        files = [file_record(Path(v)) for v in several if isinstance(v, str) and Path(v).is_file()]
        if files:
            named[".".join(keys)] = files if isinstance(value, list) else files[0]
    return named


def file_record(path: Path) -> dict[str, str]:
    """Return where a file lies, and its digest."""
    return {"path": str(path.resolve()), "sha256": file_digest(path)}


def _earlier(path: Path) -> list[Any]:
    """Return the records of what ran in a folder before, the config left out."""
    before = record_of(path.parent)
    earlier = before.pop("earlier", [])
    if not before or not isinstance(earlier, list):
        return []
    return [*earlier, {k: v for k, v in before.items() if k != "config"}]


def _plain(value: Any) -> Any:
    """Return YAML's values as JSON has them: a date or time of a config becomes its text."""
    if isinstance(value, dict):
        return {str(name): _plain(own) for name, own in value.items()}
    if isinstance(value, list):
        return [_plain(own) for own in value]
    return value if value is None or isinstance(value, (bool, int, float)) else str(value)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
