"""Phantoms that the tests share; nothing here needs a network or patients' data."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from helpers import newest, words

from lvef.cli import main
from lvef.phantom import write_phantoms

# Two workers share two cores; more threads than cores only wait for each other.
torch.set_num_threads(1 if "PYTEST_XDIST_WORKER" in os.environ else 2)


@pytest.fixture(scope="session")
def phantom_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 32 phantoms: 22 TRAIN, 3 VAL, 7 TEST."""
    root = tmp_path_factory.mktemp("phantom")
    return write_phantoms(root, num_videos=32, seed=3, num_workers=2, progress=False)


@pytest.fixture(scope="session")
def logs(phantom_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Log folder of an MLP, a Gaussian process on its backbone, and an ensemble of both."""
    folder = tmp_path_factory.mktemp("logs")
    assert main(words("fit", "esf_mlp", phantom_root, folder)) == 0
    trained = newest(folder, "best.ckpt")
    more = ["--model.backbone.checkpoint", str(trained)]
    assert main(words("fit", "edf_esf_gpr", phantom_root, folder, *more)) == 0
    more = ["--model.members", "[esf_mlp, edf_esf_gpr]"]
    assert main(words("fit", "ensemble", phantom_root, folder, *more)) == 0
    return folder
