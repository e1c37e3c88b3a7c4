"""No two purposes share random numbers, and no heart that teaches judges, whatever the seeds."""

import ast
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import lvef
from lvef.cardiac import chords_to_polygon, polygon_mask
from lvef.data.order import seed_of
from lvef.phantom import PhantomClip, write_phantoms
from lvef.phantom.pool import PhantomKind
from lvef.phantom.purpose import TEACHING, Purpose
from lvef.phantom.solid import SolidClip
from lvef.phantom.stream import FrameStream
from lvef.pretraining.segmenter_recipes import JUDGES, POOLS
from lvef.pretraining.weights import calibrated_on, measured_on
from lvef.streams import Use, stream

SEEDS = (0, 1, 2, 3000, 2**32 - 1, 2**32, 2**33 + 1, 2**63 - 1)
NUMBERS = (0, 1, 2, 7)
PLACES = [place for length in (1, 2, 3) for place in product(NUMBERS, repeat=length)]


def test_no_two_streams_begin_alike():
    seen = {}
    for use, seed, place in product(Use, SEEDS, PLACES):
        first = tuple(stream(use, seed, *place).integers(2**63, size=2).tolist())
        assert first not in seen, f"{use.name} {seed} {place} is {seen[first]}"
        seen[first] = (use.name, seed, place)
    assert len(seen) == len(Use) * len(SEEDS) * len(PLACES)


def test_what_a_fit_draws_differs_by_what_it_is_for():
    """[seed, epoch] and [seed, epoch, 0] were one stream: order of an epoch, and its first case."""
    seeds = [
        seed_of(use, seed, *place)
        for use in (Use.ORDER_OF_CASES, Use.TRAINING_CASE, Use.TRAINING_BATCH)
        for seed in SEEDS for place in PLACES
    ]  # fmt: skip
    assert len(set(seeds)) == len(seeds)


def test_every_stream_of_a_place_is_made_in_one_module():
    """A list given to NumPy is padded with zeros, so that two places may be one stream."""
    package = Path(lvef.__file__).parent
    users = set()
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            of_several = bool(node.args) and isinstance(node.args[0], (ast.List, ast.Tuple))
            if name == "SeedSequence" or (name in ("default_rng", "RandomState") and of_several):
                users.add(path.relative_to(package).as_posix())
    assert users == {"streams.py"}


@pytest.mark.parametrize("breadth", [None, 1.0])
def test_one_seed_gives_every_purpose_hearts_of_its_own(breadth):
    clips = [
        PhantomClip(seed, index, breadth=breadth, purpose=purpose)
        for purpose in Purpose for seed in (0, 1) for index in (0, 1, 2)
    ]  # fmt: skip
    assert len({clip.anatomy.length for clip in clips}) == len(clips)
    assert len({clip.scanner.gain for clip in clips}) == len(clips)


def test_one_seed_gives_every_purpose_solid_hearts_of_its_own():
    clips = [SolidClip(0, index, purpose) for purpose in Purpose for index in (0, 1)]
    assert len({clip.drawn.heart.length for clip in clips}) == len(clips)


def test_segmenters_learn_from_other_phantoms_than_they_are_judged_by():
    assert {kind.purpose for kind in POOLS.values()} <= set(TEACHING)
    judges = {kind.purpose for kind, _ in JUDGES.values()}
    calibrating = {kind.purpose for kind in calibrated_on(2000, 1.25)}
    card = {kind.purpose for kind in measured_on(2000, 1.25).values()}
    assert not (judges | calibrating | card) & set(TEACHING)
    assert not calibrating & card, "and what is measured was not calibrated on"
    for solid in (False, True):
        kinds = [PhantomKind(2000, solid=solid, purpose=purpose) for purpose in Purpose]
        assert len({kind.clip(0).patient.ef for kind in kinds}) == len(Purpose)


def test_backbones_learn_from_hearts_that_no_folder_of_the_same_seed_holds():
    item = next(iter(FrameStream(9, num_images=1, frames_per_clip=1)))
    assert _shows(item, PhantomClip(9, 0, purpose=Purpose.PRETRAINING))
    for purpose in (Purpose.LOOK, Purpose.TRAIN, Purpose.VAL, Purpose.TEST):
        assert not _shows(item, PhantomClip(9, 0, purpose=purpose))


def _shows(item: dict[str, torch.Tensor], clip: PhantomClip) -> bool:
    """Return whether an item has the contour of some frame of a clip."""
    polygons = (chords_to_polygon(clip.tracing(i)[1:]) for i in range(clip.patient.num_frames))
    return any(np.array_equal(polygon_mask(p, 112, 112), item["mask"][0]) for p in polygons)


def test_no_heart_of_test_is_in_train_of_a_larger_folder_of_the_same_seed(phantom_root, tmp_path):
    small = write_phantoms(tmp_path, num_videos=3, seed=15, num_workers=1, progress=False)
    tables = [pd.read_csv(root / "FileList.csv").set_index("FileName") for root in
              (small, phantom_root)]  # fmt: skip
    splits = [table.loc["PHANTOM015N000002", "Split"] for table in tables]
    assert splits == ["TEST", "TRAIN"], "the same name"
    assert not set(tables[0]["EDV"][tables[0]["Split"] == "TEST"]) & set(tables[1]["EDV"])
    assert tables[0]["EF"].iloc[0] == tables[1]["EF"].iloc[0], "TRAIN of both begins alike"
