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
from lvef.phantom import PhantomClip


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


def test_without_ray_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray.data", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'lvef\[ray\]'"):
        lvef.analyse_dataset(object())
