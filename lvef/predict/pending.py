"""Clips that were found, and beats of them that wait for what a model of EF says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lvef.predict.stream.inputs import ClipInput
from lvef.predict.stream.schema import ANSWERS
from lvef.predict.stream.work import FoundClip

BEATS = 16
"""How many beats a model is asked about at once, where nobody says otherwise."""
Keep = Callable[[ClipInput, list[dict[str, Any]], bytes], None]
Ask = Callable[[dict[str, Any]], dict[str, Any]]
"""Asks a model about a batch, and returns `row` and its answers `(B,)` by name."""


@dataclass
class _Waiting:
    clip: ClipInput
    found: FoundClip
    beats: int
    left: int


class PendingClips:
    """Puts beats of clips into batches, and keeps each clip once all of its beats are answered.

    Args:
        keep: Is given each clip, its rows and its record once it is whole; None where nobody wants
            them.
        batch_size: Beats a batch; what clips have beyond that waits for the next.
        columns: Answers that rows take, of those that a model gives.
    """

    def __init__(
        self, keep: Keep | None, batch_size: int = BEATS, columns: Sequence[str] = ANSWERS
    ) -> None:
        self._kept, self._size, self._columns = keep, batch_size, columns
        self._frames: list[Tensor] = []
        self._numbers: list[int] = []
        self._waiting: dict[int, tuple[_Waiting, dict[str, Any]]] = {}
        self._next = 0

    def add(self, clip: ClipInput, found: FoundClip) -> None:
        """Take a clip, with the key frames of its beats where a model shall see them.

        Raises:
            OutputError: It cannot be kept.
        """
        usable = [row for row in found.rows if not row["reason"]]
        waiting = _Waiting(clip, found, len(usable), len(usable))
        if found.frames is None or not usable:
            self._keep(waiting)
            return
        for row, frames in zip(usable, torch.from_numpy(found.frames), strict=True):
            self._waiting[self._next] = waiting, row
            self._frames.append(frames)
            self._numbers.append(self._next)
            self._next += 1

    def batches(self, last: bool = False) -> Iterator[dict[str, Any]]:
        """Yield the batches that are full.

        Args:
            last: Whether no clip follows, so that what is left is a batch, too.

        Yields:
            `frames` `(B, F, 3, S, S)` uint8, `row` `(B,)` numbers of the beats, `failures`, none,
            and `cases`, what is known of each beat, with `num_beats` of its clip.
        """
        while len(self._frames) >= self._size or (last and self._frames):
            frames, self._frames = self._frames[: self._size], self._frames[self._size :]
            numbers, self._numbers = self._numbers[: self._size], self._numbers[self._size :]
            waiting = [self._waiting[number] for number in numbers]
            yield {
                "frames": torch.stack(frames),
                "row": torch.tensor(numbers),
                "failures": [],
                "cases": [{**row, "num_beats": clip.beats} for clip, row in waiting],
            }

    def answer(self, ask: Ask | None, last: bool = False) -> None:
        """Have the batches that are full answered at once.

        Args:
            ask: Asks the model; None where there is none, and so no clip with key frames.
            last: See `batches`.

        Raises:
            OutputError: A clip cannot be kept.
        """
        for batch in self.batches(last):
            assert ask is not None
            self.answered(ask(batch))

    def answered(self, answers: dict[str, Any]) -> None:
        """Take what a model said of a batch, and keep the clips that are whole by that.

        Args:
            answers: What `predict_step` returns: `row`, and answers `(B,)` by name.

        Raises:
            OutputError: A clip cannot be kept.
        """
        for number, said in zip(answers["row"].tolist(), self._said(answers), strict=True):
            waiting, row = self._waiting.pop(number)
            row.update(said)
            waiting.left -= 1
            if not waiting.left:
                self._keep(waiting)

    def _said(self, answers: dict[str, Any]) -> list[dict[str, float]]:
        """Return what rows take of the answers to a batch, one for each."""
        given = (name for name in self._columns if isinstance(answers.get(name), Tensor))
        taken = {name: answers[name].tolist() for name in given}
        return [
            {name: values[place] for name, values in taken.items()}
            for place in range(len(answers["row"]))
        ]

    def _keep(self, waiting: _Waiting) -> None:
        if self._kept is not None:
            self._kept(waiting.clip, waiting.found.rows, waiting.found.record)
