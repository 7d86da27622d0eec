"""SNDCGAN: Miyato, Kataoka, Koyama & Yoshida, "Spectral Normalization for Generative Adversarial Networks",
2018, https://arxiv.org/abs/1802.05957, appendix B.4, table 3: its networks for CIFAR-10 and STL-10.

Published: generator z of 128 → M×M×512 (M = 4 for 32×32, 6 for 48×48) → three 4×4 transposed convolutions of
stride 2 (256, 128, 64 channels), BatchNorm and ReLU after each → 3×3 convolution to the image, tanh;
discriminator of seven convolutions, 3×3 of stride 1 and 4×4 of stride 2 in turns (64, 64, 128, 128, 256, 256,
512 channels), leaky ReLU 0.1 after each → linear layer to one number; biases, no normalisation of features.
Spectral normalisation of every layer of the discriminator is what the paper is about, and a setting of the
player (`discriminator.spectral`), not a part of the network.

What the table leaves open follows the Chainer code of the authors' company (pfnet-research/chainer-gan-lib):
weights N(0, 0.02), biases zero, BatchNorm (each of the M·M·512 features for itself, eps 2e-5) and ReLU after
the generator's first layer too. There the discriminator's 4×4 convolutions are those that double the channels,
and its slope is 0.2: here the table holds. Biases before BatchNorm, which takes them out again, are left out.

The rule for other sizes: a generator starts from an eighth of the images' sides, rounded up, and crops what is
then too large around the centre.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from zerosum.networks.discriminator import Discriminator
from zerosum.networks.layers import FromMap, ToMap, ToRange, centre_crop, check_images, check_positive, halved
from zerosum.networks.registry import register

EPSILON = 2e-5  # Chainer's default of BatchNorm; its running average keeps 0.9, as torch's does
STD = 0.02


@register("sndcgan-generator", role="generator", of="images")
class SNDCGANGenerator(nn.Module):
    """Latents (N, latent) to images (N, C, H, W) in [-1, 1]; UsageError for images under 8×8.

    Args:
        latent: length of a latent; 128 as published.
        shape: (C, H, W) of the images.
        width: channels of the largest maps.
    """

    def __init__(self, latent: int, shape: Sequence[int], *, width: int = 64):
        super().__init__()
        check_positive(latent=latent, width=width)
        channels, self.height, self.width = check_images(shape, "sndcgan-generator", least=8)
        start = halved(self.height, 3), halved(self.width, 3)
        features = start[0] * start[1] * 8 * width
        layers: list[nn.Module] = [
            nn.Linear(latent, features, bias=False),
            nn.BatchNorm1d(features, EPSILON),
            nn.ReLU(inplace=True),
            ToMap(8 * width, *start),
        ]
        for before, after in pairwise((8 * width, 4 * width, 2 * width, width)):
            layers += [
                nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False),
                nn.BatchNorm2d(after, EPSILON),
                nn.ReLU(inplace=True),
            ]
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, channels, 3, 1, 1), ToRange())
        _initialise(self)

    def forward(self, z: Tensor) -> Tensor:
        """Latents (N, latent) to images (N, C, H, W) in [-1, 1]."""
        return centre_crop(self.layers(z), self.height, self.width)


@register("sndcgan-discriminator", role="discriminator", of="images")
class SNDCGANDiscriminator(Discriminator):
    """Images (N, C, H, W) to logits (N,); UsageError for images under 8×8.

    Args:
        shape: (C, H, W) of the images.
        width: channels of the largest maps.
    """

    def __init__(self, shape: Sequence[int], *, width: int = 64):
        check_positive(width=width)
        channels, rows, columns = check_images(shape, "sndcgan-discriminator", least=8)
        layers: list[nn.Module] = []
        widths = [channels, *(width * factor for factor in (1, 1, 2, 2, 4, 4, 8))]
        for number, (before, after) in enumerate(pairwise(widths)):
            kernel, stride = ((3, 1), (4, 2))[number % 2]
            layers += [nn.Conv2d(before, after, kernel, stride, 1), nn.LeakyReLU(0.1, inplace=True)]
        # An odd side is halved downwards; the last window of the kernel still reaches its last pixel.
        area = (rows >> 3) * (columns >> 3)
        super().__init__(nn.Sequential(*layers, FromMap()), 8 * width * area)
        _initialise(self)


def _initialise(network: nn.Module) -> None:
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0.0, STD)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
