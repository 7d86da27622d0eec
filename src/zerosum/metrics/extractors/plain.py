"""Extractors that have learnt nothing: the pixels themselves, and a network of random weights."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zerosum.metrics.extractors.base import Extractor, resized

SIDE = 32  # of `pixels`


class Pixels(Extractor):
    """The image itself at 32 × 32: 3,072 numbers, a colour at a time, in rows. Grey images have the same three times.

    What is alike for it is alike place by place: a picture and the same moved by two pixels are not.
    """

    name = "pixels"
    resize = f"bicubic, antialiased, to {SIDE}×{SIDE}"
    width = 3 * SIDE * SIDE
    at_once = 64

    def _features(self, images: Tensor) -> Tensor:
        return resized(images, SIDE, SIDE).flatten(1)


class RandomNetwork(Extractor):
    """Three convolutions with fixed random weights, at the images' own size: features without any learning.

    What is alike for it is alike in colours and edges. Its numbers depend on the version of PyTorch's generator only.
    """

    name = "random"
    width = 256
    channels = 128
    at_once = 16

    def __init__(self) -> None:
        super().__init__()
        sizes, generator = (3, 64, 128, 256), torch.Generator().manual_seed(0)
        self.layers = nn.ModuleList()
        for before, after in pairwise(sizes):
            with torch.device("meta"):
                layer = nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False)
            weight = torch.randn(layer.weight.shape, generator=generator) * (2 / (9 * before)) ** 0.5
            layer.weight = nn.Parameter(weight)
            self.layers.append(layer)
        self.settle()

    def _features(self, images: Tensor) -> Tensor:
        return F.relu(self.layers[2](F.relu(self._maps(images)))).mean((2, 3))

    def _maps(self, images: Tensor) -> Tensor:
        maps: Tensor = self.layers[1](F.relu(self.layers[0](images)))
        return maps
