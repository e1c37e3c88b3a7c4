"""`python -m lvef external`: a frozen model on another folder, and recalibrated there."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from lvef.cardiac import is_reduced
from lvef.data.fingerprint import folder_fingerprint
from lvef.data.layouts import MAX_EXCLUDED, LabelFolder, read_labels
from lvef.data.options import RANGES as DATA_RANGES
from lvef.errors import ConfigurationError
from lvef.evaluation.correction import KINDS, Kind
from lvef.experiments.external_measures import measures, with_intervals
from lvef.experiments.external_report import SAID, external_summary, format_external
from lvef.experiments.local_cases import draw_cases, patient_of
from lvef.experiments.study_record import write_study_record
from lvef.experiments.taught_folder import refuse_taught
from lvef.figures.external import external_figure
from lvef.files import make_room, write_csv, write_figure, write_json, write_text
from lvef.models import EFTask
from lvef.models.loading import describe_checkpoint, load_ef_task
from lvef.models.recalibration import FEWEST, check_cases, recalibrated
from lvef.models.segmentation.weights import SHIPPED
from lvef.notice import NOT_FOR_DIAGNOSIS
from lvef.options import SEED, Range, check_numbers
from lvef.predict.labelled_clips import FramesFrom, LabelledBeats, Split, labelled_beats
from lvef.streams import Use, stream

_LEFT = 10
"""Clips that must be left to judge by."""
_RANGES = {"repeats": Range(1, 1000), "seed": SEED, "max_excluded": DATA_RANGES["max_excluded"]}


def external(
    ckpt_path: Path,
    root: str,
    output: Path,
    frames_from: FramesFrom = "labels",
    k: list[int] = [0, 20, 50, 100],  # noqa: B006 (jsonargparse shows and copies it)
    repeats: int = 20,
    seed: int = 0,
    split: Split = "all",
    segmenter: str = SHIPPED,
    max_excluded: float = MAX_EXCLUDED,
) -> Path:
    """Judge a model on another folder as it is, and recalibrated on a few of the clips there.

    The weights stay as they are. For each k, so many clips are drawn at random, by patient where
    these are known (one of each), with and without a reduced EF as many as there are; the model is
    recalibrated on them, and judged before and after on clips of which no patient was drawn. That
    is done several times. Recalibration makes the standard deviations, intervals and review flag
    of a regressor anew, and is shown too with a shift, or a line, of the EF itself; of a classifier
    the probabilities, the plausible classes, and the threshold where both classes have 10 cases.
    Writes external.md, external.csv (a row a drawing), external.json, a figure, and refused.csv
    where clips have no answer.

    Args:
        ckpt_path: Checkpoint of a model of EF.
        root: Folder of labelled clips that the model was not taught by.
        output: Folder to write.
        frames_from: labels takes the labelled key frames, found looks for the beats as predict
            does with new clips.
        k: How many local clips, of as many patients, recalibrate the model; 0 is the model as it
            is, on all clips.
        repeats: How many drawings for each k.
        seed: Seed of the drawings.
        split: Whose clips of the folder: TRAIN, VAL, TEST or all.
        segmenter: What finds the beats: shipped, or segmenter weights.
        max_excluded: Share of unusable videos above which the folder is refused.

    Raises:
        ConfigurationError: A number is out of its range, k leaves too few clips, or the folder
            taught the model.
        CheckpointError: The checkpoint is missing, unreadable, or says no EF.
        DatasetError: The folder cannot be read.
    """
    asked = {"repeats": repeats, "seed": seed, "max_excluded": max_excluded}
    check_numbers("--", _RANGES, asked)
    counts = _counts(k)
    started = datetime.now(UTC)
    task, said = load_ef_task(ckpt_path), describe_checkpoint(ckpt_path)
    if not task.is_calibrated:
        raise ConfigurationError(f"{ckpt_path} was never calibrated: its run judged no VAL")
    folder = read_labels(root, max_excluded)
    refuse_taught(said, folder, split, str(ckpt_path), folder_fingerprint(root))
    make_room(output / "external.md")
    beats = labelled_beats(task, said["data"], folder, frames_from, segmenter, split)
    clips = beats.usable
    _check_counts(task, beats, counts, folder)
    refused = pd.concat([beats.refused, unreadable(folder, split)], ignore_index=True)
    if len(refused):
        write_csv(output / "refused.csv", refused)
    people = patient_of(clips)
    clusters = people if len(set(people)) < len(people) else None
    before = beats.answers(task)
    whole = with_intervals(before, task.decision_threshold, len(refused), clusters)
    table = _drawings(task, beats, before, counts, repeats, seed, len(refused))
    phantom = folder.is_phantom
    title = (
        f"{'PHANTOM ' if phantom else ''}{Path(root).name}, {split}, {len(clips)} clips, "
        f"{type(task).__name__} on {'found' if frames_from == 'found' else 'labelled'} "
        f"{' + '.join(task.frames)}"
    )
    results: dict[str, Any] = {
        "title": title, "note": NOT_FOR_DIAGNOSIS, "phantom": phantom,
        "trained_on": task.trained_on, "task": type(task).__name__, "kind": task.kind,
        "frames": task.frames, "frames_from": frames_from, "split": split,
        "level": task.interval_level, "num_cases": len(clips),
        "num_reduced": int(np.sum(is_reduced(clips["ef_true"].to_numpy(float)))),
        "patients": None if clusters is None else len(set(people)),
        "refused": len(refused), "repeats": repeats, "seed": seed, "checkpoint": str(ckpt_path),
        "recalibrated_before": dict(task.recalibrated), "version": version("lvef"),
        "all": whole, "k": external_summary(table),
    }  # fmt: skip
    write_csv(output / "external.csv", table)
    write_json(output / "external.json", results)
    text = format_external(results)
    write_text(output / "external.md", text)
    figure = external_figure(table, results["kind"], title, task.interval_level)
    write_figure(output / "external.png", figure, dpi=120)
    options = {**asked, "k": counts, "frames_from": frames_from, "split": split,
               "segmenter": segmenter}  # fmt: skip
    write_study_record(output, "external", started, options, root, ckpt_path)
    print(text)
    return output / "external.md"


def _counts(k: list[int]) -> list[int]:
    """Return how many clips to draw, in order, each once.

    Raises:
        ConfigurationError: There is none, or it is too small.
    """
    wrong = [count for count in k if count < 0 or 0 < count < FEWEST]
    if not k or wrong:
        raise ConfigurationError(
            f"--k is {k}, but holds numbers of clips: 0 for the model as it is, and {FEWEST} or "
            "more to recalibrate on, such as '[0, 20, 50]'"
        )
    return sorted(set(k))


def _check_counts(
    task: EFTask, beats: LabelledBeats, counts: list[int], folder: LabelFolder
) -> None:
    """Refuse drawings that the folder cannot give.

    Raises:
        ConfigurationError: They leave too few clips to judge by, or all are of one class.
    """
    clips = beats.usable
    people = len(set(patient_of(clips)))
    possible = [count for count in counts if count <= (people if count else len(clips)) - _LEFT]
    if len(possible) < len(counts) or people < 2:
        raise ConfigurationError(
            f"--k holds {counts[-1]}, but {folder.root} has {len(clips)} clips with an answer, of "
            f"{people} patients, and {_LEFT} must be left to judge by: give --k "
            f"'{possible or [0]}', or more clips"
        )
    if counts[-1]:
        check_cases(task, beats.cases(clips["video"]))


def _drawings(
    task: EFTask,
    beats: LabelledBeats,
    before: pd.DataFrame,
    counts: list[int],
    repeats: int,
    seed: int,
    refused: int,
) -> pd.DataFrame:
    """Return a row for every k, drawing, and way to recalibrate: measures of what was held out."""
    clips, extra = beats.usable, refused / len(before)
    reduced = set(clips["video"][np.asarray(is_reduced(clips["ef_true"].to_numpy(float)))])
    rows: list[dict[str, Any]] = []
    if 0 in counts:
        figures = measures(before, task.decision_threshold, extra)
        rows.append({"k": 0, "drawing": 0, "said": SAID["before"], "drawn_reduced": 0,
                     "held_out": len(before), **figures})  # fmt: skip
    ways: tuple[Kind, ...] = KINDS if task.kind == "regression" else ("none",)
    jobs = [(count, number) for count in counts if count for number in range(repeats)]
    for count, number in tqdm(jobs, desc="recalibrating", unit="drawing"):
        drawing = draw_cases(clips, count, stream(Use.LOCAL_CASES, seed, count, number))
        about = {"k": count, "drawing": number, "drawn_reduced": len(reduced & set(drawing.drawn)),
                 "held_out": len(drawing.held_out)}  # fmt: skip
        cases = beats.cases(drawing.drawn)
        after = {SAID["before"]: (task, before)}
        for way in ways:
            twin = recalibrated(task, cases, way)
            after[SAID[way if len(ways) > 1 else "classes"]] = (twin, beats.answers(twin))
        for name, (judged, answers) in after.items():
            held = answers[answers["video"].isin(drawing.held_out)]
            rows.append({**about, "said": name, **measures(held, judged.decision_threshold, extra)})
    return pd.DataFrame(rows)


def unreadable(folder: LabelFolder, split: Split) -> pd.DataFrame:
    """Return `video` and `reason` of the clips that were set aside as unreadable."""
    aside = folder.excluded
    aside = aside[aside["reason"].astype(str).str.startswith("unreadable video")]
    if split != "all":
        aside = aside[aside["split"] == split]
    return aside[["video", "reason"]]
