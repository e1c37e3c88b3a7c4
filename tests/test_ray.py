"""Clips of a Ray dataset."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest
from helpers import best

import lvef
from lvef.data.formats import write_video
from lvef.errors import ConfigurationError
from lvef.models.segmentation.weights import SHIPPED
from lvef.phantom import PhantomClip
from lvef.predict.stream.on_ray import _Analyse


@pytest.mark.slow
def test_two_workers_of_ray_say_what_one_process_says(logs, tmp_path):
    ray = pytest.importorskip("ray")
    for index in range(3):
        clip = PhantomClip(21, index)
        write_video(tmp_path / f"{index}.avi", clip.frames(), clip.patient.fps)
    (tmp_path / "text.avi").write_bytes(b"no video " * 99)
    paths = sorted(str(path) for path in tmp_path.glob("*.avi"))
    model = str(best(logs, "esf_mlp"))
    expected = lvef.load(model).predict(paths)
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        dataset = ray.data.from_items([{"file": path, "site": "A"} for path in paths])
        asked = {"column": "file", "model": model}
        clips = lvef.analyse_dataset(dataset, **asked).to_pandas().sort_values("file")
        beats = lvef.analyse_dataset(dataset, **asked, beats=True).to_pandas()
        plain = lvef.analyse_dataset(dataset, column="file").to_pandas().sort_values("file")
    finally:
        ray.shutdown()
    assert clips["file"].tolist() == paths
    assert (clips["site"] == "A").all()
    assert clips["status"].tolist() == expected["status"].tolist() == ["ok"] * 3 + ["failed"]
    assert "not a readable video" in clips["reason"].iloc[-1]
    for name in ("ed_frame", "es_frame", "ef", "ef_std", "ef_lower", "ef_geometric", "num_beats"):
        found = pd.to_numeric(clips[name]).to_numpy(float)
        np.testing.assert_allclose(
            found, expected[name].to_numpy(float, na_value=np.nan), rtol=1e-4, err_msg=name
        )
    assert len(beats) == expected["num_beats"].sum()
    by_geometry = [pd.to_numeric(each).iloc[:3] for each in (plain["ef"], clips["ef_geometric"])]
    np.testing.assert_allclose(*by_geometry, rtol=1e-4)


def work(model=None, fps=None, beats=False):
    """Return what a process of Ray's does to a row."""
    return _Analyse("file", model, SHIPPED, fps, beats, ())


def test_what_one_process_of_ray_does_to_a_row_needs_no_ray_to_be_right(tmp_path):
    (tmp_path / "text.avi").write_bytes(b"no video " * 99)
    path = tmp_path / "clip.avi"
    write_video(path, PhantomClip(5, 0).frames(range(75)), 50)
    row = {"file": str(path), "site": "A"}
    [clip] = (analyse := work())(row)
    alone = lvef.analyse_clip(path)
    assert {"file", "site"} < set(clip), "other columns are carried on"
    assert (clip["video"], clip["status"], clip["site"]) == (str(path), "ok", "A")
    assert clip["ef"] == pytest.approx(alone.ef, abs=1e-6)
    assert clip["num_beats"] == len(alone.beats)
    assert clip["trained_on"] == "phantoms"
    [failed] = analyse({"file": str(tmp_path / "text.avi")})
    assert failed["status"] == "failed"
    assert failed["reason"].startswith("text.avi: not a readable video")
    assert str(tmp_path) not in failed["reason"]
    assert failed["ef"] is None
    for name in ("ed_frame", "num_beats", "ef", "quality"):
        assert type(clip[name]) is float, "one type whatever is missing"
    beats = work(beats=True)(row)
    assert [beat["ed_frame"] for beat in beats] == [beat.ed_frame for beat in alone.beats]
    assert [beat["ef"] for beat in beats] == pytest.approx([b.ef for b in alone.beats], abs=1e-6)
    assert all(beat["file"] == str(path) for beat in beats)
    [other] = work(fps=40)(row)
    assert other["ef"] == pytest.approx(lvef.analyse_clip(path, fps=40).ef, abs=1e-6)


def test_a_process_of_ray_asks_the_model_about_each_beat(logs, tmp_path):
    path, model = tmp_path / "clip.avi", str(best(logs, "esf_mlp"))
    write_video(path, PhantomClip(5, 0).frames(range(75)), 50)
    [clip] = work(model)({"file": str(path)})
    predictor = lvef.load(model)
    expected = predictor.predict(path).iloc[0]
    for name in ("ef", "ef_std", "ef_lower", "p_reduced", "review", "ef_geometric"):
        assert clip[name] == pytest.approx(float(expected[name]), rel=1e-5), name
    assert clip["ef"] != clip["ef_geometric"]
    beats = work(model, beats=True)({"file": str(path)})
    assert [b["ef"] for b in beats] == pytest.approx(predictor.beats["ef"].tolist(), rel=1e-5)


def test_without_ray_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray.data", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'lvef\[ray\]'"):
        lvef.analyse_dataset(object())
