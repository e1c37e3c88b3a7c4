"""`python -m lvef robustness`: what wrong key frames and poor pictures cost."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import yaml
from torch import Tensor
from tqdm import tqdm

from lvef.cardiac import PICTURE_SIZE, asked_clip
from lvef.data.corruptions import CORRUPTIONS
from lvef.data.dataset import KeyFrameDataset, prepare_for_workers
from lvef.data.folds import dealt_for
from lvef.data.layouts import MAX_EXCLUDED, read_labels
from lvef.data.loaders import set_aside
from lvef.data.options import RANGES as DATA_RANGES
from lvef.data.slots import asks_for_a2c
from lvef.errors import ConfigurationError, VideoError
from lvef.experiments.conditions import Condition, all_conditions
from lvef.experiments.robustness_report import format_robustness, measure
from lvef.experiments.study_record import write_study_record
from lvef.figures.robustness import robustness_figure
from lvef.files import make_room, write_csv, write_figure, write_json, write_text
from lvef.models import EFTask
from lvef.models.inference import FramePredictor
from lvef.models.loading import describe_checkpoint, load_ef_task
from lvef.notice import NOT_FOR_DIAGNOSIS
from lvef.options import COUNT, SEED, check_numbers
from lvef.runs import data_options

_BATCH = 16
_RANGES = {"num_cases": COUNT, "seed": SEED}


def robustness(
    config: Path,
    ckpt_path: Path | None = None,
    output: Path | None = None,
    root: str | None = None,
    num_cases: int | None = None,
    seed: int = 0,
) -> Path:
    """Measure what a model loses when key frames are picked wrongly and pictures get worse.

    On the TEST split: ED, ES or both picked up to five frames too early or too late, clips with
    fewer frames a second, added speckle, lost gain, shadow, blur, lower resolution and heavier
    compression. Videos of which any such frame cannot be read are set aside where the run did so
    (data.check_videos), and counted as failed in a share of all. Writes robustness.md,
    robustness.csv, robustness.json and a figure.

    Args:
        config: config.yaml of the run.
        ckpt_path: Checkpoint; by default the best beside the config.
        output: Folder to write; by default `robustness` beside the config.
        root: Folder of labelled clips, or a phantom; by default what the config says.
        num_cases: Cases of TEST, drawn at random; all by default.
        seed: Seed of the drawing and of the noise.
    """
    asked = {"num_cases": num_cases, "seed": seed}
    check_numbers("--", _RANGES, asked)
    started = datetime.now(UTC)
    data = _data_of(config)
    limits = {"limit": data.get("limit"), "max_excluded": data.get("max_excluded")}
    check_numbers(f"{config}: data.", {name: DATA_RANGES[name] for name in limits}, limits)
    ckpt_path = ckpt_path or config.parent / "checkpoints" / "best.ckpt"
    task = load_ef_task(ckpt_path)
    if asked_clip(task.frames) is not None:
        raise ConfigurationError(
            f"robustness is for models of key frames: what moves them by frames does not move the "
            f"whole clips that {ckpt_path} sees"
        )
    if asks_for_a2c(task.frames):
        raise ConfigurationError(
            f"robustness is for models of one view: what {ckpt_path} sees of the two-chamber view "
            "is not moved or disturbed yet"
        )
    root = root or data.get("root")
    if root is None:
        raise ConfigurationError(f"{config} says no data.root: give one with --root DIR")
    seen = describe_checkpoint(ckpt_path)["data"]
    most = data.get("max_excluded", MAX_EXCLUDED)
    folder = read_labels(root, most)
    folder = replace(folder, table=dealt_for(folder.table, seen)).for_frames(task.frames)
    test = folder.table[folder.table["split"] == "TEST"]
    # Of a part of TEST it is not known which of the unreadable belong to it.
    refused = _unreadable(folder.excluded)
    if data.get("limit") is not None:
        refused *= data["limit"] >= len(test)
        test = test.head(data["limit"])
    if num_cases is not None and num_cases < len(test):
        refused = 0
        test = test.sample(num_cases, random_state=seed).sort_index()
    conditions = list(all_conditions(task.frames))
    output = output or config.parent / "robustness"
    make_room(output / "robustness.md")
    answers, failed = _predict(task, test, seen, conditions, seed, bool(data.get("check_videos")))
    refused += len(failed)
    if failed:
        test = test.drop(index=list(failed))
        print(set_aside(folder, failed, most).summary())
    phantom = folder.is_phantom
    words = f"{'PHANTOM ' if phantom else ''}TEST, {len(test)} videos"
    title = f"{words}, {type(task).__name__} on {' + '.join(task.frames)}"
    table = measure(task, answers, conditions, test, refused)
    write_csv(output / "robustness.csv", table)
    results = {
        "title": title, "note": NOT_FOR_DIAGNOSIS, "phantom": phantom,
        "task": type(task).__name__, "frames": task.frames, "num_cases": len(test),
        "refused": refused,        "checkpoint": str(ckpt_path), "version": version("lvef"),
        "conditions": json.loads(table.to_json(orient="records")),
    }  # fmt: skip
    write_json(output / "robustness.json", results)
    text = format_robustness(table, title, phantom)
    write_text(output / "robustness.md", text)
    write_figure(output / "robustness.png", robustness_figure(table, title), dpi=120)
    options = {**asked, "config": str(config)}
    write_study_record(output, "robustness", started, options, root, ckpt_path)
    print(text)
    return output / "robustness.md"


def _unreadable(excluded: pd.DataFrame) -> int:
    """Return how many videos of TEST were set aside as unreadable when the folder was read."""
    of_test = excluded[excluded["split"] == "TEST"]
    return int(of_test["reason"].astype(str).str.startswith("unreadable video").sum())


def _data_of(config: Path) -> dict[str, Any]:
    if not config.is_file():
        raise ConfigurationError(f"{config} not found; --config takes the config.yaml of a run")
    try:
        options = yaml.safe_load(config.read_text())
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{config}: not readable as YAML") from error
    if not isinstance(options, dict) or not isinstance(options.get("data"), dict):
        raise ConfigurationError(f"{config} has no data section; give the config.yaml of a run")
    return dict(data_options(options))


def _predict(
    task: EFTask,
    rows: pd.DataFrame,
    seen: dict[str, Any],
    conditions: list[Condition],
    seed: int,
    forgiving: bool,
) -> tuple[list[dict[str, Tensor]], dict[int, str]]:
    """Return what the task says under each condition, columns `(n,)` as `calibrated_answer`.

    If forgiving, rows whose video cannot be read have no part in it; they come second, with why.
    """
    prepare_for_workers()
    dataset = KeyFrameDataset(
        rows, task.frames, seen.get("image_size", PICTURE_SIZE), seen.get("remove_artifacts", True)
    )
    predictor = FramePredictor(task, fast=True)
    parts: list[list[dict[str, Tensor]]] = [[] for _ in conditions]
    failed: dict[int, str] = {}
    with tqdm(total=len(rows), desc="robustness", unit="video") as bar:
        for first in range(0, len(rows), _BATCH):
            items = range(first, min(first + _BATCH, len(rows)))
            pictures = []
            for item in items:
                try:
                    pictures.append(_looks(dataset, item, rows.iloc[item], conditions))
                except VideoError as error:
                    failed[int(rows.index[item])] = str(error)
                    if not forgiving or len(failed) == len(rows):
                        raise
            bar.update(len(items))
            if not pictures:
                continue
            # Frames that many conditions share go through the backbone once.
            features = [_features(predictor, frames) for frames, _ in pictures]
            for number, condition in enumerate(conditions):
                if features[0] and condition.kind not in CORRUPTIONS:
                    shared = [
                        torch.cat([known[wanted[number][name]] for name in task.frames])
                        for known, (_, wanted) in zip(features, pictures, strict=True)
                    ]
                    parts[number].append(predictor.from_features(torch.stack(shared)))
                    continue
                frames = torch.stack(
                    [
                        torch.stack([looks[wanted[number][name]] for name in task.frames])
                        for looks, wanted in pictures
                    ]
                )
                if condition.kind in CORRUPTIONS:
                    generator = torch.Generator().manual_seed(seed + first)
                    frames = CORRUPTIONS[condition.kind][0](frames, condition.level, generator)
                parts[number].append(predictor.frames(frames))
    answers = [{name: torch.cat([part[name] for part in own]) for name in own[0]} for own in parts]
    return answers, failed


def _features(predictor: FramePredictor, frames: dict[int, Tensor]) -> dict[int, Tensor]:
    """Return the features `(d,)` of every frame; nothing where each member has a backbone."""
    features = predictor.features(torch.stack(list(frames.values())))
    return {} if features is None else dict(zip(frames, features, strict=True))


def _looks(
    dataset: KeyFrameDataset, item: int, row: Any, conditions: list[Condition]
) -> tuple[dict[int, Tensor], list[dict[str, int]]]:
    """Return every frame of a case that some condition needs, and which each needs."""
    ed, es, count = (int(row[name]) for name in ("ed_frame", "es_frame", "num_frames"))
    wanted = [condition.frames(ed, es, count) for condition in conditions]
    numbers = sorted({frame for picked in wanted for frame in picked.values()})
    return dict(zip(numbers, dataset.look(item, numbers), strict=True)), wanted
