"""Small heads that tell the view of a clip from what the segmenter's encoder saw of it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from lvef.errors import WeightsError
from lvef.models.segmentation.network import COARSE

A4C = "A4C"
VIEWS = (
    A4C, "A2C", "A3C", "PLAX", "PSAX", "A4C apex down", "A4C mirrored", "colour", "Doppler",
    "split", "none", "other",
)  # fmt: skip
"""What a head can tell: `none` is no heart, `other` none of these."""
PREFIX = "view_head."
"""How the names of its tensors begin beside those of the network."""
_WIDTHS = (48, 64)
_DROPPED = 0.3


class ViewHead(nn.Module):
    """Tells the view of a clip from the maps of the two coarsest levels of the frozen encoder.

    Of each map it is given the mean over the looks and the standard deviation, which is what stays
    and what moves. Two levels are brought together where they are 7 x 7, and four convolutions see
    where in the picture things lie. 0.2 M parameters.
    """

    def __init__(self) -> None:
        super().__init__()
        (fine, _), (coarse, _) = COARSE
        narrow, wide = _WIDTHS
        self.fine = nn.Sequential(
            nn.BatchNorm2d(2 * fine), nn.Conv2d(2 * fine, narrow, 1), nn.ReLU(),
            nn.Conv2d(narrow, wide, 3, stride=2, padding=1), nn.ReLU(),
        )  # fmt: skip
        self.coarse = nn.Sequential(
            nn.BatchNorm2d(2 * coarse), nn.Conv2d(2 * coarse, wide, 1), nn.ReLU()
        )
        self.both = nn.Sequential(
            nn.Dropout2d(_DROPPED),
            nn.Conv2d(2 * wide, wide, 3, padding=1), nn.BatchNorm2d(wide), nn.ReLU(),
            nn.Conv2d(wide, wide, 3, stride=2, padding=1), nn.BatchNorm2d(wide), nn.ReLU(),
            nn.Flatten(), nn.Dropout(_DROPPED), nn.Linear(16 * wide, len(VIEWS) + 1),
        )  # fmt: skip

    def forward(self, seen: Tensor) -> Tensor:
        """Return log-odds `(B, V + 1)`: of each view among the others, and of the first or not.

        Args:
            seen: `(B, 2, SEEN)` mean and standard deviation of the encoder's maps, see `moments`.
        """
        maps, start = [], 0
        for width, height in COARSE:
            stop = start + width * height**2
            maps.append(seen[..., start:stop].reshape(len(seen), -1, height, height))
            start = stop
        fine, coarse = maps
        told: Tensor = self.both(torch.cat([self.fine(fine), self.coarse(coarse)], 1))
        return told


def moments(told: Tensor) -> Tensor:
    """Return mean and standard deviation over looks, `(..., 2, SEEN)`.

    Args:
        told: `(..., 2, SEEN)` means over looks of the maps and of their squares.
    """
    mean, square = told.unbind(-2)
    return torch.stack([mean, (square - mean.square()).clamp(min=0).sqrt()], -2)


class ViewHeads(nn.Module):
    """Several heads that learned apart: what none of them has seen they agree on less.

    Args:
        count: How many.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(ViewHead() for _ in range(count))

    def forward(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities: of each view `(B, V)`, and of the first `(B,)`.

        The second is the lower of two: that the first view is likelier than all others together,
        and that it is there at all. Each is the mean of what the heads say in log-odds.
        """
        told = torch.stack([head(seen) for head in self.heads])
        among = told[..., :-1].log_softmax(-1).mean(0).softmax(-1)
        alone = told[..., -1].mean(0).sigmoid()
        return among, torch.minimum(among[..., 0], alone)

    def tensors(self) -> dict[str, Tensor]:
        """Return what is stored beside the network, in half precision."""
        state = self.state_dict().items()
        return {PREFIX + name: value.half().cpu().contiguous() for name, value in state
                if value.is_floating_point()}  # fmt: skip

    @classmethod
    def read(cls, tensors: Mapping[str, Tensor]) -> ViewHeads | None:
        """Return the heads that lie beside a network, in evaluation mode; None where none do.

        Raises:
            WeightsError: They are of another version.
        """
        own = {
            name.removeprefix(PREFIX): value.float()
            for name, value in tensors.items()
            if name.startswith(PREFIX)
        }
        if not own:
            return None
        heads = cls(1 + max(int(name.split(".")[1]) for name in own))
        missing, unexpected = heads.load_state_dict(own, strict=False)
        if unexpected or any(not name.endswith("num_batches_tracked") for name in missing):
            raise WeightsError("segmenter weights with a view head of another version")
        return heads.eval()
