"""T(x) of balanced consistency: mirrored or not, and moved by up to a few pixels."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from zerosum.errors import UsageError


# T(x) of bCR: mirrored or not, and moved by up to a few pixels along each axis
# Zhao et al. 2021, "Improved Consistency Regularization for GANs", https://arxiv.org/abs/2002.04724, after
# Zhang et al. 2020, https://arxiv.org/abs/1910.12027, section 3.
def flip_and_shift(images: Tensor, chance: Tensor, *, pixels: int = 4, flip: bool = True) -> Tensor:
    """Each image mirrored half of the time, and shifted; what a shift uncovers is filled by reflection.

    Args:
        images: (N, C, H, W).
        chance: (N, 3), uniform in [0, 1): the coin, the vertical and the horizontal shift.
        pixels: the largest shift, less than H and W; each whole number from -pixels to pixels is equally likely.
        flip: whether to mirror at all: letters and digits are not what they are in a mirror.

    Returns a tensor of the shape of `images`, differentiable by it. Raises UsageError for points and small images.
    """
    if pixels < 0 or images.dim() != 4 or min(images.shape[2:]) <= pixels:
        raise UsageError(
            f"flip_and_shift moves images by up to {pixels} pixels; these samples are {list(images.shape[1:])}"
        )
    count, _, height, width = images.shape
    wide = pad(images, (pixels,) * 4, mode="reflect")
    start = (chance[:, 1:] * (2 * pixels + 1)).long()
    rows = start[:, 0, None] + torch.arange(height, device=images.device)
    columns = start[:, 1, None] + torch.arange(width, device=images.device)
    if flip:
        columns = torch.where(chance[:, :1] < 0.5, columns.flip(1), columns)
    every = torch.arange(count, device=images.device)
    return wide[every[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
