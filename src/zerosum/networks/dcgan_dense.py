"""A small DCGAN with a dense head and without BatchNorm.

After Radford, Metz & Chintala, "Unsupervised Representation Learning with Deep Convolutional Generative
Adversarial Networks", 2016, https://arxiv.org/abs/1511.06434, as introductory courses shorten it for 28×28:
generator z → 7×7×256 → two 4×4 transposed convolutions of stride 2 (128 channels, then the image's), tanh at
the end; discriminator of two 4×4 convolutions of stride 2 (64, 128 channels) and a linear layer; leaky ReLU
0.2 between, biases everywhere, torch's default weights. Here for any height and width that are multiples of
4.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from zerosum.networks.discriminator import Discriminator
from zerosum.networks.layers import FromMap, ToMap, ToRange, check_images, check_positive
from zerosum.networks.registry import register


@register("dcgan-dense-generator", role="generator", of="images")
class DCGANDenseGenerator(nn.Module):
    """Latents (N, latent) to images (N, C, H, W) in [-1, 1]; H and W multiples of 4, UsageError otherwise.

    Args:
        latent: length of a latent.
        shape: (C, H, W) of the images.
    """

    def __init__(self, latent: int, shape: Sequence[int]):
        super().__init__()
        check_positive(latent=latent)
        channels, height, width = check_images(shape, "dcgan-dense-generator", least=4, multiple=4)
        self.layers = nn.Sequential(
            nn.Linear(latent, height // 4 * (width // 4) * 256),
            nn.LeakyReLU(0.2),
            ToMap(256, height // 4, width // 4),
            nn.ConvTranspose2d(256, 128, 4, 2, 1),
            nn.LeakyReLU(0.2),
            nn.ConvTranspose2d(128, channels, 4, 2, 1),
            ToRange(),
        )

    def forward(self, z: Tensor) -> Tensor:
        """Latents (N, latent) to images (N, C, H, W) in [-1, 1]."""
        images: Tensor = self.layers(z)
        return images


@register("dcgan-dense-discriminator", role="discriminator", of="images")
class DCGANDenseDiscriminator(Discriminator):
    """Images (N, C, H, W) to logits (N,); H and W multiples of 4, UsageError otherwise.

    Args:
        shape: (C, H, W) of the images.
    """

    def __init__(self, shape: Sequence[int]):
        channels, height, width = check_images(shape, "dcgan-dense-discriminator", least=4, multiple=4)
        body = nn.Sequential(
            nn.Conv2d(channels, 64, 4, 2, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(64, 128, 4, 2, 1),
            nn.LeakyReLU(0.2),
            FromMap(),
        )
        super().__init__(body, height // 4 * (width // 4) * 128)
