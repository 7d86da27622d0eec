"""pix2pix's U-Net: an encoder, a decoder, and from each map of the one a way to that of its size in the other.

Isola, Zhu, Zhou & Efros, "Image-to-Image Translation with Conditional Adversarial Networks", 2017,
https://arxiv.org/abs/1611.07004, section 3.2.1 and appendix 6.1.1; Ronneberger, Fischer & Brox 2015,
https://arxiv.org/abs/1505.04597.

Published, for 256×256: 4×4 convolutions of stride 2, encoder C64-C128-C256-C512-C512-C512-C512-C512 (channels; down to
1×1) with leaky ReLU 0.2, decoder CD512-CD512-CD512-C512-C256-C128-C64 with ReLU and a last convolution to the image's
channels, tanh; each layer of the decoder but the first also reads the encoder's map of that size; normalisation after
every convolution but the first, the last and the one down to 1×1; D: dropout of half the values, the only noise there
is; weights N(0, 0.02). Convolutions before a normalisation have no biases, the three others do. For 3 channels to 3:
54,414,531 parameters (the authors' PyTorch code has 54,413,955, for there the first one and the one down to 1×1 have no
biases either: 64 and 512).

The rule for other sizes: the image is halved as long as the shorter side has a pixel left, at least twice and at most 8
times, so that the smallest map is 1×1 to 1×1.99 up to 256 pixels. With d halvings the encoder has the first d of the
published widths, and the decoder mirrors them: the innermost C512 are left out first. The inner half of the decoder's
d − 1 layers before the last drops out, ⌊(d − 1) / 2⌋ of them and at most 3: three from 128 pixels, two from 32, one
from 8.

A pixel made at one end of a map's window depends on 3·(2ᵈ − 1) pixels towards the other: 765 for d = 8.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from zerosum.errors import UsageError
from zerosum.networks.layers import NORMS, Dropout, ToRange, check_choice, check_positive, normal_
from zerosum.networks.registry import register
from zerosum.networks.translator import ImageToImage, check_one_size

LEAST, MOST = 2, 8  # halvings
DROPPING = 3  # layers of the decoder with dropout, at most


class EncoderDecoder(nn.Module):
    """Maps (N, c, h, w) through stages that halve and stages that double, the latter reading the former's maps.

    Args:
        encoder: each makes a map of half the side of its input.
        decoder: as many, each doubles; the first reads the last map of the encoder, each other one what the one before
            made and, behind it in the channels, the encoder's map of that size.
    """

    def __init__(self, encoder: Sequence[nn.Module], decoder: Sequence[nn.Module]):
        super().__init__()
        self.encoder, self.decoder = nn.ModuleList(encoder), nn.ModuleList(decoder)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, c, h, w) to (N, C, h, w); h and w multiples of 2 to the number of stages."""
        seen: list[Tensor] = []
        for stage in self.encoder:
            x = stage(x)
            seen.append(x)
        x = self.decoder[0](seen.pop())
        for stage in self.decoder[1:]:
            x = stage(torch.cat((x, seen.pop()), 1))
        return x


@register("unet-generator", role="translator", of="images")
class UNetGenerator(ImageToImage):
    """Images (N, c, H, W) to images (N, C, H, W) in [-1, 1]; padded to multiples of 2ᵈ inside.

    Args:
        source: (c, H, W) of the images given.
        shape: (C, H, W) of those made; UsageError where the two have different sizes.
        depth: d, how often the image is halved: 2 to 8; 0 for as often as the shorter side has pixels for.
        width: channels of the largest maps.
        norm: "batch" as in pix2pix; "instance", which is what pix2pix's is with one image a batch, and CycleGAN's;
            "layer"; or "none", and all convolutions have biases.
        dropout: share of the values dropped in the inner layers of the decoder, the generator's noise; 0 for none.
    """

    def __init__(
        self,
        source: Sequence[int],
        shape: Sequence[int],
        *,
        depth: int = 0,
        width: int = 64,
        norm: str = "batch",
        dropout: float = 0.5,
    ):
        check_positive(width=width)
        check_choice("norm", norm, tuple(NORMS))
        given, made = check_one_size(source, shape, "unet-generator")
        if type(depth) is not int or (depth and not LEAST <= depth <= MOST):
            raise UsageError(
                f"depth is {depth!r}: take {LEAST} to {MOST} halvings, or 0 for as many as the images have"
            )
        if not 0 <= dropout < 1:
            raise UsageError(f"dropout is {dropout}: it must be at least 0 and below 1")
        halvings = depth or halvings_of(min(given[1:]))
        widths = [width * min(2**stage, 8) for stage in range(halvings)]
        layers = EncoderDecoder(_encoder(given[0], widths, norm), _decoder(widths, made[0], norm, dropout))
        super().__init__(given, made, layers, stride=2**halvings, reach=3 * (2**halvings - 1))
        normal_(self)


def halvings_of(side: int) -> int:
    """How often an image with this shorter side is halved by itself: 256 or more 8, 64 six times, 28 four times."""
    return max(LEAST, min(MOST, side.bit_length() - 1))


def _encoder(channels: int, widths: list[int], norm: str) -> list[nn.Module]:
    stages: list[nn.Module] = []
    for number, (before, after) in enumerate(pairwise([channels, *widths])):
        # In place: the decoder begins with a ReLU, which makes the same of a map and of its leaky ReLU.
        begin = [nn.LeakyReLU(0.2, inplace=True)] if number else []
        normalised = NORMS[norm](after) if 0 < number < len(widths) - 1 else []
        stages.append(nn.Sequential(*begin, nn.Conv2d(before, after, 4, 2, 1, bias=not normalised), *normalised))
    return stages


def _decoder(widths: list[int], channels: int, norm: str, dropout: float) -> list[nn.Module]:
    stages: list[nn.Module] = []
    dropping = min(DROPPING, (len(widths) - 1) // 2) if dropout else 0
    for number, (before, after) in enumerate(pairwise(widths[::-1])):
        normalised = NORMS[norm](after)
        read = before * (2 if number else 1)
        layers = [nn.ReLU(inplace=True), nn.ConvTranspose2d(read, after, 4, 2, 1, bias=not normalised), *normalised]
        stages.append(nn.Sequential(*layers, *([Dropout(dropout)] if number < dropping else [])))
    last = nn.ConvTranspose2d(2 * widths[0], channels, 4, 2, 1)
    return [*stages, nn.Sequential(nn.ReLU(inplace=True), last, ToRange())]
