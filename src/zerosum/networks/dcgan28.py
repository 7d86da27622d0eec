"""The convolutional GAN for 28×28 digits of Raschka & Mirjalili, "Python Machine Learning", 3rd ed., ch. 17.

Published: generator z → 7×7×128 → four 5×5 transposed convolutions (128, 64, 32, 1 channels, strides 1, 2, 2,
1), no biases, BatchNorm and leaky ReLU 0.3 between, tanh at the end; discriminator of three 5×5 convolutions
(64, 128, 256 channels, strides 1, 2, 2) with biases, BatchNorm and leaky ReLU 0.3, dropout 0.3 after the last
two, then a 7×7 convolution without padding. It was written for TensorFlow, and what follows from that is
kept: "same" padding, BatchNorm with eps 1e-3 and a running average that keeps 0.99, Glorot-uniform weights.
For z of 20 and 28×28×1: generator 804,832 parameters and 12,992 running statistics, discriminator 1,039,489
and 896. Here for any height and width that are multiples of 4.

**Padding.** For a 5×5 kernel of stride 2 on an even size, TensorFlow's "same" pads one pixel before and two
after; torch pads alike on both sides, and `Conv2d(padding=2)` on an even size uses two before and one after:
the mirror image. So these networks work on mirrored maps: the discriminator flips its input, the generator
its output, upside down and left to right, and kernels are stored rotated by half a turn. This is TensorFlow's
function exactly, without the padded or cropped copy of every map that the literal form needs (transposed
convolutions with BatchNorm take 1.4 to 1.7 times as long with it on a CPU in bf16, channels-last).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import torch
from torch import Tensor, nn

from zerosum.networks.discriminator import Discriminator
from zerosum.networks.layers import (
    NORMS,
    Dropout,
    FromMap,
    ToMap,
    ToRange,
    check_choice,
    check_images,
    check_positive,
    glorot_uniform_,
)
from zerosum.networks.registry import register

SLOPE = 0.3  # Keras's default of LeakyReLU
EPSILON, MOMENTUM = 1e-3, 0.01  # Keras's BatchNorm; its running average keeps 1 − MOMENTUM


def mirrored(maps: Tensor) -> Tensor:
    """Maps (N, C, H, W) upside down and left to right."""
    return torch.flip(maps, (2, 3))


class Mirror(nn.Module):
    """`mirrored` as a layer."""

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (N, C, H, W) upside down and left to right."""
        return mirrored(maps)


def up_same(before: int, after: int, stride: int) -> nn.ConvTranspose2d:
    """TensorFlow's 5×5 "same" transposed convolution on mirrored maps, (H, W) to (stride·H, stride·W)."""
    return nn.ConvTranspose2d(before, after, 5, stride=stride, padding=2, output_padding=stride - 1, bias=False)


def down_same(before: int, after: int, stride: int) -> nn.Conv2d:
    """TensorFlow's 5×5 "same" convolution on mirrored maps, (H, W) to (H, W) / stride."""
    return nn.Conv2d(before, after, 5, stride=stride, padding=2)


@register("dcgan-28-generator", role="generator", of="images")
class DCGAN28Generator(nn.Module):
    """Latents (N, latent) to images (N, C, H, W) in [-1, 1]; H and W multiples of 4, UsageError otherwise.

    Args:
        latent: length of a latent; 20 as published.
        shape: (C, H, W) of the images.
    """

    def __init__(self, latent: int, shape: Sequence[int]):
        super().__init__()
        check_positive(latent=latent)
        channels, height, width = check_images(shape, "dcgan-28-generator", least=4, multiple=4)
        features = height // 4 * (width // 4) * 128
        layers: list[nn.Module] = [
            nn.Linear(latent, features, bias=False),
            nn.BatchNorm1d(features, EPSILON, MOMENTUM),
            nn.LeakyReLU(SLOPE),
            ToMap(128, height // 4, width // 4),
        ]
        for before, after, stride in ((128, 128, 1), (128, 64, 2), (64, 32, 2)):
            layers += [
                up_same(before, after, stride),
                nn.BatchNorm2d(after, EPSILON, MOMENTUM),
                nn.LeakyReLU(SLOPE),
            ]
        self.layers = nn.Sequential(*layers, up_same(32, channels, 1), ToRange())
        glorot_uniform_(self)

    def forward(self, z: Tensor) -> Tensor:
        """Latents (N, latent) to images (N, C, H, W) in [-1, 1]."""
        return mirrored(self.layers(z))


@register("dcgan-28-discriminator", role="discriminator", of="images")
class DCGAN28Discriminator(Discriminator):
    """Images (N, C, H, W) to logits (N,); H and W multiples of 4, UsageError otherwise.

    Args:
        shape: (C, H, W) of the images.
        dropout: share of the features dropped after the second and the third convolution.
        norm: "batch" as published; for a critic with a gradient penalty "layer" or "instance", which mix no samples
            (`dcgan64.DCGANDiscriminator` says more), or "none".
    """

    def __init__(self, shape: Sequence[int], *, dropout: float = 0.3, norm: str = "batch"):
        check_choice("norm", norm, tuple(NORMS))
        channels, height, width = check_images(shape, "dcgan-28-discriminator", least=4, multiple=4)
        layers: list[nn.Module] = [Mirror()]
        for before, after, stride in ((channels, 64, 1), (64, 128, 2), (128, 256, 2)):
            layers += [
                down_same(before, after, stride),
                *([nn.BatchNorm2d(after, EPSILON, MOMENTUM)] if norm == "batch" else NORMS[norm](after)),
                nn.LeakyReLU(SLOPE),
            ]
            if stride == 2:
                layers.append(Dropout(dropout))
        area = height // 4 * (width // 4)
        super().__init__(nn.Sequential(*layers, FromMap()), area * 256)
        glorot_uniform_(self)
        # Published as a convolution over the whole map, whose Glorot fans are area·256 and area·1.
        bound = sqrt(6 / (area * 256 + area))
        nn.init.uniform_(self.get_parameter("head.weight"), -bound, bound)
