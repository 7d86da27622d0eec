"""What is done to images so that a game can learn to undo it: a denoising autoencoder's noise.

Vincent et al., "Stacked Denoising Autoencoders", JMLR 2010, section 3.3: additive Gaussian noise, masking noise, and
salt-and-pepper noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from zerosum.errors import UsageError, nearest
from zerosum.together import drawn

BLACK, WHITE = -1.0, 1.0
KINDS = ("gaussian", "masking", "salt-and-pepper")


@dataclass(frozen=True)
class Corruption:
    """A kind of noise.

    Attributes:
        kind: "gaussian", N(0, strength²) on every number; "masking", a share of the pixels is black; "salt-and-pepper",
            a share of the pixels is black or white, each as often. A pixel is met in all of its channels.
        strength: the deviation, where images are in [-1, 1], or the share.

    Raises `UsageError` for an unknown kind, and for a share above 1.
    """

    kind: str
    strength: float

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError(f"there is no corruption {self.kind!r}: {nearest(self.kind, KINDS)}")
        if not 0 < self.strength <= (math.inf if self.kind == "gaussian" else 1):
            raise UsageError(
                f"game.reconstruction.strength is {self.strength:g}: give the share of the pixels that the corruption "
                f"{self.kind!r} meets, above 0 and at most 1 (of gaussian noise the deviation, above 0)."
            )

    def apply(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Images (N, C, H, W) with noise, in [-1, 1] still, or points (N, D), of which every number is a pixel.

        `generator`: PyTorch's own where None.
        """
        if self.kind == "gaussian":
            noise = drawn(
                lambda n: torch.randn((n, *images.shape[1:]), generator=generator, device=images.device), len(images)
            )
            noisy = images + self.strength * noise
            return noisy.clamp(BLACK, WHITE) if images.dim() == 4 else noisy
        pixels = (1, *images.shape[2:]) if images.dim() == 4 else images.shape[1:]
        chance = drawn(lambda n: torch.rand((n, *pixels), generator=generator, device=images.device), len(images))
        if self.kind == "masking":
            return torch.where(chance < self.strength, BLACK if images.dim() == 4 else 0.0, images)
        pepper, salt = chance < self.strength / 2, chance >= 1 - self.strength / 2
        return torch.where(salt, WHITE, torch.where(pepper, BLACK, images))
