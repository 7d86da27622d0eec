"""The ways through a generator's latents along which perceptual path length is measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from zerosum.games import Latents
from zerosum.model import Model
from zerosum.networks import StyleGenerator


@dataclass(frozen=True)
class Ways:
    """Paths, and what makes images along them.

    Attributes:
        make: places (n, D) to images (n, C, H, W) in [-1, 1].
        starts, ends: (N, D) places.
        spherical: whether a path keeps to a sphere.
        space: "w", where the generator has styles, or "z".
    """

    make: Callable[[Tensor], Tensor]
    starts: Tensor
    ends: Tensor
    spherical: bool
    space: str


def ways_of(model: Model, count: int, seed: int) -> Ways:
    """So many paths, from one latent of a seed to another. Labels and codes are drawn anew, and one along a path."""
    latents = Latents(**model.config["latent"])
    starts, ends = (model.latents(count, seed=seed, first=first) for first in (0, count))
    generator = model.generator
    if isinstance(generator, StyleGenerator) and not model.classes and not latents.codes:
        with torch.no_grad():
            starts, ends = (generator.styles(rows.to(model.device)) for rows in (starts, ends))
        return Ways(generator.synthesise, starts, ends, spherical=False, space="w")

    def make(noise: Tensor) -> Tensor:
        labels = torch.randint(len(model.classes), (len(noise),)) if model.classes else None
        return model.generate(torch.cat([noise, *_codes(latents, len(noise))], dim=1), labels)

    starts, ends = (rows[:, : latents.size] for rows in (starts, ends))
    return Ways(make, starts, ends, spherical=latents.distribution == "normal", space="z")


def _codes(latents: Latents, count: int) -> list[Tensor]:
    """Codes (count, length) of each kind that there is, from PyTorch's own generator, which a path holds."""
    parts = [one_hot(torch.randint(values, (count,)), values).float() for values in latents.categorical]
    return [*parts, torch.rand(count, latents.continuous) * 2 - 1] if latents.continuous else parts
