"""CONTRIBUTING.md answers a stranger's seven questions by code that runs."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest
from documents import ROOT
from PIL import Image

from lvef.data.formats import FORMATS
from lvef.data.layouts import LAYOUTS
from lvef.models.backbones import BACKBONES
from lvef.phantom import PhantomClip

QUESTIONS = [
    "A view", "A head", "A file format", "A backbone", "A data set", "A metric", "A heat map",
]  # fmt: skip
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
EXAMPLES = dict(re.findall(r"^### (.+?)\n.*?^```python\n(.*?)^```$", TEXT, re.M | re.S))


@pytest.fixture
def workshop(tmp_path: Path, phantom_root: Path, monkeypatch) -> Iterator[Path]:
    """A folder with what the examples read; what they register is gone afterwards."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "phantom").symlink_to(phantom_root)
    frames = [Image.fromarray(frame) for frame in PhantomClip(0, 1).frames(range(6))]
    frames[0].save(tmp_path / "clip.gif", save_all=True, append_images=frames[1:], duration=20)
    clips = sorted((phantom_root / "Videos").iterdir())[:3]
    clinic = tmp_path / "clinic"
    clinic.mkdir()
    for clip in clips:
        (clinic / clip.name).symlink_to(clip)
    rows = {"clip": [clip.name for clip in clips], "split": "TRAIN", "ef": [55, 30, None]}
    pd.DataFrame({**rows, "ed": 0, "es": 9}).to_csv(clinic / "clinic.csv", index=False)
    monkeypatch.chdir(tmp_path)
    before = list(FORMATS), dict(LAYOUTS), dict(BACKBONES)
    yield tmp_path
    FORMATS[:] = before[0]
    for registry, entries in ((LAYOUTS, before[1]), (BACKBONES, before[2])):
        registry.clear()
        registry.update(entries)


def test_the_seven_questions_are_answered():
    assert list(EXAMPLES) == QUESTIONS


@pytest.mark.parametrize("question", QUESTIONS)
def test_an_example_runs(question: str, workshop: Path, monkeypatch):
    module = ModuleType(question.lower().replace(" ", "_"))
    monkeypatch.setitem(sys.modules, module.__name__, module)  # as a user's own module is
    exec(compile(EXAMPLES[question], f"CONTRIBUTING.md, {question}", "exec"), module.__dict__)
