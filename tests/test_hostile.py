"""A folder with files that abort, hang and eat memory: they cost their own rows and no other."""

from __future__ import annotations

import os
import sys

import numpy as np
import pandas as pd
import pytest
from helpers import another_place, best
from hostile import MAGIC, HostileWork, write_hostile

import lvef
from lvef.data.layouts import read_labels
from lvef.models.loading import describe_checkpoint, load_ef_task
from lvef.models.segmentation.weights import SHIPPED
from lvef.phantom.folder import write_phantoms
from lvef.predict.labelled_clips import labelled_beats
from lvef.predict.stream import found
from lvef.predict.stream.archive import Archive, ArchiveOptions
from lvef.predict.stream.merge import merge_shards
from lvef.predict.stream.pool import Limits

GOOD = 30


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only there is a process's memory limited")
def test_files_that_kill_hang_and_grow_cost_no_other_its_row(tmp_path, monkeypatch):
    write_phantoms(tmp_path / "phantoms", GOOD, seed=31, num_workers=1, progress=False)
    clips = tmp_path / "phantoms" / "Videos"
    write_hostile(clips)
    os.link(min(clips.glob("PHANTOM*")), clips / os.fsdecode(b"good\xe9.avi"))
    monkeypatch.setattr(found, "ClipWork", HostileWork)  # a format of a user's own
    limits = Limits(seconds=45, gigabytes=3)
    archive = Archive(tmp_path / "out", ArchiveOptions(workers=2, limits=limits))
    done = archive.run([clips], lambda: False, bar=False)
    assert (done.ok, done.refused, done.failed) == (GOOD + 1, 0, 5)
    assert merge_shards(tmp_path / "out", archive.manifest["made_with"]) == (GOOD + 6, 5)
    rows = pd.read_csv(tmp_path / "out" / "predictions.csv").set_index("video")
    assert rows.index.is_unique
    assert rows.loc["good\\xe9", "ef"] == rows.loc["PHANTOM031N000000", "ef"]
    for name, words in {
        "aborts": "its process died, twice (SIGABRT)",
        "hangs": "it took more than 45 s (--max_seconds)",
        "grows": "memory",
        "wants": "not enough memory to analyse this clip",
        "caf\\xe9": "not a readable video",
    }.items():
        assert rows.loc[name, "status"] == "failed"
        assert words in rows.loc[name, "reason"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only there is a process's memory limited")
def test_labelled_clips_that_kill_and_hang_are_refused_and_the_others_judged(
    logs, phantom_root, tmp_path, monkeypatch
):
    place = another_place(phantom_root, tmp_path / "clinic", lambda rows: rows.index < 6)
    videos = sorted((place / "Videos").iterdir())
    for video, kind in zip(videos, ("aborts", "hangs", "wants"), strict=False):
        video.unlink()
        video.write_bytes(MAGIC + kind.encode())
    monkeypatch.setattr(found, "ClipWork", HostileWork)
    source = best(logs, "esf_mlp")
    task, seen = load_ef_task(source), describe_checkpoint(source)["data"]
    limits = Limits(seconds=25, gigabytes=3)
    beats = labelled_beats(task, seen, read_labels(place, 0.9), "found", SHIPPED, limits=limits)
    reasons = beats.refused.set_index("video")["reason"]
    assert list(reasons.index) == [video.stem for video in videos[:3]]
    assert "its process died, twice (SIGABRT)" in reasons.iloc[0]
    assert "it took more than 25 s" in reasons.iloc[1]
    assert "not enough memory" in reasons.iloc[2]
    assert (beats.usable["video"] == [video.stem for video in videos[3:]]).all()
    answers = beats.answers(task)
    predicted = lvef.load(source).predict(videos[3:])
    for column in ("ef", "ef_std", "ef_geometric"):
        np.testing.assert_allclose(answers[column], predicted[column], rtol=1e-4, atol=1e-2)
