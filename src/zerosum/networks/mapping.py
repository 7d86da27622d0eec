"""The mapping network of the StyleGANs: from latents to styles.

Karras, Laine & Aila, "A Style-Based Generator Architecture for Generative Adversarial Networks", 2019,
https://arxiv.org/abs/1812.04948, section 2 and appendix C: fully connected layers with leaky ReLU 0.2 after each, the
last one too, of latents that are first brought to unit second moment. It undoes the shape of the latents' distribution:
what a style means need not fill a ball.

It learns a hundred times slower than the synthesis (appendix C). At one pace, a whole step in each of so many weights
moves all styles alike, and all samples become one: on 8×8 digits, within 150 turns of Adam at 0.001.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from zerosum.errors import UsageError
from zerosum.networks.layers import check_positive

SLOPE = 0.2  # of the leaky ReLUs, below zero
PACE = 0.01  # of learning, against that of other layers; StyleGAN2 keeps it


# z / √(mean of z² + ε)
# Karras et al. 2018 (ProGAN), https://arxiv.org/abs/1710.10196, section 4.2, of a latent's numbers; ε = 1e-8 there.
class UnitMoment(nn.Module):
    """Latents (N, latent) of any length other than zero to the same directions with mean square 1."""

    def forward(self, z: Tensor) -> Tensor:
        """Latents (N, latent), each divided by its root mean square."""
        return z * torch.rsqrt(z.square().mean(1, keepdim=True) + 1e-8)


# y = λ (W x + b)
# Karras et al. 2019, appendix C, after the code's "lrmul"; λ is `PACE`.
class SlowLinear(nn.Linear):
    """A linear layer whose parameters are kept 1/λ times as large, so that Adam's steps change it λ times as much."""

    def forward(self, x: Tensor) -> Tensor:
        """Features (N, in) to (N, out)."""
        return linear(PACE * x, self.weight, PACE * self.bias)


class MappingNetwork(nn.Module):
    """Latents (N, latent) to styles (N, style).

    Args:
        latent: length of a latent.
        widths: units of each layer, first to last; the last is the length of a style, kept as `style`.
        normalise: whether latents are first brought to unit second moment, as published. It leaves a latent's
            direction alone: a latent of one or two numbers loses much, and scaling a latent does nothing.

    What its weights amount to is He et al.'s (2015, https://arxiv.org/abs/1502.01852) for this slope, so that styles
    are of unit second moment at first where latents are; biases are zero. Raises UsageError for a width below 1, or
    for none.
    """

    def __init__(self, latent: int, widths: Sequence[int], *, normalise: bool = True):
        super().__init__()
        check_positive(latent=latent)
        for width in widths:
            check_positive(width=width)
        if not widths:
            raise UsageError("a mapping network without layers: give the widths of some, the last that of a style")
        self.style = widths[-1]
        layers: list[nn.Module] = [UnitMoment()] if normalise else []
        for before, after in pairwise((latent, *widths)):
            layers += [SlowLinear(before, after), nn.LeakyReLU(SLOPE)]
        self.layers = nn.Sequential(*layers)
        he_normal_(self)
        with torch.no_grad():
            for weight in self.parameters():
                weight.mul_(1 / PACE)

    def forward(self, z: Tensor) -> Tensor:
        """Latents (N, latent) to styles (N, style)."""
        styles: Tensor = self.layers(z)
        return styles


def he_normal_(network: nn.Module) -> None:
    """He's normal weights for leaky ReLU `SLOPE` in linear and convolutional layers, biases zero."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, SLOPE, nonlinearity="leaky_relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
