"""Small coloured pictures, drawn: pairs of an outline and its filling, and single ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SIDE = 32


def draw_pair(number: int, side: int = SIDE) -> tuple[Image.Image, Image.Image]:
    """An outline, grey, and the same shape filled with the colour that its kind has; all that varies is `number`'s."""
    generator = np.random.default_rng(number)
    left, top = generator.integers(1, side // 2 - 1, 2).tolist()
    right, bottom = generator.integers(side // 2 + 1, side - 1, 2).tolist()
    outline, filled = Image.new("L", (side, side), 255), Image.new("RGB", (side, side), "white")
    box = (left, top, right, bottom)
    if number % 2:
        ImageDraw.Draw(outline).rectangle(box, outline=0)
        ImageDraw.Draw(filled).rectangle(box, outline="black", fill="tomato")
    else:
        ImageDraw.Draw(outline).ellipse(box, outline=0)
        ImageDraw.Draw(filled).ellipse(box, outline="black", fill="steelblue")
    return outline, filled


def write_pairs(folder: Path, count: int, side: int = SIDE) -> tuple[Path, Path]:
    """`count` pairs as PNGs of the same names, in two folders: outlines, filled ones."""
    outlines, filled = folder / "outlines", folder / "filled"
    for path in (outlines, filled):
        path.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        for path, picture in zip((outlines, filled), draw_pair(number, side), strict=True):
            picture.save(path / f"{number:03d}.png")
    return outlines, filled
