"""Beats of several clips in one batch, and each clip kept once all of its beats are answered."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lvef.predict.labelled_clips import _in_order
from lvef.predict.pending import PendingClips
from lvef.predict.stream.inputs import ClipInput
from lvef.predict.stream.pool import Finished
from lvef.predict.stream.work import FoundClip

BEATS = (1, 0, 3, 2, 5, 2)


def clip(number: int) -> ClipInput:
    return ClipInput(Path(f"{number}.avi"), str(number), f"{number}.avi")


def found(number: int, beats: int) -> FoundClip:
    """A clip whose frames say its number and their beat's, and a beat that cannot be used."""
    rows = [{"video": str(number), "beat": beat, "reason": ""} for beat in range(beats)]
    rows.insert(beats // 2, {"video": str(number), "beat": -1, "reason": "it ends before"})
    frames = np.full((beats, 2, 3, 4, 4), 10 * number, np.uint8)
    frames += np.arange(beats, dtype=np.uint8)[:, None, None, None, None]
    return FoundClip(rows, frames if beats else None)


def test_every_beat_has_its_own_answer_however_batches_cut_the_clips():
    kept, sizes = {}, []

    def ask(batch):
        sizes.append(len(batch["frames"]))
        assert not [name for name in kept if name in {case["video"] for case in batch["cases"]}]
        ef = batch["frames"][:, 0, 0, 0, 0].float()
        return {"row": batch["row"], "ef": ef, "features": ef, "failures": []}

    def keep(clip, rows, record):
        assert clip.name not in kept, "a clip is kept once"
        kept[clip.name] = rows

    pending = PendingClips(keep, batch_size=4)
    for number, beats in enumerate(BEATS):
        pending.add(clip(number), found(number, beats))
        pending.answer(ask)
    assert sizes == [4, 4, 4]
    assert list(kept) == ["1", "0", "2", "3", "4"], "a beat of the last one waits"
    pending.answer(ask, last=True)
    assert sizes == [4, 4, 4, 1]
    assert len(kept) == len(BEATS)
    for number, beats in enumerate(BEATS):
        said = {row["beat"]: row.get("ef") for row in kept[str(number)]}
        assert said == {-1: None, **{beat: 10 * number + beat for beat in range(beats)}}
        assert not any("features" in row for row in kept[str(number)])


def test_batches_are_those_of_the_order_of_clips_whoever_was_faster(rng, monkeypatch):
    clips = {clip(number): number for number in range(60)}
    ended = [Finished(each, None, "", 0.0) for each in clips]
    for _ in range(5):
        mixed = [ended[place] for place in rng.permutation(60)]
        assert list(_in_order(iter(mixed), clips)) == ended
    monkeypatch.setattr("lvef.predict.labelled_clips._AHEAD", 8)
    begun = []
    late = (begun.append(each) or each for each in [*ended[1:], ended[0]])
    assert next(ordered := _in_order(late, clips)) == ended[1]
    assert len(begun) == 9, "eight wait, and no more"
    assert list(ordered) == [*ended[2:], ended[0]]
