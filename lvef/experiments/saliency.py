"""`python -m lvef saliency`: do a model's heat maps mean anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from lvef.cardiac import PICTURE_SIZE
from lvef.data.dataset import KeyFrameDataset, collate, prepare_for_workers
from lvef.data.folds import dealt_for
from lvef.data.layouts import MAX_EXCLUDED, read_labels
from lvef.data.slots import A4C_FRAMES
from lvef.errors import ConfigurationError
from lvef.evaluation.map_measures import (
    area_under,
    perturbation_curves,
    pointing_game,
    region_shares,
    similarity,
)
from lvef.evaluation.resampling import bootstrap_interval
from lvef.experiments.heart_regions import Mask, heart_regions
from lvef.experiments.saliency_report import CLAIMED, OUTSIDE, draw_saliency, format_saliency
from lvef.experiments.shares import mean_of, share_of
from lvef.experiments.study_record import write_study_record
from lvef.files import make_room, write_json, write_text
from lvef.models.attribution import METHOD_NAMES, NOT_OF_CLIPS, SaliencyMapper, blurred, to_float
from lvef.models.gp.posterior import GPPosterior
from lvef.models.inference import best_device
from lvef.models.loading import describe_checkpoint, load_ef_task
from lvef.notice import NOT_FOR_DIAGNOSIS
from lvef.options import SEED, SHARE, Range, check_numbers

_POINTED = ("heart", *CLAIMED, "lv_cavity")
_CHECKED = 30
_RANDOM = "random blobs"
_RANGES = {
    "num_cases": Range(2),  # a bootstrap of one says nothing
    "steps": Range(1, 10_000),
    "seed": SEED,
    "max_excluded": SHARE,
}


def saliency(
    ckpt_path: Path,
    root: str,
    output: Path | None = None,
    num_cases: int = 100,
    steps: int = 16,
    seed: int = 0,
    max_excluded: float = MAX_EXCLUDED,
) -> Path:
    """Measure what the heat maps of a checkpoint are worth, on the TEST split of a folder.

    Writes saliency.md, saliency.json and figures: the share of the maps inside the parts of the
    heart beside these parts' share of the sector, the pointing game, deletion and insertion curves
    beside random blobs, and how the maps change when the weights are shuffled. A phantom knows all
    parts of its heart, a folder of patients the traced ventricle only.

    Args:
        ckpt_path: Checkpoint of a classifier, regressor, Gaussian process or ensemble.
        root: Folder of labelled clips, or a phantom.
        output: Folder to write; by default `saliency` beside the checkpoint's folder.
        num_cases: Cases of TEST, drawn at random.
        steps: Steps of integrated gradients.
        seed: Seed of the drawing.
        max_excluded: Share of unusable videos above which nothing is run.
    """
    asked = {"num_cases": num_cases, "steps": steps, "seed": seed, "max_excluded": max_excluded}
    check_numbers("--", _RANGES, asked)
    started = datetime.now(UTC)
    task = load_ef_task(ckpt_path)
    if not task.explains:
        raise ConfigurationError(f"{ckpt_path}: {NOT_OF_CLIPS}")
    if not set(task.frames) & set(A4C_FRAMES):
        raise ConfigurationError(
            f"{ckpt_path} sees the two-chamber view alone, and where the heart lies in it no data "
            "set tells: its heat maps are those that test draws"
        )
    seen = describe_checkpoint(ckpt_path)["data"]
    folder = read_labels(root, max_excluded)
    folder = replace(folder, table=dealt_for(folder.table, seen)).for_frames(task.frames)
    test = folder.table[folder.table["split"] == "TEST"]
    rows = test.sample(min(num_cases, len(test)), random_state=seed).sort_index()
    dataset, frames = _read(rows, task.frames, seen)
    size = frames.shape[-1]
    regions = [heart_regions(folder, row, task.frames, size) for _, row in rows.iterrows()]
    mapper = SaliencyMapper(task.to(best_device()), steps)
    phantom = folder.is_phantom
    output = output or Path(ckpt_path).parent.parent / "saliency"
    make_room(output / "saliency.md")
    first, second = task.sides
    answers = np.where(mapper.sides(frames).numpy() > 0, first, second)
    if mapper.left_out:
        print(f"Left out: {mapper.left_out}.")
    maps = {method: _maps(mapper, frames, method) for method in mapper.methods}
    measured = {
        METHOD_NAMES[method]: {
            **_places(maps[method], regions),
            "share_by_frame": _by_frame(maps[method], task.frames),
            "by_answer": _by_answer(maps[method], regions, answers),
        }
        for method in maps
    }
    curves = _curves(mapper, frames, maps, seed)
    data = "PHANTOM " if phantom else ""
    title = f"{data}TEST, {len(rows)} videos, {type(task).__name__} on {' + '.join(task.frames)}"
    results = {
        "title": title,
        "note": NOT_FOR_DIAGNOSIS,
        "phantom": phantom,
        "task": type(task).__name__,
        "frames": task.frames,
        "num_cases": len(rows),
        "checkpoint": str(ckpt_path),
        "version": version("lvef"),
        "steps": steps,
        "area": _areas(regions),
        "methods": measured,
        "left_out": mapper.left_out,
        "curves": curves,
        "randomisation": _randomisation(mapper, frames[:_CHECKED], maps),
    }
    write_json(output / "saliency.json", results)
    text = format_saliency(results)
    write_text(output / "saliency.md", text)
    draw_saliency(output, results, frames, maps, rows, dataset)
    write_study_record(output, "saliency", started, asked, root, ckpt_path)
    print(text)
    return output / "saliency.md"


def _read(
    rows: pd.DataFrame, frames: list[str], seen: dict[str, Any]
) -> tuple[KeyFrameDataset, Tensor]:
    """Return cases and their `(n, F, 3, H, W)` uint8 frames as the model sees them."""
    prepare_for_workers()
    dataset = KeyFrameDataset(
        rows, frames, seen.get("image_size", PICTURE_SIZE), seen.get("remove_artifacts", True)
    )
    batches = list(DataLoader(dataset, batch_size=32, collate_fn=collate))
    failures = [failure for batch in batches for failure in batch.get("failures", [])]
    if failures:
        raise ConfigurationError(f"a video cannot be read: {failures[0][1]}")
    return dataset, torch.cat([batch["frames"] for batch in batches])


def _maps(mapper: SaliencyMapper, frames: Tensor, method: Any) -> NDArray[np.float32]:
    bar = tqdm(torch.split(frames, 8), desc=METHOD_NAMES[method], unit="batch")
    return np.asarray(torch.cat([mapper.maps(part, method) for part in bar]).numpy())


def _areas(regions: list[list[dict[str, Mask]]]) -> dict[str, float]:
    """Return the mean share of the sector (of the picture, without one) by region."""
    areas: dict[str, list[float]] = {}
    for frame in (frame for case in regions for frame in case):
        whole = _sector(frame)
        for name, mask in frame.items():
            areas.setdefault(name, []).append(float(mask.sum() / max(whole.sum(), 1)))
    return {name: float(np.mean(values)) for name, values in areas.items()}


def _sector(frame: dict[str, Mask]) -> Mask:
    any_mask = next(iter(frame.values()))
    return ~frame[OUTSIDE] if OUTSIDE in frame else np.ones_like(any_mask)


def _places(
    maps: NDArray[np.float32], regions: list[list[dict[str, Mask]]]
) -> dict[str, dict[str, dict[str, float]]]:
    """Return shares by region, with their density relative to the sector, and the pointing game."""
    names = list(dict.fromkeys(n for case in regions for frame in case for n in frame))
    shares: dict[str, list[float]] = {name: [] for name in names}
    ratios: dict[str, list[float]] = {name: [] for name in names}
    hits: dict[str, list[float]] = {n: [] for n in _POINTED if n in names}
    chances: dict[str, list[float]] = {n: [] for n in hits}
    for saliency_map, case in zip(maps, regions, strict=True):
        known = [slot for slot, frame in enumerate(case) if frame]
        if not known:
            continue
        joined = {n: np.stack([case[slot][n] for slot in known]) for n in case[known[0]]}
        joined_map = saliency_map[known]
        inside = _sector(joined)
        of_map = region_shares(joined_map, joined)
        in_sector = joined_map * inside
        of_sector = region_shares(in_sector, joined)
        for name, mask in joined.items():
            area = (mask & inside).sum() / max(inside.sum(), 1)
            shares[name].append(of_map[name] if name == OUTSIDE else of_sector[name])
            ratios[name].append(of_sector[name] / area if area else float("nan"))
        best = int(np.argmax(joined_map.max(axis=(1, 2))))
        for name in hits:
            hit, chance = pointing_game(joined_map[best], joined[name][best])
            hits[name].append(hit)
            chances[name].append(chance)
    return {
        "shares": {name: mean_of(shares[name]) for name in names},
        "density": {n: mean_of(ratios[n]) for n in names if n != OUTSIDE},
        "pointing": {n: {**_share(hits[n]), "chance": float(np.mean(chances[n]))} for n in hits},
    }


def _share(hits: list[float]) -> dict[str, Any]:
    """Return how often a peak lies in a region; an empty map has none."""
    return share_of([hit == 1 for hit in hits if np.isfinite(hit)])


def _by_frame(maps: NDArray[np.float32], frames: list[str]) -> dict[str, float]:
    sums = maps.sum(axis=(2, 3))
    sums = sums[sums.sum(axis=1) > 0]
    shares = sums / sums.sum(axis=1, keepdims=True)
    return dict(zip(frames, shares.mean(axis=0).tolist(), strict=True))


def _by_answer(
    maps: NDArray[np.float32], regions: list[list[dict[str, Mask]]], answers: NDArray[np.str_]
) -> dict[str, dict[str, float]]:
    """Return the density of the maps in the heart (of a patient, the cavity) by answer."""
    densities = {}
    for answer in np.unique(answers):
        chosen = np.flatnonzero(answers == answer)
        density = _places(maps[chosen], [regions[i] for i in chosen])["density"]
        where = "heart" if "heart" in density else "lv_cavity"
        densities[str(answer)] = density.get(where, mean_of([]))
    return densities


def _curves(
    mapper: SaliencyMapper, frames: Tensor, maps: dict[Any, NDArray[np.float32]], seed: int
) -> dict[str, dict[str, Any]]:
    rng = np.random.default_rng(seed)
    images = to_float(frames)
    without = blurred(images).numpy()
    sides = mapper.sides(images)
    named = {METHOD_NAMES[method]: method_maps for method, method_maps in maps.items()}
    blobs = [
        [gaussian_filter(rng.standard_normal(frames.shape[-2:]), 8) for _ in range(frames.shape[1])]
        for _ in range(len(frames))
    ]
    named[_RANDOM] = np.asarray(blobs, np.float32)
    curves: dict[str, Any] = {}
    for name, method_maps in named.items():
        pairs = []
        for case in tqdm(range(len(frames)), desc=f"curves, {name}", unit="case"):
            score = _scorer(mapper, sides[case])
            pairs.append(
                perturbation_curves(method_maps[case], images[case].numpy(), without[case], score)
            )
        taken, given = (np.array(side) for side in zip(*pairs, strict=True))
        usable = np.isfinite(taken).all(axis=1)
        curves[name] = {
            # The median, as a case whose score hardly changes has curves of any height.
            "deletion": np.median(taken[usable], axis=0).tolist(),
            "insertion": np.median(given[usable], axis=0).tolist(),
        }
        areas = _areas_under(taken[usable], given[usable])
        ends = bootstrap_interval(_areas_under, taken[usable], given[usable]) if any(usable) else {}
        for side, area in areas.items():
            lower, upper = ends.get(side, (np.nan, np.nan))
            curves[name][f"{side}_area"] = {"value": area, "lower": lower, "upper": upper}
    return curves


def _areas_under(taken: Any, given: Any) -> dict[str, float]:
    """Return the areas under the median curves of cases, `(n, 11)` each."""
    sides = {"deletion": taken, "insertion": given}
    return {side: area_under(np.median(cases, axis=0)) for side, cases in sides.items()}


def _scorer(mapper: SaliencyMapper, side: Tensor) -> Callable[[Any], Any]:
    def score(frames: Any) -> Any:
        batch = torch.as_tensor(frames)
        return mapper.score(batch, side.expand(len(batch))).numpy()

    return score


def _randomisation(
    mapper: SaliencyMapper, frames: Tensor, maps: dict[Any, NDArray[np.float32]]
) -> dict[str, dict[str, dict[str, float]]]:
    """Return the mean rank correlation, inside the sector, with maps of shuffled networks."""
    sides = mapper.sides(frames)
    seen = blurred(to_float(frames)).amax(dim=2).numpy() > 0.02
    has_head = any(not isinstance(part.head, GPPosterior) for part in mapper.evidence.parts)
    correlations: dict[str, dict[str, dict[str, float]]] = {}
    for depth in mapper.depths if has_head else mapper.depths[1:]:
        shuffled = mapper.randomised(depth)
        for method in mapper.methods:
            changed = torch.cat(
                [
                    shuffled.maps(part, method, own)
                    for part, own in zip(torch.split(frames, 8), torch.split(sides, 8), strict=True)
                ]
            ).numpy()
            alike = [
                similarity(before[mask], after[mask])
                for before, after, mask in zip(maps[method], changed, seen, strict=False)
            ]
            correlations.setdefault(depth, {})[METHOD_NAMES[method]] = mean_of(alike)
    return correlations
