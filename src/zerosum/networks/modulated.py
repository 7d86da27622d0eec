"""Convolutions whose weights a style scales, in two formulations that are equal.

Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN", https://arxiv.org/abs/1912.04958, section
2.2 and appendix B:

    w'_ijk = s_i w_ijk,   w''_ijk = w'_ijk / √(Σ_ik w'_ijk² + ε)                                (equations 1 and 3)

*Grouped*, as there: each sample has weights of its own, w'', and the batch is one image of N groups of channels.
*Scaled*: what enters is multiplied by s, goes through the convolution w that all samples share, and what comes out is
divided by the root.
"""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zerosum.networks.blur import Blur

EPSILON = 1e-8  # under the root of a demodulation, as in the authors' code


def demodulation(weight: Tensor, styles: Tensor) -> Tensor:
    """1 / √(Σ_ik (s_i w_ijk)² + ε): (N, out) of weights (out, in, k, k) and styles (N, in), in float32 or better."""
    with torch.autocast(styles.device.type, enabled=False):
        squares = styles.to(weight.dtype).square() @ weight.square().sum((2, 3)).T
        return torch.rsqrt(squares + EPSILON)


def scaled_convolution(x: Tensor, weight: Tensor, styles: Tensor, gains: Tensor | None, *, up: bool) -> Tensor:
    """A modulated convolution as one for all samples, whose input is scaled by the styles and its output by the gains.

    Args:
        x: (N, in, H, W).
        weight: (out, in, k, k).
        styles: (N, in).
        gains: (N, out), of the weights so scaled; None: 1.
        up: transposed, of stride 2 and without padding, to (N, out, 2H + k − 2, …); else padded to keep the size.
    """
    x = x * styles.to(x.dtype)[:, :, None, None]
    if up:
        made = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
    else:
        made = F.conv2d(x, weight, padding=weight.shape[2] // 2)
    return made if gains is None else made * gains.to(made.dtype)[:, :, None, None]


def grouped_convolution(x: Tensor, weight: Tensor, styles: Tensor, gains: Tensor | None, *, up: bool) -> Tensor:
    """The same as `scaled_convolution`, as the paper has it: weights of each sample's own, a group of channels each."""
    count, before, height, width = x.shape
    after, size = weight.shape[0], weight.shape[2]
    own = weight * styles[:, None, :, None, None]  # (N, out, in, k, k)
    own = own if gains is None else own * gains[:, :, None, None, None]
    x = x.reshape(1, count * before, height, width)
    if up:
        own = own.transpose(1, 2).reshape(count * before, after, size, size)
        made = F.conv_transpose2d(x, own, stride=2, groups=count)
    else:
        made = F.conv2d(x, own.reshape(count * after, before, size, size), padding=size // 2, groups=count)
    return made.reshape(count, after, *made.shape[2:])


class ModulatedConv(nn.Conv2d):
    """A convolution without bias whose weights, begun at N(0, 1), each sample's style scales.

    Args:
        before, after: channels.
        size: of the kernel.
        demodulate: whether the scaled weights are normalised, to unit variance of what is made.
        up: whether it enlarges by 2: a transposed convolution and a blur.
        gain: of what it makes.

    Of the two formulations the scaled one is taken on CPUs: measured on one thread, forwards and backwards, the grouped
    one took 1.5 to 2.8 times as long for whole generators of 64 channels (32×32 and 64×64, 8 and 32 samples, float32
    and bfloat16), and ten times for 512 channels on 8×8. On a GPU, where nothing was measured here, this does as the
    authors' code: scaled in training, grouped in evaluation in float32.
    """

    def __init__(
        self, before: int, after: int, size: int, *, demodulate: bool = True, up: bool = False, gain: float = 1.0
    ):
        super().__init__(before, after, size, bias=False)
        self.demodulate = demodulate
        self.gain = gain if demodulate else gain / sqrt(before * size**2)
        self.blur = Blur(padding=1) if up else None
        nn.init.normal_(self.weight)

    def forward(self, x: Tensor, styles: Tensor) -> Tensor:  # type: ignore[override]
        """Maps (N, before, H, W) and styles (N, before) to maps (N, after, H, W), or (N, after, 2H, 2W)."""
        gain = self.gain if self.blur is None else self.gain * 4  # of four pixels of what is enlarged three are zero
        gains = demodulation(self.weight, styles) * gain if self.demodulate else None
        styles = styles if self.demodulate else styles * gain
        precise = not torch.is_autocast_enabled(x.device.type)
        convolve = grouped_convolution if x.is_cuda and precise and not self.training else scaled_convolution
        made = convolve(x, self.weight, styles, gains, up=self.blur is not None)
        return made if self.blur is None else self.blur(made)
