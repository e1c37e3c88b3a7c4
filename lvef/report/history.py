"""The curves that a run wrote for TensorBoard."""

from __future__ import annotations

from pathlib import Path

_SHOWN = ("loss", "mae", "r2", "roc_auc", "balanced_accuracy", "ece")


def read_history(folder: Path) -> dict[str, tuple[list[float], list[float]]]:
    """Return epochs and values by name, such as `train/loss` and `val/mae`.

    Args:
        folder: Log folder of a fit; empty where it holds no event file.
    """
    if not folder.is_dir() or not any(folder.glob("events.out.tfevents.*")):
        return {}
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    tags = set(events.Tags()["scalars"])
    epochs = (
        {event.step: event.value for event in events.Scalars("epoch")} if "epoch" in tags else {}
    )
    curves = {}
    for stage in ("train", "val"):
        for metric in _SHOWN:
            name = next(
                (n for n in (f"{stage}/{metric}_epoch", f"{stage}/{metric}") if n in tags), None
            )
            if name is None:
                continue
            values: dict[float, float] = {}  # the last of each epoch
            for event in events.Scalars(name):
                values[epochs.get(event.step, float(event.step))] = event.value
            curves[f"{stage}/{metric}"] = (list(values), list(values.values()))
    return curves
