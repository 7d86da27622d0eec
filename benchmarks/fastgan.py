"""A generator of FastGAN's class, for the comparison of `quality.py --data few`; it is not part of the package.

Liu, Zhu, Song & Elgammal, "Towards Faster and Stabilized GAN Training for High-fidelity Few-shot Image Synthesis",
ICLR 2021, https://arxiv.org/abs/2101.04775: a generator whose small maps gate the channels of large ones (skip-layer
excitation, equation 1), and a discriminator that must be able to restore a real image from its features, whole and in
part (self-supervision, equation 4), with the hinge loss and DiffAugment.

As there: gated linear units behind BatchNorm, noise in every second stage, spectral normalisation of every convolution,
two paths in each halving of the discriminator. Departures: images of 32×32 to 128×128, widths for a CPU; images are
restored in mean absolute differences, published is LPIPS, whose network cannot be had offline.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.nn.utils.parametrizations import spectral_norm

from zerosum.games.randomness import Draw
from zerosum.games.terms import TERMS, Memory, Seen, Term
from zerosum.networks import Discriminator, register

RECIPE = Path(__file__).with_suffix(".toml")


def convolution(before: int, after: int, size: int, stride: int = 1, padding: int = 0) -> nn.Module:
    """Without bias, of spectral norm 1."""
    return spectral_norm(nn.Conv2d(before, after, size, stride, padding, bias=False))


class Noise(nn.Module):
    """One learned factor times normal noise, the same in all channels; none in evaluation."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, C, H, W) to the same."""
        if not self.training:
            return x
        return x + self.factor * torch.randn(len(x), 1, *x.shape[2:], device=x.device, dtype=x.dtype)


def gated(before: int, after: int, noise: bool = False) -> list[nn.Module]:
    """A 3×3 convolution, BatchNorm and a gated linear unit."""
    layers = [convolution(before, 2 * after, 3, 1, 1), *([Noise()] if noise else [])]
    return [*layers, nn.BatchNorm2d(2 * after), nn.GLU(1)]


def doubling(before: int, after: int, twice: bool = False) -> nn.Sequential:
    """Maps of twice the side; `twice`: with noise, and a second convolution."""
    more = gated(after, after, noise=True) if twice else []
    return nn.Sequential(nn.Upsample(scale_factor=2), *gated(before, after, noise=twice), *more)


@register("fastgan-generator", role="generator", of="images")
class FastGanGenerator(nn.Module):
    """Latents (N, latent) to images (N, C, S, S), S = 32, 64 or 128."""

    def __init__(self, latent: int, shape: Sequence[int], *, width: int = 16):
        super().__init__()
        channels, side = shape[0], shape[1]
        self.widths = [width * most for most in (16, 8, 4, 2, 2, 1)][: side.bit_length() - 2]
        self.start = nn.Sequential(
            spectral_norm(nn.ConvTranspose2d(latent, 2 * self.widths[0], 4, bias=False)),
            nn.BatchNorm2d(2 * self.widths[0]),
            nn.GLU(1),
        )
        pairs = list(pairwise(self.widths))
        self.stages = nn.ModuleList(doubling(*pair, twice=not place % 2) for place, pair in enumerate(pairs))
        self.gates = nn.ModuleDict()  # of each stage from 32 pixels on, by the map an eighth or a sixteenth as large
        for place in range(3, len(pairs)):
            before, after = self.widths[place - 3], self.widths[place + 1]
            squeeze = [nn.AdaptiveAvgPool2d(4), convolution(before, after, 4), nn.SiLU()]
            self.gates[str(place)] = nn.Sequential(*squeeze, convolution(after, after, 1), nn.Sigmoid())
        self.end = nn.Sequential(convolution(self.widths[-1], channels, 3, 1, 1), nn.Tanh())

    def forward(self, z: Tensor) -> Tensor:
        """Latents (N, latent) to images (N, C, S, S) in [-1, 1]."""
        maps = [self.start(z[:, :, None, None])]
        for place, stage in enumerate(self.stages):
            made = stage(maps[-1])
            if str(place) in self.gates:
                made = made * self.gates[str(place)](maps[place - 3])
            maps.append(made)
        return self.end(maps[-1]).float()


class Halving(nn.Module):
    """Maps of half the side, by the mean of two paths."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        leaky = nn.LeakyReLU(0.2)
        first = [convolution(before, after, 4, 2, 1), nn.BatchNorm2d(after), leaky]
        self.main = nn.Sequential(*first, convolution(after, after, 3, 1, 1), nn.BatchNorm2d(after), leaky)
        self.direct = nn.Sequential(nn.AvgPool2d(2), convolution(before, after, 1), nn.BatchNorm2d(after), leaky)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, C, H, W) to (N, C', H / 2, W / 2)."""
        return (self.main(x) + self.direct(x)) / 2


def restorer(before: int, channels: int, times: int, width: int) -> nn.Sequential:
    """Features to a picture 2^times as large."""
    widths = [before, *(max(width, before // 2**stage) for stage in range(1, times + 1))]
    stages = [doubling(*pair) for pair in pairwise(widths)]
    return nn.Sequential(*stages, nn.Conv2d(widths[-1], channels, 3, 1, 1), nn.Tanh())


@register("fastgan-discriminator", role="discriminator", of="images")
class FastGanDiscriminator(Discriminator):
    """Images (N, C, S, S) to maps of logits (N, 5, 5)."""

    maps = True

    def __init__(self, shape: Sequence[int], *, width: int = 16):
        channels, side = shape[0], shape[1]
        halvings = side.bit_length() - 4  # to maps of 8×8
        widths = [width * 2**stage for stage in range(halvings)]
        first = nn.Sequential(convolution(channels, width, 4, 2, 1), nn.LeakyReLU(0.2))
        super().__init__(nn.Sequential(first, *(Halving(*pair) for pair in pairwise(widths))), widths[-1])
        self.head = nn.Sequential(convolution(widths[-1], widths[-1], 1), nn.BatchNorm2d(widths[-1]), nn.LeakyReLU(0.2))
        self.head.append(convolution(widths[-1], 1, 4))
        self.whole = restorer(widths[-1], channels, halvings, width)
        self.part = restorer(widths[-2], channels, halvings - 1, width)

    def restoring(self, images: Tensor) -> Tensor:
        """Mean absolute differences of images (N, C, S, S) to what their features still tell of them."""
        large = self.body[:-1](images)  # 16×16; of these a quarter, anywhere
        small = self.body[-1](large)
        x, y = (int(torch.randint(0, 9, ())) for _ in range(2))
        of_part = self.part(large[:, :, y : y + 8, x : x + 8]).float()
        scale = images.shape[2] // 16
        crop = images[:, :, y * scale : (y + 8) * scale, x * scale : (x + 8) * scale]
        of_whole = self.whole(small).float()
        target = interpolate(images, of_whole.shape[2:])
        return (of_whole - target).abs().mean() + (of_part - interpolate(crop, of_part.shape[2:])).abs().mean()


def self_supervision(discriminator: Any, seen: Seen, draw: Draw, memory: Memory) -> Tensor:
    """Equation 4, on real images as they are shown."""
    restored: Tensor = discriminator.restoring(seen.real)
    return restored


TERMS["self_supervision"] = Term(self_supervision, 1.0)
