"""Penalties as a game adds them: the plain functions of `zerosum.penalties` with the randomness they ask for.

A share that mixes real and generated samples belongs to its image and comes by position, as latents do. Noise of an
image's size comes from PyTorch's own generator, which is seeded anew at each turn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from zerosum import penalties
from zerosum.errors import UsageError, nearest
from zerosum.games.game import Draw

# (discriminator, real, fake, draw, options) to a scalar
Call = Callable[..., Tensor]


@dataclass(frozen=True)
class Penalty:
    """`every · weight · function(discriminator, real, fake, draw)`, added at each `every`-th turn."""

    name: str
    function: Callable[[nn.Module, Tensor, Tensor, Draw], Tensor]
    weight: float
    every: int = 1


@dataclass(frozen=True)
class Term:
    """How a penalty is called, the options it takes with their defaults, and its weight where none is given."""

    call: Call
    weight: float
    options: dict[str, Any] = field(default_factory=dict)
    compares_answers: bool = False  # dropout would be part of the difference


def _r1(discriminator: nn.Module, real: Tensor, fake: Tensor, draw: Draw) -> Tensor:
    return penalties.r1(discriminator, real)


def _r2(discriminator: nn.Module, real: Tensor, fake: Tensor, draw: Draw) -> Tensor:
    return penalties.r2(discriminator, fake)


def _r1_difference(discriminator: nn.Module, real: Tensor, fake: Tensor, draw: Draw, *, sigma: float) -> Tensor:
    return penalties.r1_difference(discriminator, real, torch.randn_like(real), sigma=sigma)


def _r2_difference(discriminator: nn.Module, real: Tensor, fake: Tensor, draw: Draw, *, sigma: float) -> Tensor:
    return penalties.r2_difference(discriminator, fake, torch.randn_like(fake), sigma=sigma)


def _gradient(discriminator: nn.Module, real: Tensor, fake: Tensor, draw: Draw, *, one_sided: bool) -> Tensor:
    return penalties.gradient_penalty(discriminator, real, fake, draw.shares("mix", 1)[:, 0], one_sided=one_sided)


def _dragan(discriminator: nn.Module, real: Tensor, fake: Tensor, draw: Draw, *, spread: float) -> Tensor:
    noise = spread * real.std() * torch.rand_like(real)
    return penalties.dragan(discriminator, real, noise)


TERMS: dict[str, Term] = {
    "r1": Term(_r1, 0.5),
    "r2": Term(_r2, 0.5),
    "r1_difference": Term(_r1_difference, 0.5, {"sigma": 0.01}, compares_answers=True),
    "r2_difference": Term(_r2_difference, 0.5, {"sigma": 0.01}, compares_answers=True),
    "gradient": Term(_gradient, 10.0, {"one_sided": False}),
    "dragan": Term(_dragan, 10.0, {"spread": 0.5}),
}


def make_penalty(
    name: str, discriminator: nn.Module, *, weight: float | None, every: int, options: dict[str, Any]
) -> Penalty:
    """The penalty called `name` with its options bound; `weight` None: its published one.

    Raises `UsageError` for an unknown name or option, and where the discriminator's dropout would be penalised.
    """
    if name not in TERMS:
        raise UsageError(f"game.penalties: there is no penalty {name!r}; {nearest(name, list(TERMS))}")
    term = TERMS[name]
    for option, value in options.items():
        if option not in term.options:
            known = nearest(option, list(term.options)) if term.options else "it has none."
            raise UsageError(f"game.penalties.{name} has no option {option!r}; {known}")
        kind = type(term.options[option])
        if type(value) is not kind and not (kind is float and type(value) is int):
            raise UsageError(
                f"game.penalties.{name}.options.{option} is {value!r}; it must be like {term.options[option]!r}."
            )
    if term.compares_answers and (why := penalties.randomness_warning(discriminator)):
        raise UsageError(f"game.penalties.{name}: {why}")
    call = partial(term.call, **term.options | options)
    return Penalty(name, call, term.weight if weight is None else weight, every)
