"""Fit, test and report on phantoms in the layout of each data set."""

import json
from pathlib import Path

import pytest
from helpers import CONFIGS, best, newest, words

from lvef.cli.commands import main
from lvef.phantom import write_phantoms


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["echonet-pediatric", "camus", "mimic-echo", "bids"])
def test_a_model_is_trained_judged_and_reported_on_any_layout(layout: str, tmp_path: Path):
    if layout == "camus":
        pytest.importorskip("nibabel")
    root = tmp_path / "data"
    write_phantoms(root, 16, seed=15, num_workers=2, progress=False, layout=layout)
    logs = tmp_path / "logs"
    assert main(words("fit", "edf_esf_mlp", root, logs)) == 0
    checkpoint = str(best(logs, "edf_esf_mlp"))
    assert main(words("test", "edf_esf_mlp", root, logs, "--ckpt_path", checkpoint)) == 0
    metrics = newest(logs, "metrics.json")
    assert json.loads(metrics.read_text())["phantom"] is True
    page = tmp_path / "report.html"
    assert main(["report", str(metrics.parent), "--output", str(page)]) == 0
    assert "PHANTOM" in page.read_text()
    config = ["--config", str(CONFIGS / "lv_seg.yaml"), "--trainer.accelerator", "cpu"]
    folders = ["--data.root", str(root), "--trainer.default_root_dir", str(logs)]
    small = ["--trainer.max_epochs", "1", "--data.num_workers", "0", "--data.batch_size", "4"]
    assert main(["fit", *config, *folders, *small, "--data.limit", "4"]) == 0
