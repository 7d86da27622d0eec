"""What a measure has before it: two sides, so many of each, and their features, made when first asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from zerosum.data.ticker import Progress
from zerosum.evaluation.features import features_of
from zerosum.evaluation.sides import Side
from zerosum.metrics.extractors import Extractor

SEARCHED = 5  # times as many real images as others are compared with: a copy's original must be among them
VALUES = 2**26  # float32 numbers of images in memory at once, at most: 256 MB


@dataclass(eq=False)
class Bench:
    """One comparison.

    Attributes:
        made: what is judged.
        real: what it is compared with.
        held: real images that nobody trained on, if there are any.
        trained: where copies are looked for, if that is not the real side: what was trained on.
        extractor: of features; None: points are their own.
        count: how many of either side, where it has as many.
        seed: of all that a measure draws.
        device: where features are made and compared.
        progress: told how far the features are.
        notes: sentences for the user.
    """

    made: Side
    real: Side
    held: Side | None
    extractor: Extractor | None
    count: int
    seed: int
    device: torch.device
    progress: Progress | None = None
    trained: Side | None = None
    notes: list[str] = field(default_factory=list)

    @cached_property
    def made_features(self) -> Tensor:
        """Of the judged side, (n, width), on the device."""
        return self._features(self.made, 0, self.made.of(self.count))

    @cached_property
    def real_features(self) -> Tensor:
        """Of the real side, (m, width), on the device."""
        return self._features(self.real, 0, self.real.of(self.count))

    @property
    def searched(self) -> Side:
        """Where to search for what samples may be copies of."""
        return self.real if self.trained is None else self.trained

    @cached_property
    def searched_features(self) -> Tensor:
        """Of `searched`; where that is the real side, of more of it, `real_features` first."""
        if self.trained is not None:
            return self._features(self.trained, 0, self.trained.of(SEARCHED * self.count))
        rest = self.real.of(SEARCHED * self.count) - len(self.real_features)
        if rest < 1:
            return self.real_features
        return torch.cat([self.real_features, self._features(self.real, len(self.real_features), rest)])

    @cached_property
    def held_features(self) -> Tensor | None:
        """Of what is held out; None where nothing is."""
        return None if self.held is None else self._features(self.held, 0, self.held.of(self.count))

    def few(self, side: Side, most: int) -> Tensor:
        """The first images of a side, `most` or as many as memory bears, two at least."""
        fitting = max(2, VALUES // max(1, torch.Size(side.shape).numel()))
        return side.images(0, min(side.of(self.count), most, fitting))

    def _features(self, side: Side, first: int, count: int) -> Tensor:
        """Of one side, where they are compared."""
        found = features_of(side, self.extractor, first, count, self.device, self.progress, self.notes.append)
        return found.to(self.device)
