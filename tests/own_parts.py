"""Heads, optimisers and schedules as users write them; a script that is put outside the package."""

from __future__ import annotations

import torch
from encoders import SCRIPT as ENCODER
from torch import nn

SCRIPT = f'''{ENCODER}

class MyHead(nn.Module):
    """Two layers with a residual, of a width of its own."""

    def __init__(self, num_features: int, num_outputs: int, width: int = 8) -> None:
        super().__init__()
        self.first = nn.Linear(num_features, width)
        self.norm = nn.LayerNorm(width)
        self.last = nn.Linear(width, num_outputs)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        hidden = self.norm(self.first(features))
        return self.last(hidden + torch.nn.functional.silu(hidden))


class MyOptimizer(torch.optim.SGD):
    """Sign descent with momentum (Lion without its second average)."""

    def step(self, closure=None):
        loss = None if closure is None else closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.grad.sign_()
        super().step()
        return loss


class MySchedule(torch.optim.lr_scheduler.LRScheduler):
    """Falls in a line over the whole run."""

    def __init__(self, optimizer, total_steps: int, least: float = 0.0) -> None:
        self.total_steps, self.least = total_steps, least
        super().__init__(optimizer)

    def get_lr(self):
        left = max(1 - self.last_epoch / self.total_steps, self.least)
        return [rate * left for rate in self.base_lrs]
'''
TASK = '''

from lvef.models import EFRegressor


class MyRegressor(EFRegressor):
    """A regressor of a user's own."""
'''


class Linear(nn.Linear):
    """A head by inheritance."""


class Sums(nn.Module):
    """A head without a weight."""

    def __init__(self, num_features: int, num_outputs: int) -> None:
        super().__init__()
        self.num_outputs = num_outputs

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features.sum(1, keepdim=True).repeat(1, self.num_outputs)


class OneColumn(Sums):
    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features.sum(1)


class TooWide(Linear):
    def __init__(self, num_features: int, num_outputs: int) -> None:
        super().__init__(num_features, num_outputs + 1)


class Pair(Sums):
    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return features, features


class Counts(Sums):
    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return super().forward(features).long()


class Fails(Sums):
    def forward(self, features: torch.Tensor) -> torch.Tensor:
        raise ValueError("no such\nfeatures")


class NoSizes(nn.Module):
    """Is made with nothing."""


class NoDecay(torch.optim.Optimizer):
    """An optimiser without weight decay, that is not told a rate but by its groups."""

    def __init__(self, params, beta: float = 0.9) -> None:
        super().__init__(params, {"beta": beta})

    def step(self, closure=None) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.data -= group["lr"] * parameter.grad


class Whatever(torch.optim.SGD):
    """Hands on what it is given."""

    def __init__(self, params, **options) -> None:
        super().__init__(params, **options)


class Patches(nn.Module):
    """Named as torchvision's vit_b_16, and a layer that timm would name besides."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_proj = nn.Conv2d(3, 6, 28, 28)
        self.class_token = nn.Parameter(torch.zeros(1, 1, 6))
        self.encoder = Encoder()
        self.gate = nn.Parameter(torch.ones(6, 6))
        self.rest = nn.Linear(6, 6)

    def no_weight_decay(self) -> set[str]:
        return {"gate", "encoder.relative", "nothing"}

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        patches = self.conv_proj(images).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.class_token.expand(len(images), 1, 6), patches], 1)
        return self.rest(self.encoder(tokens)[:, 0] @ self.gate)


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pos_embedding = nn.Parameter(torch.zeros(1, 17, 6))
        self.relative = nn.Parameter(torch.zeros(17, 17))
        self.position = nn.Linear(6, 6)
        self.ln = nn.LayerNorm(6)
        self.mix = nn.MultiheadAttention(6, 2, batch_first=True)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        tokens = self.position(self.ln(tokens + self.pos_embedding))
        return tokens + self.mix(tokens, tokens, tokens, attn_mask=self.relative)[0]
