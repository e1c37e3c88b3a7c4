"""Segmenters trained side by side on phantoms that are rendered on the spot and kept in memory.

    python -m lvef.experiments.segmenter_training final --output DIR

One job for a machine with an accelerator: it reads nothing but this package, renders its own
phantoms on every core, trains each recipe in a process of its own, measures it on phantoms of both
generators, and writes results as they come. `--scale 0.02` tries it on a CPU.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from lvef.analysis.segment import one_ventricle, segment_closely
from lvef.cardiac import CLIP_FPS, ejection_fraction, mask_volume
from lvef.data.clips import WINDOW
from lvef.data.transforms import ClipAugmentation
from lvef.evaluation.overlap import area_error, dice
from lvef.models.schedule import one_cycle
from lvef.models.segmentation_net import LVSegmentationNet
from lvef.models.segmenter import SHIPPED, load_weights, segmentation_loss
from lvef.phantom.hard import HARD_KINDS, evenly
from lvef.phantom.pool import LookedClip, PhantomKind, render

BATCH, RATE, DECAY = 16, 3e-3, 0.02
_AVERAGED = 0.02
"""Share of the steps over which weights are averaged."""
MACHINE = {"unevenness": 0.5, "shadow": 0.3}
"""Augmentation by what probes and ribs do."""
SEQUENCE = {"flicker": 0.2, "frozen": 0.1}
"""Augmentation by what happens between looks."""

POOLS: dict[str, PhantomKind] = {
    "plain": PhantomKind(2000),
    "wide": PhantomKind(2100, 1.5),
    "narrow": PhantomKind(2200, 0.6),
    "clinic": PhantomKind(2300, None),
    "apex": PhantomKind(2000, apical_margin=0.5),
    **{kind: PhantomKind(2400 + i, 1.0, {kind: 1.0}) for i, kind in enumerate(HARD_KINDS)},
}
"""What is trained on; no seed of these is measured on."""
JUDGES: dict[str, tuple[PhantomKind, int]] = {
    "solid": (PhantomKind(9000, solid=True), 200),
    "wider": (PhantomKind(3001, 1.25), 80),
    "standard": (PhantomKind(3002, None), 40),
    "hard": (PhantomKind(3003, 1.0, evenly(1.0)), 80),
}
"""What is measured on, and how many clips of each."""


@dataclass(frozen=True)
class Recipe:
    """How one segmenter is trained.

    Attributes:
        name: What it is called.
        shares: Share of the clips that comes from each of `POOLS`.
        clips: Clips in all.
        epochs: Times that each is seen; 0 measures the shipped weights.
        augmentation: Options of `ClipAugmentation` that are not its defaults.
        seed: Of weights, order and augmentation.
    """

    name: str
    shares: dict[str, float]
    clips: int = 2000
    epochs: int = 7
    augmentation: dict[str, float] = field(default_factory=dict)
    seed: int = 0

    def counts(self) -> dict[str, int]:
        """Return how many clips come from each pool."""
        return {pool: round(share * self.clips) for pool, share in self.shares.items()}


def _mixed(share: float, others: tuple[str, ...]) -> dict[str, float]:
    return {"plain": 1 - share, **dict.fromkeys(others, share / len(others))}


_BREADTHS = ("wide", "narrow", "clinic")
_VARIANTS = [
    Recipe("plain", {"plain": 1.0}),
    *(Recipe(kind, _mixed(0.25, (kind,))) for kind in HARD_KINDS),
    Recipe("all kinds", _mixed(0.4, HARD_KINDS)),
    Recipe("mostly hard", _mixed(0.8, HARD_KINDS)),
    Recipe("breadths", _mixed(0.6, _BREADTHS)),
    Recipe("longer", {"plain": 1.0}, epochs=14),
    Recipe("apex", {"apex": 1.0}),
    Recipe("machine", {"plain": 1.0}, augmentation=MACHINE),
    Recipe("all kinds, machine", _mixed(0.4, HARD_KINDS), augmentation=MACHINE),
    Recipe("all kinds, sequence", _mixed(0.4, HARD_KINDS), augmentation=SEQUENCE),
    Recipe(
        "everything", _mixed(0.6, (*HARD_KINDS, *_BREADTHS)), augmentation={**MACHINE, **SEQUENCE}
    ),
]
_SHIPPED = Recipe("shipped", {}, clips=0, epochs=0)
_FINAL = replace(_VARIANTS[-1], name="final", clips=8000, epochs=28)
RECIPES: dict[str, list[Recipe]] = {
    "ablation": [
        _SHIPPED,
        *(replace(recipe, seed=seed) for seed in range(2) for recipe in _VARIANTS),
    ],
    "final": [replace(_FINAL, seed=seed) for seed in range(3)],
}
"""Each change with a quarter of clips and epochs and two seeds; and what ships, with three."""


# --------------------------------------------------------------------------- what is kept in memory


def fill(folder: Path, name: str, clips: Iterator[LookedClip]) -> None:
    """Write clips as arrays that every process can map."""
    held = list(clips)
    lengths = [len(clip.frames) for clip in held]
    arrays = {
        "frames": np.concatenate([clip.frames for clip in held]),
        "masks": np.concatenate([clip.masks for clip in held]),
        "survey": np.stack([clip.survey for clip in held]),
        "starts": np.cumsum([0, *lengths]),
        "beats": np.concatenate([clip.beats for clip in held]),
        "beat_starts": np.cumsum([0, *(len(clip.beats) for clip in held)]),
        "ef": np.array([clip.ef for clip in held]),
        "kinds": np.array([clip.kinds for clip in held]),
    }
    part = folder / f"{name}.part"
    part.mkdir()
    for key, array in arrays.items():
        np.save(part / f"{key}.npy", array)
    part.rename(folder / name)


def held(folder: Path, name: str) -> dict[str, NDArray[Any]]:
    """Return the arrays that `fill` wrote, mapped; waits until they are there."""
    while not (folder / name).is_dir():
        time.sleep(0.2)
    return {path.stem: np.load(path, mmap_mode="r") for path in (folder / name).glob("*.npy")}


class Windows:
    """Clips on the device, and random windows of them.

    Args:
        parts: Arrays of `fill`, and how many of their clips are taken.
        device: Where they are kept.
    """

    def __init__(self, parts: list[tuple[dict[str, NDArray[Any]], int]], device: str) -> None:
        frames, masks, surveys, starts = [], [], [], [np.zeros(1, np.int64)]
        for arrays, count in parts:
            ends = arrays["starts"][: count + 1]
            frames.append(torch.from_numpy(np.array(arrays["frames"][: ends[-1]])))
            masks.append(torch.from_numpy(np.array(arrays["masks"][: ends[-1]])))
            surveys.append(torch.from_numpy(np.array(arrays["survey"][:count])))
            starts.append(starts[-1][-1] + ends[1:])
        self.frames, self.masks, self.surveys = (
            torch.cat(each).to(device) for each in (frames, masks, surveys)
        )
        self.starts = torch.from_numpy(np.concatenate(starts)).to(device)
        self.bits = 7 - torch.arange(8, device=device, dtype=torch.uint8)

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self.surveys)

    def batch(self, chosen: Tensor) -> dict[str, Tensor]:
        """Return one window of each of the chosen clips; a batch as `ClipDataset` gives them."""
        first, stop = self.starts[chosen], self.starts[chosen + 1]
        room = (stop - first - WINDOW).clamp(min=0)
        offset = (torch.rand(len(chosen), device=first.device) * (room + 1)).long()
        place = offset[:, None] + torch.arange(WINDOW, device=first.device)
        place = first[:, None] + torch.minimum(place, (stop - first - 1)[:, None])
        packed = self.masks[place]
        mask = (packed[..., None] >> self.bits) & 1
        return {
            "clip": self.frames[place],
            "survey": self.surveys[chosen],
            "mask": mask.flatten(-2),
            "traced": torch.ones_like(place, dtype=torch.bool),
        }


# ------------------------------------------------------------------------------- train and measure


def train(recipe: Recipe, windows: Windows, device: str) -> tuple[LVSegmentationNet, float]:
    """Return the network, its weights averaged over the last steps, and seconds a step."""
    torch.manual_seed(recipe.seed)
    net = LVSegmentationNet().to(device).train()
    learned = [value for value in net.state_dict().values() if value.is_floating_point()]
    averaged = [value.clone() for value in learned]
    augmentation = ClipAugmentation(**recipe.augmentation).to(device)
    steps = max(2, len(windows) * recipe.epochs // BATCH)
    tools = one_cycle(net, RATE, DECAY, steps)
    optimizer, schedule = tools["optimizer"], tools["lr_scheduler"]["scheduler"]
    kept = 1 - 1 / max(2.0, _AVERAGED * steps)
    order, begun = torch.empty(0, dtype=torch.long, device=device), time.monotonic()
    for _ in range(steps):
        if len(order) < BATCH:
            order = torch.cat([order, torch.randperm(len(windows), device=device)])
        chosen, order = order[:BATCH], order[BATCH:]
        batch = augmentation.clips(windows.batch(chosen))
        with torch.autocast(device, torch.bfloat16):
            logits = net(batch["clip"], batch["survey"])
        loss = segmentation_loss(logits.float().flatten(0, 1), batch["mask"].flatten(0, 1))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            torch._foreach_lerp_(averaged, learned, 1 - kept)
    with torch.no_grad():
        torch._foreach_copy_(learned, averaged)
    return net.eval(), (time.monotonic() - begun) / steps


def measure(
    net: LVSegmentationNet, arrays: dict[str, NDArray[Any]], device: str
) -> dict[str, NDArray[Any]]:
    """Return what is measured of each clip, `(n,)` each.

    `dice` and `area_error` (percent) over its looks; `ef` true, `ef_masks` by the masks at the true
    ED and ES, `edv_error` and `esv_error` (percent) there.
    """
    rows: dict[str, list[float]] = {
        name: [] for name in ("dice", "area_error", "ef_masks", "edv_error", "esv_error")
    }
    for number in range(len(arrays["survey"])):
        span = slice(*arrays["starts"][number : number + 2])
        frames = np.array(arrays["frames"][span])
        truth = np.unpackbits(arrays["masks"][span], axis=-1).astype(bool)
        found = one_ventricle(segment_closely(net, frames, CLIP_FPS, device))
        rows["dice"].append(float(dice(found, truth).mean()))
        rows["area_error"].append(float(area_error(found, truth).mean()))
        ends = arrays["beats"][slice(*arrays["beat_starts"][number : number + 2])]
        volumes = np.array(
            [[[mask_volume(m[i])[0] for i in pair] for pair in ends] for m in (found, truth)]
        ).reshape(2, -1, 2)
        error = 100 * (volumes[0] / volumes[1] - 1)
        rows["ef_masks"].append(_median(ejection_fraction(*volumes[0].T)))
        rows["edv_error"].append(_median(error[:, 0]))
        rows["esv_error"].append(_median(error[:, 1]))
    return {"ef": np.array(arrays["ef"]), **{k: np.array(v) for k, v in rows.items()}}


def _median(values: NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")


def summarise(rows: dict[str, NDArray[Any]]) -> dict[str, float]:
    """Return means over clips, and the bias of EF by masks in bands of EF."""
    gap = rows["ef_masks"] - rows["ef"]
    figures = {
        "dice": float(rows["dice"].mean()),
        "dice_low": float(np.percentile(rows["dice"], 10)),
        "area_error": float(np.nanmean(np.abs(rows["area_error"]))),
        "edv_error": float(np.nanmean(rows["edv_error"])),
        "esv_error": float(np.nanmean(rows["esv_error"])),
        "ef_mae": float(np.nanmean(np.abs(gap))),
    }
    for low, high in ((0, 30), (30, 40), (40, 55), (55, 100)):
        chosen = (rows["ef"] > low) & (rows["ef"] <= high) & np.isfinite(gap)
        figures[f"ef_bias_{low}_{high}"] = float(gap[chosen].mean()) if chosen.any() else np.nan
    return figures


def run(recipe: Recipe, folder: Path, device: str, results: Any) -> None:
    """Train and measure one recipe in a process of its own, and put what came of it."""
    torch.set_num_threads(1 if device == "cuda" else 2)
    torch.backends.cudnn.benchmark = True
    try:
        results.put((recipe, _run(recipe, folder, device)))
    except Exception as error:  # whatever it is, the other recipes go on
        results.put((recipe, repr(error)))


def _run(
    recipe: Recipe, folder: Path, device: str
) -> tuple[float, dict[str, NDArray[Any]], dict[str, dict[str, NDArray[Any]]]]:
    """Return seconds a step, the weights, and what was measured on each judge."""
    if recipe.epochs:
        parts = [(held(folder, name), count) for name, count in recipe.counts().items() if count]
        net, seconds = train(recipe, Windows(parts, device), device)
    else:
        net, seconds = LVSegmentationNet(), 0.0
        load_weights(net, SHIPPED)
        net = net.eval().to(device)
    weights = {k: v.detach().cpu().contiguous().numpy() for k, v in net.state_dict().items()}
    return seconds, weights, {judge: measure(net, held(folder, judge), device) for judge in JUDGES}


# ----------------------------------------------------------------------------------------- the job


def work(
    job: str,
    output: Path,
    scale: float,
    first: int | None,
    workers: int,
    at_once: int,
    device: str,
    scratch: Path | None,
) -> None:
    """Render, train every recipe of a job, measure, and write each result when it is there."""
    recipes = [replace(r, clips=max(BATCH, round(scale * r.clips))) for r in RECIPES[job][:first]]
    needed: dict[str, int] = {}
    for recipe in recipes:
        for pool, count in recipe.counts().items():
            needed[pool] = max(needed.get(pool, 0), count)
    output.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - begun:6.1f} s  {text}", flush=True)

    context = get_context("spawn")
    results = context.Queue()
    with TemporaryDirectory(dir=scratch) as name:
        folder = Path(name)
        waiting = [
            context.Process(target=run, args=(recipe, folder, device, results), daemon=True)
            for recipe in recipes
        ]
        for process in waiting[:at_once]:
            process.start()
        asked = [(POOLS[pool], i) for pool, count in needed.items() for i in range(count)]
        sizes = dict(needed)
        for judge, (kind, count) in JUDGES.items():
            sizes[judge] = max(2, round(scale * count)) if scale < 1 else count
            asked += [(kind, i) for i in range(sizes[judge])]
        rendered = render(asked, workers)
        for pool, count in sizes.items():
            fill(folder, pool, (next(rendered) for _ in range(count)))
            say(f"{count} clips of {pool}")
        running = at_once
        for done in range(len(recipes)):
            recipe, outcome = results.get()
            if running < len(waiting):
                waiting[running].start()
                running += 1
            name = f"{recipe.name} s{recipe.seed}"
            if isinstance(outcome, str):
                say(f"{done + 1}/{len(recipes)} {name} failed: {outcome}")
                continue
            seconds, weights, measured = outcome
            figures = {judge: summarise(rows) for judge, rows in measured.items()}
            dices = ", ".join(f"{judge} {part['dice']:.4f}" for judge, part in figures.items())
            say(f"{done + 1}/{len(recipes)} {name}: {1000 * seconds:.0f} ms a step; Dice {dices}")
            _keep(output, job, recipe, seconds, figures, measured, weights)


def _keep(
    output: Path,
    job: str,
    recipe: Recipe,
    seconds: float,
    figures: dict[str, dict[str, float]],
    measured: dict[str, dict[str, NDArray[Any]]],
    weights: dict[str, NDArray[Any]],
) -> None:
    about = {"recipe": asdict(recipe), "seconds_a_step": seconds, "figures": figures}
    rows = {j: {k: np.round(v, 4).tolist() for k, v in m.items()} for j, m in measured.items()}
    with (output / "results.jsonl").open("a") as file:
        file.write(json.dumps({**about, "rows": rows}) + "\n")
    if job != "final" and recipe.seed:
        return
    title = f"{recipe.name.replace(', ', '_').replace(' ', '_')}_s{recipe.seed}"
    tensors = {k: torch.from_numpy(v) for k, v in weights.items()}
    if job != "final":  # enough to look closer, and small
        tensors = {k: v.bfloat16() if v.is_floating_point() else v for k, v in tensors.items()}
    save_file(tensors, output / f"{title}.safetensors", {"trained_on": "phantoms"})


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("job", choices=list(RECIPES))
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the clips")
    parser.add_argument(
        "--first", type=int, help="how many recipes, from the first on; all by default"
    )
    parser.add_argument("--workers", type=int, default=2, help="processes that render")
    parser.add_argument("--at_once", type=int, default=1, help="recipes trained side by side")
    parser.add_argument("--scratch", type=Path, help="where phantoms are kept while it runs")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", default=device)
    asked = parser.parse_args()
    work(
        asked.job, asked.output, asked.scale, asked.first, asked.workers, asked.at_once,
        asked.device, asked.scratch,
    )  # fmt: skip


if __name__ == "__main__":
    main()
