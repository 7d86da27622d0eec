"""zerosum's own small pair: the best found for little time on a CPU (0.3 million parameters for 28×28).

A DCGAN (https://arxiv.org/abs/1511.06434) with few channels, a 3×3 convolution after each resampling but the
last, and no normalisation in the discriminator, so that no sample's logit depends on another's: made for the
relativistic pairing loss with R1 and R2 (Huang et al., "The GAN is dead; long live the GAN!", 2024,
https://arxiv.org/abs/2501.05441).

For 28×28: generator z of 64 → 7×7×64 → 4×4 transposed convolution of stride 2 to 32 → 3×3 to 32 → 4×4
transposed convolution of stride 2 to the image, tanh; BatchNorm and ReLU between, no bias before BatchNorm.
Discriminator 4×4 of stride 2 to 32, 3×3 to 32, 4×4 of stride 2 to 64, 3×3 to 64, leaky ReLU 0.2 after each,
linear; biases throughout.

The rule for other sizes: s = max(1, ⌈log2(shorter side / 8)⌉) stages, each a resampling by 2 and its 3×3, so
that maps start from 4 to 8 pixels (less only for images under 8); a stage's maps have 32 channels at the
largest size, doubled with each halving, at most 256. The generator starts from a map of the images' aspect,
rounded up, with as many channels as the discriminator ends with, and crops what is too large around the
centre. `width` is what is 32 here.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from zerosum.networks.discriminator import Discriminator
from zerosum.networks.layers import (
    FromMap,
    ToMap,
    ToRange,
    centre_crop,
    check_images,
    check_positive,
    halved,
)
from zerosum.networks.registry import register

WIDEST = 8  # times `width`: a 3×3 between 256 maps of 8×8 costs as much as one between 32 of 64×64


def widths(height: int, width: int, least: int = 32) -> list[int]:
    """Channels after each halving of an image, `least` at first; 28×28: [32, 64], 128×128: [32, 64, 128, 256]."""
    check_positive(width=least)
    stages = max(1, (-(-min(height, width) // 8) - 1).bit_length())  # the ceiling of log2
    return [least * min(2**stage, WIDEST) for stage in range(stages)]


@register("quick-generator", role="generator", of="images")
class QuickGenerator(nn.Module):
    """Latents (N, latent) to images (N, C, H, W) in [-1, 1]; UsageError for images under 4×4.

    Args:
        latent: length of a latent; 64 in the recipe.
        shape: (C, H, W) of the images.
        width: channels of the largest maps.
    """

    def __init__(self, latent: int, shape: Sequence[int], *, width: int = 32):
        super().__init__()
        check_positive(latent=latent)
        channels, self.height, self.width = check_images(shape, "quick-generator", least=4)
        sizes = widths(self.height, self.width, width)[::-1]
        start = halved(self.height, len(sizes)), halved(self.width, len(sizes))
        layers: list[nn.Module] = [
            nn.Linear(latent, sizes[0] * start[0] * start[1], bias=False),
            ToMap(sizes[0], *start),
            nn.BatchNorm2d(sizes[0]),
            nn.ReLU(),
        ]
        for before, after in pairwise(sizes):
            layers += [
                nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
                nn.Conv2d(after, after, 3, 1, 1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
            ]
        self.layers = nn.Sequential(*layers, nn.ConvTranspose2d(sizes[-1], channels, 4, 2, 1), ToRange())

    def forward(self, z: Tensor) -> Tensor:
        """Latents (N, latent) to images (N, C, H, W) in [-1, 1]."""
        return centre_crop(self.layers(z), self.height, self.width)


@register("quick-discriminator", role="discriminator", of="images")
class QuickDiscriminator(Discriminator):
    """Images (N, C, H, W) to logits (N,); UsageError for images under 4×4.

    Args:
        shape: (C, H, W) of the images.
        width: channels of the largest maps.
    """

    def __init__(self, shape: Sequence[int], *, width: int = 32):
        channels, height, across = check_images(shape, "quick-discriminator", least=4)
        sizes = widths(height, across, width)
        layers: list[nn.Module] = []
        for before, after in pairwise([channels, *sizes]):
            layers += [
                nn.Conv2d(before, after, 4, 2, 1),
                nn.LeakyReLU(0.2),
                nn.Conv2d(after, after, 3, 1, 1),
                nn.LeakyReLU(0.2),
            ]
        # An odd side is halved downwards; the last window of the kernel still reaches its last pixel.
        area = (height >> len(sizes)) * (across >> len(sizes))
        super().__init__(nn.Sequential(*layers, FromMap()), sizes[-1] * area)
