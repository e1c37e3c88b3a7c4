"""Phantoms that the tests share; nothing here needs a network or patients' data."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lvef.phantom import write_phantoms

torch.set_num_threads(2)


@pytest.fixture(scope="session")
def phantom_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 32 phantoms: 22 TRAIN, 3 VAL, 7 TEST."""
    root = tmp_path_factory.mktemp("phantom")
    return write_phantoms(root, num_videos=32, seed=3, num_workers=2, progress=False)
