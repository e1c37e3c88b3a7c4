"""Phantoms that the tests share; nothing here needs a network or patients' data."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import PATIENT, WARD, best, newest, words

from lvef.cli.commands import main
from lvef.data.formats import write_video
from lvef.phantom import PhantomClip, write_phantoms

# Two workers share two cores; more threads than cores only wait for each other.
torch.set_num_threads(1 if "PYTEST_XDIST_WORKER" in os.environ else 2)


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers of one test alone: which others run before it changes nothing."""
    return np.random.default_rng(7)


@pytest.fixture(scope="session")
def phantom_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 32 phantoms: 22 TRAIN, 3 VAL, 7 TEST.

    Of VAL and TEST none is reduced, and a Gaussian process tells its cases apart, which for
    features of a random network on so few is an exception.
    """
    root = tmp_path_factory.mktemp("phantom")
    return write_phantoms(root, num_videos=32, seed=15, num_workers=2, progress=False)


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


@pytest.fixture(scope="session")
def tested(logs: Path, phantom_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a test of a Gaussian process."""
    folder = tmp_path_factory.mktemp("tested")
    more = ["--ckpt_path", str(best(logs, "edf_esf_gpr"))]
    assert main(words("test", "edf_esf_gpr", phantom_root, folder, *more)) == 0
    page = folder / "report.html"
    run = newest(folder, "metrics.json").parent
    assert main(["report", str(run), "--output", str(page)]) == 0
    return page


@pytest.fixture(scope="session")
def classified(phantom_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a test of a classifier."""
    folder = tmp_path_factory.mktemp("classified")
    assert main(words("fit", "esf_cls", phantom_root, folder)) == 0
    assert main(words("test", "esf_cls", phantom_root, folder)) == 0
    page = folder / "classifier.html"
    run = newest(folder, "metrics.json").parent
    assert main(["report", str(run), "--output", str(page)]) == 0
    return page


@pytest.fixture(scope="session")
def predicted(logs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of predictions of three clips named after a patient, one of them damaged.

    Their folder names a ward, in letters that are hard on patterns; the damaged one is a link.
    """
    folder = tmp_path_factory.mktemp("predicted")
    clips = folder / WARD
    clips.mkdir()
    for index in range(2):
        clip = PhantomClip(21, index, marks="heavy")
        write_video(clips / f"{PATIENT}_{index}.avi", clip.frames(), clip.patient.fps)
    elsewhere = folder / "Station of Prof. Müller" / "1950 Erika.avi"
    elsewhere.parent.mkdir()
    elsewhere.write_bytes(b"no clip")
    (clips / f"{PATIENT}_2.avi").symlink_to(elsewhere)
    more = ["--data.videos", str(clips), "--ckpt_path", str(best(logs, "esf_mlp"))]
    more += ["--saliency", "true"]
    assert main(words("predict", "esf_mlp", folder, folder, *more)) == 0
    page = folder / "report.html"
    run = newest(folder, "predictions.csv")
    assert main(["report", str(run), "--output", str(page)]) == 0
    return page
