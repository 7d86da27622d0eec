"""Differentiable augmentation of images (N, C, H, W); random numbers come as an argument, like every one of ours.

Imports torch: import late where a command line must answer at once.
"""

from zerosum.augment.ada import ADA_NUMBERS, BGC, R3GAN, Multipliers, ada
from zerosum.augment.common import Strength
from zerosum.augment.diff import DIFF_NUMBERS, POLICY, diff_augment
from zerosum.augment.registry import AUGMENTATIONS, Augmentation, augmentation
from zerosum.augment.shifting import flip_and_shift
from zerosum.augment.strength import Adaptive, Ramp

__all__ = [
    "ADA_NUMBERS",
    "AUGMENTATIONS",
    "BGC",
    "DIFF_NUMBERS",
    "POLICY",
    "R3GAN",
    "Adaptive",
    "Augmentation",
    "Multipliers",
    "Ramp",
    "Strength",
    "ada",
    "augmentation",
    "diff_augment",
    "flip_and_shift",
]
