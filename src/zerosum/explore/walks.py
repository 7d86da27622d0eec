"""Ways through a generator's samples: from one to the next, and from the common to the rare.

    z = (1 − t) a + t b                                                                   linear
    z = slerp(a, b; t), along the great circle                                            spherical
    w = (1 − t) w_a + t w_b                                                               through W

Latents drawn from N(0, I) lie near a sphere: a straight line leaves it, and its middle is of samples that are hardly
ever drawn (White 2016, Sampling generative networks, https://arxiv.org/abs/1609.04468). W has no such shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from zerosum.errors import UsageError
from zerosum.explore.progress import Progress, ticker
from zerosum.explore.sheet import Sheet, check_count, sheet_of, spaced
from zerosum.explore.space import Space, image_generator, space_of, style_generator
from zerosum.metrics.path_length import lerp, slerp

WAYS = ("linear", "spherical", "w")
PSI = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def interpolate(
    model: Any,
    count: int = 4,
    *,
    steps: int = 10,
    way: str | None = None,
    seed: int = 0,
    label: int | str | None = None,
    code: int | None = None,
    truncation: float = 1.0,
    progress: Progress | None = None,
) -> Sheet:
    """A walk through samples 0 to `count` − 1 of a seed and back to the first: a row from each to the next.

    Args:
        model: as `zerosum.load` gives it.
        count: samples that are passed, 1 or more (of one nothing moves).
        steps: images of a row, both of its ends among them, 2 or more.
        way: "linear" or "spherical", in z, or "w"; None: "w" where there are styles, else spherical, or linear for
            latents that are not normal.
        seed, label, code, truncation: as `Model.sample` has them. In z a class stays what it is: where the generator
            takes labels and none is given, it is the first sample's.
        progress: called with what is done, how much of it and of how much, from two seconds on.

    Its first column is what `model.sample(count, seed=seed, …)` gives, to the last bit. Raises `UsageError` for what is
    no image generator, an unknown way, and W where there are no styles.
    """
    check_count("count", count)
    check_count("steps", steps, least=2)
    way = chosen_way(model, way)
    space = space_of(model, "w" if way == "w" else "z", truncation)
    ends = space.points(range(count), seed=seed, label=label, code=code, alike=True)
    times = spaced(0, 1, steps).repeat(count)[:, None]
    starts = ends.rows.repeat_interleave(steps, 0)
    goals = ends.rows.roll(-1, 0).repeat_interleave(steps, 0)
    points = ends.at(between(space, starts, goals, times, way))
    images = space.images(points, ticker(progress, "interpolating", len(points.rows)))
    names = [f"{number} to {(number + 1) % count}" for number in range(count)]
    title = f"{'Through W' if way == 'w' else way.capitalize()}: samples of seed {seed}, each to the next"
    heads = tuple(f"t = {float(t):.2g}" for t in spaced(0, 1, steps))
    return sheet_of(images, count, model, title, rows=tuple(names), columns=heads)


def walk(sheet: Sheet) -> Tensor:
    """The images of an interpolation as one closed walk, (N, C, H, W): each row without its last, the next one's first.

    What `animated` takes.
    """
    return sheet.images[:, :-1].flatten(0, 1)


def chosen_way(model: Any, way: str | None) -> str:
    """The way, or the one that suits the model. Raises `UsageError` for an unknown one."""
    model = image_generator(model)
    if way is None:
        if style_generator(model) is not None:
            return "w"
        return "spherical" if model.config["latent"]["distribution"] == "normal" else "linear"
    if way not in WAYS:
        raise UsageError(f"There is no way {way!r}: {', '.join(WAYS)}.")
    return way


def between(space: Space, starts: Tensor, ends: Tensor, times: Tensor, way: str) -> Tensor:
    """Points (N, length) at times (N, 1) in [0, 1] of ways between others; the ends are there to the last bit.

    Only the noise goes along a sphere; codes go straight, and one-hot rows change over half way.
    """
    a, b = starts.double(), ends.double()
    made = lerp(a, b, times)
    if way == "spherical":
        noise = slice(0, space.latents.size)
        made[:, noise] = slerp(a[:, noise], b[:, noise], times)
    made = torch.where(space.free, made, torch.where(times < 0.5, a, b)).to(starts.dtype)
    return torch.where(times == 0, starts, torch.where(times == 1, ends, made))


def truncation_sweep(
    model: Any,
    count: int = 8,
    *,
    values: Sequence[float] = PSI,
    seed: int = 0,
    label: int | str | None = None,
    code: int | None = None,
    progress: Progress | None = None,
) -> Sheet:
    """Samples 0 to `count` − 1 of a seed at each truncation: a row for each of `values`, a column for each sample.

    Styles go to their mean, latents to zero (Karras et al. 2019, https://arxiv.org/abs/1812.04948, appendix B; of
    latents Brock et al. 2019, https://arxiv.org/abs/1809.11096, section 3.1, who draw anew what is scaled here). A row
    of 1 is what `model.sample(count, seed=seed, …)` gives. Raises `UsageError` for what is no image generator, for no
    values, and for styles that a label goes into.
    """
    check_count("count", count)
    check_count("values", len(values))
    counter = ticker(progress, "truncating", count * len(values))
    rows = []
    for psi in values:
        space = space_of(model, None, psi)
        rows.append(space.images(space.points(range(count), seed=seed, label=label, code=code), counter))
    names = tuple(f"ψ = {psi:g}" for psi in values)
    what = "styles to their mean" if space.name == "w" else "latents to zero"
    title = f"Truncation, {what}: samples of seed {seed}"
    heads = tuple(map(str, range(count)))
    return sheet_of(torch.cat(rows), len(values), model, title, rows=names, columns=heads)
