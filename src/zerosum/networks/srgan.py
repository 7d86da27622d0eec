"""SRGAN: Ledig et al., "Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial Network", 2017,
https://arxiv.org/abs/1609.04802, section 2.1.1 and figure 4.

Published: generator 9×9 convolution to 64 channels, PReLU; 16 residual blocks of 3×3 convolution, BatchNorm, PReLU, 3×3
convolution, BatchNorm; 3×3 convolution, BatchNorm, and to it the map before the blocks is added; twice, for a scale of
4, a 3×3 convolution to 256 channels, whose values are laid out as four pixels of 64 (Shi et al. 2016,
https://arxiv.org/abs/1609.05158), and PReLU; 9×9 convolution to the image. Discriminator eight 3×3 convolutions of 64,
64, 128, 128, 256, 256, 512 and 512 channels, every other one of stride 2, BatchNorm after each but the first, leaky
ReLU 0.2; dense layer of 1024, leaky ReLU, and one of a number.

What the paper leaves open: a PReLU has one slope, 0.25 at first; weights N(0, 0.02); convolutions before BatchNorm have
no biases, all others do; the generator ends with tanh, for images are in [-1, 1] here. For 3 channels and a scale of 4
it has 1,547,350 parameters.

The scale may be any power of two. With 1 nothing is enlarged, and the network takes away noise, blur or the traces of a
compression. Without normalisation (`norm="none"`) the blocks are those of EDSR (https://arxiv.org/abs/1707.02921),
which ESRGAN (https://arxiv.org/abs/1809.00219) found to leave fewer artefacts.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from zerosum.errors import UsageError
from zerosum.networks.discriminator import Discriminator
from zerosum.networks.layers import (
    NORMS,
    FromMap,
    ToRange,
    check_choice,
    check_images,
    check_positive,
    halved,
    normal_,
)
from zerosum.networks.registry import register
from zerosum.networks.translator import ImageToImage, Residual, Size, check_pair


class Slope(nn.PReLU):
    """`nn.PReLU` with one slope, whose backward pass takes a CPU a third to a half of the time of torch's own.

    That took a fifth of the generator's training step. On other devices it is torch's.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Values of any shape: as they are above 0, times the slope below."""
        if x.device.type != "cpu":
            return super().forward(x)
        return torch.relu(x) - self.weight.to(x.dtype) * torch.relu(-x)


@register("srgan-generator", role="translator", of="images")
class SRGANGenerator(ImageToImage):
    """Images (N, c, h, w) to images (N, C, scale·h, scale·w) in [-1, 1].

    Args:
        source: (c, h, w) of the images given.
        shape: (C, scale·h, scale·w) of those made; UsageError where scale is no power of two, or two numbers.
        blocks: how many residual blocks.
        width: channels of all maps.
        norm: "batch" as published; or "none", and all convolutions have biases.

    A made pixel depends on 8 + 2·blocks source pixels each way, on one more where scale is 1.
    """

    def __init__(
        self, source: Sequence[int], shape: Sequence[int], *, blocks: int = 16, width: int = 64, norm: str = "batch"
    ):
        check_positive(blocks=blocks, width=width)
        check_choice("norm", norm, ("batch", "none"))
        given, made = check_pair(source, shape, "srgan-generator")
        doublings = _doublings(given, made)
        inner = [_block(width, norm) for _ in range(blocks)]
        layers: list[nn.Module] = [
            nn.Conv2d(given[0], width, 9, 1, 4),
            Slope(),
            Residual(*inner, *_normed(width, norm)),
        ]
        for _ in range(doublings):
            layers += [nn.Conv2d(width, 4 * width, 3, 1, 1), nn.PixelShuffle(2), Slope()]
        layers += [nn.Conv2d(width, made[0], 9, 1, 4), ToRange()]
        reach = 2 * blocks + (8 if doublings else 9)
        # Two pixels at least: BatchNorm has a variance to take then, also of one image.
        super().__init__(given, made, nn.Sequential(*layers), stride=1, reach=reach, least=2)
        normal_(self)


def _doublings(source: Size, shape: Size) -> int:
    scale = shape[1] // source[1]
    if shape[1:] != (scale * source[1], scale * source[2]) or scale.bit_count() != 1:
        raise UsageError(
            f"srgan-generator enlarges both sides 1, 2, 4, 8 … times, and is to make {shape[1]}×{shape[2]} of "
            f"{source[1]}×{source[2]}: choose --data.size so that one is the other times such a number, "
            "or make the source of the target with --data.degrade downsample:4"
        )
    return scale.bit_length() - 1


def _normed(width: int, norm: str) -> list[nn.Module]:
    return [nn.Conv2d(width, width, 3, 1, 1, bias=norm == "none"), *NORMS[norm](width)]


def _block(width: int, norm: str) -> Residual:
    return Residual(*_normed(width, norm), Slope(), *_normed(width, norm))


@register("srgan-discriminator", role="discriminator", of="images")
class SRGANDiscriminator(Discriminator):
    """Images (N, C, H, W) to logits (N,); UsageError for images under 8×8.

    Args:
        shape: (C, H, W) of the images; 96×96 as published.
        width: channels of the largest maps.
        units: of the dense layer; the features.
        norm: "batch" as published. A penalty on each sample's gradient needs one that mixes no samples: "layer",
            "instance" (UsageError where the last map is a single place: images up to 16×16), or "none", and all
            convolutions have biases.
    """

    def __init__(self, shape: Sequence[int], *, width: int = 64, units: int = 1024, norm: str = "batch"):
        check_positive(width=width, units=units)
        check_choice("norm", norm, tuple(NORMS))
        channels, rows, columns = check_images(shape, "srgan-discriminator", least=8)
        if norm == "instance" and max(rows, columns) <= 16:
            raise UsageError(
                f"srgan-discriminator halves {rows}×{columns} to a single place, which has no variance for norm "
                "instance: take norm layer, batch or none, or enlarge the images with --data.size"
            )
        layers: list[nn.Module] = []
        widths = [channels, *(width * factor for factor in (1, 1, 2, 2, 4, 4, 8, 8))]
        for number, (before, after) in enumerate(pairwise(widths)):
            normalised = NORMS[norm](after) if number else []
            layers += [nn.Conv2d(before, after, 3, 1 + number % 2, 1, bias=not normalised), *normalised]
            layers.append(nn.LeakyReLU(0.2, inplace=True))
        area = halved(rows, 4) * halved(columns, 4)
        dense = nn.Linear(widths[-1] * area, units)
        super().__init__(nn.Sequential(*layers, FromMap(), dense, nn.LeakyReLU(0.2, inplace=True)), units)
        normal_(self)
