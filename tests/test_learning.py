"""What training must achieve on phantoms; minutes long, run with make test-slow."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lvef.experiments.table import table
from lvef.experiments.table_bounds import given
from lvef.phantom import write_phantoms
from lvef.pretraining.backbone import pretrain

CONFIGS = Path(__file__).parents[1] / "configs"


@pytest.mark.slow
def test_a_pair_of_frames_tells_ef_and_the_ed_frame_no_more_than_its_volume(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = write_phantoms(tmp_path / "phantom", 500, seed=21, progress=False)
    weights = pretrain(tmp_path / "weights.safetensors", num_images=9000)
    table(
        str(root), tmp_path / "out", ["edf_mlp", "edf_esf_mlp"], CONFIGS, str(weights), max_epochs=6
    )
    results = json.loads((tmp_path / "out" / "table.json").read_text())
    ed, pair = (results["rows"][name]["metrics"]["mae"] for name in ("edf_mlp", "edf_esf_mlp"))
    assert pair["value"] < 0.75 * pair["baseline"]
    assert pair["value"] < 0.85 * ed["value"]
    # No leak: the picture at end-diastole must not beat the true volume, but for chance.
    bound = results["bounds"][given("EDV", "median")]["metrics"]["mae"]
    assert ed["upper"] > 0.95 * bound["value"]
