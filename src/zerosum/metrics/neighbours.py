"""Nearest neighbours of samples in the training data, and duplicates among the samples themselves.

A generator that has learnt its data by heart makes samples whose nearest training neighbour is much nearer than that
of held-out real data. One that makes few different samples betrays it by the birthday paradox: of n draws from S
equally likely ones

    pairs that are the same ≈ n (n − 1) / 2S,      so that      S ≈ n (n − 1) / (2 · pairs)

and the first such pair is to be expected near n = √S. For draws that are not equally likely S is the number of equally
likely ones that would collide as often.

Source: Arora and Zhang 2017, Do GANs actually learn the distribution?, https://arxiv.org/abs/1706.08224. There
people judge whether a pair is the same; here it is a distance, to be set by real data (`duplicate_distance`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zerosum.errors import UsageError
from zerosum.metrics import rows

if TYPE_CHECKING:
    from torch import Tensor

# What blocks of squared distances may be off by, of the largest in a row: that is at least a fifth of |x|² + |y|² for
# all y, whose mean is 0 there; and two distances are compared.
SLACK = 10 * rows.ROUNDING


@dataclass(frozen=True)
class Neighbours:
    """The nearest rows of another set, the nearest first; both on the CPU.

    Attributes:
        indices: int64 (N, count), their numbers in that set.
        distances: float64 (N, count), Euclidean; exactly 0 for an exact copy.
    """

    indices: Tensor
    distances: Tensor


@dataclass(frozen=True)
class Duplicates:
    """What repeats itself in a set of samples.

    Attributes:
        pairs: how many of the n (n − 1) / 2 pairs are near-duplicates.
        share: of the samples, that have a near-duplicate, in [0, 1].
        support: how many different samples there seem to be, at least 1; infinite where no pair was found, which
            says that there are many more than n² / 6 (19 times in 20).
    """

    pairs: int
    share: float
    support: float


def nearest(features: Tensor, training: Tensor, count: int = 1) -> Neighbours:
    """The `count` nearest rows of `training` (M, D) to each of `features` (N, D), by Euclidean distance.

    Of rows equally far the first comes first. Works on the device of `features`, in blocks. These only rule out what
    is surely farther; what is left is compared by the lengths of the differences themselves, so that a copy is at 0.

    Raises UsageError for shapes that do not fit, features that are not finite, and more neighbours than there are rows.
    """
    import torch

    rows.check(features, training)
    if not 1 <= count <= len(training):
        raise UsageError(f"{count} neighbours were asked for, of {len(training)} rows: ask for 1 to {len(training)}.")
    parts = []
    for first, squares in rows.squared_distances(features, training):
        last = squares.topk(count, largest=False).values[:, -1:]
        row, index = (squares <= last + SLACK * squares.amax(1, keepdim=True)).nonzero(as_tuple=True)
        distances = _distances(features, row + first, training, index)
        parts.append(_first(row, index, distances, count))
    indices, found = (torch.cat(part).cpu() for part in zip(*parts, strict=True))
    return Neighbours(indices=indices, distances=found)


def duplicates(features: Tensor, within: float) -> Duplicates:
    """How far the birthday paradox gives a set of samples away.

    features: (N, D) of samples drawn independently, N at least 2. within: the Euclidean distance up to which two are
    the same, at least 0; `duplicate_distance` of as many real ones makes the figures comparable with theirs.

    Raises UsageError for other shapes, features that are not finite, and a distance below 0.
    """
    rows.check(features, least=2)
    if not within >= 0:
        raise UsageError(f"Samples were to be the same within a distance of {within}: give one of at least 0.")
    pairs = repeated = 0
    for first, squares in rows.squared_distances(features, features, stretch=-rows.ROUNDING):
        close = squares <= within**2
        close[:, first:].fill_diagonal_(False)  # each with itself
        repeated += int(close.any(1).sum())
        pairs += int(close.triu(first + 1).sum())
    of = len(features) * (len(features) - 1) / 2
    return Duplicates(pairs=pairs, share=repeated / len(features), support=of / pairs if pairs else math.inf)


def duplicate_distance(real: Tensor, share: float = 0.01) -> float:
    """The distance within which that share of real features, (N, D), has another one: for `duplicates` of samples.

    share: in (0, 1]. 0 where so many real rows have an exact copy. Give as many rows as there are samples: the more
    there are, the nearer they lie. Raises UsageError for other shapes, shares, and features that are not finite.
    """
    rows.check(real, least=2)
    if not 0 < share <= 1:
        raise UsageError(f"The share of real features is {share}: give one above 0 and up to 1.")
    apart = nearest(real, real, 2).distances[:, 1]  # the first is the row itself, or a copy of it
    return float(apart.kthvalue(math.ceil(share * len(real))).values)


def _distances(features: Tensor, row: Tensor, training: Tensor, index: Tensor) -> Tensor:
    """(P,) Euclidean distances of the differences themselves, of rows and indices (P,), a bounded number at a time."""
    import torch

    place, step = rows.home(features), max(1, rows.AT_ONCE // features.shape[1])
    found = []
    for some, others in zip(row.split(step), index.split(step), strict=True):
        one = features.detach()[some.to(features.device)].to(place, torch.float64)
        other = training.detach()[others.to(training.device)].to(place, torch.float64)
        found.append((one - other).norm(dim=1))
    return torch.cat(found)


def _first(row: Tensor, index: Tensor, distances: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """(n, count) indices and distances of the nearest candidates of each row, of which each row has enough.

    row, index, distances: (P,), in order of row, then of index.
    """
    import torch

    order = distances.argsort(stable=True)
    order = order[row[order].argsort(stable=True)]  # by row, then distance, then index
    starts = torch.nn.functional.pad(row.bincount().cumsum(0)[:-1], (1, 0))
    chosen = order[starts[:, None] + torch.arange(count, device=row.device)]
    return index[chosen], distances[chosen]
