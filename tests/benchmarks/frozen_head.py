"""What do 50 epochs on a frozen backbone cost, beside one pass of it over the training split?

The pass is plain PyTorch: decode TRAIN's frames and run the backbone, nothing else. The fit is
`python -m lvef fit` with everything it does: both splits through the backbone, 50 epochs,
validation, checkpoints, TensorBoard.

    python tests/benchmarks/frozen_head.py --root data/benchmark [--frames EDF ESF]
"""

from __future__ import annotations

import argparse
import tempfile
import time

import torch
from torch.utils.data import DataLoader

from lvef.cli.lightning_cli import run  # imported before the clock starts, as PyTorch is
from lvef.data.dataset import KeyFrameDataset, collate, one_thread, prepare_for_workers
from lvef.data.layouts import read_labels
from lvef.data.options import default_workers
from lvef.models import ResNet50Backbone
from lvef.precision import cpu_precision

EPOCHS = 50


def one_pass(root: str, frames: list[str]) -> float:
    """Return the seconds of one pass over TRAIN."""
    table = read_labels(root).table
    prepare_for_workers()
    loader = DataLoader(
        KeyFrameDataset(table[table["split"] == "TRAIN"], frames),
        batch_size=32, num_workers=default_workers(), collate_fn=collate, worker_init_fn=one_thread,
    )  # fmt: skip
    backbone = ResNet50Backbone(None).eval()
    mixed = cpu_precision() != "32-true"
    start = time.perf_counter()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        for batch in loader:
            backbone(batch["frames"])
    return time.perf_counter() - start


def frozen_fit(root: str, frames: list[str]) -> float:
    """Return the seconds of a fit of 50 epochs, its features not computed before."""
    config = "configs/edf_esf_mlp.yaml" if len(frames) == 2 else "configs/esf_mlp.yaml"
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        run(
            [
                "fit", "--config", config, "--config", "configs/phantom.yaml",
                "--data.root", root, "--data.frames", str(frames).replace("'", ""),
                "--model.backbone.freeze", "true", "--trainer.max_epochs", str(EPOCHS),
                "--early_stopping.patience", str(EPOCHS), "--trainer.default_root_dir", folder,
                "--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false",
            ]
        )  # fmt: skip
        return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", default="data/benchmark")
    parser.add_argument("--frames", nargs="+", default=["ESF"])
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    once = one_pass(arguments.root, arguments.frames)
    fit = frozen_fit(arguments.root, arguments.frames)
    names = " + ".join(arguments.frames)
    print(f"{names}: one pass over TRAIN {once:.1f} s; {EPOCHS} epochs {fit:.1f} s = "
          f"{fit / once:.2f} passes")  # fmt: skip


if __name__ == "__main__":
    main()
