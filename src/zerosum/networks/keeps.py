"""Inpainting keeps what is known: only the holes of a picture are the network's."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zerosum.errors import UsageError
from zerosum.networks.translator import ImageToImage


class KeepsKnown(nn.Module):
    """Pictures with holes (N, C + 1, H, W) to whole ones (N, C, H, W): the network's in the holes, else as given.

    The last channel given is a mask, above 0 (+1) in holes and below (-1) where the pixel is known. What is known comes
    out as it went in, to the last bit, and no gradient comes to the network from there.

    Args:
        network: a translator of C + 1 channels to C, and of scale 1; UsageError for another.

    Attributes `source`, `shape`, `stride`, `scale` and `reach` are the network's.
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        if not isinstance(network, ImageToImage):
            raise UsageError(
                f"{type(network).__name__} makes no image of an image, so there are no known pixels to keep: take a "
                "translator, as unet-generator"
            )
        if network.source[0] != network.shape[0] + 1 or network.scale != 1:
            raise UsageError(
                f"{type(network).__name__} of {list(network.source)} to {list(network.shape)} cannot keep known "
                "pixels: give the channels of the images made, and a mask behind them, all of one size"
            )
        self.network = network
        self.source, self.shape = network.source, network.shape
        self.stride, self.scale, self.reach = network.stride, network.scale, network.reach

    def forward(self, given: Tensor) -> Tensor:
        """Pictures and their masks (N, C + 1, H, W) to pictures (N, C, H, W) in [-1, 1]."""
        made = self.network(given)
        known, mask = given[:, :-1], given[:, -1:]
        return torch.where(mask > 0, made, known)
