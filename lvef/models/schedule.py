"""The optimiser of what is trained on phantoms: AdamW on one cycle of the learning rate."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


def one_cycle(module: nn.Module, lr: float, weight_decay: float, steps: float) -> dict[str, Any]:
    """Return AdamW with a one-cycle schedule (Smith and Topin, 2019), stepped every batch.

    Args:
        module: What is trained.
        lr: Peak learning rate.
        weight_decay: Weight decay of AdamW.
        steps: Batches of the whole run.
    """
    optimizer = torch.optim.AdamW(module.parameters(), lr=lr, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=lr, total_steps=max(int(steps), 2), pct_start=0.15
    )
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
