"""What the augmentations share: checks of what they are given, coins, and numbers made of uniform ones."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zerosum.errors import UsageError

Strength = Tensor | float  # a probability: a number, or a tensor without dimensions, which no one asks the device for


def check(name: str, images: Tensor, chance: Tensor, numbers: int, p: Strength) -> None:
    """UsageError unless `images` are (N, C, H, W), `chance` is (N, numbers), and a plain p is in [0, 1]."""
    if images.dim() != 4:
        raise UsageError(f"{name} is for images (N, C, H, W); these samples are {list(images.shape[1:])}")
    if chance.shape != (len(images), numbers):
        raise UsageError(
            f"{name} takes {numbers} random numbers an image: give chance of shape {[len(images), numbers]}, "
            f"not {list(chance.shape)}"
        )
    if not isinstance(p, Tensor) and not 0 <= p <= 1:
        raise UsageError(f"{name}: p is {p:g}; give a probability, from 0 to 1")


def normal(share: Tensor) -> Tensor:
    """N(0, 1) numbers of uniform ones in [0, 1) that are multiples of 2^-24: finite for all of them."""
    return math.sqrt(2) * torch.erfinv(2 * share.clamp(min=2.0**-25) - 1)


def each(values: Tensor) -> Tensor:
    """(N,) as (N, 1, 1, 1): one number an image."""
    return values.view(-1, 1, 1, 1)
