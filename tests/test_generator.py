"""Phantoms stay as they are, or the version of what draws them rises and old folders are told."""

import json
import shutil

import numpy as np
import pytest
from phantom_pixels import KEPT, described, phantoms

from lvef.cli.commands import main
from lvef.data.keyframes import KeyFrameDataModule
from lvef.data.layouts import read_labels
from lvef.data.phantom_folder import GENERATOR
from lvef.errors import DatasetError
from lvef.phantom import open_phantom

_TOLERANCE = 0.15
"""Grey levels of a block's mean: other speckle moves it by about 1."""


def test_phantoms_of_this_version_look_as_they_did():
    kept = json.loads(KEPT.read_text())
    assert kept.pop("generator") == GENERATOR, "a new version: python tests/phantom_pixels.py"
    drawn = phantoms()
    assert drawn.keys() == kept.keys()
    for name, clip in drawn.items():
        now, before = described(clip), kept[name]
        assert (now["frames"], now["ed_es"]) == (before["frames"], before["ed_es"]), name
        assert now["volumes"] == pytest.approx(before["volumes"], rel=1e-4), name
        apart = np.abs(np.subtract(now["blocks"], before["blocks"]))
        assert apart.max() < _TOLERANCE, f"{name} looks otherwise: see GENERATOR"


@pytest.fixture(scope="module")
def of_before(phantom_root, tmp_path_factory):
    """A folder that states no version of the generator."""
    root = tmp_path_factory.mktemp("before") / "phantom"
    shutil.copytree(phantom_root, root)
    settings = json.loads((root / "phantom.json").read_text())
    assert settings.pop("generator") == GENERATOR
    (root / "phantom.json").write_text(json.dumps(settings))
    return root


def test_a_phantom_of_another_version_is_not_drawn_anew(of_before, phantom_root):
    assert open_phantom(phantom_root, "PHANTOM015N000004") is not None
    with pytest.raises(DatasetError, match=r"generator 1, .* generator 2: make the folder anew"):
        open_phantom(of_before, "PHANTOM015N000004")
    with pytest.raises(DatasetError, match="does not know PHANTOM015N000099: write"):
        open_phantom(phantom_root, "PHANTOM015N000099")


@pytest.mark.parametrize("text", ["{}", "[1]", "no json", '{"generator": "two"}', '{"seed": 3}'])
def test_a_damaged_marker_is_told_in_one_line(tmp_path, text):
    (tmp_path / "phantom.json").write_text(text)
    with pytest.raises(DatasetError, match="make the folder anew"):
        open_phantom(tmp_path, "PHANTOM015N000004")


def test_a_table_of_phantoms_of_another_version_is_refused_in_one_line(of_before, tmp_path, capsys):
    line = ["table", "--root", str(of_before), "--output", str(tmp_path / "table")]
    assert main(line) == 1
    said = capsys.readouterr().err.strip()
    assert len(said.splitlines()) == 1
    assert "generator 1" in said
    assert "make the folder anew" in said
    assert not (tmp_path / "table").exists()


def test_models_may_be_trained_and_tested_on_phantoms_of_another_version(of_before):
    """Their clips and labels are what they are."""
    data = KeyFrameDataModule(str(of_before), ["ESF"], num_workers=0)
    data.setup("test")
    assert data.is_phantom
    assert len(next(iter(data.test_dataloader()))["ef_true"]) == 7
    assert "PHANTOMS of generator 1" in read_labels(of_before).summary()


def test_nothing_is_said_of_phantoms_of_this_version(phantom_root):
    assert "generator" not in read_labels(phantom_root).summary()
