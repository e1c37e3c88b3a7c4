"""An archive of clips to tables: what `analyse` does, on one machine or on many."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from lvef.data.names import expanded
from lvef.files import make_room
from lvef.models.segmentation.weights import SHIPPED, weights_file
from lvef.predict.dicom_out import DicomFolders, Maker
from lvef.predict.find import Search
from lvef.predict.keyframes import read_keyframes
from lvef.predict.pending import PendingClips
from lvef.predict.stream.anonymous import Anonymiser, check_names, without_folders
from lvef.predict.stream.answers import Answers
from lvef.predict.stream.found import FoundClips, asked_clips, found_clips, rows_of
from lvef.predict.stream.inputs import WHOLE, ClipInput, Shard, clip_inputs, without
from lvef.predict.stream.machine import own_device, own_workers
from lvef.predict.stream.manifest import MANIFEST, SHARDS, agreed, digest, read_manifest
from lvef.predict.stream.objects import IDENTITY, Objects, check_one_view
from lvef.predict.stream.pool import Limits
from lvef.predict.stream.progress import Progress, ProgressBar
from lvef.predict.stream.second import check_pairs
from lvef.predict.stream.store import ShardStore
from lvef.predict.stream.studies import StudyNames
from lvef.predict.stream.work import WorkOptions
from lvef.predict.writer import made_with

_FLUSH = 20


@dataclass(frozen=True)
class ArchiveOptions:
    """How an archive is analysed.

    Attributes:
        model: Checkpoint of a model of EF; None where geometry alone answers.
        segmenter: What finds the beats; see `ClipAnalyser`.
        fps: Frames a second of all clips, in place of what the files state.
        keyframes: CSV file with the ED and ES frames where they are known.
        previews: Whether a picture of each clip is wanted.
        overlays: Whether a video of each clip is.
        workers: Processes; see `own_workers`, 0 for none but this.
        limits: What one clip may take.
        device: Where networks run; see `own_device`.
        trusted: Modules that may be imported for a model of a user's own.
        anonymize: CSV file that says which clip each number is; None where clips keep their names.
        fast: See `ClipAnalyser`.
        studies: What says which study each clip is of: "folder", "dicom", or a CSV file with its
            view, too, see `Studies.read`; None where nothing does.
        study_salt: File of what studies are hashed with; see `salt_place`.
        dicom_sr: Folder of a DICOM Structured Report a clip; None for none.
        dicom_seg: Folder of a DICOM Segmentation a clip; likewise.
    """

    model: str | None = None
    segmenter: str = SHIPPED
    fps: float | None = None
    keyframes: str | None = None
    previews: bool = True
    overlays: bool = False
    workers: int | None = None
    limits: Limits = field(default_factory=Limits)
    device: str | None = None
    trusted: tuple[str, ...] = ()
    anonymize: str | None = None
    studies: str | None = None
    study_salt: str | None = None
    fast: bool = False
    dicom_sr: str | None = None
    dicom_seg: str | None = None


class Archive:
    """Analyses clips into a folder; called again on the same folder it goes on.

    Args:
        output: The folder.
        options: How.
        shard: Which share of the clips is this process's.

    Raises:
        ConfigurationError: The folder was made otherwise, or another process writes this shard.
        LvefError: The model, the segmenter or the key frames cannot be loaded.
    """

    def __init__(self, output: Path, options: ArchiveOptions, shard: Shard = WHOLE) -> None:
        self.output, self.options, self.shard = output, options, shard
        self.device = own_device(options.device)
        self.answers = (
            None if options.model is None else Answers(options.model, options.trusted, self.device)
        )
        if any(self._object_folders) and self.answers is not None:
            check_one_view(self.answers.seen.frames)
        self.progress = Progress()
        self.search = Search()
        if options.keyframes is not None:
            read_keyframes(options.keyframes)
        make_room(output / MANIFEST)
        self.numbers = self._numbers()
        self.studies = self._studies()
        self.manifest = agreed(output / MANIFEST, self._made())
        self.objects = self._objects()

    def run(
        self, where: Sequence[str | Path], stop: Callable[[], bool], bar: bool = True
    ) -> Progress:
        """Analyse the clips that are not done yet.

        Args:
            where: See `clip_inputs`.
            stop: Returns whether to end once what is in hand is done.
            bar: Whether to show how far it has come.

        Raises:
            DatasetError: A place is not there, or no clip is.
            ConfigurationError: Clips come singly, and the model sees two views.
            OutputError: What is found cannot be written.
        """
        check_pairs(where, () if self.answers is None else self.answers.seen.frames)
        with ExitStack() as stack:
            store = stack.enter_context(ShardStore(self.output / SHARDS / str(self.shard)))
            done = set(store.keys())
            if done and bar:
                print(f"{len(done):,} clips are analysed already; new and changed files follow.")
            if self.numbers is not None:
                self.numbers.number(clip_inputs(where))
            clips = asked_clips(where, self.options.keyframes, self.search)
            clips = clips if self.studies is None else self.studies.listed(clips)
            own = (clip for clip in self._called(clips) if self.shard.has(clip))
            new = without(own, done)
            new = new if self.studies is None else self.studies.stated(new)
            shown = stack.enter_context(ProgressBar(bar, partial(self._left, where, len(done))))
            keep = store.add if self.objects is None else self.objects.before(store.add)
            pending = PendingClips(keep)
            for number, ended in enumerate(self._ended(stack, new, stop)):
                found = rows_of(ended)
                if self.objects is not None:
                    self.objects.found(ended.job, found)
                self.progress.add(found.rows, found.seconds)
                shown.show(self.progress)
                pending.add(ended.job, found)
                pending.answer(self.answers)
                if number % _FLUSH == 0:
                    store.flush()
            pending.answer(self.answers, last=True)
        return self.progress

    def remarks(self) -> list[str]:
        """Return what is to be told of DICOM objects, once all are written."""
        objects = self.objects
        return [] if objects is None else objects.written.remarks(objects.folders)

    def _called(self, clips: Iterator[ClipInput]) -> Iterator[ClipInput]:
        """Yield clips as they are called in what is written."""
        return clips if self.numbers is None else self.numbers(clips)

    def _left(self, where: Sequence[str | Path], done: int) -> int:
        return sum(map(self.shard.has, self._called(clip_inputs(where)))) - done

    def _ended(
        self, stack: ExitStack, clips: Iterator[ClipInput], stop: Callable[[], bool]
    ) -> FoundClips:
        """Yield each clip as it is done."""
        options = self.options
        work = WorkOptions(
            options.segmenter, None if self.answers is None else self.answers.seen, options.fps,
            self.output, options.previews, options.overlays, fast=options.fast,
            dicom=None if self.objects is None else self.objects.folders,
        )  # fmt: skip
        workers = own_workers() if options.workers is None else options.workers
        return found_clips(stack, clips, work, workers, self.device, options.limits, stop)

    def _made(self) -> dict[str, Any]:
        """Return what must be the same for all rows of a folder."""
        options = self.options
        return {
            "version": version("lvef"),
            "segmenter": digest(weights_file(options.segmenter)),
            "model": None if options.model is None else digest(options.model),
            "fps": options.fps,
            "keyframes": None if options.keyframes is None else digest(options.keyframes),
            "shards": self.shard.count,
            "anonymised": None if self.numbers is None else self.numbers.mark,
            **({"studies": None} if self.studies is None else self.studies.made),
            "fast": options.fast or None,
            **self._identified(),
            "made_with": self._made_with(),
        }

    def _identified(self) -> dict[str, str | None]:
        """Return the folders of DICOM objects, told from that of the tables, and what they hold."""
        sr, seg = (
            None if each is None else os.path.relpath(expanded(each), self.output)
            for each in self._object_folders
        )
        return {"dicom_sr": sr, "dicom_seg": seg, "identity": IDENTITY if sr or seg else None}

    def _objects(self) -> Objects | None:
        """Return what writes DICOM objects; None where none are wanted.

        Raises:
            OutputError: Their folder cannot be written.
        """
        sr, seg = (None if each is None else expanded(each) for each in self._object_folders)
        if sr is None and seg is None:
            return None
        folders = DicomFolders(Maker.of(self.manifest), sr, seg)
        folders.make_room()
        return Objects(folders, self.manifest["made_with"]["frames"])

    @property
    def _object_folders(self) -> tuple[str | None, str | None]:
        return self.options.dicom_sr, self.options.dicom_seg

    def _numbers(self) -> Anonymiser | None:
        """Return what calls clips by numbers; None where they keep their names."""
        path, key = self.output / MANIFEST, self.options.anonymize
        known = None
        if path.exists():
            known = read_manifest(path).get("anonymised")
            check_names(known is not None, key is not None, self.output)
        return None if key is None else Anonymiser(key, self.output, known)

    def _studies(self) -> StudyNames | None:
        """Return what says which study each clip is of; None where nothing does."""
        path, options = self.output / MANIFEST, self.options
        if options.studies is None:
            return None
        known = read_manifest(path).get("study_salt") if path.exists() else None
        return StudyNames(
            options.studies, self.output, options.study_salt, options.anonymize, known
        )  # fmt: skip

    def _made_with(self) -> dict[str, Any]:
        """Return what `predictions.json` says."""
        from lvef.analysis.analyse import ClipAnalyser

        finder = ClipAnalyser(self.options.segmenter, "cpu")
        asked = None if self.answers is None else self.answers.task
        data = SimpleNamespace(
            finder=finder, segmenter=self.options.segmenter, videos="", is_phantom=False
        )
        trained_on = str(finder.trained_on if asked is None else asked.trained_on)
        made = made_with(asked, data, self.options.model or "", trained_on)
        geometry = {"task": "LVSegmenter", "kind": "segmentation", "backbone": None}
        made = made if asked is not None else {**made, **geometry}
        made = made if self.studies is None else {**made, **self.studies.told}
        return made if self.numbers is None else without_folders(made)
