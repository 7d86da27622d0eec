"""Directions that mean something, found without a label, and ordered by what they do.

    sefa   the eigenvectors of AᵀA, A the matrix by which the first layers read a point: where the largest answers are.
           Shen & Zhou, "Closed-form factorization of latent semantics in GANs", CVPR 2021,
           https://arxiv.org/abs/2007.06600, equation 5.
    pca    the principal components of styles in W; elsewhere those of what enters the second layer, brought back to the
           latents by regression. Härkönen, Hertzmann, Lehtinen & Paris, "GANSpace", NeurIPS 2020,
           https://arxiv.org/abs/2004.02546, section 2.

Eigenvalues tell how much a layer hears, not how much an image changes, so directions are sorted by a measured effect:
the mean change of a pixel between a step of -1 and one of 1, halved, over samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from zerosum.errors import UsageError, nearest
from zerosum.explore.artefact import Directions
from zerosum.explore.layers import layer_count, parse_layers
from zerosum.explore.progress import Progress, ticker
from zerosum.explore.reading import LARGEST, first_layer, hearing, readers, second_layer
from zerosum.explore.sheet import check_count
from zerosum.explore.space import Points, Space, fingerprint, space_of
from zerosum.sampler import chunks

METHODS = ("sefa", "pca")
JUDGED = 16  # samples that effects are measured on
MOST_VALUES = 2**25  # of the features that components are found among: 256 MB
SAMPLES = 2000
LEAST_SHARE = 1e-7  # of the largest eigenvalue, under which there is nothing but rounding


def directions(
    model: Any,
    method: str = "sefa",
    *,
    count: int = 8,
    layers: str | Sequence[int] | None = None,
    samples: int = SAMPLES,
    seed: int = 0,
    label: int | str | None = None,
    progress: Progress | None = None,
) -> Directions:
    """The first directions by a method, sorted by their effect, the greatest first.

    Args:
        model: as `zerosum.load` gives it.
        method: "sefa" or "pca".
        count: how many; fewer where there are not so many.
        layers: of a style generator, those that are read (sefa) and moved, as "0-2,5" or numbers; None: all.
        samples: what components are found among (pca).
        seed, label: of the samples that components are found among and effects are measured on.
        progress: called with what is done, how much of it and of how much, from two seconds on.

    In z only noise and continuous codes are moved. Raises `UsageError` for what is no image generator, an unknown
    method, layers where there are no styles, and more numbers than can be factorised.
    """
    if method not in METHODS:
        raise UsageError(f"There is no method {method!r}: {nearest(method, [*METHODS, 'labels'])}")
    check_count("count", count)
    check_count("samples", samples, least=2, most=10**6)
    space = space_of(model)
    chosen = () if layers is None else parse_layers(layers, layer_count(space.model))
    if method == "sefa":
        vectors = factorised(space, chosen)[:count]
    else:
        points = space.points(range(samples), seed=seed, label=label)
        vectors = components(space, points, progress)[:count]
    names = tuple(f"{method} {number}" for number in range(1, len(vectors) + 1))
    return judged(space, method, vectors, names, layers=chosen, seed=seed, label=label, progress=progress)


# A^T A n = λ n
# Shen & Zhou 2021, equation 5.
def factorised(space: Space, layers: Sequence[int] = ()) -> Tensor:
    """The eigenvectors of AᵀA, float32 (K, length), largest eigenvalue first; A is of the layers that read the points.

    `layers`: of styles, those that are taken; none: all.
    """
    taken = [reader.matrix for reader in readers(space) if not layers or reader.place in layers]
    matrix = torch.cat(taken)[:, space.free]
    values, vectors = torch.linalg.eigh(matrix.T @ matrix)
    values, vectors = values.flip(0), vectors.flip(1).T
    sound = values > LEAST_SHARE * values[0]
    return _spread(space, vectors[sound])


def components(space: Space, points: Points, progress: Progress | None = None) -> Tensor:
    """Principal directions of samples, float32 (K, length), largest variance first."""
    if space.name == "w":
        return _spread(space, _principal(points.rows.double())[0])
    features = _features(space, points, progress)
    coordinates = _principal(features)[1]
    latents = points.rows[: len(features), space.free].double()
    # U = argmin Σ |U x_j − z_j|², of coordinates x that are not correlated: z's mean over each, weighted by it.
    # Härkönen et al. 2020, equation 1.
    found = (coordinates / coordinates.square().sum(0)).T @ (latents - latents.mean(0))
    return _spread(space, found[: int(space.free.sum())])


def _principal(rows: Tensor) -> tuple[Tensor, Tensor]:
    """The principal axes (K, features) of float64 rows (N, features), and their coordinates along these (N, K).

    By the smaller of the two matrices of inner products: exact, and nothing random.
    """
    centred = rows - rows.mean(0)
    if centred.shape[1] <= len(centred):
        values, axes = torch.linalg.eigh(centred.T @ centred)
        sound = values.flip(0) > LEAST_SHARE * values[-1]
        axes = axes.flip(1).T[sound]
        return axes, centred @ axes.T
    values, left = torch.linalg.eigh(centred @ centred.T)
    sound = values.flip(0) > LEAST_SHARE * values[-1]
    coordinates = (left * values.clamp(min=0).sqrt()).flip(1)[:, sound]
    axes = (coordinates / coordinates.norm(dim=0)).T @ centred
    return axes / axes.norm(dim=1, keepdim=True), coordinates


def _features(space: Space, points: Points, progress: Progress | None) -> Tensor:
    """What enters the second layer, or the first makes where it is alone: float64 (N, features).

    Of as many points as memory is for.
    """
    if space.length > LARGEST:
        readers(space)  # refuses in the same words
    second = second_layer(space)
    listened = first_layer(space) if second is None else second
    pieces: list[Tensor] = []
    counter = ticker(progress, "sampling features", len(points.rows))
    with hearing(space, [listened], lambda _, given, made: pieces.append((made if second is None else given).cpu())):
        for first, count in chunks(len(points.rows)):
            space.images(points[first : first + count], counter)
            if len(pieces) * pieces[0].numel() > MOST_VALUES:
                break
    return torch.cat(pieces).flatten(1).double()


def _spread(space: Space, vectors: Tensor) -> Tensor:
    """Vectors (K, free numbers) as unit vectors float32 (K, length), the largest number of each above zero."""
    whole = torch.zeros(len(vectors), space.length, dtype=torch.float64)
    whole[:, space.free] = vectors
    largest = whole.gather(1, whole.abs().argmax(1, keepdim=True))
    made: Tensor = whole * largest.sign() / whole.norm(dim=1, keepdim=True)
    return made.float()


def judged(
    space: Space,
    method: str,
    vectors: Tensor,
    names: tuple[str, ...],
    *,
    layers: tuple[int, ...] = (),
    seed: int = 0,
    label: int | str | None = None,
    facts: tuple[dict[str, Any], ...] = (),
    progress: Progress | None = None,
) -> Directions:
    """Vectors (K, length) as directions, each with its step and its effect, sorted by this."""
    points = space.points(range(JUDGED), seed=seed, label=label)
    steps = _steps(space, vectors)
    counter = ticker(progress, "measuring effects", 2 * JUDGED * len(vectors))
    effects = []
    for vector, step in zip(vectors, steps, strict=True):
        by = (vector * step).expand(len(points.rows), -1)
        ends = [points.at(space.moved(points.rows, sign * by, layers)) for sign in (1, -1)]
        ahead, behind = (space.images(end, counter) for end in ends)
        effects.append(float((ahead - behind).abs().mean()) / 4)  # two steps, and a range of two
    found = Directions(
        method,
        space.name,
        vectors,
        tuple(map(float, steps)),
        tuple(effects),
        names,
        layers,
        fingerprint(space.model),
        facts or ({},) * len(vectors),
    )
    return _sorted(found)


def _steps(space: Space, vectors: Tensor) -> Tensor:
    """The deviation of the generator's points along each of the vectors: of z by its law, in W of samples."""
    if space.name == "z":
        return torch.mv(vectors.square(), space.moments[1].square()).sqrt()
    along: Tensor = space.points(range(SAMPLES)).rows @ vectors.T
    return along.std(0)


def _sorted(found: Directions) -> Directions:
    order = sorted(range(len(found)), key=lambda number: -found.effects[number])

    def each(values: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(values[number] for number in order)

    return replace(
        found,
        vectors=found.vectors[order],
        steps=each(found.steps),
        effects=each(found.effects),
        names=each(found.names),
        facts=each(found.facts),
    )
