"""How strongly to augment: p by ADA's controller, or by a schedule in images shown."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from zerosum.errors import UsageError


# r_t = E[sign(D(x))]; every so many turns p ← p + sign(r_t - target) · (images since the last time) / images
# Karras et al. 2020, https://arxiv.org/abs/2006.06676, section 3 and equation 1; target 0.6, every 4 turns, p goes from
# 0 to 1 within 500,000 images.
class Adaptive(nn.Module):
    """ADA's controller: p rises while the discriminator is surer of its training images than it should be.

    Its state is buffers on the device, never read on the host, so it goes into a checkpoint by `state_dict`.

    Args:
        target: of r_t, in (-1, 1). 0: real and generated images look alike to D; 1: it knows every real one.
        images: after which p has gone from 0 to 1, if it always rises.
        every: turns of the discriminator between two adjustments.
        relative: for losses that see differences of logits only (relativistic ones, Wasserstein), or whose
            middle is not 0 (least squares): the sign is that of D(x) - m, where m lies midway between the batch's mean
            logits of real and of generated images. Without it adding a constant to all logits, to which such a loss is
            blind, would move p. Midway, and not at the generated images' mean or between pairs, because then a target
            means as much overlap of the two as with a loss whose middle is 0: where both are normal and equally
            wide, r_t is the same; the other two would reach 0.6 at a half and at 0.7 of the distance.
            R3GAN's authors do not adapt p at all: see `Ramp`.

    Attributes:
        p: the probability, a tensor without dimensions, 0 to begin with, clipped to [0, 1] (their code: at 0 only).
        r: r_t as it was at the last adjustment.

    Raises UsageError for a target, a number of images or of turns out of range.
    """

    p: Tensor
    r: Tensor
    signs: Tensor
    seen: Tensor
    turns: Tensor

    def __init__(self, target: float = 0.6, images: float = 500_000, every: int = 4, *, relative: bool = False) -> None:
        super().__init__()
        if not -1 < target < 1:
            raise UsageError(f"the target of the adaptive p is {target:g}; give a mean of signs between -1 and 1 (0.6)")
        if images <= 0 or every < 1:
            raise UsageError(
                f"the adaptive p takes {images:g} images from 0 to 1, adjusted every {every} turns; give both above 0"
            )
        self.target, self.images, self.every, self.relative = target, images, every, relative
        for name in ("p", "r", "signs", "seen", "turns"):
            self.register_buffer(name, torch.zeros(()))

    def at(self, images: float) -> Tensor:
        """p, whatever number of `images` has been shown."""
        return self.p

    @torch.no_grad()
    def observe(self, real_logits: Tensor, fake_logits: Tensor) -> None:
        """One turn of the discriminator: its logits (N,), or (N, …) of patches, of augmented images as it saw them.

        Of several processes' batches, give all logits to each of them: they then hold the same p.
        """
        real, fake = real_logits.float(), fake_logits.float()
        middle = (real.mean() + fake.mean()) / 2 if self.relative else 0.0
        signs = (real > middle).float() - (real < middle).float()  # NaN has none: a lost turn must not end the rest
        self.signs += signs.reshape(len(real), -1).mean(1).sum()
        self.seen += len(real)
        self.turns += 1
        due = self.turns >= self.every
        r = self.signs / self.seen
        step = (r - self.target).sign() * self.seen / self.images
        self.p.copy_(torch.where(due, (self.p + step).clamp(0, 1), self.p))
        self.r.copy_(torch.where(due, r, self.r))
        for name in ("signs", "seen", "turns"):
            self.get_buffer(name).mul_(~due)

    def extra_repr(self) -> str:
        """For `print`."""
        return f"target={self.target}, images={self.images}, every={self.every}, relative={self.relative}"


# p(t) = end + (start - end) (1 + cos(π t / images)) / 2
# Huang et al. 2024 (R3GAN), https://arxiv.org/abs/2501.05441, the authors' code: from 0 to 0.55 (CIFAR-10), 0.3 (FFHQ),
# 0.5 (ImageNet-32), 0.4 (ImageNet-64), in 20 million images, ImageNet in 200.
@dataclass(frozen=True)
class Ramp:
    """p from `start` to `end` along half a cosine within so many images, and `end` from there on.

    Raises UsageError for a p outside [0, 1] and for no images.
    """

    start: float
    end: float
    images: float

    def __post_init__(self) -> None:
        if not (0 <= self.start <= 1 and 0 <= self.end <= 1):
            raise UsageError(f"the schedule of p goes from {self.start:g} to {self.end:g}; give two numbers in [0, 1]")
        if self.images <= 0:
            raise UsageError(f"the schedule of p takes {self.images:g} images; give more than 0")

    def at(self, images: float) -> float:
        """p where so many images have been shown.

        >>> Ramp(0.0, 0.55, 20_000_000).at(10_000_000)
        0.275
        """
        share = min(max(images / self.images, 0.0), 1.0)
        return self.end + (self.start - self.end) * (1 + math.cos(math.pi * share)) / 2
