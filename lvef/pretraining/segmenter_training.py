"""Segmenters trained side by side on phantoms that are rendered on the spot and kept in memory.

    python -m lvef.pretraining.segmenter_training final --output DIR

One job for a machine with an accelerator: it reads nothing but this package, renders its own
phantoms on every core, trains each recipe in a process of its own, measures it on phantoms of both
generators, and writes results as they come. `--scale 0.02` tries it on a CPU.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from lvef.data.transforms import ClipAugmentation
from lvef.errors import ConfigurationError, LvefError
from lvef.files import make_room
from lvef.models.inference import best_device
from lvef.models.segmentation.loss import outline_loss, segmentation_loss
from lvef.models.segmentation.network import LVSegmentationNet, Painter
from lvef.models.segmentation.weights import SHIPPED, load_weights
from lvef.options import COUNT, Range, check_numbers
from lvef.phantom.pool import LookedClip, render
from lvef.precision import cpu_precision
from lvef.pretraining.reader import further_inside
from lvef.pretraining.segmenter_measure import measure, summarise
from lvef.pretraining.segmenter_memory import Windows, fill, joined, parts_of
from lvef.pretraining.segmenter_recipes import JUDGES, POOLS, RECIPES, Recipe

BATCH, DECAY = 16, 0.02
WARM_SHARE = 0.7
_RISE = 0.15
_AVERAGED = 0.02
"""Share of the steps over which weights are averaged."""
WAYS = ("by turns", "averaged", "turned")
"""Looks at a clip by turns through the networks of several seeds; by one network of the mean of
their weights, which makes sense where they began from the same (Wortsman et al., ICML 2022); and
closer looks turned by 8 degrees to either side, through one network."""
State = dict[str, NDArray[Any]]
_RANGES = {
    "scale": Range(0, 1000, above=True), "first": COUNT, "seconds": Range(0, 1e6, above=True),
    "workers": Range(1, 1024), "at_once": Range(1, 1024),
}  # fmt: skip


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
    optimizer = torch.optim.AdamW(
        net.parameters(), lr=recipe.rate, weight_decay=DECAY, fused=device == "cuda"
    )
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
        batch["mask"] = further_inside(batch["mask"], recipe.inset)
        with torch.autocast(device, torch.bfloat16, enabled=mixed):
            logits = net(batch["clip"], batch["survey"])
        learn = outline_loss if recipe.outline else segmentation_loss
        loss = learn(logits.float().flatten(0, 1), batch["mask"].flatten(0, 1))
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
        results.put((recipe, judged(net, job, recipe.inset)))
    except Exception as error:  # whatever it is, the other recipes go on
        results.put((recipe, repr(error)))


def judged(
    net: Painter | Sequence[Painter], job: Job, inset: int, turned: float = 0.0
) -> dict[str, dict[str, NDArray[Any]]]:
    """Return what `measure` finds on the clips of each judge; nothing where there are none."""
    if job.judges is None:
        return {}
    return {
        judge: measure(net, dict(np.load(job.judges / f"{judge}.npz")), inset, turned)
        for judge in JUDGES
    }


def run_together(way: str, recipe: Recipe, states: list[State], job: Job, results: Any) -> None:
    """Measure networks of one recipe and several seeds in one of `WAYS`, and put what came of it.

    Args:
        way: Which.
        recipe: Theirs, by the name that the result has.
        states: Their weights.
        job: What a process must know.
        results: Where the result is put.
    """
    torch.set_num_threads(1 if job.device == "cuda" else 2)
    try:
        if way == "averaged":
            states = [{k: _mean([s[k] for s in states]) for k in states[0]}]
            results.put((recipe, (0, 0.0, states[0])))
        nets = []
        for state in states if way != "turned" else states[:1]:
            net = LVSegmentationNet()
            net.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in state.items()})
            nets.append(net.eval().to(job.device))
        results.put((recipe, judged(nets, job, recipe.inset, 8.0 * (way == "turned"))))
    except Exception as error:  # as in `run`
        results.put((recipe, repr(error)))


def _mean(arrays: list[NDArray[Any]]) -> NDArray[Any]:
    return np.asarray(np.mean(arrays, axis=0), arrays[0].dtype)


def _trained(recipe: Recipe, job: Job) -> tuple[LVSegmentationNet, int, float]:
    if recipe.epochs:
        windows = Windows(job.folder, recipe.counts(), job.device, whole=job.seconds is None)
        begun = time.monotonic()
        net, steps = train(recipe, windows, job.device, job.seconds)
        return net, steps, time.monotonic() - begun
    net = LVSegmentationNet()
    load_weights(net, SHIPPED)
    return net.eval().to(job.device), 0, 0.0


def work(recipes: list[Recipe], output: Path, job: Job, workers: int, at_once: int) -> None:
    """Render, train every recipe, measure, and write each result when it is there."""
    begun = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - begun:6.1f} s  {text}", flush=True)

    needed: dict[str, int] = {}
    for recipe in recipes:
        for pool, count in recipe.counts().items():
            needed[pool] = max(needed.get(pool, 0), count)
    parts = parts_of(needed, by_turns=job.seconds is not None)
    clips_to_render = [(POOLS[name.split(".")[0]], i) for name, numbers in parts for i in numbers]
    rendered = render(clips_to_render, workers)
    context = get_context("spawn")
    results = context.Queue()
    rendering = Thread(target=_render_parts, args=(rendered, parts, job.folder, say), daemon=True)
    rendering.start()
    waiting = [context.Process(target=run, args=(r, job, results), daemon=True) for r in recipes]
    seeds = Counter(recipe.name for recipe in recipes)
    trained: dict[str, list[State]] = defaultdict(list)
    started = done = 0
    while done < len(waiting):
        for process in waiting[started : done + at_once]:
            process.start()
            started += 1
        recipe, outcome = results.get()
        name = f"{recipe.name} s{recipe.seed}"
        if isinstance(outcome, tuple):
            steps, seconds, weights = outcome
            say(f"{name}: {steps} steps, {1000 * seconds / max(steps, 1):.1f} ms each")
            _keep_weights(output, recipe, weights)
            if steps:
                trained[recipe.name].append(weights)
            same = trained[recipe.name]
            for way in WAYS if len(same) == seeds[recipe.name] > 2 else ():
                own = replace(recipe, name=f"{recipe.name}, {way}", epochs=0)
                asked = (way, own, same, job, results)
                waiting.append(context.Process(target=run_together, args=asked, daemon=True))
            continue
        done += 1
        if isinstance(outcome, str):
            say(f"{name} failed: {outcome}")
            continue
        figures = {judge: summarise(rows) for judge, rows in outcome.items()}
        dices = ", ".join(f"{judge} {part['dice']:.4f}" for judge, part in figures.items())
        say(f"{done}/{len(waiting)} {name}: Dice {dices}")
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
    metadata = {"trained_on": "phantoms", "inset": str(recipe.inset)}
    save_file(tensors, output / f"{title}.safetensors", metadata)


def write_judges(output: Path, workers: int, scale: float) -> None:
    """Render what is measured on and keep it, compressed."""
    for judge, (kind, count) in JUDGES.items():
        clips_to_render = [(kind, i) for i in range(max(2, round(scale * count)))]
        arrays: dict[str, Any] = joined(list(render(clips_to_render, workers)))
        np.savez_compressed(output / f"{judge}.npz", **arrays)


def main() -> None:
    """Read the command line and do the job; what cannot be is one line, and exit code 1."""
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
    parser.add_argument("--device", default=best_device().type, choices=["cpu", "cuda"])
    try:
        _do(parser.parse_args())
    except LvefError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


def _do(arguments: argparse.Namespace) -> None:
    """Check what is asked, and do it.

    Raises:
        ConfigurationError: A number is out of its range, or something to be read is not there.
        OutputError: The output folder cannot be written.
    """
    check_numbers("--", _RANGES, vars(arguments))
    for judge in JUDGES if arguments.judges else ():
        if not (arguments.judges / f"{judge}.npz").is_file():
            raise ConfigurationError(
                f"{arguments.judges / judge}.npz not found: the job `judges` writes it"
            )
    make_room(arguments.output / "results.jsonl")
    if arguments.job == "judges":
        write_judges(arguments.output, arguments.workers, arguments.scale)
        return
    recipes = [
        replace(recipe, clips=max(BATCH, round(arguments.scale * recipe.clips)))
        for recipe in RECIPES[arguments.job][: arguments.first]
    ]
    with TemporaryDirectory(dir=arguments.scratch) as folder:
        job = Job(Path(folder), arguments.judges, arguments.device, arguments.seconds)
        work(recipes, arguments.output, job, arguments.workers, arguments.at_once)


if __name__ == "__main__":
    main()
