"""`merge`: what a killed `predict` leaves, and shards that are damaged."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import CONFIGS, best, newest, told

from lvef.cli.commands import main
from lvef.data.formats import write_video
from lvef.phantom import PhantomClip
from lvef.predict.stream.store import shards_of, stored_clips


def read(run: Path, name: str = "predictions.csv") -> pd.DataFrame:
    return pd.read_csv(run / name, dtype={"video": str})


def disturbed(folder: Path, experiment: str, logs: Path, sent: int) -> tuple[list[str], int]:
    """Send a signal to a `predict` of eight clips when two are done.

    Returns:
        The command, and how its process ended.
    """
    clips = folder / "clips"
    clips.mkdir()
    for number in range(8):
        write_video(clips / f"{number}.avi", PhantomClip(6, number).frames(range(60)), 50)
    words = ["predict", "--config", str(CONFIGS / f"{experiment}.yaml"), "--data.videos",
             str(clips), "--trainer.default_root_dir", str(folder), "--data.num_workers", "1",
             "--data.batch_size", "2", "--trainer.enable_progress_bar", "false"]  # fmt: skip
    if experiment != "lv_seg":
        words += ["--ckpt_path", str(best(logs, experiment)), "--data.image_size", "32"]
    with subprocess.Popen([sys.executable, "-m", "lvef", *words]) as process:
        while not any(path.read_bytes().count(b"\n") > 1 for path in folder.rglob("journal-*")):
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(sent)
    return words, process.returncode


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("experiment", ["lv_seg", "esf_mlp"])
def test_a_predict_that_is_told_to_stop_writes_what_it_has_and_begins_no_other_clip(
    logs, tmp_path, experiment
):
    _, code = disturbed(tmp_path, experiment, logs, signal.SIGTERM)
    assert code == 128 + signal.SIGTERM
    run = newest(tmp_path, "predictions.csv").parent
    assert 2 <= len(read(run)) < 8
    assert np.isfinite(read(run)["ef"]).all()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="kill -9")
@pytest.mark.parametrize("experiment", ["lv_seg", "esf_mlp"])
def test_merge_saves_the_clips_of_a_predict_that_was_killed(logs, tmp_path, capsys, experiment):
    words, _ = disturbed(tmp_path, experiment, logs, signal.SIGKILL)
    run = newest(tmp_path, "manifest.json").parent
    assert not (run / "predictions.csv").exists()
    [shard] = shards_of(run)
    done = [clip.rows[0]["video"] for clip in stored_clips(shard)]
    assert 2 <= len(done) < 8
    assert main(["merge", str(run)]) == 0
    assert "This `predict` was killed" in (said := capsys.readouterr().out)
    assert "`analyse` goes on" in said
    saved = read(run)
    assert saved["video"].tolist() == sorted(done), "each once"
    assert set(read(run, "beats.csv")["video"]) <= set(done)
    made = json.loads((run / "predictions.json").read_text())
    assert made["segmenter_trained_on"] == "phantoms"
    assert main(["merge", str(run)]) == 0
    assert "killed" not in capsys.readouterr().out, "it is told once"
    assert main(["analyse", str(tmp_path / "clips"), "--output", str(run)]) == 1
    [line] = told(capsys.readouterr().err)
    assert "made otherwise" in line
    assert "another --output" in line
    assert main(words) == 0
    again = newest(tmp_path, "predictions.csv").parent
    assert again != run
    whole = read(again)
    assert whole["video"].tolist() == [str(number) for number in range(8)]
    both = whole[whole["video"].isin(done)].reset_index(drop=True)
    pd.testing.assert_frame_equal(saved, both, check_dtype=False, rtol=1e-4, atol=1e-2)
    assert np.isfinite(whole["ef"]).all()
