"""What do 50 epochs on a frozen backbone cost, beside one pass of it over the training split?

The pass is plain PyTorch: decode TRAIN's frames and run the backbone, nothing else. The fit is
`python -m lvef fit` with everything it does: both splits through the backbone, 50 epochs,
validation, checkpoints, TensorBoard.

    python tests/benchmarks/frozen_head.py --root data/benchmark [--frames EDF ESF]
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from functools import partial

import harness
import torch
from harness import Line, Measured
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


def claims(root: str, frames: list[str], rounds: int) -> Iterator[Line]:
    """Yield what a fit costs in passes."""
    ways = {"fit": partial(frozen_fit, root, frames), "pass": partial(one_pass, root, frames)}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            seconds[name].append(way())
    names = "_".join(frames).lower()
    fit = Measured(f"{EPOCHS} epochs of fit, features not kept from before", seconds["fit"])
    once = Measured("one pass of the backbone over TRAIN", seconds["pass"])
    yield Line(f"frozen_fit_{names}", fit, once, at_most=True)


def main(words: list[str] | None = None) -> None:
    """Measure, by default once."""
    options = harness.parser(__doc__)
    options.add_argument("--root", default="data/benchmark")
    options.add_argument("--frames", nargs="+", default=["ESF"])
    asked = options.parse_args(words)
    torch.set_num_threads(asked.threads)
    settings = harness.settings_of(asked)
    lines = claims(asked.root, asked.frames, asked.rounds or 1)
    harness.tell(lines, settings, asked.json)


if __name__ == "__main__":
    main()
