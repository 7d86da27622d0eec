"""InfoGAN: Chen et al., "InfoGAN: Interpretable Representation Learning by Information Maximizing Generative
Adversarial Nets", NeurIPS 2016, https://arxiv.org/abs/1606.03657, appendix C.1: its networks for MNIST.

Published, for 28×28: generator z of 74 (62 numbers of noise, a categorical code of 10 values, 2 continuous codes)
→ 1024 → 7×7×128 → two 4×4 transposed convolutions of stride 2 (64 channels, then the image's), BatchNorm and ReLU
between; discriminator of two 4×4 convolutions of stride 2 (64, 128 channels) and 1024 units, leaky ReLU 0.1 after
each, BatchNorm after all but the first; its 1024 features are shared by the last layer and by Q, which guesses the
codes and is a part of the game (`game.remedies.information`). Weights N(0, 0.02), BatchNorm's N(1, 0.02).

The authors' code has a slope of 0.01 (here the paper's 0.1 holds), draws the convolutions' weights from a normal
cut at two deviations, and ends the generator in a sigmoid for images in [0, 1]: here a tanh for [-1, 1]. Biases
before BatchNorm, which takes them out again, are left out. For 28×28 the generator has 6,632,833 parameters, the
discriminator 6,558,017. Here for any height and width that are multiples of 4.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from zerosum.networks.discriminator import Discriminator
from zerosum.networks.layers import FromMap, ToMap, ToRange, check_images, check_positive, normal_
from zerosum.networks.registry import register

WIDE = 1024  # units of the fully connected layer on either side


@register("infogan-generator", role="generator", of="images")
class InfoGANGenerator(nn.Module):
    """Latents (N, latent) to images (N, C, H, W) in [-1, 1]; H and W multiples of 4, UsageError otherwise.

    Args:
        latent: length of a latent, codes and all; 74 as published.
        shape: (C, H, W) of the images.
    """

    def __init__(self, latent: int, shape: Sequence[int]):
        super().__init__()
        check_positive(latent=latent)
        channels, height, width = check_images(shape, "infogan-generator", least=4, multiple=4)
        start = height // 4, width // 4
        self.layers = nn.Sequential(
            nn.Linear(latent, WIDE, bias=False),
            nn.BatchNorm1d(WIDE),
            nn.ReLU(inplace=True),
            nn.Linear(WIDE, start[0] * start[1] * 128, bias=False),
            ToMap(128, *start),
            nn.BatchNorm2d(128),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(128, 64, 4, 2, 1, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(64, channels, 4, 2, 1),
            ToRange(),
        )
        normal_(self)

    def forward(self, z: Tensor) -> Tensor:
        """Latents (N, latent) to images (N, C, H, W) in [-1, 1]."""
        images: Tensor = self.layers(z)
        return images


@register("infogan-discriminator", role="discriminator", of="images")
class InfoGANDiscriminator(Discriminator):
    """Images (N, C, H, W) to logits (N,); H and W multiples of 4, UsageError otherwise.

    Args:
        shape: (C, H, W) of the images.
    """

    def __init__(self, shape: Sequence[int]):
        channels, height, width = check_images(shape, "infogan-discriminator", least=4, multiple=4)
        body = nn.Sequential(
            nn.Conv2d(channels, 64, 4, 2, 1),
            nn.LeakyReLU(0.1, inplace=True),
            nn.Conv2d(64, 128, 4, 2, 1, bias=False),
            nn.BatchNorm2d(128),
            nn.LeakyReLU(0.1, inplace=True),
            FromMap(),
            nn.Linear(height // 4 * (width // 4) * 128, WIDE, bias=False),
            nn.BatchNorm1d(WIDE),
            nn.LeakyReLU(0.1, inplace=True),
        )
        super().__init__(body, WIDE)
        normal_(self)
