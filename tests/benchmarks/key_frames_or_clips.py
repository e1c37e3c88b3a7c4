"""Key frames against whole clips: one table from noise, one from the same number of PHANTOM frames.

    python tests/benchmarks/key_frames_or_clips.py --output DIR [--seconds 1000] [--frames 6400]

Every row has the same videos, choice of the epoch on VAL, and seconds of training: how long a
training step takes is measured first, each encoder in the precision that it is faster in, and the
epochs follow from that: at least one, and at most 40, where small encoders are done long before.
Pre-training teaches every encoder the same, area and
volume of each frame it sees. A Gaussian process stands on the encoder that the MLP of its frames
has trained. The result is `noise/table.md` and `pretrained/table.md`.

On a data set, from one's own weights or the libraries' (`--weights library`):

    python tests/benchmarks/key_frames_or_clips.py --output DIR --root DIR --weights library \
        --seconds 36000
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import yaml

from lvef.models.backbones import new_backbone

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import own_encoder  # noqa: E402, F401  (found by its class path)

BROKEN_IN_BFLOAT16 = ("clip_r2plus1d",)
"""On CPUs: gradients of 3-D convolutions come out as NaN (torch 2.14, AVX512-BF16)."""
LENGTH, STEPS, MOST_EPOCHS = 16, 3, 40


@dataclass(frozen=True)
class Encoder:
    """A row: its name, the backbone, what it sees and in what batches, and a library's weights."""

    name: str
    backbone: str
    frames: tuple[str, ...] = ("EDF", "ESF")
    batch: int = 32
    weights: str | None = "imagenet"


ENCODERS = (
    Encoder("pair_resnet50", "torchvision/resnet50"),
    Encoder("pair_convnext", "timm/convnext_atto"),
    Encoder("pair_own", "own_encoder.OwnEncoder", weights=None),
    Encoder("clip_r2plus1d", "torchvision/r2plus1d_18", ("CLIP",), 16, "kinetics400"),
)


def main() -> None:
    """Make what is lacking, and both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--root", type=Path, help="a labelled folder; by default PHANTOM clips")
    parser.add_argument("--sizes", type=int, nargs=3, default=(200, 60, 150),
                        help="TRAIN, VAL and TEST of the PHANTOM")  # fmt: skip
    parser.add_argument("--seconds", type=float, default=1000, help="of training, a row")
    parser.add_argument("--frames", type=int, default=6400, help="to pre-train on")
    parser.add_argument("--weights", choices=("phantom", "library"), default="phantom")
    parser.add_argument("--starts", nargs="+", default=["noise", "pretrained"])
    asked = parser.parse_args()
    output = asked.output.resolve()
    output.mkdir(parents=True, exist_ok=True)
    root = phantoms(output / "data", asked.sizes) if asked.root is None else asked.root.resolve()
    labels = pd.read_csv(root / "FileList.csv")
    cases = int((labels["Split"] == "TRAIN").sum())
    steps = measured(output / "steps.json")
    for start in asked.starts:
        weights: dict[str, str | None] = dict.fromkeys((each.name for each in ENCODERS), None)
        if start == "pretrained":
            weights = (
                {each.name: each.weights for each in ENCODERS}
                if asked.weights == "library"
                else {each.name: pretrained(each, output, asked.frames, steps) for each in ENCODERS}
            )
        configs = output / f"configs_{start}"
        configs.mkdir(exist_ok=True)
        write(configs / "phantom.yaml", {"trainer": {"accelerator": "auto"}})  # nothing more
        for each in ENCODERS:
            epochs = round(asked.seconds / (cases * steps[each.name]["seconds"]))
            epochs = min(max(epochs, 1), MOST_EPOCHS)
            for head in ("mlp", "gpr"):
                made = config(each, head, epochs, weights[each.name], steps[each.name]["precision"])
                write(configs / f"{each.name}_{head}.yaml", made)
            print(f"{start} {each.name}: {epochs} epochs of {cases} cases")
        names = [f"{each.name}_{head}" for each in ENCODERS for head in ("mlp", "gpr")]
        lvef("table", "--root", root, "--output", output / start, "--configs", configs,
             "--experiments", json.dumps(names))  # fmt: skip


def phantoms(root: Path, sizes: tuple[int, int, int]) -> Path:
    """Write a folder of PHANTOM clips with splits of these sizes."""
    if not root.is_dir():
        most = max(size / share for size, share in zip(sizes, (2000, 300, 600), strict=True))
        lvef("phantom", "--root", root, "--num_videos", int(2900 * most) + 3)
        labels = pd.read_csv(root / "FileList.csv")
        parts = zip(("TRAIN", "VAL", "TEST"), sizes, strict=True)
        kept = pd.concat([labels[labels["Split"] == name].head(size) for name, size in parts])
        for name in set(labels["FileName"]) - set(kept["FileName"]):
            for file in (root / "Videos").glob(f"{Path(name).stem}.*"):
                file.unlink()
        kept.sort_index().to_csv(root / "FileList.csv", index=False)
        tracings = pd.read_csv(root / "VolumeTracings.csv")
        named = {Path(name).stem for name in kept["FileName"]}
        ours = tracings["FileName"].map(lambda name: Path(name).stem).isin(named)
        tracings[ours].to_csv(root / "VolumeTracings.csv", index=False)
    return root


def measured(kept: Path) -> dict[str, Any]:
    """Return seconds a case of a training step, and the faster precision, of each encoder."""
    found: dict[str, Any] = json.loads(kept.read_text()) if kept.is_file() else {}
    for each in ENCODERS:
        if each.name in found:
            continue
        precisions = ["32-true", "bf16-mixed"]
        if each.name in BROKEN_IN_BFLOAT16 and not torch.cuda.is_available():
            precisions.pop()
        seconds = {p: step_seconds(each, p) for p in precisions}
        fastest = min(seconds, key=lambda precision: seconds[precision])
        found[each.name] = {"seconds": seconds[fastest], "precision": fastest, "all": seconds}
        print(f"{each.name}: {seconds} seconds a case")
    kept.write_text(json.dumps(found, indent=2))
    return found


def step_seconds(encoder: Encoder, precision: str) -> float:
    """Return the best time of a training step, a case."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    net = new_backbone(encoder.backbone).to(device).train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4)
    slots = LENGTH if encoder.frames == ("CLIP",) else len(encoder.frames)
    frames = torch.randint(0, 255, (encoder.batch, slots, 3, 112, 112), dtype=torch.uint8)
    taken = []
    for _ in range(STEPS):
        since = time.perf_counter()
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16-mixed"):
            features = net(frames.to(device))
        features.float().pow(2).mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        if device == "cuda":
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - since)
    return min(taken) / encoder.batch


def pretrained(encoder: Encoder, output: Path, frames: int, steps: dict[str, Any]) -> str:
    """Return the file of an encoder's weights, taught by so many PHANTOM frames."""
    file = output / "weights" / f"{encoder.name}_{frames}.safetensors"
    if not file.is_file():
        lvef("pretrain", "--output", file, "--num_images", frames, "--backbone", encoder.backbone,
             "--precision", steps[encoder.name]["precision"])  # fmt: skip
    return str(file)


def config(
    encoder: Encoder, head: str, epochs: int, weights: str | None, precision: str
) -> dict[str, Any]:
    """Return the config of a row."""
    backbone = {"name": encoder.backbone, "weights": weights, "lr_factor": 0.5}
    data: dict[str, Any] = {"frames": list(encoder.frames), "batch_size": encoder.batch}
    common = {"experiment": f"{encoder.name}_{head}", "data": data}
    if head == "gpr":
        model = {
            "class_path": "lvef.models.EFGaussianProcess",
            "init_args": {"backbone": {**backbone, "freeze": True}},
        }
        return {**common, "model": model, "trainer": {"precision": precision}}
    data["augmentation"] = {"class_path": "lvef.data.transforms.Augmentation"}
    model = {"class_path": "lvef.models.EFRegressor", "init_args": {"backbone": backbone}}
    return {
        **common, "model": model, "trainer": {"max_epochs": epochs, "precision": precision},
        "early_stopping": {"patience": epochs},
    }  # fmt: skip


def write(file: Path, options: dict[str, Any]) -> None:
    """Write a config, unless it says so already: `table` goes on with what has not changed."""
    text = yaml.safe_dump(options)
    if not file.is_file() or file.read_text() != text:
        file.write_text(text)


def lvef(command: str, *words: object) -> None:
    """Run a command, in the folder of the own encoder, with its progress out of sight."""
    own = ["--import", "own_encoder"] if command in ("table", "pretrain") else []
    line = [sys.executable, "-m", "lvef", command, *own, *map(str, words)]
    print(" ".join(map(str, line[1:])), flush=True)
    paths = os.pathsep.join(filter(None, (str(HERE), os.environ.get("PYTHONPATH"))))
    subprocess.run(line, check=True, env={**os.environ, "PYTHONPATH": paths})


if __name__ == "__main__":
    main()
