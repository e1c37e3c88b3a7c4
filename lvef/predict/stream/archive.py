"""An archive of clips to tables: what `analyse` does, on one machine or on many."""

from __future__ import annotations

import json
import threading
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
from tqdm import tqdm

from lvef.data.options import default_workers
from lvef.data.views import FrameOptions
from lvef.errors import ConfigurationError
from lvef.files import make_room, write_json
from lvef.models.inference import best_device, inference
from lvef.models.segmentation.weights import SHIPPED, weights_file
from lvef.predict.find import Search
from lvef.predict.keyframes import keyframes_of
from lvef.predict.stream.inputs import WHOLE, ClipInput, Shard, clip_inputs, without
from lvef.predict.stream.pool import Finished, Limits, Network, Pool, inline
from lvef.predict.stream.store import ANSWERS, ShardStore
from lvef.predict.stream.work import ClipWork, FoundClip, WorkOptions
from lvef.predict.video_table import AMBIGUOUS, EMPTY
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
            clips = self._clips(where)
            own = (clip for clip in clips if self.shard.has(clip))
            shown = stack.enter_context(_bar(bar))
            count = threading.Thread(
                target=_count, args=(where, self.shard, len(done), shown), daemon=True
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
        """Yield the clips, with their beats where these are given."""
        clips = clip_inputs(where, self.search)
        if self.options.keyframes is None:
            yield from clips
            return
        known_clips = list(clips)  # which clip a name means is only known among all
        known = keyframes_of([clip.path for clip in known_clips], self.options.keyframes)
        for clip in known_clips:
            beats = tuple(known.beats.get(clip.path, ()))
            problem = AMBIGUOUS if clip.path in known.ambiguous else ""
            yield ClipInput(
                clip.path, clip.name, clip.shown, clip.size, clip.mtime_ns, beats, problem
            )

    def _ended(
        self, stack: ExitStack, clips: Iterator[ClipInput], stop: Callable[[], bool]
    ) -> Iterator[Finished[ClipInput, FoundClip]]:
        """Yield each clip as it is done."""
        options = self.options
        work = WorkOptions(
            options.segmenter, None if self.answers is None else self.answers.seen, options.fps,
            self.output, options.previews, options.overlays,
        )  # fmt: skip
        workers = default_workers() if options.workers is None else options.workers
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


def _count(where: Sequence[str | Path], shard: Shard, done: int, bar: Any) -> None:
    """Count the clips beside the work, so that the bar can tell how much is left."""
    try:
        total = sum(1 for clip in clip_inputs(where) if shard.has(clip))
    except Exception:  # whoever takes the clips meets it, too, and tells
        return
    bar.total = max(total - done, bar.n)
    bar.refresh()


def _digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest() if path.is_file() else str(path)
