"""From clips to what is found in them: the stream of `analyse`, `predict` and `load`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from lvef.analysis.analyse import ClipAnalyser
from lvef.models.inference import inference
from lvef.predict.clip_beats import AMBIGUOUS
from lvef.predict.find import Search
from lvef.predict.keyframes import keyframes_of
from lvef.predict.stream.inputs import ClipInput, clip_inputs
from lvef.predict.stream.pool import Finished, Limits, Pool, inline
from lvef.predict.stream.work import ClipWork, FoundClip, WorkOptions
from lvef.predict.stream.worker import Network

LIMITS = Limits()
FoundClips = Iterator[Finished[ClipInput, FoundClip]]


def asked_clips(
    where: Sequence[str | Path], keyframes: str | Path | None = None, search: Search | None = None
) -> Iterator[ClipInput]:
    """Yield clips, with their beats where these are given.

    Args:
        where: See `clip_inputs`.
        keyframes: See `read_keyframes`; a clip that stands there has the beats it names.
        search: Counts what is passed over.

    Raises:
        DatasetError: A place is not there, or no clip is, or the key frames cannot be read.
    """
    clips = clip_inputs(where, search)
    if keyframes is None:
        yield from clips
        return
    all_clips = list(clips)  # which clip a name means is only known among all
    known = keyframes_of([clip.path for clip in all_clips], keyframes)
    for clip in all_clips:
        problem = AMBIGUOUS if clip.path in known.ambiguous else clip.problem
        beats = tuple(known.beats.get(clip.path, clip.beats))
        yield replace(clip, beats=beats, problem=problem)


def found_clips(
    stack: ExitStack,
    clips: Iterator[ClipInput],
    work: WorkOptions,
    workers: int,
    device: torch.device,
    limits: Limits = LIMITS,
    stop: Callable[[], bool] = lambda: False,
) -> FoundClips:
    """Yield what is found in each clip, as it ends.

    Args:
        stack: Ends the workers when it is closed.
        clips: The clips; they are taken no earlier than a worker is free.
        work: What is done to each.
        workers: Processes; 0 for none but this, in which nothing limits a clip.
        device: Where the segmenter runs. On a CPU each worker has a network of its own; another
            device is this process's, which looks for all of them.
        limits: What one clip may take.
        stop: Returns whether no more may be begun; those in hand are still ended.
    """
    network = None if device.type == "cpu" else network_on(work.segmenter, device, work.fast)
    if workers == 0:
        return inline(ClipWork(work, network), clips, stop)
    start = partial(_ready, work)
    pool: Pool[ClipInput, FoundClip] = Pool(start, workers, limits, network)
    return stack.enter_context(pool).run(clips, stop)


def _ready(work: WorkOptions, network: Network | None) -> ClipWork:
    """Return what a worker does, its segmenter loaded before there is a limit on its memory."""
    ready = ClipWork(work, network)
    ready.analyser  # noqa: B018
    return ready


def rows_of(ended: Finished[ClipInput, FoundClip]) -> FoundClip:
    """Return what was found of a clip; of one that was lost with its worker, why."""
    found = ended.answer or FoundClip([{**ended.job.row, "reason": ended.reason}])
    for row in found.rows:
        row["seconds"] = ended.seconds
    return found


def network_on(segmenter: str, device: torch.device, fast: bool = False) -> Network:
    """Return the segmenter's network on the device, `fast` as in `ClipAnalyser`."""
    net = ClipAnalyser(segmenter, device).net

    def look(
        clips: Tensor, surveys: Tensor, told_of: tuple[int, int] | None
    ) -> tuple[Tensor, Tensor | None]:
        with inference(device, fast):
            asked = clips.to(device), surveys.to(device)
            if told_of is None:
                return net(*asked).float(), None
            logits, told = net.described(*asked, told_of)
        return logits.float(), told

    return look
