"""What exploring shows: images in rows and columns with words beside them, as arrays, a picture, or an animation."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from zerosum.data import to_pixels
from zerosum.errors import UsageError
from zerosum.report.drawing import rendered
from zerosum.report.grids import on_white, scale_for, scaled
from zerosum.report.sheet import EDGE, GAP, TOP, label_width, pixel_figure, place, write_heads, write_rows, write_text
from zerosum.sampler import picture

HEADS = 26  # pixels for the words over columns
WANTED, MOST = 640, 1600  # pixels of all tiles together: enlarged to the one, and never beyond the other
WIDEST_HEAD = 54  # pixels that words over a column need to be read
BOLD = 10  # pixels of a letter of the heading
FRAME = 448  # pixels that a frame is enlarged to
FRAME_MS = 80
Picture = Image.Image


@dataclass(frozen=True)
class Sheet:
    """Images of a model in rows and columns.

    Attributes:
        images: float32 (R, C, channels, H, W) in [-1, 1].
        data: dtype and range of the model's data, as its config has them.
        title: what is seen, in one line.
        rows: words beside each row, or none.
        columns: words over each column, or none.
        blank: places (row, column) that hold no image.
    """

    images: Tensor
    data: dict[str, Any]
    title: str
    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    blank: frozenset[tuple[int, int]] = field(default_factory=frozenset)

    @property
    def array(self) -> np.ndarray:
        """The images as `Model.sample` gives them: (R, C, H, W, channels) in the data's dtype and range."""
        flat = to_pixels(self.images.flatten(0, 1), self.data["low"], self.data["high"], np.dtype(self.data["dtype"]))
        return flat.reshape(*self.images.shape[:2], *flat.shape[1:])

    def tiles(self) -> list[list[Picture]]:
        """Each image by itself, 8 bits a channel, RGB, transparent parts on white."""
        return [[tile_of(image) for image in row] for row in self.images]

    def picture(self) -> Picture:
        """All of it with its words, RGB."""
        tiles = self.tiles()
        count, height, width = len(tiles[0]), *self.images.shape[-2:]
        scale = scale_for((count * width, len(tiles) * height), WANTED, MOST)
        if self.columns and scale * width < WIDEST_HEAD:
            scale = -(-WIDEST_HEAD // width)
        tiles = [[scaled(tile, scale) for tile in row] for row in tiles]
        wide, high = (side + GAP for side in tiles[0][0].size)
        left = label_width(self.rows) or EDGE
        top = TOP + (HEADS if self.columns else 0)
        tops = [top + number * high for number in range(len(tiles))]
        across = max(left + count * wide + EDGE, 2 * EDGE + BOLD * len(self.title))
        figure = pixel_figure(across, top + len(tiles) * high + EDGE)
        for number, row in enumerate(tiles):
            for column, tile in enumerate(row):
                if (number, column) not in self.blank:
                    place(figure, tile, left + column * wide, tops[number])
        write_text(figure, EDGE, TOP / 2, self.title, weight="bold")
        if self.rows:
            write_rows(figure, left, tops, high - GAP, self.rows)
        if self.columns:
            write_heads(figure, left, TOP + HEADS / 2 - 3, wide, self.columns)
        return rendered(figure)

    def png(self) -> bytes:
        """`picture` as a file."""
        buffer = io.BytesIO()
        self.picture().save(buffer, "PNG")
        return buffer.getvalue()

    def _repr_png_(self) -> bytes:
        """How a notebook shows it."""
        return self.png()


def sheet_of(images: Tensor, count: int, model: Any, title: str, **words: Any) -> Sheet:
    """A sheet of images (N, C, H, W) of a model, in `count` rows; `words`: those of a `Sheet`, and `blank`."""
    return Sheet(images.unflatten(0, (count, -1)), dict(model.config["data"]), title, **words)


def tile_of(image: Tensor) -> Picture:
    """One image (C, H, W) in [-1, 1] as 8-bit RGB, what is transparent laid on white."""
    made = picture(image.clamp(-1, 1).permute(1, 2, 0).numpy(), -1, 1)
    return on_white(made.convert("RGBA") if made.mode == "LA" else made)


def animated(images: Tensor) -> bytes:
    """Images (N, C, H, W) in [-1, 1], two or more, as an endless WebP, enlarged with crisp pixels.

    Raises `UsageError` for fewer.
    """
    if len(images) < 2:
        raise UsageError("An animation needs two images or more: give more --steps, or a larger --count.")
    height, width = images.shape[2:]
    scale = scale_for((width, height), FRAME, 1024)
    frames = [scaled(tile_of(image), scale) for image in images]
    buffer = io.BytesIO()
    # Enlarged pixels are flat squares: lossless is smaller there, and crisp.
    crisp = scale >= 2
    frames[0].save(
        buffer,
        "WEBP",
        save_all=True,
        append_images=frames[1:],
        duration=FRAME_MS,
        loop=0,
        lossless=crisp,
        quality=20 if crisp else 90,  # of lossless: the effort
        method=2,
    )
    return buffer.getvalue()


def spaced(first: float, last: float, count: int) -> Tensor:
    """`count` numbers from `first` to `last`, float64; both are there to the last bit."""
    made = torch.linspace(first, last, count, dtype=torch.float64)
    made[-1] = last
    return made


def check_count(name: str, value: int, least: int = 1, most: int = 1000) -> None:
    """Raise `UsageError` for a count that is too small or too large to be shown."""
    if not least <= value <= most:
        raise UsageError(f"--{name} must be {least} to {most:,}, not {value}.")
