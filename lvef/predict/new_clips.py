"""The data module of new clips: what `predict --data.videos` reads."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import chain, islice
from pathlib import Path
from typing import Any

import torch
from lightning import LightningDataModule
from torch.utils.data import DataLoader, IterableDataset

from lvef.analysis.analyse import ClipAnalyser
from lvef.cardiac import PICTURE_SIZE
from lvef.data.loaders import workers_of
from lvef.data.options import BATCH_SIZE, check_options
from lvef.data.views import FrameOptions
from lvef.errors import ConfigurationError
from lvef.files import write_json
from lvef.models.inference import best_device
from lvef.models.segmentation.weights import SHIPPED
from lvef.predict.find import Search
from lvef.predict.pending import PendingClips
from lvef.predict.stream.anonymous import Anonymiser
from lvef.predict.stream.found import asked_clips, found_clips, rows_of
from lvef.predict.stream.inputs import WHOLE, ClipInput, Shard
from lvef.predict.stream.manifest import MANIFEST, SHARDS
from lvef.predict.stream.progress import Progress, ProgressBar
from lvef.predict.stream.second import check_pairs
from lvef.predict.stream.store import ShardStore
from lvef.predict.stream.work import WorkOptions

_FEW = 3
"""So many clips are analysed in this process: to start others takes longer."""
_FLUSH = 20


class NewClipsDataModule(LightningDataModule):
    """Key frames of new clips, which nobody has labelled; their beats are found.

    Clips are opened, and their beats found, while the model predicts those before: nothing waits
    for the last one. Each process of a run has a share of the clips. There is no TRAIN, VAL or
    TEST.

    Args:
        videos: A file, a folder or a glob of clips, or a list of them; see `clip_inputs`.
        frames: Frames a case consists of, in this order: any of EDF, ESF, MF, and of the
            two-chamber view, of which a list names the clip, EDF_A2C, ESF_A2C, MF_A2C. Null where
            geometry alone answers, and no model of EF is asked.
        batch_size: Cases a batch, on each device.
        num_workers: Processes that analyse clips for each device; by default the cores are shared
            out. 0, and where there are few clips, for none but this.
        image_size: Height and width of a frame in pixels.
        remove_artifacts: Blank text, rulers and logos outside the ultrasound sector.
        keyframes: CSV file with the ED and ES frames where they are known: video, ed, es.
        fps: Frames a second of the clips, in place of what the files state.
        segmenter: What finds the beats: shipped, a file of segmenter weights, or a checkpoint of
            an LV segmenter.
        save_overlays: Write an MP4 of every clip whose beats are looked for, with contour, curve
            and beats, into the log folder.

    Attributes:
        key: CSV file that tells which clip each number stands for; None leaves clips their names.
        folder: Where what is found goes; None where nobody wants it kept.
        finder: What finds the beats.
        stop: Returns whether no more clips may be begun.
        search: What was passed over.
        progress: How many clips of this process came to which end.
        pending: Clips whose beats wait for their answers, while they are predicted.
    """

    root = None
    is_phantom = False

    def __init__(
        self,
        videos: str,
        frames: list[str] | None = ["ESF"],  # noqa: B006 (jsonargparse shows and copies it)
        batch_size: int = BATCH_SIZE,
        num_workers: int | None = None,
        image_size: int = PICTURE_SIZE,
        remove_artifacts: bool = True,
        keyframes: str | None = None,
        fps: float | None = None,
        segmenter: str = SHIPPED,
        save_overlays: bool = False,
    ) -> None:
        super().__init__()
        check_options(
            frames, False, image_size=image_size, batch_size=batch_size, num_workers=num_workers,
            fps=fps,
        )  # fmt: skip
        self.prepare_data_per_node = False
        self.videos = videos
        self.frames = frames
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.image_size = image_size
        self.remove_artifacts = remove_artifacts
        self.keyframes = keyframes
        self.fps = fps
        self.segmenter = segmenter
        self.save_overlays = save_overlays
        self.key: Path | None = None
        self.finder: ClipAnalyser | None = None
        self.stop: Callable[[], bool] = lambda: False
        self.progress = Progress()
        self.search = Search()
        self.pending = PendingClips(None, batch_size)
        self._store: ShardStore | None = None
        self._made_with: Callable[[], dict[str, Any]] = dict
        self.folder: Path | None = None

    def prepare_data(self) -> None:
        """See that there is a clip, before anything is loaded.

        Raises:
            DatasetError: There is none.
            ConfigurationError: Clips come singly, and the model sees two views.
        """
        check_pairs([self.videos], self.frames or ())
        next(asked_clips([self.videos]))

    def setup(self, stage: str) -> None:
        """Load what finds the beats.

        Raises:
            ConfigurationError: Something else is asked for than to predict.
            WeightsError: The segmenter's weights cannot be read.
        """
        if stage != "predict":
            raise ConfigurationError(f"new clips have no labels: they are for predict, not {stage}")
        self.finder = ClipAnalyser(self.segmenter, self._device())
        self.progress = Progress()

    def paths(self) -> Iterator[Path]:
        """Yield the files of all clips."""
        for clip in asked_clips([self.videos]):
            yield clip.path
            if clip.a2c is not None:
                yield clip.a2c.path

    def keep_in(
        self,
        folder: Path,
        made_with: Callable[[], dict[str, Any]],
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Store what is found and said of each clip in a folder, from now on.

        Args:
            folder: The run's folder; what lies in its `shards` is joined by `merge_shards`.
            made_with: Returns what `predictions.json` says; asked for when the first clip is
                begun, so that `merge` can join what a kill leaves.
            stop: Returns whether no more clips may be begun.

        Raises:
            OutputError: It cannot be written.
        """
        self.folder, self.stop, self._made_with = folder, stop, made_with
        self._store = ShardStore(folder / SHARDS / str(self.shard))

    def _say_what_is_made(self) -> None:
        if self.folder is not None and self.shard.index == 0:
            write_json(self.folder / MANIFEST, {
                "shards": self.shard.count, "anonymised": self.mark,
                "made_with": self._made_with(),
            })  # fmt: skip

    @property
    def mark(self) -> str | None:
        """Tells the key that numbers the clips from any other; None where they have names."""
        return None if self.key is None else Anonymiser(self.key).mark

    def close(self) -> None:
        """Bring what is stored to the disk."""
        if self._store is not None:
            self._store.close()
            self._store = None

    @property
    def shard(self) -> Shard:
        """This process's share of the clips."""
        if self.trainer is None:
            return WHOLE
        return Shard(self.trainer.global_rank, self.trainer.world_size)

    def predict_dataloader(self) -> DataLoader[Any]:
        """Return batches of the beats that can be used; none where geometry alone answers."""
        return DataLoader(_Batches(self), batch_size=None, num_workers=0)

    def batches(self) -> Iterator[dict[str, Any]]:
        """Yield batches of beats as clips are found, `frames` `(B, F, 3, S, S)` uint8."""
        self._say_what_is_made()
        keep = None if self._store is None else self._store.add
        self.pending = PendingClips(keep, self.batch_size)
        seen = None
        if self.frames is not None:
            seen = FrameOptions(tuple(self.frames), self.image_size, self.remove_artifacts)
        work = WorkOptions(
            self.segmenter, seen, self.fps, self.folder, overlays=self.save_overlays,
            records=keep is not None,
        )  # fmt: skip
        clips = (clip for clip in self._clips() if self.shard.has(clip))
        few = list(islice(clips, _FEW + 1))
        workers = 0 if len(few) <= _FEW else workers_of(self.num_workers, self.trainer)
        device = best_device(self._device())
        with ExitStack() as stack:
            bar = stack.enter_context(ProgressBar(self._shows(), self._count))
            found = found_clips(stack, chain(few, clips), work, workers, device, stop=self.stop)
            for number, ended in enumerate(found):
                clip = rows_of(ended)
                self.progress.add(clip.rows, clip.seconds)
                bar.show(self.progress)
                self.pending.add(ended.job, clip)
                if self._store is not None and number % _FLUSH == 0:
                    self._store.flush()
                yield from self.pending.batches()
            yield from self.pending.batches(last=True)
        if self.shard.index == 0:
            for remark in self.search.remarks(None):
                warnings.warn(remark, stacklevel=2)

    def _clips(self) -> Iterator[ClipInput]:
        """Yield all clips, of every process, by their numbers where there is a key."""
        clips = asked_clips([self.videos], self.keyframes, self.search)
        if self.key is None:
            yield from clips
            return
        numbers = Anonymiser(self.key)
        numbers.number(asked_clips([self.videos]))
        yield from numbers(clips)

    def _count(self) -> int:
        return sum(self.shard.has(clip) for clip in asked_clips([self.videos]))

    def _shows(self) -> bool:
        """Return whether to show how far it has come, in place of Lightning's bar."""
        bar = None if self.trainer is None else self.trainer.progress_bar_callback
        if bar is not None:
            bar.disable()
        return bar is not None and self.shard.index == 0

    def _device(self) -> torch.device | None:
        """Return where the trainer's model runs, for the segmenter to run there, too."""
        if self.trainer is None:
            return None
        device: torch.device = self.trainer.strategy.root_device
        return None if device.type == "mps" else device


class _Batches(IterableDataset[dict[str, Any]]):
    """Batches of a data module as a data set, which is what Lightning takes."""

    def __init__(self, data: NewClipsDataModule) -> None:
        self.data = data

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self.data.batches()
