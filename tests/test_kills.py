"""A fit that is killed at any moment leaves whole files, and goes on to the same weights."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest
import torch
from helpers import newest, words
from PIL import Image
from safetensors.torch import load_file

from lvef.files import is_unfinished
from lvef.models.backbones.resnet50 import ResNet50Backbone

RESUMED_IS_EXACT = True
"""Whether a fit that went on must end in the very weights of one that was never killed."""
KILLS = {"one": 6, "two": 4, "gaussian process": 3, "table": 4, "features": 3}
"""Twenty in all."""
EPOCHS = "4"
TWO = ["--trainer.devices", "2", "--trainer.strategy", "ddp"]
STEADY = ["--trainer.precision", "32-true", "--trainer.accelerator", "cpu",
          "--trainer.enable_progress_bar", "false"]  # fmt: skip
# Each epoch is written, so that there is something to go on from after a short life.
WRITER = "lvef.callbacks.checkpoints.UnhurriedCheckpointIO"
PROMPT = ["--trainer.plugins+=" + WRITER, "--trainer.plugins.init_args.interval", "0"]
READERS = {
    ".ckpt": lambda path: torch.load(path, weights_only=True),
    ".safetensors": load_file,
    ".json": lambda path: json.loads(path.read_text()),
    ".begun": lambda path: json.loads(path.read_text()),
    ".csv": pd.read_csv,
    ".png": lambda path: Image.open(path).load(),
}


def start(command: list[str]) -> subprocess.Popen:
    """Start a command in a group of processes of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "lvef", *command], stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def finish(command: list[str]) -> float:
    """Run a command to its end; return how many seconds that took."""
    begun = time.monotonic()
    process = start(command)
    _, error = process.communicate(timeout=900)
    assert process.returncode == 0, error
    return time.monotonic() - begun


def kill(command: list[str], seconds: float, logs: Path | None = None) -> bool:
    """Kill a command after some seconds; return whether it still ran.

    Where `logs` is given these seconds begin when it has written a checkpoint there.
    """
    begun, process = time.time(), start(command)
    while logs is not None and process.poll() is None:
        last = last_of(logs)
        if last is not None and last.stat().st_mtime > begun:
            break
        time.sleep(0.05)
    with suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=seconds)
    ran = process.poll() is None
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        assert not ran
    process.communicate()
    return ran


def check_whole(folder: Path) -> None:
    """Read every file under a folder that has the name of a result."""
    for path in folder.rglob("*"):
        if path.suffix in READERS and not is_unfinished(path):
            READERS[path.suffix](path)


def last_of(folder: Path) -> Path | None:
    found = list(folder.rglob("last.ckpt"))
    return max(found, key=lambda path: path.stat().st_mtime) if found else None


def same(mine: Path, other: Path) -> None:
    """Assert that two checkpoints hold the same, or only as much of it as is promised."""
    one, two = (torch.load(path, weights_only=True) for path in (mine, other))
    assert one["epoch"] == two["epoch"]
    assert one["state_dict"].keys() == two["state_dict"].keys()
    for name, value in one["state_dict"].items():
        assert value.shape == two["state_dict"][name].shape
        if RESUMED_IS_EXACT:
            assert torch.equal(value, two["state_dict"][name]), name
        else:
            assert not value.isnan().any(), name


def command_of(kind: str, root: Path, logs: Path, weights: Path) -> list[str]:
    epochs = ["--trainer.max_epochs", EPOCHS]
    if kind == "gaussian process":
        return words("fit", "esf_gpr", root, logs, *STEADY, *PROMPT)
    if kind == "table":
        return ["table", "--root", str(root), "--output", str(logs), "--quick", "--max_epochs", "2",
                "--experiments", "[esf_mlp, esf_gpr]"]  # fmt: skip
    more = [*STEADY, *PROMPT, *epochs]
    if kind == "two":
        more += [*TWO, "--data.batch_size", "4"]
    if kind == "features":
        more += ["--model.backbone.freeze", "true", "--model.backbone.weights", str(weights)]
    return words("fit", "esf_mlp", root, logs, *more)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KILLS)
def test_a_killed_fit_leaves_whole_files_and_goes_on(phantom_root, tmp_path, kind):
    random.seed(len(kind))
    torch.manual_seed(0)
    weights = tmp_path / "backbone.pt"
    torch.save(ResNet50Backbone(None).network.state_dict(), weights)
    whole = tmp_path / "whole"
    seconds = finish(command_of(kind, phantom_root, whole, weights))
    kills, went_on, lives = 0, 0, 0
    while kills < KILLS[kind]:
        lives += 1
        logs = tmp_path / f"killed_{lives}"
        command = command_of(kind, phantom_root, logs, weights)
        ended = False
        while kills < KILLS[kind] and not ended:
            more = resumed(kind, logs)
            # In turn any moment, and one soon after an epoch, so that there is one to go on from.
            if kills % 2:
                ended = not kill([*command, *more], random.uniform(0.3, 0.9) * seconds)
            else:
                ended = not kill([*command, *more], random.uniform(0, 0.5), logs)
            kills, went_on = kills + (not ended), went_on + bool(more)
            check_whole(logs)
            assert not more or resumed(kind, logs) == more, "the checkpoint before was lost"
        if not ended:
            finish([*command, *resumed(kind, logs)])
        check_whole(logs)
        same_results(kind, whole, logs)
        shutil.rmtree(logs)  # half a gigabyte
    shutil.rmtree(whole)
    print(f"{kind}: {kills} kills of {lives} fits; {went_on} times it went on from a checkpoint")


def resumed(kind: str, logs: Path) -> list[str]:
    """Return the options of a fit that goes on; a table knows by itself."""
    last = last_of(logs)
    return ["--ckpt_path", str(last)] if last and kind != "table" else []


def same_results(kind: str, whole: Path, killed: Path) -> None:
    if kind != "table":
        same(last_of(whole), last_of(killed))
        return
    one, two = (
        json.loads(newest(logs, "table.json").read_text())["rows"] for logs in (whole, killed)
    )
    assert one.keys() == two.keys()
    for name in one:
        same(Path(one[name]["checkpoint"]), Path(two[name]["checkpoint"]))
