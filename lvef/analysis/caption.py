"""Words in the frames of a video, the same with every version of OpenCV."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

_FONT = "fonts/ttf/DejaVuSans.ttf"
"""Comes with matplotlib, and has every sign that is written here, ± and ≤ among them."""
_OUTLINE = 2
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Caption:
    """A line of words, drawn once and put into any number of frames.

    Attributes:
        ink: `(h, w, 3)` float, the letters with a black outline.
        cover: `(h, w, 1)` float in 0..1, how much of the picture they cover.
    """

    ink: NDArray[np.float32]
    cover: NDArray[np.float32]

    @classmethod
    def of(cls, text: str, height: int, colour: Colour) -> Caption:
        """Draw a line.

        Args:
            text: The words.
            height: Height of the letters with their reach above and below, in pixels.
            colour: RGB.
        """
        left, top, right, bottom = _font(height).getbbox(text, stroke_width=_OUTLINE)
        size = (max(int(right - left), 1), max(int(bottom - top), 1))
        picture = Image.new("RGBA", size, (0, 0, 0, 0))
        ImageDraw.Draw(picture).text(
            (-left, -top), text, font=_font(height), fill=(*colour, 255),
            stroke_width=_OUTLINE, stroke_fill=(0, 0, 0, 255),
        )  # fmt: skip
        drawn = np.asarray(picture, np.float32)
        return cls(drawn[..., :3], drawn[..., 3:] / np.float32(255))

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.ink.shape[1])

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.ink.shape[0])

    def put(self, picture: NDArray[np.uint8], left: int, top: int) -> None:
        """Write the words into an `(H, W, 3)` picture; what reaches beyond it is left out."""
        place = picture[top : top + self.height, left : left + self.width]
        ink, cover = self.ink[: len(place), : place.shape[1]], self.cover[: len(place)]
        cover = cover[:, : place.shape[1]]
        place[:] = np.round(place * (1 - cover) + ink * cover).astype(np.uint8)


def fitted(text: str, height: int, width: int, most: int) -> list[str]:
    """Break a text into lines that fit.

    Args:
        text: The words.
        height: See `Caption.of`.
        width: Width in pixels.
        most: Most lines; what does not fit ends in an ellipsis.
    """
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if not lines[-1] or _width(longer, height) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    kept = lines[:most]
    if len(lines) > most:
        kept[-1] += "…"
    return [_cut(line, height, width) for line in kept]


def _cut(line: str, height: int, width: int) -> str:
    while len(line) > 1 and _width(line, height) > width:
        line = f"{line.removesuffix('…')[:-1].rstrip()}…"
    return line


def _width(text: str, height: int) -> float:
    return float(_font(height).getlength(text)) + 2 * _OUTLINE


@lru_cache
def _font(height: int) -> ImageFont.FreeTypeFont:
    # The basic layout is in every Pillow; the other one needs a library of the system.
    path = Path(matplotlib.get_data_path()) / _FONT
    return ImageFont.truetype(str(path), height, layout_engine=ImageFont.Layout.BASIC)
