"""What a worker does to a clip: open it once, find its beats, keep what a model of EF will see."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from lvef.analysis.analyse import ClipAnalyser
from lvef.analysis.biplane import BeatDisks, beat_disks
from lvef.analysis.overlay import write_overlay
from lvef.analysis.result import ClipAnalysis
from lvef.cardiac import asked_clip
from lvef.data.dataset import KeyFrameDataset, collate, prepare_for_workers
from lvef.data.decode import DecodedClip, decode_clip
from lvef.data.formats import ClipFile
from lvef.data.looks import VIEW
from lvef.data.names import frame_rate
from lvef.data.prepare import prepare_decoded
from lvef.data.slots import A2C, A4C, FRAME_COLUMNS, VIEWS, View, asks_for_a2c, view_of
from lvef.data.views import ClipView, FrameOptions
from lvef.errors import VideoError
from lvef.models.segmentation.network import Painter
from lvef.predict.clip_beats import Asked, FoundBeats, beats_of, told_of
from lvef.predict.dicom_out import DicomFolders, volumes_of
from lvef.predict.record import packed_record
from lvef.predict.stream.anonymous import without_names
from lvef.predict.stream.inputs import ClipInput
from lvef.predict.stream.manifest import OVERLAYS, PREVIEWS
from lvef.predict.stream.pictures import picture_path, write_preview
from lvef.predict.stream.second import with_second_beat
from lvef.predict.stream.studies import without_own_ef
from lvef.predict.stream.worker import Network

_OF_FRAMES = {
    "ef_true", *FRAME_COLUMNS.values(),
    *(view.column(name) for view in VIEWS for name in ("path", "num_frames", VIEW)),
}  # fmt: skip
"""What a data set of frames asks of a table."""


@dataclass(frozen=True)
class WorkOptions:
    """What is done to each clip.

    Attributes:
        segmenter: What finds the beats; see `ClipAnalyser`.
        seen: What a model of EF will see of each beat; None where there is no such model.
        fps: Frames a second of all clips, in place of what the files state.
        folder: Where pictures go; None for none.
        previews: Whether a picture of each clip is wanted.
        overlays: Whether a video of each clip is.
        records: Whether curve and contours are wanted.
        fast: See `ClipAnalyser`.
        dicom: Writes what is found as DICOM objects; None where none are wanted.
    """

    segmenter: str = "shipped"
    seen: FrameOptions | None = None
    fps: float | None = None
    folder: Path | None = None
    previews: bool = False
    overlays: bool = False
    records: bool = True
    fast: bool = False
    dicom: DicomFolders | None = None


@dataclass(frozen=True)
class FoundClip:
    """What is known of a clip.

    Attributes:
        rows: A dict a beat, or one where it cannot be used; see `EMPTY`. `edv` and `esv` are there,
            in mL, where DICOM objects are wanted and the scale of the clip is known.
        frames: `(n, F, 3, S, S)` uint8, as a model of EF sees the beats that have no reason
            against them, in order; None where there is no such model, or no such beat.
        record: Its curve and contours, see `packed_record`; empty where they are not known.
        seconds: How long each stage took.
        contours: Why there is no DICOM Segmentation of it, empty where there is; None where nobody
            wanted one, or its beats were not looked for.
    """

    rows: list[dict[str, Any]]
    frames: NDArray[np.uint8] | None = None
    record: bytes = b""
    seconds: dict[str, float] = field(default_factory=dict)
    contours: str | None = None


class ClipWork:
    """Does to clips what is asked for; one is made in each worker.

    Args:
        options: What that is.
        network: In place of the segmenter's network, see `Pool`.
    """

    def __init__(self, options: WorkOptions, network: Network | None = None) -> None:
        prepare_for_workers()
        self.options = options
        self.clock = _Clock()
        self._network = network
        self._record, self._wanted = b"", A4C.name
        self._disks: list[BeatDisks | None] | None = None
        self._volumes: list[dict[str, float]] = []
        self._contours: str | None = None

    @cached_property
    def analyser(self) -> ClipAnalyser:
        """Finds the beats; loaded with the first clip whose beats are not given.

        Raises:
            WeightsError: The segmenter's weights cannot be read.
        """
        # On the CPU even where another process looks with a network on its device: one of each
        # worker's own there would only take memory.
        analyser = ClipAnalyser(self.options.segmenter, "cpu", self.options.fast)
        asked = analyser.net if self._network is None else _Elsewhere(self._network)
        analyser.net = _Timed(asked, self.clock)
        return analyser

    def __call__(self, clip: ClipInput) -> FoundClip:
        """Do it to a clip; whatever is wrong with it becomes a reason."""
        self._record = b""
        self._wanted = A2C.name if clip.view == A2C.name else A4C.name
        self._disks = [] if clip.study else None
        self._volumes, self._contours = [], None
        self.clock.restart()
        seen = self.options.seen
        asked = Asked(seen is not None and "MF" in seen.frames, self.options.fps)
        own = clip.row
        with self.clock.of("analyse"):
            rows = beats_of(clip.path, clip.name, clip.beats, clip.problem, self.find, asked)
        rows = [{**own, **row} for row in rows]
        without_own_ef(clip, rows)
        if seen is not None and asks_for_a2c(seen.frames):
            with self.clock.of("analyse"):
                with_second_beat(clip, rows, self._second)
        for row in rows:
            row["reason"] = without_names(clip, told_of(row, str(row["reason"])))
        for row, disks in zip(rows, self._disks or [], strict=False):
            row["disks"] = None if disks is None else disks.packed()
        for row, volumes in zip(rows, self._volumes, strict=False):
            row.update(volumes)
        frames = None
        if seen is not None:
            with self.clock.of("key frames"):
                frames = self._key_frames(clip, rows, seen)
        for row in rows:
            row.pop(VIEW, None)
            row.pop(A2C.column(VIEW), None)
        return FoundClip(rows, frames, self._record, self.clock.seconds, self._contours)

    def find(self, file: ClipFile, name: str) -> FoundBeats:
        """Find the beats of a clip, and keep what is wanted of it beside them.

        Args:
            file: The file, open.
            name: Its name in the table, which may hold folders.

        Raises:
            VideoError: It cannot be read.
            OutputError: A picture of it cannot be written.
        """
        clip = decode_clip(file, self.options.fps)
        analysis = self.analyser(prepare_decoded(clip), view=self._wanted)
        self._keep(analysis, file.path, name)
        return self._found(clip, analysis, A4C)

    def _second(self, clip: ClipInput) -> list[dict[str, object]]:
        """Return the beats of the two-chamber clip of a study; nothing is kept beside them."""
        frames = () if self.options.seen is None else self.options.seen.frames

        def find(file: ClipFile, _: str) -> FoundBeats:
            decoded = decode_clip(file, self.options.fps)
            analysis = self.analyser(prepare_decoded(decoded), view=A2C.name)
            return self._found(decoded, analysis, A2C)

        asked = Asked("MF_A2C" in frames, self.options.fps)
        return beats_of(clip.path, clip.name, clip.beats, clip.problem, find, asked)

    def _found(self, clip: DecodedClip, analysis: ClipAnalysis, of: View) -> FoundBeats:
        """Return the beats of a clip, with those of their frames that a model sees of its view."""
        seen = self.options.seen
        names = () if seen is None else seen.frames
        own = [FRAME_COLUMNS[n] for n in names if n in FRAME_COLUMNS and view_of(n) == of]
        columns = [column.removesuffix(of.suffix) for column in own]
        shown = sorted({getattr(beat, column) for beat in analysis.beats for column in columns})
        whole = asked_clip(names) if of == A4C else None
        known = (clip.info.num_frames, clip.timing.fps)
        if whole is not None and not whole.why_not(*known):
            numbers = [whole.frames(beat.ed_frame, *known) for beat in analysis.beats]
            shown = sorted({number for each in numbers for number in each.tolist()})
        view = ClipView.of(clip, shown, seen)
        return FoundBeats(
            analysis.beats, analysis.quality, analysis.reason, view, analysis.view, analysis.p_a4c
        )

    def _key_frames(
        self, clip: ClipInput, rows: list[dict[str, Any]], seen: FrameOptions
    ) -> NDArray[np.uint8] | None:
        """Return the frames of the usable beats; the reason of one that cannot be read is noted."""
        usable = [number for number, row in enumerate(rows) if not row["reason"]]
        if not usable:
            return None
        # Only what the data set asks for: a table of every column takes as long as its clip.
        names = [name for name in rows[usable[0]] if name in _OF_FRAMES]
        table = pd.DataFrame(
            {name: [rows[number][name] for number in usable] for name in names}, index=usable
        )
        if asked_clip(seen.frames) is not None:
            table["fps"] = self._rate(clip)
        options = (seen.frames, seen.image_size, seen.remove_artifacts)
        dataset = KeyFrameDataset(table, *options, crop=True)
        batch = collate([dataset[item] for item in range(len(dataset))])
        for number, reason in batch.get("failures", []):
            rows[number]["reason"] = without_names(clip, told_of(rows[number], reason))
        return batch["frames"].numpy() if "frames" in batch else None

    def _rate(self, clip: ClipInput) -> float:
        """Return the frames a second of a clip, NaN where they are not known."""
        if self.options.fps is not None:
            return self.options.fps
        try:
            return frame_rate(clip.path)
        except VideoError:
            return math.nan

    def _keep(self, analysis: ClipAnalysis, path: Path, name: str) -> None:
        """Keep what is wanted of an analysis beside its rows."""
        options = self.options
        with self.clock.of("keep"):
            if options.records:
                self._record = packed_record(analysis)
            if self._disks is not None:
                self._disks = beat_disks(analysis)
            if options.dicom is not None:
                self._volumes = volumes_of(analysis)
                if options.dicom.seg is not None:
                    self._contours = options.dicom.contours(path, name, analysis)
            if options.folder is None:
                return
            if options.previews:
                write_preview(analysis, picture_path(options.folder / PREVIEWS, name, ".jpg"))
            if options.overlays:
                write_overlay(analysis, picture_path(options.folder / OVERLAYS, name, ".mp4"))


class _Clock:
    """Seconds by stage; a stage within another is taken off it."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.seconds: dict[str, float] = {}
        self._open: list[str] = []

    @contextmanager
    def of(self, stage: str) -> Iterator[None]:
        start = time.monotonic()
        self._open.append(stage)
        try:
            yield
        finally:
            took = time.monotonic() - start
            self._open.pop()
            self.seconds[stage] = self.seconds.get(stage, 0.0) + took
            if self._open:
                around = self._open[-1]
                self.seconds[around] = self.seconds.get(around, 0.0) - took


class _Timed(Painter):
    """A network whose seconds are counted."""

    def __init__(self, network: Painter, clock: _Clock) -> None:
        super().__init__()
        self.network, self.clock = network, clock

    def forward(self, clip: Tensor, survey: Tensor, wanted: tuple[int, int]) -> Tensor:
        with self.clock.of("network"):
            logits: Tensor = self.network(clip, survey, wanted)
        return logits

    def described(
        self, clip: Tensor, survey: Tensor, wanted: tuple[int, int] | None = None
    ) -> tuple[Tensor, Tensor]:
        with self.clock.of("network"):
            return self.network.described(clip, survey, wanted)


class _Elsewhere(Painter):
    """A network that another process has."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.asked = network

    def forward(self, clip: Tensor, survey: Tensor, wanted: tuple[int, int]) -> Tensor:
        logits, _ = self.asked(clip, survey, None)
        return logits[:, slice(*wanted)]  # batched with those of other clips

    def described(
        self, clip: Tensor, survey: Tensor, wanted: tuple[int, int] | None = None
    ) -> tuple[Tensor, Tensor]:
        between = wanted or (0, clip.shape[1])
        logits, told = self.asked(clip, survey, between)
        assert told is not None
        return logits, told
