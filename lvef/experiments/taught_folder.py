"""Is a folder one that taught the model? Then no figure on it says what another place would."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd

from lvef.cardiac import is_reduced
from lvef.data.fingerprint import folder_fingerprint
from lvef.data.folds import Folds, dealt_for
from lvef.data.layouts import LabelFolder
from lvef.errors import ConfigurationError


def refuse_taught(
    said: Mapping[str, Any],
    folder: LabelFolder,
    split: str,
    name: str,
    fingerprint: Mapping[str, Any] | None = None,
) -> None:
    """Refuse clips that a model was taught by, as far as its checkpoint tells.

    Args:
        said: What the checkpoint says of itself.
        folder: The folder.
        split: Whose clips of it.
        name: What to call the checkpoint.
        fingerprint: Of the folder, where clips that recalibrated the model must not judge it.

    Raises:
        ConfigurationError: It was fitted to them, or recalibrated on them.
    """
    train = folder.table[folder.table["split"] == "TRAIN"]
    parts = [said.get("train_part", {}), *said.get("backbone_taught_by", [])]
    taught = {part.get("split") for part in parts} - {None}
    if split in ("TRAIN", "all") and len(train) and Folds().facts(train, 0)["split"] in taught:
        raise ConfigurationError(
            f"{name} was fitted to TRAIN of {folder.root}: give --split TEST, or another folder"
        )
    data = said.get("data", {})
    if data.get("folds") and len(folder.table) >= data["folds"]:
        dealt = dealt_for(folder.table, data)
        learned = Folds().facts(dealt[dealt["split"] == "TRAIN"], 0)["split"]
        if learned in taught:
            raise ConfigurationError(
                f"{name} was fitted to all but folds of {folder.root} (data.folds): `test` judges "
                "it on its own fold; give another folder"
            )
    earlier = said.get("recalibrated", {})
    if fingerprint is None or earlier.get("data") != dict(fingerprint):
        return
    if "all" in (split, earlier["split"]) or split == earlier["split"]:
        raise ConfigurationError(
            f"{name} was recalibrated on these clips of {folder.root}: give another folder, or "
            "another split"
        )


def folder_facts(
    folder: LabelFolder, usable: pd.DataFrame, chosen: pd.DataFrame, refused: int, split: str
) -> dict[str, Any]:
    """Return what a file says of the clips that recalibrated it; none is named.

    Args:
        folder: Their folder.
        usable: `patient` ("" where it is not known) of the clips that could, a row a clip.
        chosen: `ef_true` in percent of those that did: one a patient.
        refused: How many could not.
        split: Whose clips of the folder.

    Returns:
        `cases` that did, of `patients` (None where the labels tell none), of `clips` that could,
        and others.
    """
    known = (usable["patient"].fillna("").astype(str) != "").any()
    return {
        "told": "another place" + (" (PHANTOMS)" if folder.is_phantom else ""),
        "cases": len(chosen),
        "patients": len(chosen) if known else None,
        "clips": len(usable),
        "reduced": int(np.sum(is_reduced(chosen["ef_true"].to_numpy(float)))),
        "refused": refused,
        "split": split,
        "phantom": folder.is_phantom,
        "data": folder_fingerprint(folder.root),
        "version": version("lvef"),
    }


def format_cases(facts: Mapping[str, Any]) -> str:
    """Return how many clips recalibrated, and of how many patients; see `folder_facts`."""
    if facts["patients"] is None:
        return f"{facts['cases']} clips"
    return (
        f"{facts['cases']} clips, one of each of {facts['patients']} patients "
        f"({facts['clips']} clips could be used)"
    )
