"""Write phantoms as a folder in the layout of a data set, as AVI, MP4, DICOM or NIfTI."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import pandas as pd
from tqdm import tqdm

from lvef.cardiac import ejection_fraction
from lvef.data.formats import write_video
from lvef.data.formats.dicom.write import SYNTAXES, write_dicom
from lvef.data.phantom_folder import (
    GENERATOR,
    MARKER,
    TRUTH,
    is_phantom,
    prepared_folder,
    read_marker,
    refuse_other_generator,
    truth_path,
)
from lvef.errors import ConfigurationError, DatasetError
from lvef.files import tidy, write_arrays, write_csv, write_json
from lvef.options import SEED, WORKERS, Range, check_numbers
from lvef.phantom.clip import PhantomClip
from lvef.phantom.layouts import (
    LIST,
    OF_STUDIES,
    STUDIES,
    WrittenLayout,
    as_pediatric,
    check_layout,
    clear_loops,
    clear_patients,
    clips_folder,
    number_of,
    write_lists,
    write_loop,
    write_patient,
    write_splits,
    write_study,
    write_truth,
)
from lvef.phantom.purpose import Purpose
from lvef.phantom.screen import HEIGHT, LEFT, SCALE, TOP, WIDTH, Screen, on_screen, truth_on_screen

Container = Literal["avi", "mp4", "dicom"]
SPLIT_SHARES = {"TRAIN": 2000, "VAL": 300, "TEST": 600}
"""Splits of the standard phantom benchmark; other sizes keep these proportions."""
RANDOMISED_SHARES = {"TRAIN": 900, "VAL": 50, "TEST": 50}
"""The same for domain-randomised phantoms, which are there to learn from."""
BREADTH = Range(0, 2, above=True)
"""How wide the ranges of domain-randomised phantoms may be, relative to the shipped weights'."""
_RANGES = {
    "num_videos": Range(3, 1_000_000),  # three splits; six digits of a name
    "seed": SEED,
    "num_workers": Range(1, WORKERS.most),
    "breadth": BREADTH,
}
_LIST, _TRACINGS, _VIDEOS = "FileList.csv", "VolumeTracings.csv", "Videos"


def split_sizes(num_videos: int, shares: dict[str, int] = SPLIT_SHARES) -> dict[str, int]:
    """Share `num_videos` clips among TRAIN, VAL and TEST, at least one each."""
    total = sum(shares.values())
    val, test = (max(1, round(num_videos * shares[s] / total)) for s in ("VAL", "TEST"))
    return {"TRAIN": num_videos - val - test, "VAL": val, "TEST": test}


def _splits(num_videos: int, breadth: float | None) -> list[str]:
    """Return the split of each clip of a folder."""
    sizes = split_sizes(num_videos, SPLIT_SHARES if breadth is None else RANDOMISED_SHARES)
    return [split for split, size in sizes.items() for _ in range(size)]


def write_phantoms(
    root: Path,
    num_videos: int = 2900,
    seed: int = 0,
    container: Container = "avi",
    num_workers: int | None = None,
    marks: bool = True,
    progress: bool = True,
    breadth: float | None = None,
    screen: bool = False,
    layout: WrittenLayout = "echonet-dynamic",
) -> Path:
    """Write a folder of phantoms as a data set is laid out.

    Unless another layout is asked for, EchoNet-Dynamic's own loader accepts it.
    The folder holds `FileList.csv`, `VolumeTracings.csv`, `Videos/NAME.avi` (MJPEG), `.mp4`
    (H.264) or `.dcm`, `Truth/NAME.npz` (see `PhantomClip.truth`) and `phantom.json`. The same
    arguments give the same folder at any number of workers. Whatever the seeds, no heart of a
    folder's TEST is in TRAIN of another, nor among those that weights were trained or calibrated
    on.

    Args:
        root: Folder to write; made if missing, and refused if it holds something else already.
        num_videos: How many clips, shared among TRAIN, VAL and TEST as 2000 : 300 : 600.
        seed: Seed of the population.
        container: `avi`, `mp4`, or `dicom`: loops of several transfer syntaxes, by turns.
        num_workers: Processes to use; one a core by default.
        marks: Burn logos, scales, and for some clips text, ruler and ECG around the sector.
        progress: Show a progress bar.
        breadth: null for hearts and pictures as frequent as in a clinic; a number for
            domain-randomised ones of every kind, to train an LV segmenter on: 1 for the ranges of
            the shipped weights, up to 2 for wider ones. These are shared as 900 : 50 : 50.
        screen: Loops of 600 x 800 pixels as machines show them, with words, scales and ECG around
            the picture, in place of 112 x 112: to try `analyse` and `predict` on, rather than to
            train on. Tracings and truth are in pixels of the screen; of DICOM in those of its
            ultrasound region, which is what is read of it.
        layout: Which data set's layout the folder has, to try its reader on. `echonet-pediatric`:
            the same clips in `A4C/` with outlines and folds; age, weight and height are made up
            and say nothing of the heart that is shown. `camus`: half a beat from ED to ES and
            masks as NIfTI, of the four-chamber and the two-chamber view of hearts of the second
            generator, whose EF is that of both planes; it needs nibabel. `list`: whole clips of
            both views of such hearts, `clips.csv` to train on and `studies.csv` to analyse, with
            the EF of the whole cavity. `study`: every 20 clips are a whole study, six views of
            one such heart, whose EF `truth.csv` states. `mimic-echo` (DICOM) and `bids`: studies of
            a clip of the four-chamber view and of one of none, with their tables.

    Returns:
        The folder.

    Raises:
        ConfigurationError: A number is out of its range, `root` holds something else, or the
            layout has no such clips.
    """
    asked = {"num_videos": num_videos, "seed": seed, "num_workers": num_workers, "breadth": breadth}
    check_numbers("--", _RANGES, asked)
    if root.is_dir() and any(root.iterdir()) and not is_phantom(root):
        raise ConfigurationError(
            f"{root} is not empty and holds no phantoms; choose another --root"
        )
    check_layout(root, layout, screen, container, breadth)
    place = clips_folder(root, layout)
    place.mkdir(parents=True, exist_ok=True)
    # First, so that an interrupted folder is known for one and can be written anew.
    settings = {
        "what": "PHANTOM: synthetic echocardiograms; no patient, no diagnosis",
        "generator": GENERATOR,
        "num_videos": num_videos, "seed": seed, "container": container, "marks": marks,
        "breadth": breadth, "screen": screen, "layout": layout,
    }  # fmt: skip
    for marked in {root, place}:  # whichever of them is given, it holds phantoms
        write_json(marked / MARKER, settings)
    for table in (_LIST, _TRACINGS, LIST, STUDIES):  # of other clips: the last to come again
        (place / table).unlink(missing_ok=True)
    own_files = layout == "camus" or layout in OF_STUDIES
    folders: tuple[str, ...] = (TRUTH,) if own_files else (_VIDEOS, TRUTH)
    if layout == "study":
        folders = ()
        clear_loops(place)
    for folder in folders:
        (place / folder).mkdir(exist_ok=True)
        for left_over in (place / folder).iterdir():
            left_over.unlink()
    if layout == "camus":
        clear_patients(place)
    if layout in OF_STUDIES:
        OF_STUDIES[layout].clear(place)
        shutil.rmtree(prepared_folder(place), ignore_errors=True)
    write = partial(_write_clip, how=_How(place, seed, container, marks, breadth, screen, layout))
    rows: list[dict[str, Any]] = []
    tracings: list[pd.DataFrame] = []
    splits = _splits(num_videos, breadth)
    try:
        with get_context("spawn").Pool(num_workers, initializer=_one_thread) as pool:
            written = pool.imap(write, enumerate(splits), chunksize=4)
            bar = tqdm(
                written, total=num_videos, desc="phantoms", unit="clip", disable=not progress
            )
            for split, (row, tracing) in zip(splits, bar, strict=True):
                rows.append({**row, "Split": split})
                tracings.append(tracing)
    finally:  # the workers are gone, by a signal perhaps
        for folder in folders:
            tidy(place / folder)
    if layout == "camus":
        write_splits(root, splits)
        return root
    if layout == "list":
        write_lists(root, rows)
        return root
    if layout == "study":
        write_truth(root, rows)
        return root
    if layout in OF_STUDIES:
        OF_STUDIES[layout].finish(root, rows)
        return root
    files, traced = pd.DataFrame(rows), pd.concat(tracings)
    if layout == "echonet-pediatric":
        files, traced = as_pediatric(files, traced, seed)
    write_csv(place / _TRACINGS, traced)
    write_csv(place / _LIST, files)
    return root


def open_phantom(root: Path | str, video: str) -> PhantomClip | None:
    """Return the phantom that a video of a folder shows; None where the folder has patients.

    Args:
        root: The folder.
        video: The video's name without extension.

    Raises:
        DatasetError: Another version of the generator drew it, it shows the screen around it or
            half a beat alone, or the folder is damaged.
    """
    if not is_phantom(root) or Path(root).is_file():  # what a list calls a clip is no number
        return None
    refuse_other_generator(root)
    settings = read_marker(root)
    if settings.get("screen"):
        raise DatasetError(
            f"{root} holds whole screens, of which the heart's parts are not known: make a folder "
            "without --screen"
        )
    if settings.get("layout") == "camus":
        raise DatasetError(
            f"{root} holds half beats, of which the heart's parts are not known: make a folder in "
            "another --layout"
        )
    try:
        number = number_of(video, settings.get("layout", ""))
        breadth = settings["breadth"]
        split = _splits(settings["num_videos"], breadth)[number]
        return _clip(settings["seed"], number, split, settings["marks"], breadth)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise DatasetError(
            f"{Path(root) / MARKER} does not know {video}: write the phantoms again"
        ) from error


def _clip(seed: int, number: int, split: str, marks: bool, breadth: float | None) -> PhantomClip:
    return PhantomClip(seed, number, marks, breadth, purpose=Purpose[split])


def _one_thread() -> None:
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; the first process ends them


@dataclass(frozen=True)
class _How:
    """How a folder's clips are drawn and kept; see `write_phantoms`."""

    root: Path
    seed: int
    container: Container
    marks: bool
    breadth: float | None
    screen: bool
    layout: WrittenLayout

    @property
    def corner(self) -> tuple[int, int] | None:
        """Where the picture lies in what is read of a file; None where it is all of it."""
        if not self.screen:
            return None
        return (0, 0) if self.container == "dicom" else (LEFT, TOP)


def _write_clip(numbered: tuple[int, str], how: _How) -> tuple[dict[str, Any], pd.DataFrame]:
    if how.layout == "list":
        purpose = Purpose[numbered[1]]
        return write_study(how.seed, numbered[0], purpose, how.root, how.container), pd.DataFrame()
    if how.layout == "study":
        return write_loop(how.seed, numbered[0], how.root, how.container), pd.DataFrame()
    if how.layout == "camus":
        write_patient(how.seed, numbered[0], Purpose[numbered[1]], how.root)
        return {}, pd.DataFrame()
    clip = _clip(how.seed, *numbered, how.marks and not how.screen, how.breadth)
    if how.layout in OF_STUDIES:
        row = OF_STUDIES[how.layout].write(clip, how.root, *numbered, how.container)
        return row, pd.DataFrame()
    ending = "dcm" if how.container == "dicom" else how.container
    path, fps = how.root / _VIDEOS / f"{clip.name}.{ending}", clip.patient.fps
    frames, truth, box, scale = clip.frames(), clip.truth(), None, None
    height, width = frames.shape[1:]
    if how.corner is not None:
        screen = Screen(
            clip.name, fps, 1 / clip.scanner.pixels_per_mm, 60 / clip.patient.heart_rate
        )
        box, scale = screen.box(height, width), screen.centimetres
        height, width = (
            (SCALE * height, SCALE * width) if how.container == "dicom" else (HEIGHT, WIDTH)
        )
        frames, truth = screen.frames(frames), truth_on_screen(truth, how.corner)
    if how.container == "dicom":
        write_dicom(path, frames, fps, SYNTAXES[numbered[0] % len(SYNTAXES)], box, scale, clip.name)
    else:
        write_video(path, frames, fps)
    write_arrays(truth_path(how.root, clip.name), truth)
    edv, esv = clip.volume(clip.ed_frame), clip.volume(clip.es_frame)
    row = {
        "FileName": clip.name,
        "EF": float(ejection_fraction(edv, esv)),
        "ESV": esv,
        "EDV": edv,
        "FrameHeight": height,
        "FrameWidth": width,
        "FPS": round(fps),
        "NumberOfFrames": len(frames),
    }
    # EchoNet's loader takes the first traced frame for ES and the last for ED.
    return row, _tracing_rows(clip, path.name, (clip.es_frame, clip.ed_frame), how.corner)


def _tracing_rows(
    clip: PhantomClip, file_name: str, frames: Sequence[int], corner: tuple[int, int] | None
) -> pd.DataFrame:
    coordinates = np.concatenate([clip.tracing(frame) for frame in frames])
    if corner is not None:
        coordinates = on_screen(coordinates.reshape(-1, 2), corner).reshape(-1, 4)
    table = pd.DataFrame(coordinates, columns=["X1", "Y1", "X2", "Y2"])
    table.insert(0, "FileName", file_name)
    table["Frame"] = np.repeat(frames, len(table) // len(frames))
    return table
