"""DCGAN: Radford, Metz & Chintala, "Unsupervised Representation Learning with Deep Convolutional Generative
Adversarial Networks", 2016, https://arxiv.org/abs/1511.06434, in the form of the PyTorch examples and
tutorial.

Published, for 64×64: generator z of 100 → 4×4×512 → four 4×4 transposed convolutions of stride 2 (256, 128,
64 channels, then the image's), BatchNorm and ReLU between, tanh at the end; discriminator its mirror with
leaky ReLU 0.2 and without BatchNorm after the first layer; no biases but BatchNorm's; weights N(0, 0.02),
BatchNorm's N(1, 0.02). For 3×64×64: 3,576,704 and 2,765,568 parameters.

The first step of the generator is written as a linear layer, and the last of the discriminator too: the same
weights and sums as the 1×1 → 4×4 transposed convolution and the 4×4 → 1×1 convolution, and faster.

The rule for other sizes: the images are halved, s times, until the shorter side is under 8 (so it starts from
4 to 7, and 64×64 from 4×4), the start has the images' aspect, rounded up, and what is then too large is
cropped around the centre. Channels double with each halving from `width`, to at most 8·`width`, as published.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from zerosum.networks.discriminator import Discriminator
from zerosum.networks.layers import (
    NORMS,
    FromMap,
    ToMap,
    ToRange,
    centre_crop,
    check_choice,
    check_images,
    check_positive,
    halved,
    normal_,
)
from zerosum.networks.registry import register


def widths(height: int, width: int, base: int) -> list[int]:
    """Channels after each halving of a `height`×`width` image; 64×64 and 64: [64, 128, 256, 512]."""
    stages = (min(height, width) // 4).bit_length() - 1  # the floor of log2
    return [base * 2 ** min(stage, 3) for stage in range(stages)]


@register("dcgan-generator", role="generator", of="images")
class DCGANGenerator(nn.Module):
    """Latents (N, latent) to images (N, C, H, W) in [-1, 1]; UsageError for images under 8×8.

    Args:
        latent: length of a latent; 100 as published.
        shape: (C, H, W) of the images.
        width: channels of the largest maps.
    """

    def __init__(self, latent: int, shape: Sequence[int], *, width: int = 64):
        super().__init__()
        check_positive(latent=latent, width=width)
        channels, self.height, self.width = check_images(shape, "dcgan-generator", least=8)
        sizes = widths(self.height, self.width, width)[::-1]
        start = halved(self.height, len(sizes)), halved(self.width, len(sizes))
        layers: list[nn.Module] = [
            nn.Linear(latent, sizes[0] * start[0] * start[1], bias=False),
            ToMap(sizes[0], *start),
            nn.BatchNorm2d(sizes[0]),
            nn.ReLU(inplace=True),
        ]
        for before, after in pairwise(sizes):
            layers += [
                nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(inplace=True),
            ]
        last = nn.ConvTranspose2d(sizes[-1], channels, 4, 2, 1, bias=False)
        self.layers = nn.Sequential(*layers, last, ToRange())
        normal_(self)

    def forward(self, z: Tensor) -> Tensor:
        """Latents (N, latent) to images (N, C, H, W) in [-1, 1]."""
        return centre_crop(self.layers(z), self.height, self.width)


@register("dcgan-discriminator", role="discriminator", of="images")
class DCGANDiscriminator(Discriminator):
    """Images (N, C, H, W) to logits (N,); UsageError for images under 8×8.

    Args:
        shape: (C, H, W) of the images.
        width: channels of the largest maps.
        norm: what stands where BatchNorm does as published ("batch"). A penalty on each sample's gradient, as a
            WGAN-GP critic's, needs one that mixes no samples: "layer" normalises each sample over its channels and
            places with a scale and a shift for each channel, as Gulrajani et al. 2017
            (https://arxiv.org/abs/1704.00028) have it; "instance" each channel of each sample over its places;
            with "none" the convolutions have biases. "layer" and "instance" begin with scale 1 and shift 0.
    """

    def __init__(self, shape: Sequence[int], *, width: int = 64, norm: str = "batch"):
        check_positive(width=width)
        check_choice("norm", norm, tuple(NORMS))
        channels, rows, columns = check_images(shape, "dcgan-discriminator", least=8)
        sizes = widths(rows, columns, width)
        bias = norm == "none"
        layers: list[nn.Module] = [nn.Conv2d(channels, sizes[0], 4, 2, 1, bias=bias), nn.LeakyReLU(0.2, inplace=True)]
        for before, after in pairwise(sizes):
            layers += [
                nn.Conv2d(before, after, 4, 2, 1, bias=bias),
                *NORMS[norm](after),
                nn.LeakyReLU(0.2, inplace=True),
            ]
        # An odd side is halved downwards; the last window of the kernel still reaches its last pixel.
        area = (rows >> len(sizes)) * (columns >> len(sizes))
        super().__init__(nn.Sequential(*layers, FromMap()), sizes[-1] * area, bias=False)
        normal_(self)
