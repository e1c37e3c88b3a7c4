"""Data of which the answer is known: small, made on the spot, the same every time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from lightning import LightningDataModule
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, default_collate

from lvef.cardiac import SURVEY_FRAMES, is_reduced, num_pictures
from lvef.columns import SPLITS

SIZE = 32
_COUNTS = {"TRAIN": 32, "VAL": 16, "TEST": 12}
_COUNTS_OF_CLIPS = {"TRAIN": 12, "VAL": 6, "TEST": 4}
_BATCH, _BATCH_OF_CLIPS = 8, 4
TOLD, _NOISE = 16, 0.3
"""Features of a frame that tell EF, and their noise in standard deviations of EF."""
_LOOKS = 4


class PlantedData(LightningDataModule):
    """Cases whose EF, or whose ventricle, stands plainly in what a task is given.

    For tasks of key frames a batch holds `frames`, as bright as EF is high, and `features`, of
    which a few rise with EF; for tasks of clips a bright disk that beats, with its mask. It stands
    in for the package's data modules and does for a task what they do.

    Args:
        frames: Names of the frames of a case; empty for clips.
        num_features: Features of a frame, or of a whole clip.
        one_class: Whether no case of VAL and TEST is reduced.
        shuffled: Whether the truth of VAL and TEST belongs to other cases.
        counts: Cases of each split.
        backbone: What computes the features from the frames; by default they are planted too.
        repeats: Whether every case of VAL and TEST comes twice, as a distributed sampler does it.
    """

    is_phantom = True
    image_size = SIZE
    remove_artifacts = False
    balanced = False
    has_features = True

    def __init__(
        self,
        frames: list[str],
        num_features: int,
        one_class: bool = False,
        shuffled: bool = False,
        counts: Mapping[str, int] | None = None,
        repeats: bool = False,
        backbone: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.frames = frames
        self.num_features = num_features
        self.repeats = repeats
        self.backbone = backbone
        self.batch_size = _BATCH if frames else _BATCH_OF_CLIPS
        counts = counts or (_COUNTS if frames else _COUNTS_OF_CLIPS)
        rng = np.random.default_rng(0)
        splits = [name for name in SPLITS for _ in range(counts[name])]
        ef = np.linspace(20.0, 75.0, len(splits))[rng.permutation(len(splits))]
        judged = np.array(splits) != "TRAIN"
        if one_class:
            ef = np.where(judged & (ef <= 45), 90 - ef, ef)
        self._ef = ef
        self._truth_of = np.arange(len(ef))
        if shuffled:
            for name in ("VAL", "TEST"):
                rows = np.flatnonzero(np.array(splits) == name)
                self._truth_of[rows] = rows[np.argsort(-ef[rows])][np.argsort(np.argsort(ef[rows]))]
        self.table = pd.DataFrame(
            {
                "video": [f"planted{number}" for number in range(len(ef))],
                "split": splits,
                "ef_true": ef[self._truth_of],
                "edv": 100.0,
                "esv": 100.0 - ef,
            }
        )

    def split(self, name: str) -> pd.DataFrame:
        """Return the rows of a split."""
        return self.table[self.table["split"] == name]

    def compute_features(self, *_: Any) -> None:
        """Features are there already."""

    def feature_table(self, split: str) -> tuple[Tensor, Tensor]:
        """Return features `(n, F * d)` and EF `(n,)` of a split."""
        rows = self.split(split)
        features = torch.stack([self._features(row) for row in rows.index])
        return features, torch.as_tensor(rows["ef_true"].to_numpy(np.float32))

    def train_dataloader(self) -> DataLoader[Any]:
        """Return shuffled batches of TRAIN."""
        generator = torch.Generator().manual_seed(0)
        cases = _Cases([self._case(row) for row in self.split("TRAIN").index])
        return DataLoader(cases, batch_size=self.batch_size, shuffle=True, generator=generator)

    def val_dataloader(self) -> DataLoader[Any]:
        """Return batches of VAL."""
        return self._judged("VAL")

    def test_dataloader(self) -> DataLoader[Any]:
        """Return batches of TEST."""
        return self._judged("TEST")

    def predict_dataloader(self) -> DataLoader[Any]:
        """Return batches of TEST."""
        return self._judged("TEST")

    def _judged(self, split: str) -> DataLoader[Any]:
        rows = list(self.split(split).index)
        rows = [row for row in rows for _ in range(2)] if self.repeats else rows
        return DataLoader(_Cases([self._case(row) for row in rows]), batch_size=self.batch_size)

    def _case(self, row: int) -> dict[str, Tensor]:
        return self._key_frames(row) if self.frames else self._clip(row)

    def _key_frames(self, row: int) -> dict[str, Tensor]:
        ef_true = float(self._ef[self._truth_of[row]])
        return {
            "frames": self._frames(row),
            "features": self._features(row),
            "ef_true": torch.tensor(ef_true, dtype=torch.float32),
            "reduced_true": torch.tensor(int(is_reduced(ef_true))),
            "row": torch.tensor(row),
        }

    def _frames(self, row: int) -> Tensor:
        generator = torch.Generator().manual_seed(row)
        shape = (num_pictures(self.frames), 3, SIZE, SIZE)
        grey = 10 + 2 * float(self._ef[row])
        return (grey + 20 * torch.rand(shape, generator=generator)).to(torch.uint8)

    def _features(self, row: int) -> Tensor:
        if self.backbone is not None:
            with torch.no_grad():
                seen: Tensor = self.backbone(self._frames(row)[None])[0]
            return seen
        generator = torch.Generator().manual_seed(row)
        features = 0.1 * torch.rand((len(self.frames), self.num_features), generator=generator)
        told = min(TOLD, self.num_features)
        noise = torch.randn((len(self.frames), told), generator=generator)
        features[:, :told] = (self._ef[row] - 47) / 16 + _NOISE * noise
        return features.flatten()

    def _clip(self, row: int) -> dict[str, Tensor]:
        """Return a disk that beats; the mask is that of the case which the truth belongs to."""
        return {
            "clip": _disks(self._ef[row], _LOOKS)[0],
            "survey": _disks(self._ef[row], SURVEY_FRAMES)[0],
            "mask": _disks(self._ef[self._truth_of[row]], _LOOKS)[1],
            "traced": torch.ones(_LOOKS, dtype=torch.bool),
            "row": torch.tensor(row),
        }


class _Cases(Dataset[dict[str, Tensor]]):
    def __init__(self, cases: list[dict[str, Tensor]]) -> None:
        self.cases = cases

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, item: int) -> dict[str, Tensor]:
        return self.cases[item]


def first_cases(data: PlantedData, count: int) -> dict[str, Tensor]:
    """Return the first cases of TEST as one batch."""
    batch: dict[str, Tensor] = default_collate(
        [data._case(row) for row in data.split("TEST").index[:count]]
    )
    return batch


def _disks(ef: float, looks: int) -> tuple[Tensor, Tensor]:
    """Return grey looks and masks, uint8 `(looks, SIZE, SIZE)`, of a disk placed by its EF."""
    radius = 4 + ef / 12
    phase = torch.linspace(0, 2 * torch.pi, looks)
    radii = radius * (1 + 0.1 * phase.cos())
    x, y = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="xy")
    centre = 8 + ef / 5
    masks = (x - centre) ** 2 + (y - SIZE / 2) ** 2 <= radii[:, None, None] ** 2
    return (30 + 200 * masks).to(torch.uint8), masks.to(torch.uint8)
