"""Giving every image of a set one height, width and number of channels.

Resampling is Lanczos-3 with its support widened by the reduction factor, so nothing aliases. An image that has the
right size already is not touched. `crop` keeps the centre that has the target's aspect, `pad` keeps everything and
fills the rest with black (transparent black where alpha is kept; the image's own minimum for float values, whose
black nobody knows), `stretch` keeps everything and gives up the aspect.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

Array = np.ndarray[Any, Any]

FITS = ("crop", "pad", "stretch")
WHITE = {"uint8": 255.0, "uint16": 65535.0, "float32": 1.0}
LUMA: Array = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601, as Pillow's convert("L")

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Plan:
    """What every stored image looks like: `height` × `width` × `channels` (1–4) of `dtype`, got by `fit`.

    half: "left" or "right" where that half of each upright picture is the image, an odd width's middle column in
        neither; "" where all of it is.
    """

    height: int
    width: int
    channels: int
    fit: str
    dtype: str
    half: str = ""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C) of one stored image."""
        return self.height, self.width, self.channels


def placement(width: int, height: int, plan: Plan) -> tuple[Box, tuple[int, int]]:
    """The part (left, top, right, bottom) of a `width` × `height` image to keep, and its (width, height) after."""
    if plan.fit == "crop":
        scale = min(width / plan.width, height / plan.height)
        left, top = (width - plan.width * scale) / 2, (height - plan.height * scale) / 2
        return (max(left, 0.0), max(top, 0.0), min(width - left, width), min(height - top, height)), (
            plan.width,
            plan.height,
        )
    whole = (0.0, 0.0, float(width), float(height))
    if plan.fit == "stretch":
        return whole, (plan.width, plan.height)
    scale = min(plan.width / width, plan.height / height)
    return whole, (
        min(plan.width, max(1, round(width * scale))),
        min(plan.height, max(1, round(height * scale))),
    )


def resize(image: Image.Image, plan: Plan) -> Image.Image:
    """`image` in the size it takes inside the target (smaller than the target only for `pad`)."""
    box, size = placement(image.width, image.height, plan)
    if size == image.size and box == (0.0, 0.0, float(image.width), float(image.height)):
        return image
    return image.resize(size, Image.Resampling.LANCZOS, box=box)


def pad(pixels: Array, plan: Plan, fill: float) -> Array:
    """(h, w, C) centred in the plan's (H, W, C); what is left over becomes `fill`."""
    height, width = pixels.shape[:2]
    if (height, width) == (plan.height, plan.width):
        return pixels
    canvas = np.full((plan.height, plan.width, pixels.shape[2]), fill, dtype=pixels.dtype)
    top, left = (plan.height - height) // 2, (plan.width - width) // 2
    canvas[top : top + height, left : left + width] = pixels
    return canvas


def recolour(pixels: Array, channels: int, white: float) -> Array:
    """(..., C) to (..., channels): 1 grey, 2 grey + alpha, 3 RGB, 4 RGB + alpha; alpha dropped by laying on `white`."""
    have = pixels.shape[-1]
    if have == channels:
        return pixels
    values: Array = pixels.astype(np.float32)
    colour: Array = values
    alpha: Array | None = None
    if have in (2, 4):
        colour, alpha = values[..., :-1], values[..., -1:]
        if channels in (1, 3):
            colour = white + (colour - white) * (alpha / white)
    if channels in (1, 2) and colour.shape[-1] == 3:
        colour = (colour @ LUMA)[..., None]
    elif channels in (3, 4) and colour.shape[-1] == 1:
        colour = np.repeat(colour, 3, axis=-1)
    if channels in (1, 3):
        return colour
    alpha = np.full_like(colour[..., :1], white) if alpha is None else alpha
    return np.concatenate([colour, alpha], axis=-1)


def fit_planes(pixels: Array, plan: Plan) -> Array:
    """(H, W, C) of any real dtype to the plan's shape and dtype, channel by channel in float32.

    For what Pillow has no 8-bit mode for: 16-bit, float, and arrays. Values keep their meaning (no rescaling); a
    resampled channel is clipped to its range before, as Lanczos overshoots at edges.
    """
    white = WHITE[str(pixels.dtype)]
    values = recolour(pixels, plan.channels, white)
    if values.shape[:2] != (plan.height, plan.width):
        planes = [_resize_plane(values[..., c].astype(np.float32), plan) for c in range(values.shape[-1])]
        values = np.stack(planes, axis=-1)
        values = pad(values, plan, float(pixels.min()) if plan.dtype == "float32" else 0.0)
    if values.dtype.kind == "f" and plan.dtype != "float32":
        values = np.clip(np.rint(values), 0, WHITE[plan.dtype])
    return values.astype(plan.dtype, copy=False)


def _resize_plane(plane: Array, plan: Plan) -> Array:
    low, high = plane.min(), plane.max()
    resized = np.asarray(resize(Image.fromarray(np.ascontiguousarray(plane)), plan))
    clipped: Array = np.clip(resized, low, high)
    return clipped


def auto_size(sizes: dict[tuple[int, int], int], largest: int) -> tuple[int, int, str]:
    """(height, width, the reason) for images of these (height, width) -> how many; no side passes `largest`."""
    if len(sizes) == 1 and max(next(iter(sizes))) <= largest:
        height, width = next(iter(sizes))
        return height, width, "the size of every image"
    ordered = sorted((min(size), count) for size, count in sizes.items())
    half, median, seen = (sum(sizes.values()) + 1) // 2, 1, 0
    for short, count in ordered:
        seen += count
        if seen >= half:
            median = short
            break
    side = min(largest, 1 << (median.bit_length() - 1))
    return side, side, f"the power of two under the median short side ({median}), at most {largest}"
