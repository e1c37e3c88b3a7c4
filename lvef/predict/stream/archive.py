"""An archive of clips to tables: what `analyse` does, on one machine or on many."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from lvef.data.options import default_workers
from lvef.data.views import FrameOptions
from lvef.errors import ConfigurationError
from lvef.files import make_room, write_json
from lvef.models.inference import best_device
from lvef.models.segmentation.weights import SHIPPED, weights_file
from lvef.predict.find import Search
from lvef.predict.stream.found import FoundClips, asked_clips, found_clips, rows_of
from lvef.predict.stream.inputs import WHOLE, ClipInput, Shard, clip_inputs, without
from lvef.predict.stream.pool import Finished, Limits
from lvef.predict.stream.progress import Progress, ProgressBar
from lvef.predict.stream.store import ANSWERS, ShardStore
from lvef.predict.stream.work import FoundClip, WorkOptions
from lvef.predict.writer import made_with

MANIFEST = "manifest.json"
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
        workers: Processes; by default as many as cores, 0 for none but this.
        limits: What one clip may take.
        device: Where networks run; see `best_device`.
        trusted: Modules that may be imported for a model of a user's own.
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


class Archive:
    """Analyses clips into a folder; called again on the same folder it goes on.

    Args:
        output: The folder.
        options: How.
        shard: Which share of the clips is this process's.

    Raises:
        ConfigurationError: The folder was made otherwise, or another process writes this shard.
        LvefError: The model or the segmenter cannot be loaded.
    """

    def __init__(self, output: Path, options: ArchiveOptions, shard: Shard = WHOLE) -> None:
        self.output, self.options, self.shard = output, options, shard
        self.device = best_device(options.device)
        self.answers = None if options.model is None else _Answers(options, self.device)
        self.progress = Progress()
        self.search = Search()
        make_room(output / MANIFEST)
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
            clips = asked_clips(where, self.options.keyframes, self.search)
            own = (clip for clip in clips if self.shard.has(clip))
            shown = stack.enter_context(ProgressBar(bar, partial(self._left, where, len(done))))
            for number, ended in enumerate(self._ended(stack, without(own, done), stop)):
                self._keep(store, ended)
                shown.show(self.progress)
                if number % _FLUSH == 0:
                    store.flush()
        return self.progress

    def _left(self, where: Sequence[str | Path], done: int) -> int:
        return sum(1 for clip in clip_inputs(where) if self.shard.has(clip)) - done

    def _ended(
        self, stack: ExitStack, clips: Iterator[ClipInput], stop: Callable[[], bool]
    ) -> FoundClips:
        """Yield each clip as it is done."""
        options = self.options
        work = WorkOptions(
            options.segmenter, None if self.answers is None else self.answers.seen, options.fps,
            self.output, options.previews, options.overlays,
        )  # fmt: skip
        workers = default_workers() if options.workers is None else options.workers
        return found_clips(stack, clips, work, workers, self.device, options.limits, stop)

    def _keep(self, store: ShardStore, ended: Finished[ClipInput, FoundClip]) -> None:
        """Ask the model of EF about a clip, and store what is known of it."""
        found = rows_of(ended)
        if self.answers is not None:
            self.answers.add(found)
        self.progress.add(found.rows, found.seconds)
        store.add(ended.job, found.rows, found.record)

    def _made(self) -> dict[str, Any]:
        """Return what must be the same for all rows of a folder."""
        options = self.options
        return {
            "version": version("lvef"),
            "segmenter": _digest(weights_file(options.segmenter)),
            "model": None if options.model is None else _digest(Path(options.model)),
            "fps": options.fps,
            "keyframes": None if options.keyframes is None else _digest(Path(options.keyframes)),
            "shards": self.shard.count,
            "made_with": self._made_with(),
        }

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
        return made if asked is not None else {**made, **geometry}


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


def agreed(path: Path, made: dict[str, Any]) -> dict[str, Any]:
    """Write what all rows of a folder have in common, or see that it is the same.

    Raises:
        ConfigurationError: It is not: rows made otherwise would be in one table.
    """
    made = json.loads(json.dumps(made))
    if not path.exists():
        write_json(path, made)
        return made
    before = read_manifest(path)
    differing = [n for n in made if n != "made_with" and before.get(n) != made[n]]
    if differing:
        what = ", ".join(f"{n} ({before.get(n)} there, {made[n]} now)" for n in differing)
        raise ConfigurationError(
            f"{path.parent} holds rows that were made otherwise: {what}. Rows of both would be in "
            "one table: do as then, or give another --output"
        )
    return before


def read_manifest(path: Path) -> dict[str, Any]:
    """Return what all rows of a folder have in common.

    Raises:
        ConfigurationError: It cannot be read.
    """
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        needed = {"made_with": dict, "shards": int}
        if all(isinstance(manifest[name], kind) for name, kind in needed.items()):
            return manifest
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise ConfigurationError(
        f"{path}: there is none of an archive, or it is damaged: begin with another --output"
    )


def _digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest() if path.is_file() else str(path)
