"""An archive of clips to tables: what `analyse` does, on one machine or on many."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from lvef.data.views import FrameOptions
from lvef.files import make_room
from lvef.models.inference import inference
from lvef.models.segmentation.weights import SHIPPED, weights_file
from lvef.predict.find import Search
from lvef.predict.keyframes import keyframes_of, read_keyframes
from lvef.predict.stream.anonymous import Anonymiser, check_names, without_folders
from lvef.predict.stream.inputs import WHOLE, ClipInput, Shard, clip_inputs, without
from lvef.predict.stream.machine import own_device, own_workers
from lvef.predict.stream.manifest import MANIFEST, agreed, digest, read_manifest
from lvef.predict.stream.pool import Finished, Limits, Network, Pool, inline
from lvef.predict.stream.store import ANSWERS, ShardStore
from lvef.predict.stream.work import ClipWork, FoundClip, WorkOptions
from lvef.predict.video_table import AMBIGUOUS, EMPTY
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


@dataclass
class Progress:
    """How many clips came to which end."""

    ok: int = 0
    refused: int = 0
    failed: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def clips(self) -> int:
        """All of them."""
        return self.ok + self.refused + self.failed

    def add(self, rows: Sequence[dict[str, Any]], seconds: dict[str, float]) -> None:
        """Count a clip."""
        good = any(not row["reason"] for row in rows)
        seen = any(row["num_frames"] for row in rows)  # it could be read, and was refused
        if good:
            self.ok += 1
        elif seen:
            self.refused += 1
        else:
            self.failed += 1
        for stage, took in seconds.items():
            self.seconds[stage] = self.seconds.get(stage, 0.0) + took


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
        self.answers = None if options.model is None else _Answers(options, self.device)
        self.progress = Progress()
        self.search = Search()
        if options.keyframes is not None:
            read_keyframes(options.keyframes)
        make_room(output / MANIFEST)
        self.numbers = self._numbers()
        self.manifest = agreed(output / MANIFEST, self._made())

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
            OutputError: What is found cannot be written.
        """
        with ExitStack() as stack:
            store = stack.enter_context(ShardStore(self.output / "shards" / str(self.shard)))
            done = set(store.keys())
            if done and bar:
                print(f"{len(done):,} clips are analysed already; new and changed files follow.")
            if self.numbers is not None:
                self.numbers.number(clip_inputs(where))
            clips = self._clips(where)
            own = (clip for clip in clips if self.shard.has(clip))
            shown = stack.enter_context(_bar(bar))
            count = threading.Thread(
                target=self._count, args=(where, len(done), shown), daemon=True
            )
            count.start()
            for number, ended in enumerate(self._ended(stack, without(own, done), stop)):
                self._keep(store, ended)
                shown.update()
                shown.set_postfix(failed=self.progress.failed, refused=self.progress.refused)
                if number % _FLUSH == 0:
                    store.flush()
        return self.progress

    def _clips(self, where: Sequence[str | Path]) -> Iterator[ClipInput]:
        """Yield the clips as they are called, with their beats where these are given."""
        clips = clip_inputs(where, self.search)
        if self.options.keyframes is not None:
            clips = _with_beats(list(clips), self.options.keyframes)
        return clips if self.numbers is None else self.numbers(clips)

    def _count(self, where: Sequence[str | Path], done: int, bar: Any) -> None:
        """Count the clips beside the work, so that the bar can tell how much is left."""
        try:
            clips = clip_inputs(where)
            called = clips if self.numbers is None else self.numbers(clips)
            total = sum(map(self.shard.has, called))
        except Exception:  # whoever takes the clips meets it, too, and tells
            return
        bar.total = max(total - done, bar.n)
        bar.refresh()

    def _ended(
        self, stack: ExitStack, clips: Iterator[ClipInput], stop: Callable[[], bool]
    ) -> Iterator[Finished[ClipInput, FoundClip]]:
        """Yield each clip as it is done."""
        options = self.options
        work = WorkOptions(
            options.segmenter, None if self.answers is None else self.answers.seen, options.fps,
            self.output, options.previews, options.overlays,
        )  # fmt: skip
        workers = own_workers() if options.workers is None else options.workers
        if workers == 0:
            return inline(ClipWork(work), clips, stop)
        shared = self.device.type != "cpu"  # else each worker has a network of its own
        network = _network(options.segmenter, self.device) if shared else None
        pool: Pool[ClipInput, FoundClip] = Pool(
            partial(ClipWork, work), workers, options.limits, network
        )
        return stack.enter_context(pool).run(clips, stop)

    def _keep(self, store: ShardStore, ended: Finished[ClipInput, FoundClip]) -> None:
        """Ask the model of EF about a clip, and store what is known of it."""
        found, clip = ended.answer, ended.job
        if found is None:
            row = {**EMPTY, "video": clip.name, "shown": clip.shown, "reason": ended.reason}
            found = FoundClip([row])
        if self.answers is not None:
            self.answers.add(found)
        for row in found.rows:
            row["seconds"] = ended.seconds
        self.progress.add(found.rows, found.seconds)
        store.add(clip, found.rows, found.record)

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
            "made_with": self._made_with(),
        }

    def _numbers(self) -> Anonymiser | None:
        """Return what calls clips by numbers; None where they keep their names."""
        path, key = self.output / MANIFEST, self.options.anonymize
        known = None
        if path.exists():
            known = read_manifest(path).get("anonymised")
            check_names(known is not None, key is not None, self.output)
        return None if key is None else Anonymiser(key, self.output, known)

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
        return made if self.numbers is None else without_folders(made)


class _Answers:
    """Asks a model of EF about the beats of clips."""

    def __init__(self, options: ArchiveOptions, device: torch.device) -> None:
        from lvef.models.inference import FramePredictor
        from lvef.models.loading import describe_checkpoint, load_ef_task

        assert options.model is not None
        self.task = load_ef_task(options.model, options.trusted)
        seen = describe_checkpoint(options.model)["data"]
        given = {name: seen[name] for name in ("image_size", "remove_artifacts") if name in seen}
        self.seen = FrameOptions(tuple(self.task.frames), **given)
        self.predictor = FramePredictor(self.task, device)

    def add(self, found: FoundClip) -> None:
        """Add to each usable beat of a clip what the model says of it."""
        usable = [row for row in found.rows if not row["reason"]]
        if found.frames is None or not usable:
            return
        batch = {"frames": torch.from_numpy(found.frames), "row": torch.arange(len(usable))}
        [answers] = self.predictor.batches([batch])
        for name in ANSWERS:
            if isinstance(answers.get(name), Tensor):
                for row, value in zip(usable, answers[name].tolist(), strict=True):
                    row[name] = value


def _network(segmenter: str, device: torch.device) -> Network:
    """Return the segmenter's network on the device."""
    from lvef.analysis.analyse import ClipAnalyser

    net = ClipAnalyser(segmenter, device).net

    def look(clips: Tensor, surveys: Tensor) -> Tensor:
        with inference(device):
            logits: Tensor = net(clips.to(device), surveys.to(device))
        return logits

    return look


def _bar(shown: bool) -> Any:
    return tqdm(desc="clips", unit="clip", disable=not shown, dynamic_ncols=True)


def _with_beats(clips: Sequence[ClipInput], keyframes: str) -> Iterator[ClipInput]:
    """Yield clips with their beats; which clip a name means is only known among all."""
    known = keyframes_of([clip.path for clip in clips], keyframes)
    for clip in clips:
        problem = AMBIGUOUS if clip.path in known.ambiguous else ""
        yield replace(clip, beats=tuple(known.beats.get(clip.path, ())), problem=problem)
