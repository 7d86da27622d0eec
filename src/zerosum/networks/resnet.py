"""CycleGAN's generator: residual blocks between two halvings and two doublings.

Zhu, Park, Isola & Efros, "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks", 2017,
https://arxiv.org/abs/1703.10593, appendix 7.2, after Johnson, Alahi & Fei-Fei 2016, https://arxiv.org/abs/1603.08155.

Published: c7s1-64, d128, d256, R256 six times for 128×128 and nine times for 256×256 or more, u128, u64, c7s1-3. c7s1-k
is a 7×7 convolution to k channels, dk a 3×3 one of stride 2, Rk two 3×3 ones whose result is added to their input, uk a
3×3 transposed one of stride 2; instance normalisation and ReLU after each, but neither after a block's sum and tanh
after the last; reflection padding of the 7×7 ones and in the blocks, as in the authors' code; weights N(0, 0.02).
Convolutions before a normalisation have no biases. For 3 channels to 3: 11,383,427 parameters with nine blocks and
7,841,411 with six (the authors' code has 5,248 and 3,712 fewer, for it has biases where the scales and shifts are
here).

A pixel depends on 12 + 8·blocks pixels each way: 84 with nine blocks, 60 with six. Images under 8×8 are padded to 8×8,
so that a block has a 2×2 map to reflect and to normalise.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from zerosum.errors import UsageError
from zerosum.networks.layers import NORMS, ToRange, check_choice, check_positive, normal_
from zerosum.networks.registry import register
from zerosum.networks.translator import ImageToImage, Residual, check_one_size


@register("resnet-generator", role="translator", of="images")
class ResNetGenerator(ImageToImage):
    """Images (N, c, H, W) to images (N, C, H, W) in [-1, 1]; padded to multiples of 4, and to 8×8, inside.

    Args:
        source: (c, H, W) of the images given.
        shape: (C, H, W) of those made; UsageError where the two have different sizes.
        blocks: how many residual blocks; 0 for 6 where the shorter side is under 256 pixels, else 9.
        width: channels of the largest maps.
        norm: "instance" as published, "batch", "layer"; or "none", and all convolutions have biases.
    """

    def __init__(
        self, source: Sequence[int], shape: Sequence[int], *, blocks: int = 0, width: int = 64, norm: str = "instance"
    ):
        check_positive(width=width)
        check_choice("norm", norm, tuple(NORMS))
        given, made = check_one_size(source, shape, "resnet-generator")
        if type(blocks) is not int or blocks < 0:
            raise UsageError(f"blocks is {blocks!r}: it must be a whole number, or 0 for 6 or 9 by the images' size")
        count = blocks or (6 if min(given[1:]) < 256 else 9)
        layers = [
            *_normed(_reflecting(given[0], width, 7, norm), norm),
            *_normed(nn.Conv2d(width, 2 * width, 3, 2, 1, bias=norm == "none"), norm),
            *_normed(nn.Conv2d(2 * width, 4 * width, 3, 2, 1, bias=norm == "none"), norm),
            *[_block(4 * width, norm) for _ in range(count)],
            *_normed(nn.ConvTranspose2d(4 * width, 2 * width, 3, 2, 1, 1, bias=norm == "none"), norm),
            *_normed(nn.ConvTranspose2d(2 * width, width, 3, 2, 1, 1, bias=norm == "none"), norm),
            _reflecting(width, made[0], 7, "none"),
            ToRange(),
        ]
        super().__init__(given, made, nn.Sequential(*layers), stride=4, reach=12 + 8 * count, least=8)
        normal_(self)


def _reflecting(before: int, after: int, kernel: int, norm: str) -> nn.Conv2d:
    return nn.Conv2d(before, after, kernel, 1, kernel // 2, bias=norm == "none", padding_mode="reflect")


def _normed(convolution: nn.Conv2d | nn.ConvTranspose2d, norm: str) -> list[nn.Module]:
    return [convolution, *NORMS[norm](convolution.out_channels), nn.ReLU(inplace=True)]


def _block(width: int, norm: str) -> Residual:
    first, second = (_reflecting(width, width, 3, norm) for _ in range(2))
    return Residual(*_normed(first, norm), second, *NORMS[norm](width))
