"""Latent arithmetic: the sample at the sum of others' points, as "7 - 3 + 12".

    z = Σ ± z_i, brought back to the length that its terms have on average
    w = w̄ + Σ ± (w_i − w̄)

Radford, Metz & Chintala 2016, https://arxiv.org/abs/1511.06434, section 6.3.2: smiling woman − neutral woman + neutral
man; there each term is the mean of three samples, which is steadier. A sum of three latents is longer than any that is
drawn, so its noise is brought back. In W, where lengths mean nothing, it is taken from the mean.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from zerosum.errors import UsageError
from zerosum.explore.progress import Progress, ticker
from zerosum.explore.sheet import Sheet, sheet_of
from zerosum.explore.space import Points, Space, space_of

TERM = re.compile(r"\s*([+−-]?)\s*(\d{1,12}(?:\s*,\s*\d{1,12})*)\s*", re.ASCII)
MOST_TERMS, MOST_SAMPLES = 16, 256


@dataclass(frozen=True)
class Term:
    """The mean of samples, added or taken away."""

    sign: int
    numbers: tuple[int, ...]

    def words(self) -> str:
        """ "+ 7", "- mean of 3, 4"."""
        numbers = ", ".join(map(str, self.numbers))
        return f"{'+' if self.sign > 0 else '−'} {numbers if len(self.numbers) == 1 else f'({numbers})'}"


def arithmetic(
    model: Any,
    expression: str,
    *,
    seed: int = 0,
    label: int | str | None = None,
    truncation: float = 1.0,
    progress: Progress | None = None,
) -> Sheet:
    """The terms of a sum of samples, and what it makes, last: one row.

    Args:
        model: as `zerosum.load` gives it.
        expression: numbers of samples of the seed, with + and − between; numbers with commas are a mean: "7,9,21 - 3,4
            + 12".
        seed, label, truncation: as `Model.sample` has them. In z a class stays what it is: where the generator takes
            labels and none is given, it is the first sample's.
        progress: called with what is done, how much of it and of how much, from two seconds on.

    One-hot codes are the first sample's. Raises `UsageError` for what is no such expression.
    """
    terms = parse(expression)
    space = space_of(model, None, truncation)
    numbers = [number for term in terms for number in term.numbers]
    points = space.points(numbers, seed=seed, label=label, alike=True)
    parts = points.rows.split([len(term.numbers) for term in terms])
    means = torch.cat([part.mean(0, keepdim=True) for part in parts])
    signs = torch.tensor([[float(term.sign)] for term in terms])
    shown = [part if len(part) == 1 else _settled(space, part.mean(0, keepdim=True), points.rows) for part in parts]
    rows = torch.cat((*shown, added(space, means, signs, points.rows)))
    labels = None if points.labels is None else points.labels[:1].expand(len(rows))
    images = space.images(Points(rows, labels), ticker(progress, "adding", len(rows)))
    heads = [term.words() for term in terms]
    heads[0] = heads[0].removeprefix("+ ")
    title = f"Samples of seed {seed} in {space.name}"
    return sheet_of(images, 1, model, title, columns=(*heads, "="))


def parse(expression: str) -> tuple[Term, ...]:
    """The terms of "7,9 - 3 + 12". Raises `UsageError` for anything else."""
    terms: list[Term] = []
    position = 0
    while position < len(expression):
        found = TERM.match(expression, position)
        if found is None or (terms and not found[1]):
            break
        terms.append(Term(1 if found[1] in ("", "+") else -1, tuple(int(text) for text in found[2].split(","))))
        position = found.end()
    many = sum(len(term.numbers) for term in terms)
    if not terms or position < len(expression):
        raise UsageError(
            f"{expression!r} is no sum of samples: give numbers of samples with + and - between, as '7 - 3 + 12'; "
            "with commas it is their mean, as '7,9,21 - 3,4 + 12'."
        )
    if len(terms) > MOST_TERMS or many > MOST_SAMPLES:
        raise UsageError(f"A sum has {MOST_TERMS} terms and {MOST_SAMPLES} samples at most.")
    return tuple(terms)


def added(space: Space, means: Tensor, signs: Tensor, samples: Tensor) -> Tensor:
    """The sum (1, length) of means (terms, length), with signs (terms, 1), of samples (N, length)."""
    centre = space.moments[0] if space.name == "w" else torch.zeros(space.length)
    total = (centre + (signs * (means - centre)).sum(0))[None]
    return _settled(space, total, samples)


def _settled(space: Space, rows: Tensor, samples: Tensor) -> Tensor:
    """Points (n, length), in z with noise of the samples' mean length, and with the first sample's one-hot rows."""
    if space.name == "w":
        return rows
    noise = slice(0, space.latents.size)
    wanted = samples[:, noise].norm(dim=1).mean()
    made = torch.where(space.free, rows, samples[0])
    made[:, noise] *= wanted / made[:, noise].norm(dim=1, keepdim=True).clamp(min=1e-12)
    return made
