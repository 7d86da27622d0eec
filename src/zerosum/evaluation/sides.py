"""The two sides of a comparison: what gives images, or points, by number; a data set, samples, or translations.

All give what a file of them would hold: what networks make is rounded to the depth of its data first. Figures of
images that were not rounded are others (Parmar et al. 2022, On aliased resizing, https://arxiv.org/abs/2104.11222).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zerosum.data import MIXTURES, Degradation, Store, normalise, to_pixels
from zerosum.errors import RunError, UsageError
from zerosum.games import Latents
from zerosum.games.randomness import number_of
from zerosum.model import Ensemble, Model
from zerosum.sampler import Sampler
from zerosum.translator import Translator, scale_of

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
        sampler: what makes the samples; None: it has none.
        mixture: where the points come from, if that is known.
        kind: "data", "samples" or "translations".
        part: which rows of their data they are, or were made of: "held out", "trained on"; "" where nobody knows.
        wanted: the digest of the images that these should be, each that of its own number; "" where there are none.
    """

    name: str
    count: int | None
    digest: str
    images: Callable[[int, int], Tensor]
    shape: tuple[int, ...]
    seed: int = ORDER
    sampler: Sampler | None = None
    mixture: Mixture | None = None
    kind: str = "data"
    part: str = ""
    wanted: str = ""

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


def side_of_store(store: Store, part: str = "") -> Side:
    """The rows of a data set, shuffled, in one order for all: files often lie in order of their classes."""
    shuffled = _shuffled(store)

    def images(first: int, n: int) -> Tensor:
        rows = shuffled.gather(np.arange(first, first + n))
        return rows if store.is_points else normalise(rows, store.low, store.high)

    built_in = store.summary["kind"] == "points"  # a file of points may have any name
    mixture = Mixture(*MIXTURES[store.name]) if built_in and store.name in MIXTURES else None
    return Side(store.name, len(store), shuffled.digest, images, store.shape, mixture=mixture, part=part)


def side_of_model(model: Sampler, seed: int, name: str = "samples") -> Side:
    """The samples of a seed, those of `zerosum sample`. Raises `UsageError` where a generator makes none.

    Its `images` raise `RunError` where they are not finite.
    """
    if Latents(**model.config["latent"]).of_images:
        raise UsageError(
            f"{name}: this generator is fed with images and makes no samples of its own, which figures could be of."
        )

    def images(first: int, n: int) -> Tensor:
        made = model.images(n, first=first, seed=seed)
        return _stored(made, model.config["data"], f"{name}: samples {first} to {first + n - 1} of seed {seed}")

    return Side(name, None, _digest(model), images, model.shape, seed, model, kind="samples")


def side_of_translations(
    model: Translator,
    wanted: Store,
    given: Store | Degradation,
    seed: int,
    name: str = "translations",
    part: str = "",
) -> Side:
    """What a translator makes: of paired games all there is, of unpaired ones a to b. It draws nothing at random.

    Args:
        model: the translator.
        wanted: pictures that it should make; of an unpaired game, those of domain b.
        given: pictures that it starts from, row by row those of `wanted` where the game is paired, in an order of
            their own where it is not; or what makes them of `wanted`.
        seed: of what is random about a degradation.
        name: what people call it.
        part: which rows they are: "held out" or "trained on".

    Its order is that of `side_of_store` of `wanted`: number i belongs to number i there, where the game is paired. Its
    `images` raise `RunError` where they are not finite, `UsageError` where pictures do not fit the translator.
    """
    way, targets = model.way(), _shuffled(wanted)
    worse = given if isinstance(given, Degradation) else None
    sources = targets if isinstance(given, Degradation) else _shuffled(given)

    def pictures(first: int, n: int) -> Tensor:
        rows = normalise(sources.gather(np.arange(first, first + n)), sources.low, sources.high)
        if worse is None:
            return rows
        return worse.apply(rows, [number_of(seed, "evaluate", number) for number in range(first, first + n)])

    def images(first: int, n: int) -> Tensor:
        made = model.translated(pictures(first, n))
        return _stored(made, way.wanted, f"{name}: translations {first} to {first + n - 1}")

    height, width = (sources.shape if worse is None else worse.source_shape(sources.shape))[1:]
    scale = scale_of(model.networks[way.network])
    return Side(
        name,
        len(sources),
        _digest(model),
        images,
        (way.wanted["shape"][0], height * scale, width * scale),
        seed,
        kind="translations",
        part=part,
        wanted=targets.digest if model.config["game"] == "paired" else "",
    )


def _shuffled(store: Store) -> Store:
    """The same rows in the order of every evaluation."""
    return store.part(store.order(np.random.default_rng(ORDER)))


def _stored(made: Tensor, about: dict[str, Any], what: str) -> Tensor:
    """What a file of data `about` would hold of networks' images. Raises `RunError` where they are not finite."""
    if not bool(made.isfinite().all()):
        raise RunError(f"{what} are not finite; it has diverged.")
    pixels = torch.from_numpy(to_pixels(made, about["low"], about["high"], np.dtype(about["dtype"])))
    return pixels if made.ndim == 2 else normalise(pixels, about["low"], about["high"])


def _digest(model: Sampler | Translator) -> str:
    """The SHA-256 of the file of weights; of an ensemble, that of its members' in their order."""
    members = model.members if isinstance(model, Ensemble) else (model,)
    digests = [
        member.config.get("file", {}).get("sha256", "") for member in members if isinstance(member, Model | Translator)
    ]
    if not all(digests):
        return ""
    return str(digests[0]) if len(digests) == 1 else hashlib.sha256(" ".join(digests).encode()).hexdigest()
