"""The generator's average over the images shown, and statistics of its own where it has BatchNorm.

Yazici et al., "The Unusual Effectiveness of Averaging in GAN Training", ICLR 2019, https://arxiv.org/abs/1806.04498.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """An exponential moving average of tensors, its half-life counted in images.

    The half-life is `half_life`, or `ramp` times the images seen where that is less: a young run forgets faster. With
    `until`, a share of the run, it grows to `half_life` by then along half a cosine, from 0: the weights themselves.
    """

    def __init__(
        self, averages: list[Tensor], sources: list[Tensor], half_life: float, ramp: float, until: float = 0.0
    ) -> None:
        self.half_life = half_life
        self.ramp = ramp
        self.until = until
        self._averages = averages
        self._sources = sources

    @torch.no_grad()
    def update(self, images: int, batch: int, progress: float) -> None:
        """After a step that brought the count of images shown to `images`, by `batch`, and began at `progress`."""
        half_life = min(self.half_life, self.ramp * images)
        if self.until:
            half_life = self.half_life * (1 - math.cos(math.pi * min(progress / self.until, 1.0))) / 2
        weight = 1 - 0.5 ** (batch / half_life) if half_life else 1.0
        torch._foreach_lerp_(self._averages, self._sources, weight)


class Ema(Average):
    """The average of a network's parameters, as a network.

    Buffers are not averaged; `settling` estimates BatchNorm's statistics again for the averaged weights.
    """

    def __init__(self, network: nn.Module, half_life: float, ramp: float, until: float = 0.0) -> None:
        self.network = copy.deepcopy(network).requires_grad_(False)
        super().__init__(list(self.network.parameters()), list(network.parameters()), half_life, ramp, until)


@contextmanager
def settling(network: nn.Module) -> Iterator[None]:
    """Within it every BatchNorm's mean and variance are estimated anew, as the plain average over what it is shown.

    Averaged weights with the statistics of the last weights make mud: the two do not belong together.
    The network is left in evaluation mode, and the rest of it is in that mode within, too.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    network.eval()
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.train()
        layer.reset_running_stats()
        layer.momentum = None  # PyTorch's word for a plain average
    try:
        with torch.no_grad():
            yield
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
            layer.eval()
