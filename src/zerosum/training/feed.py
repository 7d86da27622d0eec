"""Real images in the order that `(seed, epoch)` fixes, gathered from the store and normalised on the device."""

from __future__ import annotations

import numpy as np
import torch

from zerosum.data import Store, normalise
from zerosum.games import Batch, Randomness
from zerosum.games.randomness import number_of


class Feed:
    """Image *n* of a run is position n mod N of the permutation of epoch n div N: batches run on across epochs.

    Where only `labelled` images show their labels, each batch comes with as many of those, in the same kind of order.
    """

    def __init__(self, store: Store, randomness: Randomness, *, flip: bool, labelled: Store | None = None) -> None:
        self.store = store
        self._labelled = None if labelled is None else Feed(labelled, randomness, flip=flip)
        self.randomness = randomness
        self.flip = flip
        self._epoch = -1
        self._order = np.empty(0, dtype=np.int64)

    def indices(self, first: int, count: int) -> np.ndarray:
        """Which rows of the store are images `first` to `first + count` of the run."""
        pieces = []
        while count:
            epoch, position = divmod(first, len(self.store))
            piece = self._order_of(epoch)[position : position + count]
            pieces.append(piece)
            first += len(piece)
            count -= len(piece)
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def batch(self, first: int, count: int) -> Batch:
        """Images `first` to `first + count` of the run, on the device, in [-1, 1]."""
        indices = self.indices(first, count)
        raw = self.store.gather(indices)
        device = self.randomness.device
        if device.type == "cuda":
            raw = raw.pin_memory().to(device, non_blocking=True)
        elif device.type != "cpu":
            raw = raw.to(device)
        images = normalise(raw, self.store.low, self.store.high)
        if self.flip:
            coin = self.randomness.rows("flip", first, count, _coins)
            images = torch.where(coin.view(-1, 1, 1, 1), images.flip(-1), images)
        labels = None if self.store.labels is None else torch.from_numpy(self.store.labels[indices]).to(device)
        if self._labelled is None:
            return Batch(images, labels)
        return Batch(images, labels, self._labelled.batch(first, count))

    def _order_of(self, epoch: int) -> np.ndarray:
        if epoch != self._epoch:
            generator = np.random.Generator(np.random.Philox(key=number_of(self.randomness.seed, "order", epoch)))
            self._order = generator.permutation(len(self.store))
            self._epoch = epoch
        return self._order


def _coins(generator: np.random.Generator, rows: int) -> np.ndarray:
    return generator.random(rows) < 0.5
