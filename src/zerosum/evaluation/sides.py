"""The two sides of a comparison: what gives images, or points, by number; a data set, or a generator's samples.

Both give what a file of them would hold: a generator's images are rounded to the depth of its data first. Figures of
images that were not rounded are others (Parmar et al. 2022, On aliased resizing, https://arxiv.org/abs/2104.11222).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from zerosum.data import MIXTURES, Store, normalise, to_pixels
from zerosum.errors import RunError, UsageError
from zerosum.games import Latents
from zerosum.model import Ensemble, Model
from zerosum.sampler import Sampler

ORDER = 0  # the seed of the order in which rows of data are taken: the first thousand are the same in every evaluation


@dataclass(frozen=True)
class Mixture:
    """Points of equally likely, isotropic modes: their centres float64 (K, D), and their deviation."""

    centres: np.ndarray
    sigma: float


@dataclass(frozen=True)
class Side:
    """What is compared.

    Attributes:
        name: what people call it.
        count: how many there are; None: as many as are asked for.
        digest: equal for equal images in an equal order; "" where nobody knows.
        images: (first, n) to images `first` to `first + n`, float32 (n, C, H, W) in [-1, 1], or points (n, D) in their
            own units, on the CPU; the same ones whenever they are asked for.
        shape: (C, H, W) of an image, or (D,) of a point.
        seed: of its order, or of its samples.
        sampler: what makes the samples; None: it is data.
        mixture: where the points come from, if that is known.
    """

    name: str
    count: int | None
    digest: str
    images: Callable[[int, int], Tensor]
    shape: tuple[int, ...]
    seed: int = ORDER
    sampler: Sampler | None = None
    mixture: Mixture | None = None

    @property
    def is_points(self) -> bool:
        """Whether it has points, not images."""
        return len(self.shape) == 1

    def of(self, count: int) -> int:
        """How many it gives where so many are asked for: as many, or all there are."""
        return count if self.count is None else min(count, self.count)

    def rows(self, numbers: Sequence[int]) -> Tensor:
        """The images of these numbers, in their order."""
        return torch.cat([self.images(number, 1) for number in numbers])


def side_of_store(store: Store) -> Side:
    """The rows of a data set, shuffled, in one order for all: files often lie in order of their classes."""
    shuffled = store.part(np.random.default_rng(ORDER).permutation(len(store)))

    def images(first: int, n: int) -> Tensor:
        rows = shuffled.gather(np.arange(first, first + n))
        return rows if store.is_points else normalise(rows, store.low, store.high)

    built_in = store.summary["kind"] == "points"  # a file of points may have any name
    mixture = Mixture(*MIXTURES[store.name]) if built_in and store.name in MIXTURES else None
    return Side(store.name, len(store), shuffled.digest, images, store.shape, mixture=mixture)


def side_of_model(model: Sampler, seed: int, name: str = "samples") -> Side:
    """The samples of a seed, those of `zerosum sample`. Raises `UsageError` where a generator makes none.

    Its `images` raise `RunError` where they are not finite.
    """
    if Latents(**model.config["latent"]).of_images:
        raise UsageError(
            f"{name}: this generator is fed with images and makes no samples of its own, which figures could be of."
        )
    data = model.config["data"]
    low, high, kind = data["low"], data["high"], np.dtype(data["dtype"])

    def images(first: int, n: int) -> Tensor:
        made = model.images(n, first=first, seed=seed)
        if not bool(made.isfinite().all()):
            raise RunError(
                f"{name}: samples {first} to {first + n - 1} of seed {seed} are not finite; it has diverged."
            )
        pixels = torch.from_numpy(to_pixels(made, low, high, kind))
        return pixels if made.ndim == 2 else normalise(pixels, low, high)

    return Side(name, None, _digest(model), images, model.shape, seed, model)


def _digest(model: Sampler) -> str:
    """The SHA-256 of the file of weights; of an ensemble, that of its members' in their order."""
    members = model.members if isinstance(model, Ensemble) else (model,)
    digests = [member.config.get("file", {}).get("sha256", "") for member in members if isinstance(member, Model)]
    if not all(digests):
        return ""
    return str(digests[0]) if len(digests) == 1 else hashlib.sha256(" ".join(digests).encode()).hexdigest()
