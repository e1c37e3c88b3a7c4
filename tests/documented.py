"""How each command of the documents is run: small, and in a folder of its own.

A command that no table here knows is not run, and fails `test_documentation.py`: say here how.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import chdir, redirect_stdout
from dataclasses import dataclass, field
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml
from documents import ROOT, Command, commands, commands_of
from downloads import downloads_of, timm_download, torchvision_download
from helpers import another_place, write_list
from released_files import FILES, write_released
from torchvision.models import EfficientNet_B0_Weights, ResNet50_Weights
from torchvision.models.video import R2Plus1D_18_Weights

from lvef.cli.commands import LIGHTNING_COMMANDS, main

OLD = """
make demo
python -m lvef phantom --root data/phantom --num_videos 600
python -m lvef fit --config configs/esf_cls.yaml --config configs/phantom.yaml
python -m lvef test --config configs/esf_cls.yaml --config configs/phantom.yaml
python -m lvef predict --config configs/esf_cls.yaml --config configs/phantom.yaml
tensorboard --logdir lightning_logs
python -m lvef fit  --config configs/esf_cls.yaml     --data.root /data/EchoNet-Dynamic
python -m lvef test --config configs/esf_cls.yaml     --data.root /data/EchoNet-Dynamic
python -m lvef fit  --config configs/edf_esf_mlp.yaml --data.root /data/EchoNet-Dynamic
python -m lvef test --config configs/edf_esf_mlp.yaml --data.root /data/EchoNet-Dynamic
python -m lvef verify RUN    # the folder of a test, or of a fit: its best checkpoint on VAL
python -m lvef fit  --config configs/edf_esf_gpr.yaml --data.root DIR \
    --model.backbone.checkpoint lightning_logs/edf_esf_mlp/version_0/checkpoints/best.ckpt
python -m lvef fit  --config configs/ensemble.yaml --data.root DIR \
    --model.members '[edf_esf_mlp, edf_esf_gpr]'
python -m lvef test --config configs/ensemble.yaml --data.root DIR
python -m lvef table --root DIR --output results    # --quick: 200 videos a split, 4 epochs
python -m lvef phantom --root data/look --num_videos 3 --seed 21
python -m lvef predict --config configs/lv_seg.yaml --data.videos 'data/look/Videos/*0.avi' \
    --data.save_overlays true
python -c "import lvef; lvef.analyse_clip('data/look/Videos/PHANTOM021N000000.avi').plot()\
.savefig('analysis.png', dpi=110)"
python -m lvef predict --config configs/lv_seg.yaml --data.videos clips/
python -m lvef predict --config configs/edf_esf_mlp.yaml --data.videos clips/ \
    --ckpt_path RUN/checkpoints/best.ckpt
python -m lvef fit  --config configs/lv_seg.yaml --data.root /data/EchoNet-Dynamic
python -m lvef predict --config configs/lv_seg.yaml --data.videos clips/ \
    --ckpt_path lightning_logs/lv_seg/version_0/checkpoints/best.ckpt
python -m lvef report lightning_logs/edf_esf_gpr/version_1 --output report.html   # a test run
python -m lvef report lightning_logs/edf_esf_mlp/version_2/predictions.csv --output clips.html
python -m lvef saliency --ckpt_path RUN/checkpoints/best.ckpt --root data/benchmark --output DIR
python -m lvef robustness --config RUN/config.yaml --ckpt_path RUN/checkpoints/best.ckpt
pip install -e '.[export]'
python -m lvef export --ckpt_path RUN/checkpoints/best.ckpt --output model.onnx
python -m lvef fit --config configs/esf_cls.yaml --data.root DIR \
    --trainer.devices 4 --trainer.strategy ddp
torchrun --nnodes 2 --nproc_per_node 4 --rdzv_backend c10d --rdzv_endpoint HOST:29500 \
    -m lvef fit --config configs/esf_cls.yaml --data.root DIR \
    --trainer.num_nodes 2 --trainer.devices 4 --trainer.strategy ddp
srun python -m lvef fit --config configs/esf_cls.yaml --data.root DIR \
    --trainer.num_nodes 2 --trainer.devices 4 --trainer.strategy ddp
python -m lvef pretrain --output weights/phantom_resnet50.safetensors
python -m lvef fit --config configs/edf_esf_mlp.yaml --config configs/phantom.yaml \
    --model.backbone.weights weights/phantom_resnet50.safetensors
python -m lvef phantom --root data/benchmark --num_videos 2900 --seed 0
python -m lvef pretrain --output weights/phantom_resnet50.safetensors --num_images 27000
python -m lvef table --root data/benchmark --output results/pretrained \
    --weights weights/phantom_resnet50.safetensors --max_epochs 6
make test        # 8 minutes on 2 CPU cores with other work beside
make test-slow   # trains and measures
make lint        # ruff and mypy --strict
"""
"""Commands of the README before its documents moved into their rooms: they go on working."""

FIRST = """
python -m lvef phantom --root data/phantom --num_videos 600
python -m lvef phantom --root data/look --num_videos 3 --seed 21
python -m lvef fit --config configs/edf_esf_mlp.yaml --data.root /data/EchoNet-Dynamic
python -m lvef test --config configs/edf_esf_mlp.yaml --data.root /data/EchoNet-Dynamic
python -m lvef predict --config configs/edf_esf_mlp.yaml --data.videos clips/ \
    --ckpt_path RUN/checkpoints/best.ckpt
python -m lvef fit --config configs/edf_esf_gpr.yaml --data.root DIR \
    --model.backbone.checkpoint lightning_logs/edf_esf_mlp/version_0/checkpoints/best.ckpt
python -m lvef test --config configs/edf_esf_gpr.yaml --data.root DIR
python -m lvef fit --config configs/ensemble.yaml --data.root DIR \
    --model.members '[edf_esf_mlp, edf_esf_gpr]'
python -m lvef fit --config configs/esf_cls.yaml --config configs/phantom.yaml
python -m lvef fit --config configs/lv_seg.yaml --data.root /data/EchoNet-Dynamic
python -m lvef pretrain --output weights/phantom_resnet50.safetensors
"""
"""What the other commands stand on, in this order: their runs have the numbers documents say."""

CLIPS, EPOCHS, IMAGES, ELSEWHERE = 36, 2, 96, 24

PLACES = {
    "DIR": "data/phantom",
    "/data/EchoNet-Dynamic": "data/phantom",
    "data/benchmark": "data/phantom",
    "/data/our-clinic": "data/elsewhere",
    "HOST:29500": "localhost:0",
}
"""What stands for a place in the documents, and where that is here."""

SMALLER = {
    "--num_videos": CLIPS, "--num_images": IMAGES, "--max_epochs": EPOCHS, "--clips": 2,
    "--trainer.max_epochs": EPOCHS, "--trainer.devices": 2, "--trainer.num_nodes": 1,
    "--nproc_per_node": 2, "--nnodes": 1, "--folds": 3, "--trials": 1,
}  # fmt: skip
"""Options whose number is at most this one here."""

_LIGHTNING = [
    "--data.num_workers", "0", "--data.image_size", "32", "--data.batch_size", "4",
    "--trainer.max_epochs", str(EPOCHS), "--trainer.accelerator", "cpu",
]  # fmt: skip
_SEGMENTER = [
    "--data.num_workers", "0", "--data.batch_size", "2", "--trainer.max_epochs", "1",
    "--trainer.limit_train_batches", "2", "--trainer.limit_val_batches", "1",
]  # fmt: skip
MORE: dict[str, list[str]] = {
    "fit": _LIGHTNING, "validate": _LIGHTNING, "test": [*_LIGHTNING, "--saliency", "false"],
    "predict": _LIGHTNING,
    "phantom": ["--num_videos", str(CLIPS)],
    "pretrain": ["--num_images", str(IMAGES)],
    "table": ["--experiments", "[esf_cls, edf_esf_mlp]", "--max_epochs", "1"],
    "sweep": ["--trials", "1", "--max_epochs", "1", "--more", " ".join(_LIGHTNING[:6])],
    "saliency": ["--num_cases", "2", "--steps", "2"],
    "robustness": ["--num_cases", "2"],
    "external": ["--k", "[0, 12]", "--repeats", "1"],
    "recalibrate": [], "merge": [], "keyframes": [],
    "analyse": ["--workers", "0"],
    "export": [], "report": [], "verify": [], "checklist": [],
}  # fmt: skip
"""What is added to each command of this package, where it is not given."""

SPACE = "model.optimizer.lr: {low: 1.0e-4, high: 1.0e-2, log: true}\n"
"""What the documents' sweep searches, here."""

LEAVES = {
    "fit": "checkpoints/best.ckpt", "validate": "run.json", "test": "metrics.json",
    "predict": "predictions.csv",
}  # fmt: skip
"""What each of Lightning's commands leaves in the folder of its run."""

CONSTANTS = {
    "archive": "m.DISTINCT = m.MARKS = 1",
    "biplane": "",
    "bench": "m.subprocess.run = lambda *_, **__: m.subprocess.CompletedProcess((), 0)",
    "decoding": "m.CLIPS = 1",
    "found_frames": "",
    "frozen_head": "m.EPOCHS = 1",
    "gaussian_process": "m.NUM_TRAIN, m.NUM_TEST, m.NUM_FEATURES = 60, 20, 32",
    "heat_maps": "m.CASES = m.REPEATS = 1; m.REPORTED = 2",
    "new_videos": "",
    "phantoms": "m.CLIPS = 1",
}
"""The benchmarks, and what makes them short."""

BY_NAME = {
    "git clone URL lvef": f"git clone --quiet {ROOT} lvef",
    "cd lvef": "test -f lvef/pyproject.toml",
    "python3 -m venv .venv": f"{sys.executable} -m venv --without-pip .venv",
    ". .venv/bin/activate": ". .venv/bin/activate",
    "pip install -e .": f"test -f {ROOT}/pyproject.toml",  # CI installs from a clean checkout
    "pip install -e '.[dicom]'": f"grep -q '^dicom = ' {ROOT}/pyproject.toml",
    "pip install -e '.[export]'": f"grep -q '^export = ' {ROOT}/pyproject.toml",
    "pip install -e '.[sweep]'": f"grep -q '^sweep = ' {ROOT}/pyproject.toml",
    "pip install -e '.[timm]'": f"grep -q '^timm = ' {ROOT}/pyproject.toml",
}
"""Commands that are run as others; what installs is run by `make`, on a clean checkout."""

ENDS = ("--help", "--help=all", "--print_config", "--model.help")
"""Options that print something and end."""


class NotRunError(Exception):
    """No table says how a command is run."""


@dataclass(frozen=True)
class Plan:
    """How a command is run.

    Attributes:
        kind: `here` in this process, `processes` in ones of its own, `shell`, or `dry` where it is
            only parsed.
        words: What is run; for `here` and `dry` what `lvef.cli.commands.main` takes.
    """

    kind: str
    words: tuple[str, ...]


def plan(command: Command) -> Plan:
    """Return how a command is run.

    Raises:
        NotRunError: Nothing here says so.
    """
    words, text = command.words, str(command)
    if text in BY_NAME:
        return Plan("shell", (BY_NAME[text],))
    if words[:3] == ("python", "-m", "lvef"):
        small = _small(words[3:])
        return Plan("processes" if "--trainer.devices" in small else "here", small)
    if words[:4] == ("srun", "python", "-m", "lvef"):  # the scheduler is not here
        return Plan("dry", _small(words[4:]))
    if words[0] == "torchrun":
        after = words.index("lvef") + 1
        launcher = tuple(_replaced(words[1:after]))
        run = (sys.executable, "-m", "torch.distributed.run", *launcher, *_small(words[after:]))
        return Plan("shell", run)
    if words[:2] == ("python", "-c"):
        return Plan("shell", (sys.executable, *words[1:]))
    if words[0] == "python" and Path(words[1]).stem in CONSTANTS:
        return Plan("shell", _benchmark(Path(words[1]), _replaced(words[2:])))
    if words[0] == "tensorboard":
        return Plan("shell", (sys.executable, "-m", "tensorboard.main", *words[1:], "--inspect"))
    if words[0] == "make":
        return Plan("shell", ("make", "-C", str(ROOT), "--dry-run", *words[1:]))
    raise NotRunError(f"{command.where}: this command is not run: {text}\nsay in {__name__}.py how")


def _small(words: Sequence[str]) -> tuple[str, ...]:
    """Return a command of this package on little."""
    name, *given = words
    if name not in MORE:
        raise NotRunError(f"this command is not run: {' '.join(words)}")
    if given[:1] and given[0] in ENDS:
        return tuple(words)
    segments = {"lv_seg", "configs/lv_seg.yaml"} & set(given)
    added = _SEGMENTER if segments else MORE[name]
    small = [name, *_replaced(given, writes=name == "phantom")]
    for option, value in zip(added[::2], added[1::2], strict=True):
        small += [] if option in given else [option, value]
    ends = [word for word in small if word in ENDS]  # they take what stands before them
    return (*(word for word in small if word not in ends), *ends)


def _replaced(words: Sequence[str], writes: bool = False) -> list[str]:
    """Put places and small numbers in place of the documents'."""
    replaced: list[str] = []
    for option, word in zip(["", *words], words, strict=False):
        if option in SMALLER:
            word = str(min(int(word), SMALLER[option]))
        elif option == "--output" and word == "DIR":
            word = "results/maps"
        elif not writes:
            word = PLACES.get(word, word)
        replaced.append(re.sub(r"^RUN\b", "lightning_logs/edf_esf_mlp/version_0", word))
    return replaced


def _benchmark(file: Path, words: Sequence[str]) -> tuple[str, ...]:
    """Return a benchmark with small constants, in a process of its own."""
    code = f"import sys, {file.stem} as m; {CONSTANTS[file.stem]}\nm.main()"
    return (sys.executable, "-c", code, *words)


def of_before() -> list[Command]:
    """Return the README's commands of before."""
    return commands_of(OLD, "README.md of before")


def by_name(command: Command) -> Command:
    """Return a command with the names of configs in place of their paths."""
    words = (re.sub(r"^configs/(\w+)\.yaml$", r"\1", word) for word in command.words)
    return Command(tuple(words), command.where)


def to_run() -> list[Command]:
    """Return every command to run: the documents', and those of before that say something else."""
    others = [command for command in of_before() if by_name(command).words not in _written()]
    return [*commands(), *others]


def said_anew() -> list[tuple[Command, Command]]:
    """Return the commands of before that the documents say in other words, with these."""
    pairs = [(command, by_name(command)) for command in of_before()]
    return [(old, new) for old, new in pairs if old.words != new.words in _written()]


@cache
def _written() -> set[tuple[str, ...]]:
    return {command.words for command in commands()}


def of_the_package(plan: Plan) -> tuple[str, ...] | None:
    """Return what of a plan is a command of this package that is parsed, None where nothing is."""
    found = next((plan.words[at:] for at, word in enumerate(plan.words) if word in MORE), None)
    return None if found is None or set(found) & set(ENDS) else found


@cache
def printed(words: tuple[str, ...]) -> dict[str, Any]:
    """Return the configuration that a command of Lightning's is parsed to."""
    assert words[0] in LIGHTNING_COMMANDS
    out = StringIO()
    with redirect_stdout(out), chdir(ROOT):
        try:
            code = main([*words, "--print_config"])
        except SystemExit as end:
            code = end.code
    assert not code, f"not parsed: {' '.join(words)}"
    return yaml.safe_load(out.getvalue())


@dataclass
class Sandbox:
    """A folder in which the documents' commands find what they name.

    Attributes:
        folder: The folder.
        codes: Exit code of every command that was run.
    """

    folder: Path
    codes: dict[tuple[str, ...], int] = field(default_factory=dict)

    def prepare(self) -> None:
        """Lay out what the commands stand on."""
        for name in ("configs", "tests"):
            (self.folder / name).symlink_to(ROOT / name)
        (self.folder / "clips").symlink_to("data/look/Videos")
        for weights in (ResNet50_Weights, EfficientNet_B0_Weights, R2Plus1D_18_Weights):
            torchvision_download(weights.DEFAULT, self.folder / "torch")
        for name in FILES:
            write_released(name, self.folder)
        timm_download("convnext_tiny.in12k_ft_in1k", self.folder / "hugging_face")
        for command in commands_of(FIRST):
            assert self.run(command) == 0, str(command)
        best = (
            self.folder
            / "lightning_logs"
            / "edf_esf_mlp"
            / "version_0"
            / "checkpoints"
            / "best.ckpt"
        )
        shutil.copyfile(best, self.folder / "best.ckpt")
        data = self.folder / "data"
        another_place(data / "phantom", data / "elsewhere", lambda rows: rows.index < ELSEWHERE)
        write_list(data / "phantom", self.folder / "clips.csv")
        (self.folder / "space.yaml").write_text(SPACE)
        shutil.copyfile(next((self.folder / "clips/").glob("*.avi")), self.folder / "clip.avi")

    def run(self, command: Command) -> int:
        """Run a command, once, and return its exit code."""
        if command.words not in self.codes:
            self.codes[command.words] = self._run(plan(command))
        return self.codes[command.words]

    def _run(self, plan: Plan) -> int:
        if plan.kind == "dry":
            return 0
        environment = {
            "TORCH_HOME": str(self.folder / "torch"),
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests" / "benchmarks")]),
            "OMP_NUM_THREADS": "1",
        }
        with chdir(self.folder), patch.dict(os.environ, environment):
            if plan.kind == "here":
                with downloads_of(self.folder / "hugging_face"):
                    return self._main(plan.words)
            words = list(plan.words)
            if plan.kind == "processes":
                words = [sys.executable, "-m", "lvef", *words]
            if len(words) == 1:
                words = ["bash", "-c", words[0]]
            return subprocess.run(words, timeout=600, check=False).returncode

    def _main(self, words: Sequence[str]) -> int:
        before = set(self.folder.glob("lightning_logs/*/version_*"))
        try:
            code = main(words)
        except SystemExit as end:  # of --help and --print_config
            return int(end.code or 0)
        if code == 0 and words[0] in LEAVES:
            made = set(self.folder.glob("lightning_logs/*/version_*")) - before
            assert made or "last" in words, "a run that goes on does so in its folder"
            for run in made:
                assert (run / LEAVES[words[0]]).is_file(), f"{run} holds no {LEAVES[words[0]]}"
        return code
