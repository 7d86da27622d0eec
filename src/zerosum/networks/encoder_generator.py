"""A generator that is itself an encoder and a decoder, fed with images or with noise of an image's size.

Convolutions of 64, 128 and 256 channels, 3×3 of stride 2, halve the image three times (leaky ReLU 0.2; BatchNorm after
all but the first, as in DCGAN, https://arxiv.org/abs/1511.06434); 3×3 convolutions of 128, 64 and the image's channels,
each behind a bilinear up-sampling, bring it back, with BatchNorm and leaky ReLU between and tanh at the end. Weights
N(0, 0.02), BatchNorm's N(1, 0.02); no biases before BatchNorm.

Between the two stands a code, two linear layers, through which everything passes, and it is normalised over the batch,
without a scale or a shift that could be learned. Both were found necessary where the generator is fed with noise.
Without a code no place of the smallest map knows of the noise at another, so no whole image can depend on it; and where
the encoder may shrink its code, it does: samples then differed by 1 to 6% of what digits do, whatever the loss.

For any height and width from 8: a side is halved upwards (28 → 14 → 7 → 4), and the decoder's maps are up-sampled to
the very sizes of the encoder's (4 → 7 → 14 → 28), so that nothing is padded or cropped. Three halvings rather than two:
under a third of the work, and each place of the smallest map sees 15×15 pixels. For 1×28×28 it has 1,788,865
parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn

from zerosum.errors import UsageError
from zerosum.networks.layers import FromMap, ToMap, ToRange, check_images, check_positive, halved, normal_
from zerosum.networks.registry import register

SLOPE = 0.2
WIDTHS = (64, 128, 256)


class BilinearTo(nn.Module):
    """Maps (N, C, h, w) up-sampled to (N, C, height, width), channels-last: several times as fast on a CPU.

    In the dtype that comes: autocast would have it in float32, and copy the map twice for it.
    """

    def __init__(self, height: int, width: int):
        super().__init__()
        self.size = height, width

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (N, C, h, w) to (N, C, height, width)."""
        with torch.autocast(maps.device.type, enabled=False):
            maps = maps.contiguous(memory_format=torch.channels_last)
            return nn.functional.interpolate(maps, self.size, mode="bilinear", align_corners=False)


@register("encoder-generator", role="generator", of="images")
class EncoderGenerator(nn.Module):
    """Flat noise or flat images (N, C·H·W) to images (N, C, H, W) in [-1, 1]; UsageError for images under 8×8.

    Args:
        latent: C·H·W, the numbers of an image in the order C, H, W (`images.flatten(1)`); UsageError for another.
        shape: (C, H, W) of the images.
        code: numbers of the code.
    """

    takes_images = True

    def __init__(self, latent: int, shape: Sequence[int], *, code: int = 128):
        super().__init__()
        check_positive(latent=latent, code=code)
        self.shape = check_images(shape, "encoder-generator", least=8)
        if latent != prod(self.shape):
            raise UsageError(
                f"encoder-generator takes noise, or images, of the size of its images, and latents have {latent} "
                f"numbers: use --latent.size {prod(self.shape)}, for {'×'.join(map(str, self.shape))}"
            )
        channels, height, width = self.shape
        layers: list[nn.Module] = []
        for before, after in pairwise((channels, *WIDTHS)):
            first = before == channels and not layers
            layers.append(nn.Conv2d(before, after, 3, 2, 1, bias=first))
            layers += [nn.LeakyReLU(SLOPE)] if first else [nn.BatchNorm2d(after), nn.LeakyReLU(SLOPE)]
        small = halved(height, 3), halved(width, 3)
        features = small[0] * small[1] * WIDTHS[-1]
        self.encoder = nn.Sequential(*layers, FromMap(), nn.Linear(features, code), nn.BatchNorm1d(code, affine=False))
        layers = [
            nn.Linear(code, features, bias=False),
            ToMap(WIDTHS[-1], *small),
            nn.BatchNorm2d(WIDTHS[-1]),
            nn.LeakyReLU(SLOPE),
        ]
        for times, (before, after) in zip((2, 1), pairwise(WIDTHS[::-1]), strict=True):
            layers += [
                BilinearTo(halved(height, times), halved(width, times)),
                nn.Conv2d(before, after, 3, 1, 1, bias=False),
                nn.BatchNorm2d(after),
                nn.LeakyReLU(SLOPE),
            ]
        layers += [BilinearTo(height, width), nn.Conv2d(WIDTHS[0], channels, 3, 1, 1), ToRange()]
        self.decoder = nn.Sequential(*layers)
        normal_(self)

    def forward(self, z: Tensor) -> Tensor:
        """Flat noise or flat images (N, C·H·W) to images (N, C, H, W) in [-1, 1]."""
        maps = z.reshape(-1, *self.shape).contiguous(memory_format=torch.channels_last)
        images: Tensor = self.decoder(self.encoder(maps))
        return images
