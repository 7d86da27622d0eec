"""DiffAugment: colours, translation and cutout of real and generated images alike.

Zhao et al. 2020, "Differentiable Augmentation for Data-Efficient GAN Training", https://arxiv.org/abs/2006.10738,
section 3 and appendix; magnitudes are those of their code, in units of images in [-1, 1].
"""

from __future__ import annotations

import torch
from torch import Tensor

from zerosum.augment.common import Strength, check, each
from zerosum.errors import UsageError, nearest

DIFF_NUMBERS = 10  # uniform numbers an image: colours 3, translation 2, cutout 2, and a coin for each of the three
POLICY = ("color", "translation", "cutout")  # the published one


def diff_augment(images: Tensor, chance: Tensor, policy: tuple[str, ...] = POLICY, p: Strength = 1.0) -> Tensor:
    """Images with the parts of `policy`, in its order.

    Args:
        images: (N, C, H, W) in [-1, 1], any C, H and W; the result may leave the range, as published.
        chance: (N, DIFF_NUMBERS), uniform in [0, 1).
        policy: any of "color" (brightness + U(-1/2, 1/2), then saturation × U(0, 2) about each pixel's mean over
            channels, then contrast × U(1/2, 3/2) about the image's mean), "translation" (whole pixels, uniform up to
            1/8 of height and width, zeros come in), "cutout" (a box of half the height and width, zero).
        p: of each part on each image by itself; 1, always, is published.

    Returns a tensor of the shape and dtype of `images`, differentiable by them any number of times. Raises UsageError
    for unknown names, points, a wrong number of random numbers, and p outside [0, 1].
    """
    check("DiffAugment", images, chance, DIFF_NUMBERS, p)
    for name in policy:
        if name not in PARTS:
            raise UsageError(f"DiffAugment has no part {name!r}; {nearest(name, POLICY)}")
    for name in policy:
        start, function = PARTS[name]
        coin = chance[:, 7 + POLICY.index(name)]
        images = torch.where(each(coin >= p), images, function(images, chance[:, start:]).to(images.dtype))
    return images


def _colour(images: Tensor, chance: Tensor) -> Tensor:
    images = images + each(chance[:, 0] - 0.5)
    images = torch.lerp(images.mean(1, keepdim=True), images, each(chance[:, 1] * 2).to(images.dtype))
    return torch.lerp(images.mean((1, 2, 3), keepdim=True), images, each(chance[:, 2] + 0.5).to(images.dtype))


def _translation(images: Tensor, chance: Tensor) -> Tensor:
    for axis, size in enumerate(images.shape[2:]):
        most = int(size / 8 + 0.5)
        by = (chance[:, axis] * (2 * most + 1)).floor().long() - most
        source = torch.arange(size, device=images.device) + by[:, None]
        inside = (source >= 0) & (source < size)
        shape = (-1, 1, size, 1) if axis == 0 else (-1, 1, 1, size)
        index = source.clamp(0, size - 1).view(shape).expand_as(images)
        images = images.gather(axis + 2, index) * inside.view(shape)
    return images


def _cutout(images: Tensor, chance: Tensor) -> Tensor:
    cut = []
    for axis, size in enumerate(images.shape[2:]):
        length = int(size / 2 + 0.5)
        centre = (chance[:, axis] * (size + 1 - length % 2)).floor().long()  # an even box has one place more
        at = torch.arange(size, device=images.device) - (centre - length // 2)[:, None]
        cut.append((at >= 0) & (at < length))
    return images * ~(cut[0][:, None, :, None] & cut[1][:, None, None, :])


PARTS = {"color": (0, _colour), "translation": (3, _translation), "cutout": (5, _cutout)}
