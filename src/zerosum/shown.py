"""Arrays of samples that show themselves as a picture in a notebook."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

MOST = 256  # samples in a picture; of more, the first
WANTED, WIDEST = 480, 1024  # pixels: small ones are enlarged by whole numbers to the former, none passes the latter
GAP = 2  # pixels between two samples
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


class Samples(np.ndarray[Any, np.dtype[Any]]):
    """Samples (N, H, W, C) of values `low` to `high`, or points (N, D): an array, and in a notebook a picture.

    A part of them is of the same kind, and what is calculated from them is a plain array.
    """

    low: float
    high: float
    each: tuple[int, ...]  # the shape of one sample; () where it is not known any more

    @classmethod
    def of(cls, array: np.ndarray, low: float, high: float) -> Self:
        """The same memory, seen as samples."""
        made = array.view(cls)
        made.low, made.high, made.each = low, high, array.shape[1:]
        return made

    def __array_finalize__(self, parent: Any) -> None:
        """A view knows what its parent knew."""
        self.low, self.high = getattr(parent, "low", 0.0), getattr(parent, "high", 0.0)
        self.each = getattr(parent, "each", ())

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        """What NumPy calculates of samples is a plain array, or a number."""
        plain = np.asarray(array)
        return plain[()] if return_scalar else plain

    def _repr_png_(self) -> bytes | None:
        """For a notebook: a sheet of the samples, or a scatter of the points; nothing for what is neither."""
        rows = self[None] if self.shape == self.each else self
        if not self.each or rows.shape[1:] != self.each or not len(rows):
            return None
        if len(self.each) == 1:
            return _scatter(np.asarray(rows))
        buffer = io.BytesIO()
        self._sheet(np.asarray(rows[:MOST])).save(buffer, "PNG")
        return buffer.getvalue()

    def _sheet(self, images: np.ndarray) -> Image:
        """Images (N, H, W, C) as the tiles of one picture, as square as they allow."""
        from PIL import Image

        height, width, channels = self.each
        scaled = (images.astype(np.float64) - self.low) * (255 / (self.high - self.low))
        columns = max(1, min(len(images), round(math.sqrt(len(images) * height / width))))
        columns = min(columns, max(1, WIDEST // width))
        rows = math.ceil(len(images) / columns)
        tall, wide = height + GAP, width + GAP
        canvas = np.full((rows * tall - GAP, columns * wide - GAP, channels), 255, np.uint8)
        for place, pixels in enumerate(np.rint(scaled).clip(0, 255).astype(np.uint8)):
            top, left = place // columns * tall, place % columns * wide
            canvas[top : top + height, left : left + width] = pixels
        sheet = Image.fromarray(canvas[..., 0] if channels == 1 else canvas, MODES[channels])
        factor = min(-(-WANTED // sheet.width), WIDEST // max(sheet.size))
        if factor > 1:
            return sheet.resize((sheet.width * factor, sheet.height * factor), Image.Resampling.NEAREST)
        sheet.thumbnail((WIDEST, WIDEST), Image.Resampling.LANCZOS)
        return sheet


def _scatter(points: np.ndarray) -> bytes:
    """The first two numbers of points (N, D) as a PNG; points on a line against their place in the list."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.8, 4.8), dpi=100, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    across, up = (points[:, 0], points[:, 1]) if points.shape[1] > 1 else (np.arange(len(points)), points[:, 0])
    axes.plot(across, up, "o", markersize=3, alpha=0.5)
    axes.set_title(f"{len(points):,} points", loc="left", fontsize="medium")
    axes.spines[["top", "right"]].set_visible(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
