"""Layers of equalised learning rate.

Karras, Aila, Laine & Lehtinen, "Progressive Growing of GANs", ICLR 2018, https://arxiv.org/abs/1710.10196, section 4.1:
weights are kept as N(0, 1) and divided by √(fan in) each time they are used, so that one step of Adam, as large in all
weights, is as large by proportion in each layer. As in the StyleGANs: with a gain in place of He's constant, and with a
pace of learning for whole networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import sqrt

from torch import Tensor, nn
from torch.nn import functional as F

from zerosum.networks.mapping import PACE, SLOPE, MappingNetwork, UnitMoment

GAIN = sqrt(2)  # of a leaky ReLU; put before it, on weights and bias, where it costs nothing: it commutes


# y = g (λ W x / √in + λ b),   W ~ N(0, 1/λ²)
class EqualisedLinear(nn.Linear):
    """A linear layer of equalised learning rate.

    Args:
        before, after: features.
        pace: λ, of learning, against that of other layers.
        gain: g, of what it makes.
        start: of λ b.
    """

    def __init__(self, before: int, after: int, *, pace: float = 1.0, gain: float = 1.0, start: float = 0.0):
        super().__init__(before, after)
        self.scale, self.bias_scale = gain * pace / sqrt(before), gain * pace
        nn.init.normal_(self.weight, 0.0, 1 / pace)
        nn.init.constant_(self.bias, start / pace)

    def forward(self, x: Tensor) -> Tensor:
        """Features (N, before) to (N, after)."""
        return F.linear(x, self.weight * self.scale, self.bias * self.bias_scale)


# y = g (W ∗ x / √(in·k²) + b),   W ~ N(0, 1)
class EqualisedConv(nn.Conv2d):
    """A convolution of equalised learning rate.

    Args:
        before, after: channels.
        size: of the kernel.
        stride: as of any convolution.
        padding: zeros around; None: half the kernel, which keeps the size.
        bias: whether there is one; it begins at 0.
        gain: g, of what it makes.
    """

    def __init__(
        self,
        before: int,
        after: int,
        size: int,
        *,
        stride: int = 1,
        padding: int | None = None,
        bias: bool = True,
        gain: float = 1.0,
    ):
        super().__init__(before, after, size, stride, size // 2 if padding is None else padding, bias=bias)
        self.gain, self.scale = gain, gain / sqrt(before * size**2)
        nn.init.normal_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, before, H, W) to (N, after, H', W')."""
        bias = None if self.bias is None else self.bias * self.gain
        return F.conv2d(x, self.weight * self.scale, bias, self.stride, self.padding)


class EqualisedMapping(MappingNetwork):
    """The mapping network of layers of equalised learning rate, a hundredth of the others': see `MappingNetwork`."""

    def __init__(self, latent: int, widths: Sequence[int]):
        nn.Module.__init__(self)
        self.style = widths[-1]
        layers: list[nn.Module] = [UnitMoment()]
        for before, after in pairwise((latent, *widths)):
            layers += [EqualisedLinear(before, after, pace=PACE, gain=GAIN), nn.LeakyReLU(SLOPE)]
        self.layers = nn.Sequential(*layers)
