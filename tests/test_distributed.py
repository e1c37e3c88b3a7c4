"""Two processes must tell the same as one, although samplers repeat cases to even out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from lvef.models import ExactGPHead
from lvef.predict.stream.store import stored_clips

CONFIGS = Path(__file__).parents[1] / "configs"


def run(command: str, root: Path, logs: Path, *more: str, experiment: str = "esf_mlp") -> Path:
    """Run a command in a process of its own, and return the folder it logged to.

    It runs in the parent of that folder, whose modules can be imported.
    """
    logs.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [
            sys.executable, "-m", "lvef", command,
            "--config", str(CONFIGS / f"{experiment}.yaml"),
            "--config", str(CONFIGS / "phantom.yaml"),
            "--data.root", str(root), "--data.image_size", "32", "--data.num_workers", "0",
            "--trainer.precision", "32-true",
            "--trainer.default_root_dir", str(logs), "--trainer.max_epochs", "1",
            "--trainer.accelerator", "cpu", *more,
        ],
        check=True, capture_output=True, text=True, timeout=240, cwd=logs.parent,
    )  # fmt: skip
    return max((logs / experiment).glob("version_*"), key=lambda p: int(p.name.split("_")[1]))


ONE_BY_ONE = ["--data.batch_size", "1"]
TWO = ["--trainer.devices", "2", "--trainer.strategy", "ddp"]

TELLER = """
import json
from pathlib import Path

from lightning import Callback


class Teller(Callback):
    def on_fit_end(self, trainer, task):
        data = trainer.datamodule
        told = {
            "fitted": data.split("TRAIN")["video"].tolist(),
            "judged": data.table.loc[task.cases["row"].tolist(), "video"].tolist(),
            "calibrated": data.table.loc[data.calibration_rows, "video"].tolist(),
            "calibration": {k: v.tolist() for k, v in task.calibration.state_dict().items()},
        }
        name = f"process_{trainer.global_rank}.json"
        Path(trainer.log_dir, name).write_text(json.dumps(told))
"""
"""A callback by which every process says who it thinks takes part in what."""


def test_two_processes_train_and_count_every_video_once(phantom_root, tmp_path):
    share = ["--data.calibration_share", "0.34"]
    fitted = run("fit", phantom_root, tmp_path / "fit", "--data.batch_size", "2", *TWO, *share)
    checkpoint = ["--ckpt_path", str(fitted / "checkpoints" / "best.ckpt")]
    results = {}
    for name, more in (("one", []), ("two", TWO)):
        # One case a batch: the last digits of a convolution depend on the size of its batch.
        tested = run("test", phantom_root, tmp_path / name, *ONE_BY_ONE, *checkpoint, *more)
        results[name] = json.loads((tested / "metrics.json").read_text())
    assert results["two"]["num_cases"] == results["one"]["num_cases"] == 7
    assert results["two"]["calibration"] == results["one"]["calibration"]
    assert results["one"]["calibration"]["cases"] == {"all": 1}, "a third of three, by one process"
    for metric, row in results["one"]["metrics"].items():
        for key, value in row.items():
            assert results["two"]["metrics"][metric][key] == pytest.approx(value, abs=1e-6)
    predicted = run("predict", phantom_root, tmp_path / "two", *checkpoint, *TWO)
    rows = pd.read_csv(predicted / "predictions.csv")
    expected = pd.read_csv(phantom_root / "FileList.csv").query("Split == 'TEST'")
    assert rows["video"].tolist() == expected["FileName"].tolist()
    assert rows["ef"].notna().all()


@pytest.mark.slow
def test_two_processes_fit_the_same_gaussian_process_to_the_same_fold_as_one(
    phantom_root, tmp_path
):
    (tmp_path / "teller.py").write_text(TELLER)
    own = ["--import", "teller", "--trainer.callbacks+=teller.Teller"]
    own += ["--data.train_fold", "2/3", "--data.calibration_share", "0.34"]
    states, told = [], []
    for name, more in (("one", []), ("two", TWO)):
        logs = tmp_path / name
        fitted = run("fit", phantom_root, logs, *ONE_BY_ONE, *own, *more, experiment="esf_gpr")
        checkpoint = fitted / "checkpoints" / "best.ckpt"
        states.append(torch.load(checkpoint, weights_only=True)["state_dict"])
        told += [json.loads(path.read_text()) for path in sorted(fitted.glob("process_*.json"))]
    assert len(told) == 3, "one process, and each of two"
    assert told[0] == told[1] == told[2], "who fits, chooses and calibrates"
    listed = pd.read_csv(phantom_root / "FileList.csv").set_index("FileName")["Split"]
    of = {part: set(told[0][part]) for part in ("fitted", "judged", "calibrated")}
    assert len(of["fitted"]) == 9, "an odd number, which a sampler evens out"
    assert (len(of["judged"]), len(of["calibrated"])) == (2, 1)
    assert of["judged"] | of["calibrated"] == set(listed.index[listed == "VAL"])
    assert set(listed[list(of["fitted"])]) == {"TRAIN"}
    one, two = states
    assert len(two["head.train_y"]) == 9, "every case once, none repeated to even the shards out"
    torch.testing.assert_close(one["head.train_y"], two["head.train_y"])
    heads = []
    for state in states:
        head = ExactGPHead()
        head.load_state_dict(
            {k.removeprefix("head."): v for k, v in state.items() if k.startswith("head.")}
        )
        heads.append(head)
    x = one["head.train_x"] + 0.1
    for mine, theirs in zip(heads[0].predict(x), heads[1].predict(x), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        one["calibration.scores"], two["calibration.scores"], atol=1e-4, rtol=1e-4
    )


@pytest.mark.slow
def test_new_clips_are_looked_at_once_whatever_the_number_of_processes(phantom_root, tmp_path):
    fitted = run("fit", phantom_root, tmp_path / "fit")
    clips = tmp_path / "clips"
    clips.mkdir()
    for clip in sorted((phantom_root / "Videos").iterdir())[:3]:
        (clips / clip.name).symlink_to(clip)
    asked = ["--ckpt_path", str(fitted / "checkpoints" / "best.ckpt"), "--data.videos", str(clips)]
    tables = []
    for name, more in (("one", []), ("two", TWO)):
        predicted = run("predict", phantom_root, tmp_path / name, *ONE_BY_ONE, *asked, *more)
        shards = sorted((predicted / "shards").iterdir())
        assert len(shards) == (2 if more else 1)
        stored = [clip.rows[0]["video"] for shard in shards for clip in stored_clips(shard)]
        assert len(set(stored)) == len(stored) == 3
        tables.append(pd.read_csv(predicted / "predictions.csv"))
        assert (tables[-1]["status"] == "ok").all()
    pd.testing.assert_frame_equal(*tables, rtol=1e-5)
