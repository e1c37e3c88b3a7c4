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
from threading import Thread
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from lvef.analysis.segment import one_ventricle, segment_closely
from lvef.cardiac import CLIP_FPS, ejection_fraction, mask_volume
from lvef.data.clips import WINDOW
from lvef.data.transforms import ClipAugmentation
from lvef.evaluation.overlap import area_error, dice
from lvef.experiments.segmenter_summary import BANDS
from lvef.models.segmentation_net import LVSegmentationNet
from lvef.models.segmenter import SHIPPED, load_weights, segmentation_loss
from lvef.phantom.hard import HARD_KINDS, evenly
from lvef.phantom.pool import LookedClip, PhantomKind, render
from lvef.precision import cpu_precision

BATCH, DECAY = 16, 0.02
WARM_SHARE = 0.7
_RISE = 0.15
_PART = 250
"""Clips that are rendered before training may look at them."""
_OFFSETS = (-2.0, -1.0, 0.0, 1.0, 2.0, 3.0)
"""Pixels by which masks are made wider to see how far a convention alone sets them apart."""
_AVERAGED = 0.02
"""Share of the steps over which weights are averaged."""
MACHINE = {"unevenness": 0.5, "shadow": 0.3}
"""Augmentation by what probes and ribs do."""
SEQUENCE = {"flicker": 0.2, "frozen": 0.1}
"""Augmentation by what happens between looks."""

_LOOKS = 20
"""Looks of each clip that are rendered: more hearts tell more than more of each."""


def _pool(seed: int, breadth: float | None = 1.0, **given: Any) -> PhantomKind:
    return PhantomKind(seed, breadth, most_looks=_LOOKS, **given)


POOLS: dict[str, PhantomKind] = {
    "plain": _pool(2000),
    "wide": _pool(2100, 1.5),
    "narrow": _pool(2200, 0.6),
    "clinic": _pool(2300, None),
    **{kind: _pool(2400 + i, hard={kind: 1.0}) for i, kind in enumerate(HARD_KINDS)},
}
"""What is trained on; no seed of these is measured on."""
JUDGES: dict[str, tuple[PhantomKind, int]] = {
    "solid": (_pool(9000, solid=True, from_ed=True), 120),
    "wider": (_pool(3001, 1.25, from_ed=True), 60),
    "hard": (_pool(3003, hard=evenly(1.0), from_ed=True), 60),
    "standard": (_pool(3002, None, from_ed=True), 30),
}
"""What is measured on, and how many clips of each; "solid" is the second generator's."""


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
        rate: Peak learning rate.
        warm: Start from the shipped weights, for `WARM_SHARE` of the time.
    """

    name: str
    shares: dict[str, float]
    clips: int = 1000
    epochs: int = 8
    augmentation: dict[str, float] = field(default_factory=dict)
    seed: int = 0
    rate: float = 3e-3
    warm: bool = False

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
    Recipe("longer", {"plain": 1.0}, epochs=16),
    Recipe("machine", {"plain": 1.0}, augmentation=MACHINE),
    Recipe("all kinds, machine", _mixed(0.4, HARD_KINDS), augmentation=MACHINE),
    Recipe("all kinds, sequence", _mixed(0.4, HARD_KINDS), augmentation=SEQUENCE),
    Recipe(
        "everything", _mixed(0.6, (*HARD_KINDS, *_BREADTHS)), augmentation={**MACHINE, **SEQUENCE}
    ),
]
_SHIPPED = Recipe("shipped", {}, clips=0, epochs=0)
_FINAL = Recipe("final", _mixed(0.3, ("dilated",)), 8000, 28, MACHINE)
_WARM = replace(_FINAL, name="warm", rate=1e-3, warm=True)
RECIPES: dict[str, list[Recipe]] = {
    "ablation": [
        _SHIPPED,
        *_VARIANTS,
        *(replace(_VARIANTS[0], seed=seed) for seed in (1, 2)),
        *(replace(recipe, seed=1) for recipe in reversed(_VARIANTS[1:])),
    ],
    "final": [
        *(replace(_FINAL, seed=seed) for seed in range(3)),
        _WARM,
        replace(_WARM, name="warm, no machine", augmentation={}),
    ],
}
"""Each change at an eighth of the clips, with two seeds; and what ships, with three."""


# --------------------------------------------------------------------------- what is kept in memory


def joined(clips: list[LookedClip]) -> dict[str, NDArray[Any]]:
    """Return clips as arrays: their looks one after the other, and where each begins."""
    return {
        "frames": np.concatenate([clip.frames for clip in clips]),
        "masks": np.concatenate([clip.masks for clip in clips]),
        "survey": np.stack([clip.survey for clip in clips]),
        "starts": np.cumsum([0, *(len(clip.frames) for clip in clips)]),
        "beats": np.concatenate([clip.beats for clip in clips]),
        "beat_starts": np.cumsum([0, *(len(clip.beats) for clip in clips)]),
        "ef": np.array([clip.ef for clip in clips]),
        "kinds": np.array([clip.kinds for clip in clips]),
    }


def fill(folder: Path, name: str, clips: list[LookedClip]) -> None:
    """Write clips as arrays that every process can map."""
    part = folder / f"{name}.part"
    part.mkdir()
    for key, array in joined(clips).items():
        np.save(part / f"{key}.npy", array)
    part.rename(folder / name)


def arrays_of(folder: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays that `fill` wrote, mapped."""
    return {path.stem: np.load(path, mmap_mode="r") for path in folder.glob("*.npy")}


def parts_of(counts: dict[str, int]) -> list[tuple[str, range]]:
    """Return the names of the parts that pools are rendered in, and which clips each holds.

    Those of all pools take turns, so that training can begin when the first of each is there.
    """
    parts = [
        (start, f"{pool}.{start}", range(start, min(start + _PART, count)))
        for pool, count in counts.items()
        for start in range(0, count, _PART)
    ]
    return [(name, numbers) for _, name, numbers in sorted(parts, key=lambda part: part[0])]


class Windows:
    """Clips on the device, and random windows of them; grows while clips are rendered.

    Args:
        folder: Where `fill` writes them.
        counts: How many clips are taken from each pool.
        device: Where they are kept.
    """

    def __init__(self, folder: Path, counts: dict[str, int], device: str) -> None:
        self.folder, self.device = folder, device
        self.waiting = {name: len(numbers) for name, numbers in parts_of(counts)}
        first = [f"{pool}.0" for pool, count in counts.items() if count]
        while not all((folder / name).is_dir() for name in first):
            time.sleep(0.2)
        self.frames: list[Tensor] = []
        self.masks: list[Tensor] = []
        self.surveys: list[Tensor] = []
        self.starts = [0]
        self.bits = 7 - torch.arange(8, device=device, dtype=torch.uint8)
        self.grow()

    def grow(self) -> None:
        """Take what has been rendered since."""
        for name in [name for name in self.waiting if (self.folder / name).is_dir()]:
            count, arrays = self.waiting.pop(name), arrays_of(self.folder / name)
            ends = arrays["starts"][: count + 1]
            self.starts += (self.starts[-1] + ends[1:]).tolist()
            for kept, key, stop in (
                (self.frames, "frames", ends[-1]),
                (self.masks, "masks", ends[-1]),
                (self.surveys, "survey", count),
            ):
                kept.append(torch.from_numpy(np.array(arrays[key][:stop])).to(self.device))
        for kept in (self.frames, self.masks, self.surveys):
            kept[:] = [torch.cat(kept)]
        self.ends = torch.tensor(self.starts, device=self.device)

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self.starts) - 1

    def batch(self, chosen: Tensor) -> dict[str, Tensor]:
        """Return one window of each of the chosen clips; a batch as `ClipDataset` gives them."""
        first, stop = self.ends[chosen], self.ends[chosen + 1]
        room = (stop - first - WINDOW).clamp(min=0)
        offset = (torch.rand(len(chosen), device=first.device) * (room + 1)).long()
        place = offset[:, None] + torch.arange(WINDOW, device=first.device)
        place = first[:, None] + torch.minimum(place, (stop - first - 1)[:, None])
        packed = self.masks[0][place]
        mask = (packed[..., None] >> self.bits) & 1
        return {
            "clip": self.frames[0][place],
            "survey": self.surveys[0][chosen],
            "mask": mask.flatten(-2),
            "traced": torch.ones_like(place, dtype=torch.bool),
        }


# ------------------------------------------------------------------------------- train and measure


def train(
    recipe: Recipe, windows: Windows, device: str, seconds: float | None = None
) -> tuple[LVSegmentationNet, int]:
    """Return the network, its weights averaged over the last steps, and how many there were.

    Args:
        recipe: How it is trained.
        windows: On what.
        device: Where.
        seconds: Time to train for, instead of the recipe's epochs.
    """
    torch.manual_seed(recipe.seed)
    net = LVSegmentationNet()
    if recipe.warm:
        load_weights(net, SHIPPED)
        seconds = seconds and WARM_SHARE * seconds
    net = net.to(device).train()
    learned = [value for value in net.state_dict().values() if value.is_floating_point()]
    averaged = [value.clone() for value in learned]
    augmentation = ClipAugmentation(**recipe.augmentation).to(device)
    optimizer = torch.optim.AdamW(net.parameters(), lr=recipe.rate, weight_decay=DECAY)
    steps = max(2, recipe.clips * recipe.epochs // BATCH)
    order, begun = torch.empty(0, dtype=torch.long, device=device), time.monotonic()
    done, progress = 0, 0.0
    mixed = device != "cpu" or cpu_precision() == "bf16-mixed"
    while progress < 1:
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate * one_cycle_share(progress)
        if not done % 50 and windows.waiting:
            windows.grow()
        if len(order) < BATCH:
            order = torch.cat([order, torch.randperm(len(windows), device=device)])
        chosen, order = order[:BATCH], order[BATCH:]
        batch = augmentation.clips(windows.batch(chosen))
        with torch.autocast(device, torch.bfloat16, enabled=mixed):
            logits = net(batch["clip"], batch["survey"])
        loss = segmentation_loss(logits.float().flatten(0, 1), batch["mask"].flatten(0, 1))
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimizer.step()
        done += 1
        elapsed = time.monotonic() - begun
        progress = done / steps if seconds is None else elapsed / seconds
        total = steps if seconds is None else done / progress
        with torch.no_grad():
            torch._foreach_lerp_(averaged, learned, 1 / max(2.0, min(done, _AVERAGED * total)))
    with torch.no_grad():
        torch._foreach_copy_(learned, averaged)
    return net.eval(), done


def one_cycle_share(progress: float) -> float:
    """Return the share of the peak rate at a moment of training, 0 to 1.

    One cycle (Smith and Topin, 2019): up from a 25th in 15 % of the time, then down to nothing.
    """
    if progress < _RISE:
        return float(1 / 25 + (1 - 1 / 25) * (1 - np.cos(np.pi * progress / _RISE)) / 2)
    return float(1 + np.cos(np.pi * min((progress - _RISE) / (1 - _RISE), 1.0))) / 2


def measure(
    net: LVSegmentationNet, arrays: dict[str, NDArray[Any]], device: str
) -> dict[str, NDArray[Any]]:
    """Return what is measured of each clip, `(n,)` each.

    `dice` and `area_error` (percent) over its looks; `dice+2` and the like, where masks are made
    so many pixels wider on every side; `ef` true, `ef_masks` by the masks at the true ED and ES,
    `edv_error` and `esv_error` (percent) there.
    """
    names = ("dice", "area_error", "ef_masks", "edv_error", "esv_error")
    rows: dict[str, list[float]] = {name: [] for name in (*names, *map(_wider, _OFFSETS))}
    for number in range(len(arrays["survey"])):
        span = slice(*arrays["starts"][number : number + 2])
        frames = np.array(arrays["frames"][span])
        truth = np.unpackbits(arrays["masks"][span], axis=-1).astype(bool)
        found = one_ventricle(segment_closely(net, frames, CLIP_FPS, device))
        rows["dice"].append(float(dice(found, truth).mean()))
        outside = np.stack([_signed_distance(mask) for mask in found])
        for offset in _OFFSETS:
            rows[_wider(offset)].append(float(dice(outside <= offset, truth).mean()))
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


def _wider(offset: float) -> str:
    return f"dice{offset:+g}"


def _signed_distance(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return how far outside of a mask each pixel lies, 0.5 and more; negative inside."""
    if not mask.any():
        return np.full(mask.shape, np.inf)
    outside, inside = distance_transform_edt(~mask), distance_transform_edt(mask)
    return np.asarray(np.where(mask, 0.5 - inside, outside - 0.5))


def _median(values: NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")


def _mean(values: NDArray[np.float64]) -> float:
    """Return the mean of what is known; NaN where nothing is."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def summarise(rows: dict[str, NDArray[Any]]) -> dict[str, float]:
    """Return means over clips, and the bias of EF by masks in bands of EF.

    `dice_fitted` is Dice where all masks are as much wider or narrower as suits them best.
    """
    gap = rows["ef_masks"] - rows["ef"]
    figures = {
        "dice": float(rows["dice"].mean()),
        # How far readers stay from the edge is a convention that generators need not share.
        "dice_fitted": max(float(rows[_wider(offset)].mean()) for offset in _OFFSETS),
        "dice_low": float(np.percentile(rows["dice"], 10)),
        "area_error": _mean(np.abs(rows["area_error"])),
        "edv_error": _mean(rows["edv_error"]),
        "esv_error": _mean(rows["esv_error"]),
        "ef_mae": _mean(np.abs(gap)),
    }
    for low, high in BANDS:
        chosen = (rows["ef"] > low) & (rows["ef"] <= high)
        figures[f"ef_bias_{low}_{high}"] = _mean(gap[chosen])
    return figures


@dataclass(frozen=True)
class Job:
    """What a process that trains must know.

    Attributes:
        folder: Where rendered phantoms are.
        judges: Where those to be measured on are.
        device: Where it trains.
        seconds: See `train`.
    """

    folder: Path
    judges: Path | None
    device: str
    seconds: float | None


def run(recipe: Recipe, job: Job, results: Any) -> None:
    """Train and measure one recipe in a process of its own, and put what came of it."""
    torch.set_num_threads(1 if job.device == "cuda" else 2)
    torch.backends.cudnn.benchmark = True
    try:
        net, steps, seconds = _trained(recipe, job)
        weights = {k: v.detach().cpu().contiguous().numpy() for k, v in net.state_dict().items()}
        results.put((recipe, (steps, seconds, weights)))
        if job.judges:
            measured = {
                judge: measure(net, dict(np.load(job.judges / f"{judge}.npz")), job.device)
                for judge in JUDGES
            }
            results.put((recipe, measured))
        else:
            results.put((recipe, {}))
    except Exception as error:  # whatever it is, the other recipes go on
        results.put((recipe, repr(error)))


def _trained(recipe: Recipe, job: Job) -> tuple[LVSegmentationNet, int, float]:
    if recipe.epochs:
        windows = Windows(job.folder, recipe.counts(), job.device)
        begun = time.monotonic()
        net, steps = train(recipe, windows, job.device, job.seconds)
        return net, steps, time.monotonic() - begun
    net = LVSegmentationNet()
    load_weights(net, SHIPPED)
    return net.eval().to(job.device), 0, 0.0


# ----------------------------------------------------------------------------------------- the job


def work(recipes: list[Recipe], output: Path, job: Job, workers: int, at_once: int) -> None:
    """Render, train every recipe, measure, and write each result when it is there."""
    begun = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - begun:6.1f} s  {text}", flush=True)

    needed: dict[str, int] = {}
    for recipe in recipes:
        for pool, count in recipe.counts().items():
            needed[pool] = max(needed.get(pool, 0), count)
    parts = parts_of(needed)
    asked = [(POOLS[name.split(".")[0]], i) for name, numbers in parts for i in numbers]
    rendered = render(asked, workers)
    context = get_context("spawn")
    results = context.Queue()
    rendering = Thread(target=_render_parts, args=(rendered, parts, job.folder, say), daemon=True)
    rendering.start()
    waiting = [context.Process(target=run, args=(r, job, results), daemon=True) for r in recipes]
    for process in waiting[:at_once]:
        process.start()
    running, done = at_once, 0
    while done < len(recipes):
        recipe, outcome = results.get()
        name = f"{recipe.name} s{recipe.seed}"
        if isinstance(outcome, tuple):
            steps, seconds, weights = outcome
            say(f"{name}: {steps} steps, {1000 * seconds / max(steps, 1):.1f} ms each")
            _keep_weights(output, recipe, weights)
            continue
        done += 1
        if running < len(waiting):
            waiting[running].start()
            running += 1
        if isinstance(outcome, str):
            say(f"{name} failed: {outcome}")
            continue
        figures = {judge: summarise(rows) for judge, rows in outcome.items()}
        dices = ", ".join(f"{judge} {part['dice']:.4f}" for judge, part in figures.items())
        say(f"{done}/{len(recipes)} {name}: Dice {dices}")
        rows = {j: {k: np.round(v, 4).tolist() for k, v in m.items()} for j, m in outcome.items()}
        with (output / "results.jsonl").open("a") as file:
            line = {"recipe": asdict(recipe), "figures": figures, "rows": rows}
            file.write(json.dumps(line) + "\n")


def _render_parts(
    rendered: Iterator[LookedClip], parts: list[tuple[str, range]], folder: Path, say: Any
) -> None:
    for name, numbers in parts:
        fill(folder, name, [next(rendered) for _ in numbers])
    say(f"{sum(len(numbers) for _, numbers in parts)} clips rendered")


def _keep_weights(output: Path, recipe: Recipe, weights: dict[str, NDArray[Any]]) -> None:
    tensors = {k: torch.from_numpy(v) for k, v in weights.items()}
    title = f"{recipe.name.replace(', ', '_').replace(' ', '_')}_s{recipe.seed}"
    save_file(tensors, output / f"{title}.safetensors", {"trained_on": "phantoms"})


def write_judges(output: Path, workers: int, scale: float) -> None:
    """Render what is measured on and keep it, compressed."""
    for judge, (kind, count) in JUDGES.items():
        asked = [(kind, i) for i in range(max(2, round(scale * count)))]
        arrays: dict[str, Any] = joined(list(render(asked, workers)))
        np.savez_compressed(output / f"{judge}.npz", **arrays)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("job", choices=["judges", *RECIPES])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--judges", type=Path, help="folder that the job `judges` wrote")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the clips")
    parser.add_argument("--first", type=int, help="number of recipes, all by default")
    parser.add_argument("--seconds", type=float, help="time to train, instead of epochs")
    parser.add_argument("--workers", type=int, default=2, help="processes that render")
    parser.add_argument("--at_once", type=int, default=1, help="recipes trained side by side")
    parser.add_argument("--scratch", type=Path, help="where phantoms are kept while it runs")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", default=device)
    asked = parser.parse_args()
    asked.output.mkdir(parents=True, exist_ok=True)
    if asked.job == "judges":
        write_judges(asked.output, asked.workers, asked.scale)
        return
    recipes = [
        replace(recipe, clips=max(BATCH, round(asked.scale * recipe.clips)))
        for recipe in RECIPES[asked.job][: asked.first]
    ]
    with TemporaryDirectory(dir=asked.scratch) as folder:
        job = Job(Path(folder), asked.judges, asked.device, asked.seconds)
        work(recipes, asked.output, job, asked.workers, asked.at_once)


if __name__ == "__main__":
    main()
