"""Augmentations by name, as a game holds them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from zerosum.augment.ada import ADA_NUMBERS, R3GAN, ada
from zerosum.augment.common import Strength
from zerosum.augment.diff import DIFF_NUMBERS, diff_augment
from zerosum.errors import UsageError, nearest


@dataclass(frozen=True)
class Augmentation:
    """What is done to images before the discriminator sees them.

    Attributes:
        name: as in a configuration.
        numbers: uniform numbers it takes an image.
        apply: (images (N, C, H, W), chance (N, numbers), p) to images, differentiable by them.
    """

    name: str
    numbers: int
    apply: Callable[[Tensor, Tensor, Strength], Tensor]


def _diff(images: Tensor, chance: Tensor, p: Strength) -> Tensor:
    return diff_augment(images, chance, p=p)


AUGMENTATIONS: dict[str, Augmentation] = {
    each.name: each
    for each in (
        Augmentation("ada", ADA_NUMBERS, ada),  # "bgc"
        Augmentation("ada-r3gan", ADA_NUMBERS, partial(ada, multipliers=R3GAN)),
        Augmentation("diffaugment", DIFF_NUMBERS, _diff),  # published with p = 1
    )
}


def augmentation(name: str) -> Augmentation:
    """The augmentation called `name`; UsageError with the nearest name for an unknown one."""
    if name not in AUGMENTATIONS:
        raise UsageError(f"there is no augmentation {name!r}; {nearest(name, list(AUGMENTATIONS))}")
    return AUGMENTATIONS[name]
