"""`python -m lvef pretrain`: backbone weights from phantoms, where ImageNet's cannot be had."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning import Trainer, seed_everything
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
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
}


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
            "num_workers": num_workers,
        },
    )  # fmt: skip
    if output.suffix != ".safetensors":
        raise ConfigurationError(f"--output is {output}, but weights are written as .safetensors")
    clip = _clip_of(new_backbone(backbone, False, arguments))
    length = 1 if clip is None else clip.length
    batch = max(batch_size // length, 2)
    steps = num_images // length // batch - 1  # the last batches of the workers may be short
    if steps < 1:
        raise ConfigurationError(
            f"--num_images {num_images} is less than two batches: "
            + (f"--batch_size is {batch_size}" if clip is None else f"each of {batch * length}")
        )
    make_room(output)
    seed_everything(seed, workers=True)
    prepare_for_workers()
    stream: IterableDataset[dict[str, Tensor]] = (
        FrameStream(seed, num_images)
        if clip is None
        else ClipStream(seed, num_images // length, clip)
    )
    loader = DataLoader(stream, batch_size=batch, num_workers=num_workers, drop_last=True)
    module = PhantomPretraining(lr, backbone=backbone, arguments=arguments, length=length)
    if precision is None and not torch.cuda.is_available():
        precision = cpu_precision(dense=backbone == "resnet50")
    trainer = Trainer(
        max_epochs=1,
        limit_train_batches=steps,
        devices=1,
        precision=precision,  # type: ignore[arg-type]
        logger=TensorBoardLogger("lightning_logs", name="pretrain", default_hp_metric=False),
        callbacks=[TQDMProgressBar(refresh_rate=20)],
        enable_checkpointing=False,
        gradient_clip_val=1.0,
        log_every_n_steps=20,
    )
    trainer.fit(module, loader)
    state = module.backbone.network.state_dict()
    tensors = {key: value.detach().to("cpu", torch.float32) for key, value in state.items()}
    taught = f"PHANTOM seed {seed}, {num_images} frames, generator {GENERATOR}"
    metadata = {"trained_on": taught, "backbone": backbone}
    write_tensors(output, tensors, metadata)
    print("Trained on phantoms only; not for diagnosis.")
    return output


def _clip_of(backbone: Backbone) -> WholeClip | None:
    """Return which clips it takes; None where it takes single frames."""
    if not backbone.takes_clips:
        return None
    return WholeClip() if backbone.clip_length is None else WholeClip(backbone.clip_length)
