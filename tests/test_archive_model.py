"""`analyse --model`: a model of EF is asked beside the geometry."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from helpers import CONFIGS, best, newest

import lvef
from lvef.cli.commands import main
from lvef.data.formats import write_video
from lvef.phantom import PhantomClip
from lvef.predict.stream.answers import Answers
from lvef.predict.stream.archive import Archive, ArchiveOptions
from lvef.predict.stream.merge import merge_shards
from lvef.predict.stream.store import shards_of, stored_clips


def test_a_model_is_asked_about_several_clips_at_once_and_a_stop_loses_none(
    logs, tmp_path, monkeypatch
):
    clips = tmp_path / "clips"
    clips.mkdir()
    for number in range(4):
        write_video(clips / f"{number}.avi", PhantomClip(5, number).frames(range(75)), 50)
    (clips / "broken.avi").write_bytes(b"not a video" * 100)
    asked, really = [], Answers.__call__
    monkeypatch.setattr(
        Answers, "__call__", lambda model, batch: asked.append(len(batch["row"]))
        or really(model, batch),
    )  # fmt: skip
    model, output = str(best(logs, "esf_mlp")), tmp_path / "out"
    options = ArchiveOptions(model=model, workers=0, previews=False)
    archive = Archive(output, options)
    archive.run([clips], lambda: archive.progress.clips >= 2, bar=False)
    [shard] = shards_of(output)
    stopped = [*stored_clips(shard)]
    assert len(stopped) == 2, "what is in hand is answered, and stored"
    assert asked == [sum(len(clip.rows) for clip in stopped)], "all at once"
    assert Archive(output, options).run([clips], lambda: False, bar=False).clips == 3
    stored = [*stored_clips(shard)]
    assert stored[:2] == stopped
    assert len({clip.key for clip in stored}) == len(stored) == 5
    assert len(asked) == 2
    merge_shards(output, archive.manifest["made_with"])
    loaded = lvef.load(model).predict(clips).astype({"review": float})
    columns = ["video", "status", "num_beats", "ef", "ef_std", "ef_lower", "ef_upper", "review"]
    found = pd.read_csv(output / "predictions.csv", dtype={"video": str})[columns]
    pd.testing.assert_frame_equal(found, loaded[columns], check_dtype=False, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("head", ["mlp", "cls"])
def test_a_model_of_ef_is_asked_and_says_what_predict_says(phantom_root, tmp_path, head):
    words = ["fit", "--config", str(CONFIGS / f"edf_esf_{head}.yaml"), "--config",
             str(CONFIGS / "phantom.yaml"), "--data.root", str(phantom_root),
             "--trainer.default_root_dir", str(tmp_path / "logs"), "--trainer.max_epochs", "2",
             "--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]  # fmt: skip
    assert main(words) == 0
    checkpoint = best(tmp_path / "logs", f"edf_esf_{head}")
    videos = sorted((phantom_root / "Videos").iterdir())[:3]
    folder = tmp_path / "clips"
    folder.mkdir()
    for video in videos:
        (folder / video.name).symlink_to(video)
    line = ["analyse", str(folder), "--output", str(tmp_path / "out"), "--model", str(checkpoint)]
    assert main([*line, "--workers", "1"]) == 0
    ours = pd.read_csv(tmp_path / "out" / "predictions.csv").set_index("video")
    loaded = lvef.load(checkpoint).predict(folder).set_index("video")
    for column in ("ef", "ef_std", "p_reduced", "reduced", "review", "ef_geometric"):
        if column in loaded and loaded[column].notna().any():
            np.testing.assert_allclose(
                ours[column].astype(float), loaded[column].astype(float), atol=2e-3
            )
    assert newest(tmp_path / "out", "predictions.json").exists()
