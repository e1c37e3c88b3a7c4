"""The geometric EF of a segmenter, calibrated anew on labelled clips."""

from __future__ import annotations

import json
import warnings
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from lvef.analysis.analyse import ClipAnalyser
from lvef.data.fingerprint import file_digest
from lvef.data.layouts import LabelFolder
from lvef.errors import ConfigurationError
from lvef.evaluation.correction import Kind
from lvef.evaluation.sharpness import worst_coverage
from lvef.experiments.local_cases import one_clip_each
from lvef.experiments.taught_folder import folder_facts, format_cases
from lvef.files import write_tensors
from lvef.models.recalibration import EACH, FEW, FEWEST
from lvef.models.segmentation.weights import read_weights, weights_file
from lvef.notice import NOT_FOR_DIAGNOSIS
from lvef.predict.labelled_clips import Split, found_table, split_rows
from lvef.streams import Use, stream


def recalibrate_segmenter(
    folder: LabelFolder, output: Path, segmenter: str, correction: Kind, split: Split, seed: int
) -> pd.DataFrame:
    """Write weights whose geometric EF fits labelled clips.

    Args:
        folder: The clips.
        output: File to write.
        segmenter: The weights before; see `ClipAnalyser`.
        correction: How EF may be moved.
        split: Whose clips of the folder.
        seed: Chooses the clip of each patient, and the beat of each clip by which intervals of
            single beats are judged.

    Returns:
        `video` and `reason` of the clips that could not be used.

    Raises:
        ConfigurationError: Too few can.
        WeightsError: The weights cannot be read.
    """
    before = ClipAnalyser(segmenter, "cpu").calibration
    table = found_table(split_rows(folder, split), segmenter)
    beats = table[table["reason"] == ""]
    refused = table.loc[table["reason"] != "", ["video", "reason"]].reset_index(drop=True)
    usable = beats.drop_duplicates("video")
    chosen = one_clip_each(usable, stream(Use.LOCAL_CASES, seed)).set_index("video")
    beats = beats[beats["video"].isin(chosen.index)]
    of_clips = beats.groupby("video", sort=False)
    if len(chosen) < FEWEST:
        why = f", the first as {refused['reason'].iloc[0]}" if len(refused) else ""
        raise ConfigurationError(
            f"{len(chosen)} labelled clips of {folder.root} can be used, {EACH} ({len(refused)} "
            f"are refused{why}), and {FEWEST} are the fewest that an interval can be learned from: "
            "give more"
        )
    if len(chosen) < FEW:
        warnings.warn(
            f"only {len(chosen)} clips: give {FEW} or more, as intervals may be far off",
            stacklevel=2,
        )
    truth, ef = chosen["ef_true"], of_clips["ef_geometric"].median()
    one = beats.sample(frac=1, random_state=seed).drop_duplicates("video").set_index("video")
    after = before.recalibrated(
        ef, truth, of_clips["ef_geometric"].std(ddof=0), one.loc[ef.index, "ef_geometric"],
        correction,
    )  # fmt: skip
    state, metadata = read_weights(segmenter)
    facts = {
        **folder_facts(folder, usable, chosen, len(refused), split),
        "frames": "found", "correction": correction, "seed": seed,
        "source_sha256": file_digest(weights_file(segmenter)),
    }  # fmt: skip
    kept = {name: text for name, text in metadata.items() if name != "figures"}
    told = {
        **kept, "version": version("lvef"), "calibration": json.dumps(asdict(after)),
        "recalibrated": json.dumps(facts),
    }  # fmt: skip
    write_tensors(output, {name: value.contiguous() for name, value in state.items()}, told)
    error = ef.to_numpy(float) - truth.to_numpy(float)
    inside = np.abs(error) <= before.reach * np.hypot(
        before.std, of_clips["ef_geometric"].std(ddof=0)
    )
    print(
        f"{'PHANTOM: ' if folder.is_phantom else ''}recalibrated on {format_cases(facts)}, "
        f"{facts['reduced']} of them with EF <= 40. {NOT_FOR_DIAGNOSIS}\n"
        f"  as it was: bias {error.mean():+.2f}, MAE {abs(error).mean():.2f}, "
        f"{100 * inside.mean():.0f} % in an interval of +-{before.reach * before.std:.1f}\n"
        f"  now: EF times {after.motion[0] / before.motion[0]:.3f} plus "
        f"{after.shift - before.shift * after.motion[0] / before.motion[0]:+.2f}, an interval of "
        f"+-{after.reach * after.std:.1f}, which with so few may hold as little as "
        f"{100 * worst_coverage(len(ef)):.0f} % (5 % quantile)"
    )
    return refused
