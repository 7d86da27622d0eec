"""What all extractors have in common: what they say of themselves, and how images come in."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zerosum.errors import UsageError

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is (0 when not known)."""


class Extractor(nn.Module):
    """A fixed network, images in and features out.

    name: as `extractor` knows it. sha256: of the file of weights, "" where there is none. resize: in words, what
    happens to images before the network sees them. width: number of `features`. channels: of `maps`, 0 where there are
    none. at_once: how many images at a time are quickest on a CPU; memory grows with the images of one call alone.
    """

    name: str
    width: int
    at_once: int
    resize = "none"
    sha256 = ""
    channels = 0

    def features(self, images: Tensor) -> Tensor:
        """Features float32 (N, width) of images (N, C, H, W) in [-1, 1], C 1 or 3. Raises UsageError.

        Full precision also where autocast is on: a figure does not depend on what is around it.
        """
        with torch.autocast(images.device.type, enabled=False):
            return self._features(coloured(images))

    def maps(self, images: Tensor) -> Tensor:
        """Features of places (N, channels, h, w) of images as for `features`; h, w follow from H, W.

        Raises UsageError, also where there are none.
        """
        return self._maps(coloured(images))

    def forward(self, images: Tensor) -> Tensor:
        """The same as `features`."""
        return self.features(images)

    def train(self, mode: bool = True) -> Self:
        """Stays in evaluation mode, whatever contains it."""
        return super().train(False)

    def settle(self) -> None:
        """Nothing in it learns any more; its weights lie as its images do."""
        self.requires_grad_(False).train(False)
        for parameter in self.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)

    @abstractmethod
    def _features(self, images: Tensor) -> Tensor:
        """Of images (N, 3, H, W)."""

    def _maps(self, images: Tensor) -> Tensor:
        """Of images (N, 3, H, W)."""
        raise UsageError(
            f"The extractor {self.name} makes features of whole images only; a content loss needs one that makes "
            "maps: efficientnet-lite0 or random."
        )


def coloured(images: Tensor) -> Tensor:
    """Images (N, 3, H, W): grey ones have the same in each channel. Raises UsageError."""
    if images.ndim != 4 or images.shape[1] not in (1, 3) or 0 in images.shape:
        raise UsageError(
            f"Features are of images (N, C, H, W), at least one, with 1 or 3 channels, and these are "
            f"{tuple(images.shape)}: leave alpha out, or take three of the channels."
        )
    if not images.is_floating_point():
        raise UsageError(
            f"Features are of images in [-1, 1], and these are {images.dtype}: see zerosum.data.normalise."
        )
    return images.float().expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)


# Parmar et al. 2022, On aliased resizing, https://arxiv.org/abs/2104.11222, section 3: a filter as wide as the pixels
# that become one, as Pillow has it; and nothing rounded.
def resized(images: Tensor, height: int, width: int) -> Tensor:
    """Images (N, 3, height, width): bicubic, without aliases where it makes them smaller. It may pass [-1, 1]."""
    if images.shape[2:] == (height, width):
        return images
    return F.interpolate(images, (height, width), mode="bicubic", antialias=True)
