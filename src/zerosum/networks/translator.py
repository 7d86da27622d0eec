"""What every translator is, a network that makes an image of an image: any size in, its sizes checked, its padding.

Convolutions that halve a map ask for sides in multiples of the stride. Images of other sizes are continued to the
right and downwards as in a mirror, the last row and column doubled (… b c | c b …), and what is made of the
continuation is cut off. Nothing is added at the top or the left: a piece of a large image that is cut out at a multiple
of the stride is halved at the same rows and columns as the whole.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from zerosum.errors import UsageError

Size = tuple[int, int, int]


class ImageToImage(nn.Module):
    """Images (N, c, h, w) to images (N, C, scale·h, scale·w), float32 in [-1, 1], for any h and w from 1.

    Args:
        source: (c, H / scale, W / scale) of the images given in training.
        shape: (C, H, W) of those made of them.
        layers: maps images (N, c, h, w), sides in multiples of `stride`, to (N, C, scale·h, scale·w).
        stride: source pixels from one place of the smallest map to the next.
        reach: source pixels each way that a made pixel depends on through convolutions; normalisation and a mirrored
            continuation aside.
        least: the shortest side that the layers take, a multiple of `stride`.

    Attributes: those arguments but `least`, and `scale`, the side of an image made over that of the one given.
    """

    def __init__(
        self, source: Size, shape: Size, layers: nn.Module, *, stride: int, reach: int, least: int | None = None
    ):
        super().__init__()
        self.source, self.shape = source, shape
        self.scale = shape[1] // source[1]
        self.stride, self.reach = stride, reach
        self.least = least or stride
        self.layers = layers

    def forward(self, given: Tensor) -> Tensor:
        """Images (N, c, h, w) to images (N, C, scale·h, scale·w); UsageError for other channels and for no pixels."""
        if given.dim() != 4 or given.shape[1] != self.source[0] or 0 in given.shape[2:]:
            raise UsageError(
                f"{type(self).__name__} was built for images of {self.source[0]} channels, (N, {self.source[0]}, h, w) "
                f"with h and w from 1, and is given {list(given.shape)}"
            )
        height, width = given.shape[2:]
        sides = [max(self.least, -(-side // self.stride) * self.stride) for side in (height, width)]
        filled = mirrored(given, *sides).contiguous(memory_format=torch.channels_last)
        made: Tensor = self.layers(filled)
        return made[:, :, : self.scale * height, : self.scale * width]


def mirrored(images: Tensor, height: int, width: int) -> Tensor:
    """Images (N, C, h, w), h and w from 1, continued as in mirrors to (N, C, height, width), if not so large."""
    for axis, side in ((2, height), (3, width)):
        while (missing := side - images.shape[axis]) > 0:
            behind = images.flip(axis).narrow(axis, 0, min(missing, images.shape[axis]))
            images = torch.cat((images, behind), axis)
    return images


class Residual(nn.Sequential):
    """Maps x to x + the layers in a row of x (He et al. 2016, https://arxiv.org/abs/1512.03385); no layer changes x."""

    def forward(self, x: Tensor) -> Tensor:
        """Maps of any shape that the layers keep."""
        made = x
        for layer in self:
            made = layer(made)
        return x + made


def check_pair(source: Sequence[int], shape: Sequence[int], network: str) -> tuple[Size, Size]:
    """`source` and `shape` as (c, h, w) and (C, H, W); UsageError for anything but sizes of images."""
    return _check_size("source", source, network), _check_size("shape", shape, network)


def check_one_size(source: Sequence[int], shape: Sequence[int], network: str) -> tuple[Size, Size]:
    """As `check_pair`, for a network that makes images of the size of those given: UsageError for two sizes."""
    given, made = check_pair(source, shape, network)
    if given[1:] != made[1:]:
        raise UsageError(
            f"{network} makes images of the size of those it is given, and these are {given[1]}×{given[2]} for "
            f"{made[1]}×{made[2]}: bring both to one size with --data.size, or take srgan-generator, which enlarges"
        )
    return given, made


def _check_size(name: str, sizes: Sequence[int], network: str) -> Size:
    numbers = tuple(sizes)
    if len(numbers) != 3 or not all(type(number) is int and number > 0 for number in numbers):
        raise UsageError(
            f"{name} {list(numbers)!r}: {network} makes images of images, give (channels, height, width) of them"
        )
    return numbers
