"""Sample grids: opened and checked, cut into tiles, scaled with crisp pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from zerosum.errors import RunError
from zerosum.report.run_folder import Grid, Sample

MODES = ("L", "RGB", "RGBA")


def open_grid(path: Path, grid: Grid) -> Image.Image:
    """The grid picture, 8 bits a channel (mode L, RGB or RGBA), loaded.

    Raises RunError when the file is damaged, or is not whole tiles of the size that `grid` says.
    """
    remedy = "Delete it and run `zerosum report` again: the page then leaves this picture out."
    try:
        with Image.open(path, formats=["PNG"]) as image:
            # The size is judged before a pixel is decoded: a false header must not cost memory.
            columns, beside = divmod(image.width, grid.width)
            rows, below = divmod(image.height, grid.height)
            fits = not beside and not below and columns <= grid.columns and rows <= grid.rows
            if image.mode not in MODES or not fits:
                raise RunError(
                    f"{path} is {image.width}×{image.height} {image.mode}; samples/grid.json says up to "
                    f"{grid.columns}×{grid.rows} tiles of {grid.width}×{grid.height}, and the mode should be "
                    f"{', '.join(MODES)}. {remedy}"
                )
            image.load()
            return image.copy()
    except (OSError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise RunError(f"{path} cannot be read as a PNG ({error}). {remedy}") from error


def tiles_of(image: Image.Image, grid: Grid) -> np.ndarray:
    """The tiles in reading order: uint8 (N, height, width, C)."""
    pixels = np.asarray(image).reshape(
        image.height // grid.height, grid.height, image.width // grid.width, grid.width, -1
    )
    return pixels.swapaxes(1, 2).reshape(-1, grid.height, grid.width, pixels.shape[-1])


def on_white(image: Image.Image) -> Image.Image:
    """The image as RGB, with whatever is transparent laid on white."""
    if image.mode != "RGBA":
        return image.convert("RGB")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def scale_for(size: tuple[int, int], wanted: int, most: int) -> float:
    """By how much to scale `size` (width, height) pixels.

    A whole number, the least that makes it `wanted` wide, as long as neither side passes `most` pixels;
    below 1 only where the picture is larger than that as it is.
    """
    if max(size) > most:
        return most / max(size)
    return max(1, min(math.ceil(wanted / size[0]), most // max(size)))


def scaled(image: Image.Image, scale: float) -> Image.Image:
    """Enlarged by whole numbers with crisp pixels, reduced with Lanczos' filter."""
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.LANCZOS)


def milestones_of(samples: Sequence[Sample], most: int = 6) -> list[Sample]:
    """At most `most` samples: the first, the last, between them the nearest to even steps of log(images)."""
    if len(samples) <= most:
        return list(samples)
    if samples[0].images == 0:  # the untrained generator has no logarithm
        return [samples[0], *milestones_of(samples[1:], most - 1)]
    logs = [math.log(sample.images) for sample in samples]
    chosen: list[int] = []
    for place, target in enumerate(np.linspace(logs[0], logs[-1], most)):
        # Leave room for those that must still follow, so that all are different.
        free = range(chosen[-1] + 1 if chosen else 0, len(samples) - (most - place) + 1)
        chosen.append(min(free, key=lambda index: abs(logs[index] - target)))
    return [samples[index] for index in chosen]
