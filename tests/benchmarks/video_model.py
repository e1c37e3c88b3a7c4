"""The alternative of today: torchvision's R(2+1)D-18 on 32 frames, every other one (stride 2).

As EchoNet-Dynamic was published (Ouyang et al., Nature 2020): the whole clip is decoded, 32 frames
of it normalised, and one number comes out. A clip that is too short is filled up with black.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from given import read_clip
from harness import best_of
from torch import Tensor, nn
from torchvision.models.video import r2plus1d_18

LENGTH, STRIDE = 32, 2


@dataclass(frozen=True)
class Setting:
    """How a network is run.

    Attributes:
        bfloat16: Whether under autocast in bfloat16.
        channels_last: Whether channels lie last in memory.
        threads: Of PyTorch.
    """

    bfloat16: bool = False
    channels_last: bool = False
    threads: int = 2

    def __str__(self) -> str:
        """Return it in words."""
        precision = "bfloat16" if self.bfloat16 else "float32"
        return f"{precision}{', channels_last_3d' * self.channels_last}, {self.threads} threads"


def settings_of(threads: int) -> list[Setting]:
    """Return all settings that are tried."""
    return [
        Setting(low, last, number)
        for low in (False, True) for last in (False, True) for number in sorted({1, threads})
    ]  # fmt: skip


def network(setting: Setting) -> nn.Module:
    """Return R(2+1)D with one output, weights random."""
    net = r2plus1d_18(weights=None)
    net.fc = nn.Linear(net.fc.in_features, 1)
    return net.to(memory_format=torch.channels_last_3d) if setting.channels_last else net


def clip_of(path: str) -> Tensor:
    """Return `(1, 3, 32, 112, 112)` float of a file."""
    frames = read_clip(path)[: LENGTH * STRIDE : STRIDE]
    clip = np.zeros((LENGTH, *frames.shape[1:]), np.float32)
    clip[: len(frames)] = frames
    return torch.from_numpy((clip - 33.0) / 51.0).permute(3, 0, 1, 2)[None]


def predict(net: nn.Module, setting: Setting, paths: list[str], batch: int = 1) -> list[float]:
    """Return a number for each file."""
    torch.set_num_threads(setting.threads)
    answers: list[float] = []
    for first in range(0, len(paths), batch):
        clips = torch.cat([clip_of(path) for path in paths[first : first + batch]])
        with torch.inference_mode(), torch.autocast("cpu", enabled=setting.bfloat16):
            answers += net(prepared(clips, setting))[:, 0].float().tolist()
    return answers


def prepared(clips: Tensor, setting: Setting) -> Tensor:
    """Return clips in the order of memory that the network is in."""
    return clips.to(memory_format=torch.channels_last_3d) if setting.channels_last else clips


def training_step(setting: Setting, videos: int) -> Callable[[], None]:
    """Return a step of stochastic gradient descent on some videos in memory."""
    net = network(setting).train()
    optimizer = torch.optim.SGD(net.parameters(), 1e-4, momentum=0.9)
    clips = prepared(torch.randn(videos, 3, LENGTH, 112, 112), setting)

    def step() -> None:
        torch.set_num_threads(setting.threads)
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", enabled=setting.bfloat16):
            output = net(clips)
        output.float().square().mean().backward()
        optimizer.step()

    return step


def best_setting(threads: int, work: Callable[[Setting], Callable[[], object]]) -> Setting:
    """Return the fastest setting for some work, one round of all of them after a warm one."""
    by_name = {str(setting): setting for setting in settings_of(threads)}
    ways = {name: partial(_do, work(setting)) for name, setting in by_name.items()}
    return by_name[best_of(1, ways)]


def _do(work: Callable[[], object]) -> None:
    work()
