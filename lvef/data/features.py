"""Features of a frozen backbone: computed once, kept by a name that says what they are of."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from lightning import Trainer
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from torchmetrics.utilities.distributed import gather_all_tensors
from tqdm import tqdm

from lvef.cardiac import is_reduced
from lvef.data.dataset import refuse_failures
from lvef.data.looks import PICTURES
from lvef.data.slots import frame_numbers, view_of
from lvef.errors import OutputError
from lvef.files import write_tensors

_DIGEST = "sha256"
"""Where a file says the digest of its features."""


@dataclass(frozen=True)
class Request:
    """What features are wanted of.

    Attributes:
        rows: Rows of the data module's table.
        frames: Names of the frames, in slot order.
        image_size: Height and width of a frame in pixels.
        remove_artifacts: Whether what lies outside the sector is blanked.
        fingerprint: Says which backbone, with which weights, in which precision.
    """

    rows: pd.DataFrame
    frames: Sequence[str]
    image_size: int
    remove_artifacts: bool
    fingerprint: str

    def digest(self, frame: str) -> str:
        """Return a name that changes with whatever the features of one frame depend on."""
        digest = hashlib.sha256()
        settings = (
            PICTURES, self.fingerprint, frame, self.image_size, self.remove_artifacts
        )  # fmt: skip
        digest.update(repr(settings).encode())
        path, count = (view_of(frame).column(name) for name in ("path", "num_frames"))
        columns = (self.rows[path], frame_numbers(self.rows, [frame]).tolist(), self.rows[count])
        for path, numbers, count in zip(*columns, strict=True):
            stat = Path(path).stat()
            which = numbers[0] if len(numbers) == 1 else tuple(numbers)
            known = (str(path), which, int(count), stat.st_size, stat.st_mtime_ns)
            digest.update(repr(known).encode())
        return digest.hexdigest()


class FeatureCache:
    """Features on disk, a file for each frame of a split; files may be deleted at any time.

    A file's name is a digest of all that its features depend on. So a stale file is not found,
    whatever changed. What it holds is checked by a digest of its own.

    Args:
        folder: Where they are kept; None keeps nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def load(self, digest: str, num_cases: int) -> Tensor | None:
        """Return `(num_cases, d)` float32 features, or None where there are none that are whole.

        A damaged file costs a warning that names it; what is computed anew takes its place.
        """
        path = self._path(digest)
        if path is None or not path.is_file():
            return None
        try:
            return _read(path, num_cases)
        except (OSError, SafetensorError, _DamagedError) as error:
            message = f"{path} is damaged ({error}); features are computed anew"
            warnings.warn(message, stacklevel=2)
            return None

    def save(self, digest: str, features: Tensor) -> None:
        """Keep `(n, d)` features; a folder that cannot be written costs a warning, not the run."""
        path = self._path(digest)
        if path is None or not features.isfinite().all():  # would be called damaged
            return
        try:
            write_tensors(path, {"features": features}, {_DIGEST: _digest(features)})
        except OutputError as error:
            warnings.warn(f"features are not kept: {error}", stacklevel=2)

    def _path(self, digest: str) -> Path | None:
        return None if self.folder is None else self.folder / f"{digest[:32]}.safetensors"


class _DamagedError(Exception):
    """A file that does not hold what was written into it."""


def _read(path: Path, num_cases: int) -> Tensor:
    """Return the features that a file holds.

    Raises:
        _DamagedError: They are not what was written, or not of these cases.
    """
    with safe_open(path, "pt") as opened:
        stated = (opened.metadata() or {}).get(_DIGEST)
        if stated is None or list(opened.keys()) != ["features"]:
            raise _DamagedError("it says no digest of its features")
        features: Tensor = opened.get_tensor("features")
    if features.dtype != torch.float32 or features.ndim != 2 or len(features) != num_cases:
        shape = " x ".join(map(str, features.shape))
        raise _DamagedError(f"it holds {features.dtype} {shape}, not float32 of {num_cases} cases")
    if _digest(features) != stated:
        raise _DamagedError("its features are not those that were written")
    if not features.isfinite().all():
        raise _DamagedError("its features are not finite")
    return features


def _digest(features: Tensor) -> str:
    """Return a digest of dtype, shape and values."""
    digest = hashlib.sha256(f"{features.dtype} {tuple(features.shape)}".encode())
    digest.update(features.contiguous().numpy().data)
    return digest.hexdigest()


class FeatureDataset(Dataset[dict[str, Tensor]]):
    """Cases as features; asked for a batch, it cuts one out of memory at once.

    Args:
        rows: Rows of the data module's table.
        features: `(n, d)` their features.
    """

    def __init__(self, rows: pd.DataFrame, features: Tensor) -> None:
        ef = rows["ef_true"].to_numpy(np.float32)
        self.columns = {
            "features": features,
            "ef_true": torch.as_tensor(ef.copy()),
            "reduced_true": torch.as_tensor(
                np.where(np.isnan(ef), -1, is_reduced(ef)).astype(np.int64)
            ),
            "row": torch.as_tensor(rows.index.to_numpy(np.int64).copy()),
        }

    def __len__(self) -> int:
        """Return the number of cases."""
        return len(self.columns["row"])

    def __getitem__(self, item: int) -> dict[str, Tensor]:
        """Return one case."""
        return {name: column[item] for name, column in self.columns.items()}

    def __getitems__(self, items: list[int]) -> dict[str, Tensor]:
        """Return a batch; PyTorch's loader asks for it where it can be had."""
        chosen = torch.as_tensor(items)
        return {name: column[chosen] for name, column in self.columns.items()}


def as_it_is(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Collate nothing."""
    return batch


def compute(
    request: Request,
    extract: Callable[[Tensor], Tensor],
    cache: FeatureCache,
    loader: Callable[[pd.DataFrame, Sequence[str]], DataLoader[Any]],
    trainer: Trainer,
    device: torch.device,
    title: str,
) -> Tensor:
    """Return features of every row, from the cache or by one pass of the backbone.

    Each process takes rows of its own, none twice, and all get all.

    Args:
        request: What they are wanted of.
        extract: Returns `(B, F * d)` features of frames `(B, F, 3, H, W)`.
        cache: Where they may be already.
        loader: Returns batches of the given frames of the given rows.
        trainer: Knows the processes.
        device: Where `extract` runs.
        title: Of the progress bar.

    Returns:
        `(n, F * d)` float32 on the CPU, in the order of the rows.

    Raises:
        VideoError: A video cannot be read.
    """
    digests = {frame: request.digest(frame) for frame in request.frames}
    by_frame: dict[str, Tensor | None] = {}
    if trainer.is_global_zero:
        by_frame = {
            frame: cache.load(digest, len(request.rows)) for frame, digest in digests.items()
        }
    by_frame = trainer.strategy.broadcast(by_frame)  # one folder decides: others may not see it
    missing = [frame for frame in request.frames if by_frame[frame] is None]
    if missing:
        mine = request.rows.iloc[trainer.global_rank :: trainer.world_size]
        mine = request.rows.iloc[:1] if mine.empty else mine  # more processes than cases
        batches = loader(mine, missing)
        bar = tqdm(
            batches,
            desc=f"features of {title} {' + '.join(missing)}",
            disable=not (trainer.is_global_zero and trainer.progress_bar_callback),
        )
        found = _pass(bar, extract, device, len(mine))
        computed = _gather(*found, request.rows.index, trainer)
        for frame, features in zip(missing, computed.chunk(len(missing), dim=1), strict=True):
            by_frame[frame] = features
            if trainer.is_global_zero:
                cache.save(digests[frame], features)
        if missing == list(request.frames):
            return computed
    return torch.cat([part for part in by_frame.values() if part is not None], dim=1)


def _pass(
    batches: Any, extract: Callable[[Tensor], Tensor], device: torch.device, cases: int
) -> tuple[Tensor, Tensor]:
    """Return rows and features of all batches, in memory that is taken once."""
    rows, features, done = torch.empty(cases, dtype=torch.long), torch.empty(0), 0
    for batch in batches:
        refuse_failures(batch)
        found = extract(batch["frames"].to(device))
        features = features if done else torch.empty(cases, found.shape[1], dtype=found.dtype)
        own = slice(done, done + len(found))
        rows[own], features[own] = batch["row"], found.cpu()
        done += len(found)
    return rows[:done], features[:done]


def _gather(rows: Tensor, features: Tensor, wanted: pd.Index, trainer: Trainer) -> Tensor:
    """Return the features of all processes in the order of `wanted`."""
    if trainer.world_size > 1:
        device = trainer.strategy.root_device
        rows = torch.cat(gather_all_tensors(rows.to(device))).cpu()
        features = torch.cat(gather_all_tensors(features.to(device))).cpu()
    unique, first = np.unique(rows.numpy(), return_index=True)
    order = torch.as_tensor(first[pd.Index(unique).get_indexer(wanted)])
    if torch.equal(order, torch.arange(len(features))):
        return features  # in order already: of a million cases a copy is 16 GB
    return features[order]


def feature_loader(
    rows: pd.DataFrame,
    features: Tensor,
    batch_size: int,
    sampler: Sampler[Any] | None = None,
    drop_last: bool = False,
) -> DataLoader[Any]:
    """Return batches from memory; a batch is cut at once, so that there is nothing to collate."""
    return DataLoader(
        FeatureDataset(rows, features),
        batch_size=batch_size,
        sampler=sampler,
        drop_last=drop_last,
        generator=torch.Generator(),
        collate_fn=as_it_is,  # type: ignore[arg-type]
    )
