"""Images moved by affine maps: by cubic splines, mirrored at the borders, differentiable any number of times.

With B the cubic B-spline and c the coefficients for which f(n) = Σ_k c_k B(n - k) is the image at every pixel n,

    f(u) = Σ_k c_k B(u - k)        Unser 1999, "Splines: a perfect fit for signal and image processing"

is read wherever the map leads. Beyond the border the image goes on as its mirror image about the middle of its last
pixel, without end. At whole pixels f is the image, so mirrored, turned by 90° or shifted by whole pixels it loses
nothing. SciPy's `ndimage.affine_transform(order=3, mode="mirror")` is the same function.

Why not as published for ADA, with the image doubled, read bilinearly, and halved by the wavelet sym6: that filter is
not symmetric, so that turned images lie askew. Over the published distribution of scales, turns and shifts, on waves
with the spectrum of photographs (power 1/f²), the root mean square of the error against the ideal low-pass resampling
is 0.14 for splines, 0.20 for sym6 (its own delay taken out), 0.15 for cubic convolution and 0.22 for bilinear reading,
of a signal of 1; without scaling 0.10, 0.19, 0.13 and 0.22. Shrinking, splines alias where sym6 would not; that is in
these figures.

PyTorch before 2.13 cannot differentiate the gradient of `grid_sample`. Reading is linear in the image, so here its
gradient is a function of its own, whose gradient is the reading again.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn.functional import grid_sample


def move(images: Tensor, inverse: Tensor) -> Tensor:
    """Each image where its own affine map takes it.

    Args:
        images: (N, C, H, W), float32 or float64.
        inverse: (N, 2, 3), of the images' dtype: from a pixel (x, y) of the result to that of the image, both counted
            from the middle of the picture, x to the right and y down.

    Returns (N, C, H, W), differentiable by `images`, not by `inverse`.
    """
    height, width = images.shape[2:]
    rows, columns = (_coefficients(size, images.dtype, images.device) for size in (height, width))
    spline = rows @ images @ columns.T
    x = torch.arange(width, device=images.device, dtype=images.dtype) - (width - 1) / 2
    y = torch.arange(height, device=images.device, dtype=images.dtype)[:, None] - (height - 1) / 2
    a = inverse[:, :, :, None, None]
    at_x, share_x = _knots(a[:, 0, 0] * x + a[:, 0, 1] * y + (a[:, 0, 2] + (width - 1) / 2), width)
    at_y, share_y = _knots(a[:, 1, 0] * x + a[:, 1, 1] * y + (a[:, 1, 2] + (height - 1) / 2), height)
    grid = torch.cat([torch.stack((left, up), -1) for up in at_y for left in at_x], dim=1)
    read: Tensor = Reading.apply(spline, grid)  # type: ignore[no-untyped-call]
    first, second, third, fourth = read.chunk(4, dim=2)
    upper = torch.lerp(first, second, share_x[:, None])
    lower = torch.lerp(third, fourth, share_x[:, None])
    return torch.lerp(upper, lower, share_y[:, None])


def _knots(position: Tensor, size: int) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """Where to read linearly so that the sum of two readings is that of four B-splines; and the second one's share.

    The four weights are positive, so each two neighbours are one linear reading between them. Positions in pixels,
    results for `grid_sample`: -1 and 1 are the middles of the first and the last pixel.
    """
    start = position.floor()
    f = position - start
    w0, w1, w3 = (1 - f) ** 3 / 6, 2 / 3 - f * f * (1 - f / 2), f**3 / 6
    share = 1 - (w0 + w1)
    unit = 2 / max(size - 1, 1)
    return ((start - 1 + w1 / (w0 + w1)) * unit - 1, (start + 1 + w3 / share) * unit - 1), share


@lru_cache(maxsize=32)
def _coefficients(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """(size, size): from pixels to the coefficients of their spline, mirrored at both ends."""
    sampled = np.zeros((size, size))
    period = max(2 * (size - 1), 1)
    for pixel in range(size):
        for step, weight in ((-1, 1 / 6), (0, 4 / 6), (1, 1 / 6)):
            knot = (pixel + step) % period
            sampled[pixel, min(knot, period - knot)] += weight
    return torch.from_numpy(np.linalg.inv(sampled)).to(device, dtype)


class Reading(Function):
    """`grid_sample`, bilinear, mirrored about the middle of the border's pixels; differentiable by the images alone."""

    generate_vmap_rule = True

    @staticmethod
    def forward(images: Tensor, grid: Tensor) -> Tensor:
        """(N, C, H, W) read at (N, h, w, 2)."""
        return grid_sample(images, grid, padding_mode="reflection", align_corners=True)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        """What the gradient needs."""
        ctx.save_for_backward(inputs[1])
        ctx.size = inputs[0].shape[-2:]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """The gradient by the images."""
        return Spreading.apply(gradient, ctx.saved_tensors[0], *ctx.size), None  # type: ignore[no-untyped-call]


class Spreading(Function):
    """The transpose of `Reading`: what was read at each place goes back to the pixels it was read from."""

    generate_vmap_rule = True

    @staticmethod
    def forward(gradient: Tensor, grid: Tensor, height: int, width: int) -> Tensor:
        """(N, C, h, w) read at (N, h, w, 2), to (N, C, height, width)."""
        images = gradient.new_empty(*gradient.shape[:2], height, width)  # its values are not read
        bilinear, reflection = 0, 2
        spread: Tensor = torch.ops.aten.grid_sampler_2d_backward(
            gradient, images, grid, bilinear, reflection, True, [True, False]
        )[0]
        return spread

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, int, int], output: Tensor) -> None:
        """What the gradient needs."""
        ctx.save_for_backward(inputs[1])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        """The gradient by what was read."""
        return Reading.apply(gradient, ctx.saved_tensors[0]), None, None, None  # type: ignore[no-untyped-call]
