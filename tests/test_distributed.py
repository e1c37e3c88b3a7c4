"""Two processes must tell the same as one, although samplers repeat cases to even out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

CONFIGS = Path(__file__).parents[1] / "configs"


def run(command: str, root: Path, logs: Path, *more: str) -> Path:
    """Run a command in a process of its own, and return the folder it logged to."""
    subprocess.run(
        [
            sys.executable, "-m", "lvef", command,
            "--config", str(CONFIGS / "esf_mlp.yaml"), "--config", str(CONFIGS / "phantom.yaml"),
            "--data.root", str(root), "--data.image_size", "32", "--data.num_workers", "0",
            "--trainer.precision", "32-true",
            "--trainer.default_root_dir", str(logs), "--trainer.max_epochs", "1",
            "--trainer.accelerator", "cpu", *more,
        ],
        check=True, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    return max((logs / "esf_mlp").glob("version_*"), key=lambda p: int(p.name.split("_")[1]))


ONE_BY_ONE = ["--data.batch_size", "1"]
TWO = ["--trainer.devices", "2", "--trainer.strategy", "ddp"]


def test_two_processes_train_and_count_every_video_once(phantom_root, tmp_path):
    fitted = run("fit", phantom_root, tmp_path / "fit", "--data.batch_size", "2", *TWO)
    checkpoint = ["--ckpt_path", str(fitted / "checkpoints" / "best.ckpt")]
    results = {}
    for name, more in (("one", []), ("two", TWO)):
        # One case a batch: the last digits of a convolution depend on the size of its batch.
        tested = run("test", phantom_root, tmp_path / name, *ONE_BY_ONE, *checkpoint, *more)
        results[name] = json.loads((tested / "metrics.json").read_text())
    assert results["two"]["num_cases"] == results["one"]["num_cases"] == 7
    for metric, row in results["one"]["metrics"].items():
        for key, value in row.items():
            assert results["two"]["metrics"][metric][key] == pytest.approx(value, abs=1e-6)
    predicted = run("predict", phantom_root, tmp_path / "two", *checkpoint, *TWO)
    rows = pd.read_csv(predicted / "predictions.csv")
    expected = pd.read_csv(phantom_root / "FileList.csv").query("Split == 'TEST'")
    assert rows["video"].tolist() == expected["FileName"].tolist()
    assert rows["ef"].notna().all()
