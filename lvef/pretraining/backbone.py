"""`python -m lvef pretrain`: backbone weights from phantoms, where ImageNet's cannot be had."""

from __future__ import annotations

from pathlib import Path

import torch
from lightning import Trainer, seed_everything
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.data import DataLoader

from lvef.data.dataset import prepare_for_workers
from lvef.data.phantom_folder import GENERATOR
from lvef.errors import ConfigurationError
from lvef.files import make_room, write_tensors
from lvef.options import COUNT, LEARNING_RATE, SEED, WORKERS, Range, check_numbers
from lvef.phantom.stream import FrameStream
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
) -> Path:
    """Pre-train the backbone on phantoms: find the left ventricle, tell its area and volume.

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

    Raises:
        ConfigurationError: `output` has another extension, a number is out of its range, or
            `num_images` is less than two batches.
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
    steps = num_images // batch_size - 1  # the last batches of the workers may be short
    if steps < 1:
        raise ConfigurationError(
            f"--num_images {num_images} is less than two batches: --batch_size is {batch_size}"
        )
    make_room(output)
    seed_everything(seed, workers=True)
    prepare_for_workers()
    loader = DataLoader(
        FrameStream(seed, num_images),
        batch_size=batch_size,
        num_workers=num_workers,
        drop_last=True,
    )
    module = PhantomPretraining(lr=lr)
    trainer = Trainer(
        max_epochs=1,
        limit_train_batches=steps,
        devices=1,
        precision=precision or (None if torch.cuda.is_available() else cpu_precision()),  # type: ignore[arg-type]
        logger=TensorBoardLogger("lightning_logs", name="pretrain", default_hp_metric=False),
        callbacks=[TQDMProgressBar(refresh_rate=20)],
        enable_checkpointing=False,
        gradient_clip_val=1.0,
        log_every_n_steps=20,
    )
    trainer.fit(module, loader)
    state = module.backbone.network.state_dict()
    tensors = {key: value.detach().to("cpu", torch.float32) for key, value in state.items()}
    metadata = {"trained_on": f"PHANTOM seed {seed}, {num_images} frames, generator {GENERATOR}"}
    write_tensors(output, tensors, metadata)
    print("Trained on phantoms only; not for diagnosis.")
    return output
