"""Where the pictures come from that a translator starts from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from zerosum.data import Degradation, Store, normalise
from zerosum.games.randomness import number_of


@dataclass(frozen=True)
class Sources:
    """Pictures to start from, beside a store of wanted ones.

    Attributes:
        store: row i belongs to row i of the wanted ones where they are `paired`; None: they are made of those.
        paired: else both are in orders of their own.
        degradation: what makes sources of wanted pictures.
    """

    store: Store | None
    paired: bool = True
    degradation: Degradation | None = None

    def shape(self, wanted: tuple[int, ...]) -> tuple[int, ...]:
        """(c, h, w) of one of them, for wanted pictures (C, H, W)."""
        if self.degradation is not None:
            return self.degradation.source_shape((wanted[0], wanted[1], wanted[2]))
        return () if self.store is None else self.store.shape

    def rows(self, indices: np.ndarray) -> Tensor:
        """Some rows of the store as they are seen inside: float32 (n, c, h, w) in [-1, 1] on the CPU."""
        if self.store is None:
            raise ValueError("these sources are made, not read")
        return normalise(self.store.gather(indices), self.store.low, self.store.high)

    def made_of(self, wanted: Tensor, seed: int, stream: str, numbers: Sequence[int]) -> Tensor:
        """Sources of wanted pictures (n, C, H, W) on the CPU, by the degradation; the random part of each follows from
        seed, stream and the picture's number.
        """
        if self.degradation is None:
            raise ValueError("these sources are read, not made")
        with torch.autocast(wanted.device.type, enabled=False):  # what is made worse is data, not the network's sums
            return self.degradation.apply(wanted, [number_of(seed, stream, number) for number in numbers])


def mirrored(images: Tensor, coins: Tensor) -> Tensor:
    """Images (N, C, H, W), those whose coin (N,) says so from right to left."""
    return torch.where(coins.view(-1, 1, 1, 1), images.flip(-1), images)
