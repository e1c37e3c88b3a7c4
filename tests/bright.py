"""A folder of tiny clips whose grey says their EF: cheap to write and to learn."""

from __future__ import annotations

from hashlib import sha1
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from lightning import Callback, LightningModule, Trainer

from lvef.data.formats import write_video

SIDE = 32
ED, ES, FRAMES = 0, 2, 3


def write_bright(root: Path, train: int = 24, val: int = 16, test: int = 12) -> Path:
    """Write an EchoNet folder; EF runs from 20 to 75 in each split, and noise hides it a little."""
    rng = np.random.default_rng(0)
    (root / "Videos").mkdir(parents=True)
    rows, tracings = [], []
    for split, count in (("TRAIN", train), ("VAL", val), ("TEST", test)):
        for number, ef in enumerate(np.linspace(20, 75, count)):
            name = f"BRIGHT_{split}_{number:03d}"
            grey = 40 + 2 * ef + rng.normal(0, 12)
            frames = np.clip(grey + rng.normal(0, 20, (FRAMES, SIDE, SIDE)), 0, 255)
            write_video(root / "Videos" / f"{name}.avi", frames.astype(np.uint8), 50.0)
            rows.append({
                "FileName": name, "EF": ef, "ESV": 100 - ef, "EDV": 100.0, "FrameHeight": SIDE,
                "FrameWidth": SIDE, "FPS": 50, "NumberOfFrames": FRAMES, "Split": split,
            })  # fmt: skip
            tracings += [_tracing(name, frame, half) for frame, half in ((ES, 5.0), (ED, 8.0))]
    pd.DataFrame(rows).to_csv(root / "FileList.csv", index=False)
    pd.concat(tracings).to_csv(root / "VolumeTracings.csv", index=False)
    return root


def _tracing(name: str, frame: int, half: float) -> pd.DataFrame:
    """Return a long axis of 24 pixels and 20 chords of equal length."""
    level = 4 + 24 * (np.arange(20) + 0.5) / 20
    chords = np.stack([np.full(20, 16 - half), level, np.full(20, 16 + half), level], axis=1)
    points = np.concatenate([[[16, 4, 16, 28]], chords])
    table = pd.DataFrame(points, columns=["X1", "Y1", "X2", "Y2"])
    return table.assign(FileName=name, Frame=frame)[["FileName", "X1", "Y1", "X2", "Y2", "Frame"]]


class Planted(Callback):
    """Makes epochs good or bad on VAL: what the head says is shifted or turned over while judged.

    Training itself knows nothing of it; the checkpoint of an epoch holds what was judged.

    Args:
        shift: What is added to the head's answer in each epoch, in standard deviations of EF.
        sign: What the head's answer is multiplied by in each epoch.
    """

    def __init__(self, shift: list[float] | None = None, sign: list[float] | None = None) -> None:
        self.shift, self.sign = shift or [], sign or []

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.sanity_checking:
            self._plant(trainer.current_epoch, pl_module, 1)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.current_epoch:
            self._plant(trainer.current_epoch - 1, pl_module, -1)

    def _plant(self, epoch: int, task: LightningModule, way: int) -> None:
        *_, weight, bias = task.parameters()  # the head's last layer
        with torch.no_grad():
            if epoch < len(self.shift):
                bias += way * self.shift[epoch]
            if epoch < len(self.sign):
                weight *= self.sign[epoch]
                bias *= self.sign[epoch]


class Watch(Callback):
    """Keeps what a fit shows of its batches, and a digest of each tensor of its backbone."""

    def __init__(self) -> None:
        self.trained: list[dict[str, torch.Tensor]] = []
        self.judged: list[dict[str, torch.Tensor]] = []
        self.backbones: list[dict[str, bytes]] = []
        SEEN.append(self)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._keep(pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._keep(pl_module)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: dict, batch_idx: int
    ) -> None:
        self.trained.append({name: batch[name].clone() for name in ("row", "frames")})

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: dict, *_: int
    ) -> None:
        self.judged.append({name: batch[name].clone() for name in ("row", "frames")})

    def _keep(self, task: LightningModule) -> None:
        state = task.state_dict().items()
        self.backbones.append(
            {k: sha1(v.numpy().tobytes()).digest() for k, v in state if k.startswith("backbone.")}
        )


SEEN: list[Watch] = []
"""What watches, in the order in which it was made."""
