"""Real images in the order that `(seed, epoch)` fixes, gathered from the store and normalised on the device."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from zerosum.data import Store, normalise
from zerosum.games import Batch, Randomness
from zerosum.games.randomness import number_of
from zerosum.training.sources import Sources, mirrored

AHEAD = 4  # batches that are decoded beforehand, where data are not kept decoded


class Feed:
    """Image *n* of a run is position n mod N of the permutation of epoch n div N: batches run on across epochs.

    Where only `labelled` images show their labels, each batch comes with as many of those, in the same kind of order.
    Translators are given pictures of `sources`, too: of paired ones, the rows of the images; else in an order of
    their own. `order` names the stream of permutations.
    """

    def __init__(
        self,
        store: Store,
        randomness: Randomness,
        *,
        flip: bool,
        labelled: Store | None = None,
        sources: Sources | None = None,
        order: str = "order",
    ) -> None:
        self.store = store
        self._labelled = None if labelled is None else Feed(labelled, randomness, flip=flip)
        self._sources = sources
        self._others: Feed | None = None
        if sources is not None and sources.store is not None and not sources.paired:
            self._others = Feed(sources.store, randomness, flip=flip, order="order of sources")
        self._local = Randomness(randomness.seed)  # for what is made on the CPU whatever the device
        self.randomness = randomness
        self.flip = flip
        self._stream = order
        self._epoch = -1
        self._last = 0  # where the last batch began
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
        if self.store.streamed:
            self._look_ahead(first, count)
        if self._sources is not None and self._others is None:
            return self._pairs(self._sources, indices, first)
        labels = None if self.store.labels is None else torch.from_numpy(self.store.labels[indices])
        images = normalise(self._sent(self.store.gather(indices)), self.store.low, self.store.high)
        if self.flip:
            images = mirrored(images, self._coins(self.randomness, first, count))
        labelled = None if self._labelled is None else self._labelled.batch(first, count)
        given = None if self._others is None else self._others.batch(first, count).images
        return Batch(images, None if labels is None else labels.to(images.device), labelled, given)

    def _look_ahead(self, first: int, count: int) -> None:
        """Let the next batches be decoded meanwhile: in the steps that were seen, and within the epoch."""
        step, self._last = first - self._last, first
        epoch, position = divmod(first, len(self.store))
        if step <= 0 or epoch != self._epoch:
            return
        places = [position + ahead * step for ahead in range(1, AHEAD + 1)]
        self.store.expect(np.concatenate([self._order[place : place + count] for place in places]))

    def _pairs(self, sources: Sources, indices: np.ndarray, first: int) -> Batch:
        """Wanted and given pictures of one place in the order, mirrored together."""
        count = len(indices)
        wanted = normalise(self.store.gather(indices), self.store.low, self.store.high)
        coins = self._coins(self._local, first, count) if self.flip else torch.zeros(count, dtype=torch.bool)
        wanted = mirrored(wanted, coins)
        if sources.degradation is None:
            given = mirrored(sources.rows(indices), coins)
        else:
            given = sources.made_of(wanted, self.randomness.seed, "degrade", range(first, first + count))
        return Batch(self._sent(wanted), given=self._sent(given))

    def _sent(self, values: Tensor) -> Tensor:
        """The same on the device."""
        device = self.randomness.device
        if device.type == "cuda":
            return values.pin_memory().to(device, non_blocking=True)
        return values if device.type == "cpu" else values.to(device)

    def _coins(self, randomness: Randomness, first: int, count: int) -> Tensor:
        return randomness.rows(f"flip/{self._stream}", first, count, _coins)

    def _order_of(self, epoch: int) -> np.ndarray:
        if epoch != self._epoch:
            generator = np.random.Generator(np.random.Philox(key=number_of(self.randomness.seed, self._stream, epoch)))
            self._order = self.store.order(generator)
            self._epoch = epoch
        return self._order


def _coins(generator: np.random.Generator, rows: int) -> np.ndarray:
    return generator.random(rows) < 0.5
