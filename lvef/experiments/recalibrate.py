"""`python -m lvef recalibrate`: a checkpoint, or a segmenter's EF, calibrated on labelled clips."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from lvef.data.fingerprint import file_digest
from lvef.data.layouts import MAX_EXCLUDED, read_labels
from lvef.data.options import RANGES as DATA_RANGES
from lvef.errors import ConfigurationError
from lvef.evaluation.correction import Kind
from lvef.evaluation.resampling import Metrics
from lvef.evaluation.sharpness import format_promise
from lvef.experiments.external_measures import NAMES, measures
from lvef.experiments.local_cases import one_clip_each
from lvef.experiments.recalibrate_segmenter import recalibrate_segmenter
from lvef.experiments.taught_folder import folder_facts, format_cases, refuse_taught
from lvef.files import make_room, replacing, write_csv
from lvef.models import EFTask
from lvef.models.loading import describe_checkpoint, load_ef_task, read_checkpoint, task_class
from lvef.models.recalibration import check_cases, recalibrated, recalibrated_checkpoint
from lvef.models.segmentation.weights import SHIPPED, weights_file
from lvef.notice import NOT_FOR_DIAGNOSIS
from lvef.options import SEED, check_numbers
from lvef.predict.labelled_clips import FramesFrom, Split, labelled_beats
from lvef.streams import Use, stream

_LISTED = 10
_FRAMES = {"labels": "of the labels", "found": "as they are found"}
_SHOWN = ("mae", "bias", "coverage", "balanced_accuracy", "observed_expected")
_RANGES = {"seed": SEED, "max_excluded": DATA_RANGES["max_excluded"]}


def recalibrate(
    root: str,
    output: Path,
    ckpt_path: Path | None = None,
    segmenter: str = SHIPPED,
    frames_from: FramesFrom = "found",
    correction: Kind = "none",
    split: Split = "all",
    seed: int = 0,
    max_excluded: float = MAX_EXCLUDED,
) -> Path:
    """Recalibrate a checkpoint, or a segmenter's geometric EF, on a folder of labelled clips.

    No weight changes, and the file that is given stays as it is: a new one is written, which says
    on how many clips of which folder it was recalibrated, and names none. Where the labels tell
    patients, one clip of each is drawn: several of one patient err alike, and would make what is
    learned look surer than it is. Of a model of EF: a
    checkpoint for --ckpt_path. Its standard deviations, intervals and review flag, or
    probabilities and plausible classes, are learned anew from the labels, so that they hold of
    a clip, and of each of its beats. Of a segmenter: weights for --data.segmenter, with the
    reach of the interval of its geometric EF, and its shift and scale where `correction` asks
    for them. Clips that cannot be used are counted, and listed in a file beside the output.

    Args:
        root: Folder of labelled clips that did not teach the model.
        output: File to write: .ckpt of a model of EF, .safetensors of a segmenter. It may not be
            there already.
        ckpt_path: Checkpoint of a model of EF, or of an LV segmenter. Without it the segmenter is
            recalibrated.
        segmenter: What finds the beats, and is recalibrated where no checkpoint is given: shipped,
            or segmenter weights.
        frames_from: found looks for the beats, as predict does with new clips; labels takes the
            labelled key frames, as test does.
        correction: How EF itself may be moved: none, by a shift, or by a line, each shrunk as far
            as chance explains it. A classifier has no EF.
        split: Whose clips of the folder: TRAIN, VAL, TEST or all.
        seed: Chooses the clip of each patient, and the beat of each clip by which intervals of
            single beats are judged.
        max_excluded: Share of unusable videos above which the folder is refused.

    Raises:
        ConfigurationError: An option cannot work, the clips are too few, or taught the model.
        CheckpointError: The checkpoint is missing, unreadable, or holds something else.
        WeightsError: The segmenter's weights cannot be read.
        DatasetError: The folder cannot be read.
    """
    check_numbers("--", _RANGES, {"seed": seed, "max_excluded": max_excluded})
    if (
        ckpt_path is not None
        and task_class(describe_checkpoint(ckpt_path)["class_path"]).finds_beats
    ):
        segmenter, ckpt_path = str(ckpt_path), None
    _check_output(output, ".safetensors" if ckpt_path is None else ".ckpt", ckpt_path or segmenter)
    if ckpt_path is None and frames_from != "found":
        raise ConfigurationError(
            "--frames_from labels is for a model of EF: a segmenter finds its frames"
        )
    make_room(output)
    folder = read_labels(root, max_excluded)
    if ckpt_path is None:
        refused = recalibrate_segmenter(folder, output, segmenter, correction, split, seed)
        _list(refused, output)
    else:
        task = load_ef_task(ckpt_path)
        if not task.is_calibrated:
            raise ConfigurationError(f"{ckpt_path} was never calibrated: its run judged no VAL")
        refuse_taught(describe_checkpoint(ckpt_path), folder, split, str(ckpt_path))
        beats = labelled_beats(
            task, describe_checkpoint(ckpt_path)["data"], folder, frames_from, segmenter, split
        )
        _list(beats.refused, output)
        chosen = one_clip_each(beats.usable, stream(Use.LOCAL_CASES, seed))
        cases = beats.cases(chosen["video"], seed)
        for warning in check_cases(task, cases):
            warnings.warn(warning, stacklevel=2)
        twin = recalibrated(task, cases, correction).cpu()
        facts = {
            **folder_facts(folder, beats.usable, chosen, len(beats.refused), split),
            "frames": frames_from, "correction": correction if task.kind == "regression" else None,
            "seed": seed, "source_sha256": file_digest(ckpt_path),
            "segmenter_sha256":
                file_digest(weights_file(segmenter)) if frames_from == "found" else None,
        }  # fmt: skip
        _write(output, recalibrated_checkpoint(read_checkpoint(ckpt_path), twin, facts))
        answers = beats.answers(task)
        was = measures(answers[answers["video"].isin(chosen["video"])], task.decision_threshold)
        _tell(task, twin, was, facts)
    return output


def _check_output(output: Path, ending: str, source: Path | str) -> None:
    """Refuse a place where something is, or a name of another kind of file.

    Raises:
        ConfigurationError: It is one.
    """
    if output.suffix != ending:
        what = "checkpoints" if ending == ".ckpt" else "weights of a segmenter"
        raise ConfigurationError(f"--output is {output}, but {what} are written as {ending}")
    given = weights_file(source)
    if output.exists() and given.exists() and output.samefile(given):
        raise ConfigurationError(
            f"--output {output} is what is recalibrated, which stays as it is: give another name"
        )
    if output.exists() or output.is_symlink():
        raise ConfigurationError(f"--output {output} is there already: give another name")


def _write(output: Path, checkpoint: dict[str, Any]) -> None:
    with replacing(output) as unfinished:
        torch.save(checkpoint, unfinished)


def _list(refused: pd.DataFrame, output: Path) -> None:
    """Count the clips that could not be used, and list them beside the output."""
    if refused.empty:
        return
    path = output.with_name(f"{output.stem}.refused.csv")
    write_csv(path, refused)
    print(f"{len(refused)} clips could not be used (all of them in {path}):")
    for reason, count in refused["reason"].value_counts().head(_LISTED).items():
        print(f"  {count} {reason}")


def _tell(before: EFTask, after: EFTask, was: Metrics, facts: dict[str, Any]) -> None:
    """Print what changed, and what the answers were worth."""
    phantom = "PHANTOM: " if facts["phantom"] else ""
    print(f"{phantom}recalibrated on {format_cases(facts)}, {facts['reduced']} of them with EF "
          f"<= 40, key frames {_FRAMES[facts['frames']]}. {NOT_FOR_DIAGNOSIS}")  # fmt: skip
    shown = [name for name in _SHOWN if name in was]
    print("  as it was, on these clips: "
          + ", ".join(f"{NAMES[name]} {was[name]:.2f}" for name in shown))  # fmt: skip
    now = after.calibration.facts()
    for name, value in before.calibration.facts().items():
        print(f"  {name}: {value:z.3f} -> {now[name]:z.3f}")
    if before.decision_threshold is not None and after.decision_threshold is not None:
        print(f"  threshold: {before.decision_threshold:.3f} -> {after.decision_threshold:.3f}")
    print(f"  {format_promise({**after.promise(), 'apart': True, 'taught_by': facts['told']})}")
