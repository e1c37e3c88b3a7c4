"""A view head for a segmenter: taught on phantoms of every kind, and judged on others.

    python -m lvef.pretraining.view_training learn --output DIR
    python -m lvef.pretraining.view_training learn --further --steps 7000 --output DIR
    python -m lvef.pretraining.view_training judge --weights DIR/lv_seg.safetensors --output DIR
    python -m lvef.pretraining.view_training table --weights DIR/lv_seg.safetensors --output DIR

Jobs for a machine with an accelerator and many cores; `--seconds 30` tries them on a CPU. They read
nothing but this package and the weights whose encoder is looked through. `learn` renders rounds of
clips on every core until its time is over, keeps what the encoder sees of them, trains the heads in
seconds, and chooses their limits on clips of another purpose; with `--further` the heads that the
weights have go on. `judge` takes clips of a third purpose, kinds among them that nothing was
trained on, through the whole analysis, a row of `judged_PART.csv` each as it ends; begun again it
goes on. `table` says what came of all rows, also in a MODEL_CARD.md beside the weights.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from lvef.analysis.gate import METADATA, Limits, ViewGate
from lvef.errors import ConfigurationError, LvefError
from lvef.files import make_room, write_json, write_tensors, write_text
from lvef.models.inference import best_device
from lvef.models.segmentation.network import LVSegmentationNet, for_inference
from lvef.models.segmentation.view_head import PREFIX, VIEWS, ViewHead, ViewHeads
from lvef.models.segmentation.weights import (
    SHIPPED,
    load_weights,
    read_weights,
    weights_file,
)
from lvef.options import COUNT, SEED, Range, check_numbers
from lvef.phantom.purpose import Purpose
from lvef.pretraining.model_card import with_views
from lvef.pretraining.view_clips import rendered_rounds
from lvef.pretraining.view_judge import judge, write_summary
from lvef.pretraining.view_limits import chosen, learned_arrow
from lvef.pretraining.view_material import Material

HEADS = 3
_BATCH, _RATE, _DECAY, _SMOOTHED = 64, 4e-3, 0.3, 0.02
_FURTHER = 1e-3
"""Rate at which heads that have learned go on."""
_LOUDER = 0.1
"""Spread of the logarithm of what the encoder's maps are multiplied by."""
_AT_ONCE = 52
"""Clips that are encoded together."""
_RANGES = {
    "seconds": Range(0, 1e6, above=True), "rounds": COUNT, "workers": Range(1, 1024),
    "copies": COUNT, "steps": COUNT, "clips": COUNT, "seed": SEED, "first": Range(0),
    "held_out": Range(0), "most_seconds": Range(0.5),
}  # fmt: skip


def train(
    material: Material, steps: int, seed: int, device: str, learned: ViewHead | None = None
) -> ViewHead:
    """Return a head that has learned.

    Args:
        material: From what.
        steps: For how long.
        seed: Of its weights and of the order.
        device: Where.
        learned: A head to go on from, which is left as it is; None for a new one.
    """
    torch.manual_seed(seed)
    seen, views = torch.cat(material.seen), torch.tensor(material.views, device=device)
    rare = torch.bincount(views, minlength=len(VIEWS)).clamp(min=1).rsqrt()
    head = (ViewHead() if learned is None else deepcopy(learned)).to(device).train()
    rate = _RATE if learned is None else _FURTHER
    optimizer = torch.optim.AdamW(head.parameters(), lr=rate, weight_decay=_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    for _ in range(steps):
        drawn = torch.randint(len(views), (_BATCH,), device=device)
        batch, view = seen[drawn].float(), views[drawn]
        batch = batch * torch.exp(_LOUDER * torch.randn(_BATCH, 1, 1, device=device))
        told = head(batch)
        among = functional.cross_entropy(
            told[:, :-1], view, weight=rare / rare.mean(), label_smoothing=_SMOOTHED
        )
        alone = functional.binary_cross_entropy_with_logits(told[:, -1], (view == 0).float())
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(among + alone)
        optimizer.step()
        schedule.step()
    return head.eval()


def learn(arguments: argparse.Namespace) -> None:
    """Render, encode, train, choose, and write the weights with their heads."""
    begun, device = time.monotonic(), arguments.device

    def say(text: str) -> None:
        print(f"{time.monotonic() - begun:6.1f} s  {text}", flush=True)

    state, metadata = read_weights(arguments.weights)
    gate = _learned(state, metadata, arguments.weights) if arguments.further else None
    net = LVSegmentationNet()
    load_weights(net, arguments.weights)
    net = for_inference(net).to(device)
    materials = {Purpose.VIEWS: Material(), Purpose.VIEWS_CHOICE: Material()}
    numbers = range(arguments.first, arguments.first + arguments.rounds)
    rounds = rendered_rounds(numbers, arguments.seed, arguments.workers, arguments.looks)
    done = 0
    for purpose, clips in rounds:
        for start in range(0, len(clips), _AT_ONCE):
            part = clips[start : start + _AT_ONCE]
            materials[purpose].add(net, part, device, arguments.copies)
        done += 1
        if done % 10 == 0:
            say(f"{done} rounds")
        if arguments.seconds and time.monotonic() - begun > arguments.seconds:
            break
    rounds.close()
    taught, choice = materials[Purpose.VIEWS], materials[Purpose.VIEWS_CHOICE]
    if not taught.curves or not choice.curves:
        raise ConfigurationError("--rounds or --seconds are too few: six rounds at least")
    say(f"{done} rounds, {len(taught.views)} pictures to learn from")
    heads = ViewHeads(HEADS).to(device)
    for number in range(HEADS):
        learned = None if gate is None else cast(ViewHead, gate.heads.heads[number])
        head = train(taught, arguments.steps, arguments.seed + number, device, learned)
        heads.heads[number].load_state_dict(head.state_dict())
    heads.eval()
    say("heads trained")
    arrow = learned_arrow(taught) if gate is None else np.array(gate.limits.arrow)
    limits, figures = chosen(heads, arrow, choice)
    figures["taught"] = len(taught.views)
    say(json.dumps(figures["choice"]))
    tensors = {name: value for name, value in state.items() if not name.startswith(PREFIX)}
    metadata |= {METADATA: limits.text(), "view_figures": json.dumps(figures)}
    write_tensors(arguments.output / "lv_seg.safetensors", tensors | heads.tensors(), metadata)
    write_json(
        arguments.output / "view_head.json", {**figures, "rounds": done, "limits": asdict(limits)}
    )


def _learned(state: Mapping[str, Tensor], metadata: Mapping[str, str], weights: str) -> ViewGate:
    """Return the gate that weights have.

    Raises:
        ConfigurationError: They have none, or not as many heads as are taught.
    """
    gate = ViewGate.read(state, metadata)
    if gate is None or len(gate.heads.heads) != HEADS:
        raise ConfigurationError(f"--further: {weights} has not the {HEADS} heads that would go on")
    return gate


def _tell(figures: dict[str, Any], weights: str) -> None:
    """Write what was judged into the model card beside weights, where there is one."""
    card, metadata = weights_file(weights).with_name("MODEL_CARD.md"), read_weights(weights)[1]
    if card.is_file() and METADATA in metadata:
        limits = Limits.read(metadata[METADATA])
        write_text(card, with_views(card.read_text(), figures, limits))


def main() -> None:
    """Read the command line and do the job; what cannot be is one line, and exit code 1."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("job", choices=["learn", "judge", "table"])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--weights", default=SHIPPED, help="whose encoder; with heads, to judge")
    parser.add_argument("--device", default=best_device().type, choices=["cpu", "cuda"])
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--seconds", type=float, help="time to render, or to judge")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="first round to learn from")
    parser.add_argument("--rounds", type=int, default=400, help="rounds to learn from, at most")
    parser.add_argument("--looks", type=Path, help="folder that keeps what is rendered")
    parser.add_argument("--copies", type=int, default=2, help="augmented copies of each picture")
    parser.add_argument("--steps", type=int, default=5000, help="steps of each head")
    parser.add_argument("--further", action="store_true",
                        help="the heads that the weights have go on learning; the way of time "
                             "stays as it is")  # fmt: skip
    parser.add_argument("--clips", type=int, default=4000, help="clips to judge by, half of A4C")
    parser.add_argument("--held_out", type=int, default=200,
                        help="clips of each kind never learned to judge by, at least")  # fmt: skip
    parser.add_argument("--kinds", nargs="+", default=[], help="kinds to judge by; all by default")
    parser.add_argument("--part", default="1/1", help="which part of them, such as 2/4")
    parser.add_argument("--most_seconds", type=float, default=2.0, help="longest clip judged")
    try:
        _do(parser.parse_args())
    except LvefError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


def _do(arguments: argparse.Namespace) -> None:
    check_numbers("--", _RANGES, vars(arguments))
    make_room(arguments.output / "view_head.json")
    torch.set_num_threads(max(1, torch.get_num_threads() // 2))
    if arguments.job == "learn":
        if arguments.looks is not None:
            make_room(arguments.looks / "rounds")
        learn(arguments)
    elif arguments.job == "judge":
        judge(arguments)
    else:
        _tell(write_summary(arguments.output), arguments.weights)


if __name__ == "__main__":
    main()
