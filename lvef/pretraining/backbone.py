"""`python -m lvef pretrain`: backbone weights from phantoms, where ImageNet's cannot be had."""

from __future__ import annotations

import copy
import time
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import torch
from lightning import Callback, Trainer, seed_everything
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from lvef.cardiac import WholeClip
from lvef.data.dataset import prepare_for_workers
from lvef.data.phantom_folder import GENERATOR
from lvef.errors import ConfigurationError
from lvef.files import make_room, write_tensors
from lvef.models.backbones import Backbone, new_backbone
from lvef.options import COUNT, LEARNING_RATE, SEED, WORKERS, Range, check_numbers
from lvef.phantom.stream import ClipStream, FrameStream
from lvef.precision import cpu_precision
from lvef.pretraining.backbone_module import PhantomPretraining

_RANGES = {
    "num_images": COUNT,
    "batch_size": Range(2),  # batch norm learns nothing from one
    "lr": LEARNING_RATE,
    "seed": SEED,
    "num_workers": WORKERS,
    "max_minutes": Range(0, 1e6, above=True),
}
_UNTIMED, _TIMED = 2, 6
"""Steps that warm up, and steps that tell the rate."""

Loader = DataLoader[dict[str, Tensor]]


def pretrain(
    output: Path,
    num_images: int = 54000,
    batch_size: int = 48,
    lr: float = 1e-3,
    seed: int = 1000,
    num_workers: int = 1,
    precision: str | None = None,
    backbone: str = "resnet50",
    arguments: dict[str, Any] | None = None,
    max_minutes: float | None = None,
) -> Path:
    """Pre-train a backbone on phantoms: find the left ventricle, tell its area and volume.

    The phantoms are rendered on the fly from a population of their own, so that no heart of any
    folder takes part, whatever the seeds; a benchmark that starts from these weights must still
    say so.

    Args:
        output: Weights file to write (.safetensors), for --model.backbone.weights.
        num_images: Phantom frames to train on; 54,000 took 24 minutes on two CPU cores.
        batch_size: Frames a step.
        lr: Peak learning rate.
        seed: Seed of weights and phantoms.
        num_workers: Processes that render phantoms.
        precision: Lightning's trainer precision; by default what the processor is fastest in.
        backbone: Which, see --model.backbone.name of fit. All but resnet50 learn area and volume
            alone, without the mask; one of whole clips those of each of its frames.
        arguments: What its network is made with, by name.
        max_minutes: Train on fewer images than num_images where they would take longer, by the rate
            of the first steps; what is chosen is printed. Another choice gives other weights.

    Raises:
        ConfigurationError: `output` has another extension, a number is out of its range, or
            `num_images` is less than two batches.
        BackboneError: There is no such backbone, or it cannot be had.
        OutputError: `output` cannot be written.
    """
    check_numbers(
        "--",
        _RANGES,
        {
            "num_images": num_images, "batch_size": batch_size, "lr": lr, "seed": seed,
            "num_workers": num_workers, "max_minutes": max_minutes,
        },
    )  # fmt: skip
    if output.suffix != ".safetensors":
        raise ConfigurationError(f"--output is {output}, but weights are written as .safetensors")
    clip = _clip_of(new_backbone(backbone, False, arguments))
    length = 1 if clip is None else clip.length
    batch = max(batch_size // length, 2)
    if _steps_of(num_images, batch * length) < 1:
        raise ConfigurationError(
            f"--num_images {num_images} is less than two batches: "
            + (f"--batch_size is {batch_size}" if clip is None else f"each of {batch * length}")
        )
    make_room(output)
    seed_everything(seed, workers=True)
    prepare_for_workers()

    def loader(images: int) -> Loader:
        stream: IterableDataset[dict[str, Tensor]] = (
            FrameStream(seed, images) if clip is None else ClipStream(seed, images // length, clip)
        )
        return DataLoader(stream, batch_size=batch, num_workers=num_workers, drop_last=True)

    module = PhantomPretraining(lr, backbone=backbone, arguments=arguments, length=length)
    if precision is None and not torch.cuda.is_available():
        precision = cpu_precision(dense=backbone == "resnet50")
    if max_minutes is not None:
        few = (_UNTIMED + _TIMED + 1) * batch * length * max(num_workers, 1)
        rate = batch * length / _seconds_a_step(module, loader(few), precision)
        num_images = _affordable(num_images, rate, max_minutes, batch * length)
    trainer = Trainer(
        max_epochs=1,
        limit_train_batches=_steps_of(num_images, batch * length),
        devices=1,
        precision=precision,  # type: ignore[arg-type]
        logger=TensorBoardLogger("lightning_logs", name="pretrain", default_hp_metric=False),
        callbacks=[TQDMProgressBar(refresh_rate=20)],
        enable_checkpointing=False,
        gradient_clip_val=1.0,
        log_every_n_steps=20,
    )
    trainer.fit(module, loader(num_images))
    state = module.backbone.network.state_dict()
    tensors = {key: value.detach().to("cpu", torch.float32) for key, value in state.items()}
    taught = f"PHANTOM seed {seed}, {num_images} frames, generator {GENERATOR}"
    metadata = {"trained_on": taught, "backbone": backbone}
    write_tensors(output, tensors, metadata)
    print("Trained on phantoms only; not for diagnosis.")
    return output


def _steps_of(num_images: int, batch: int) -> int:
    return num_images // batch - 1  # the last batches of the workers may be short


class _Clock(Callback):
    """Notes when each step ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_train_batch_end(self, *_: Any) -> None:
        """Wait for the device, and note the moment."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.ends.append(time.perf_counter())


def _seconds_a_step(module: PhantomPretraining, loader: Loader, precision: str | None) -> float:
    """Return what a step takes here, of a copy that is trained for a few and thrown away."""
    clock = _Clock()
    trainer = Trainer(
        max_steps=_UNTIMED + _TIMED,
        devices=1,
        precision=precision,  # type: ignore[arg-type]
        logger=False,
        callbacks=[clock],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        gradient_clip_val=1.0,
    )
    with isolate_rng():
        trainer.fit(copy.deepcopy(module), loader)
    timed = clock.ends[_UNTIMED - 1 :]
    return median(after - before for before, after in pairwise(timed))


def _affordable(num_images: int, rate: float, max_minutes: float, batch: int) -> int:
    """Return how many images fit into the time, two batches at least, and say so.

    Args:
        num_images: As many as were asked for.
        rate: Images a second.
        max_minutes: The time there is.
        batch: Images a step.
    """
    minutes = num_images / rate / 60
    told = f"At {rate:.1f} images a second {num_images} take {minutes:.1f} minutes"
    if minutes <= max_minutes:
        print(f"{told}: all of them are trained on.")
        return num_images
    fewer = max(int(60 * max_minutes * rate), 2 * batch)
    print(f"{told}: {fewer} are trained on, for --max_minutes {max_minutes:g}.")
    return fewer


def _clip_of(backbone: Backbone) -> WholeClip | None:
    """Return which clips it takes; None where it takes single frames."""
    if not backbone.takes_clips:
        return None
    return WholeClip() if backbone.clip_length is None else WholeClip(backbone.clip_length)
