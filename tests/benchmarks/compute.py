"""What each way of computing gives, alone and together: features of key frames, a training step.

Against PyTorch as it comes: channels first, single precision, batch norms of their own, AdamW
without options. Features: 24 cases of two frames; a step: 16 cases. `ours` is what is used here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import harness
import torch
from harness import Line, Measured, Settings, by_turns
from torch import nn

from lvef.models import ResNet50Backbone

CASES, STEP = 24, 16
PART = 32


def plain_network() -> Any:
    """Return a ResNet-50 of 2,048 features as torchvision makes it, with weights of noise."""
    return ResNet50Backbone(None).network.to(memory_format=torch.contiguous_format)


def features(settings: Settings) -> dict[str, Callable[[], object]]:
    """Return the ways of features by name, the plain one first."""
    frames = torch.randint(256, (CASES, 2, 3, 112, 112), dtype=torch.uint8)
    backbone = ResNet50Backbone(None).eval()
    folded, lowered = backbone.folded(), backbone.lowered()
    plain = plain_network().eval()
    whole = backbone.folded().network.to(torch.bfloat16)
    images = backbone.normalise(frames.flatten(0, 1))

    def seen(network: nn.Module, given: torch.Tensor, part: int | None = None) -> None:
        torch.set_num_threads(settings.threads)
        with torch.inference_mode():
            for some in given.split(part or len(given)):
                network(some)

    def low() -> None:
        seen(whole, images.to(torch.bfloat16), PART)

    ways: dict[str, Callable[[], object]] = {
        "as PyTorch comes": partial(seen, plain, images.contiguous()),
        "channels last": partial(seen, backbone.network, images),
        "channels last, batch norms folded": partial(seen, folded.network, images),
        "the same, 32 images at once": partial(seen, folded.network, images, PART),
        "the same, compiled": partial(seen, torch.compile(folded.network), images, 24),
        "the same, last two stages in bfloat16": partial(seen, lowered.network, images, PART),
        "the same, all in bfloat16": low,
        "all in bfloat16, compiled": partial(
            seen, torch.compile(whole), images.to(torch.bfloat16), 24
        ),
    }
    return ways


def steps(settings: Settings) -> dict[str, Callable[[], object]]:
    """Return the ways of a training step by name, the plain one first."""
    images = torch.randn(2 * STEP, 3, 112, 112)

    def step(last: bool, low: bool, fused: bool, compiled: bool = False) -> Callable[[], None]:
        order = torch.channels_last if last else torch.contiguous_format
        network = plain_network().train().to(memory_format=order)
        optimizer = torch.optim.AdamW(network.parameters(), 1e-4, fused=fused)
        given = images.contiguous(memory_format=order)
        run = torch.compile(network) if compiled else network

        def once() -> None:
            torch.set_num_threads(settings.threads)
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast("cpu", torch.bfloat16, enabled=low):
                output = run(given)
            output.float().square().mean().backward()
            optimizer.step()

        return once

    return {
        "as PyTorch comes": step(False, False, False),
        "channels last": step(True, False, False),
        "fused AdamW": step(False, False, True),
        "bfloat16": step(False, True, False),
        "channels last, bfloat16": step(True, True, False),
        "all three": step(True, True, True),
        "all three, compiled": step(True, True, True, True),
    }


def claims(settings: Settings) -> Iterator[Line]:
    """Yield a line each."""
    kinds = {"features": (features, CASES), "step": (steps, STEP)}
    for kind, (ways_of, cases) in kinds.items():
        ways = ways_of(settings)
        seconds = by_turns(settings.rounds, ways)
        ms = {name: [1000 * s / cases for s in took] for name, took in seconds.items()}
        first, *others = ways
        theirs = Measured(first, ms[first], "ms a case")
        for name in others:
            short = name.replace(", ", "_").replace(" ", "_")
            yield Line(f"{kind}_{short}", Measured(name, ms[name], "ms a case"), theirs)


def main(words: list[str] | None = None) -> None:
    """Measure."""
    harness.main(claims, __doc__, words)


if __name__ == "__main__":
    main()
