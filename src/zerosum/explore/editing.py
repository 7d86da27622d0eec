"""Moving samples, or a projected image, along directions."""

from __future__ import annotations

from typing import Any

import torch

from zerosum.errors import UsageError
from zerosum.explore.artefact import Directions
from zerosum.explore.progress import Progress, ticker
from zerosum.explore.sheet import Sheet, check_count, sheet_of, spaced
from zerosum.explore.space import Points, Space, space_of

REACH, STEPS = 3.0, 7


def edit(
    model: Any,
    found: Directions,
    direction: int = 1,
    *,
    points: Points | None = None,
    count: int = 4,
    reach: float = REACH,
    steps: int = STEPS,
    seed: int = 0,
    label: int | str | None = None,
    truncation: float = 1.0,
    progress: Progress | None = None,
) -> Sheet:
    """Samples moved along one direction: a row for each, from -`reach` to `reach` of the direction's steps.

    Args:
        model: as `zerosum.load` gives it.
        found: directions of this generator.
        direction: which one, from 1.
        points: what is moved, as of a projection; None: samples 0 to `count` − 1 of the seed.
        count: how many samples.
        reach: how far, in steps of the direction.
        steps: images of a row, 2 or more.
        seed, label, truncation: of the samples, as `Model.sample` has them.
        progress: called with what is done, how much of it and of how much, from two seconds on.

    Raises `UsageError` for directions of another generator's space, and for one that there is not.
    """
    check_count("count", count)
    check_count("steps", steps, least=2)
    space = space_of(model, None, truncation)
    found.check(space)
    if not 1 <= direction <= len(found):
        raise UsageError(f"There is no direction {direction}: they are numbered 1 to {len(found)}.")
    names = tuple(map(str, range(count)))
    if points is None:
        points = space.points(range(count), seed=seed, label=label)
    else:
        names = ("projection",) if len(points.rows) == 1 else tuple(map(str, range(len(points.rows))))
    number = direction - 1
    moved = along(space, points, found, [number], reach, steps)
    images = space.images(moved, ticker(progress, "moving", len(moved.rows)))
    title = f"Direction {direction}, {found.names[number]}: a step changes a pixel by {found.effects[number]:.1%}"
    return sheet_of(images, len(points.rows), model, title, rows=names, columns=heads_of(reach, steps))


def overview(
    model: Any,
    found: Directions,
    *,
    reach: float = REACH,
    steps: int = STEPS,
    seed: int = 0,
    label: int | str | None = None,
    progress: Progress | None = None,
) -> Sheet:
    """Sample 0 of a seed moved along each direction: a row for each, from -`reach` to `reach` of its steps."""
    check_count("steps", steps, least=2)
    space = space_of(model)
    found.check(space)
    point = space.points(range(1), seed=seed, label=label)
    moved = along(space, point, found, list(range(len(found))), reach, steps)
    images = space.images(moved, ticker(progress, "drawing directions", len(moved.rows)))
    names = [f"{number}: {name}, {effect:.1%}" for number, (name, effect) in enumerate(_named(found), start=1)]
    title = f"Directions by effect: how much a step changes a pixel; sample 0 of seed {seed}"
    return sheet_of(images, len(found), model, title, rows=tuple(names), columns=heads_of(reach, steps))


def along(space: Space, points: Points, found: Directions, numbers: list[int], reach: float, steps: int) -> Points:
    """Each point moved along each of the directions of these numbers, from 0: (N · directions · steps) points."""
    amounts = spaced(-reach, reach, steps).float()
    lengths = torch.tensor([found.steps[number] for number in numbers])
    by = found.vectors[numbers][:, None] * (lengths[:, None] * amounts)[:, :, None]  # (directions, steps, length)
    by = by.flatten(0, 1).repeat(len(points.rows), 1)
    still = points.rows.repeat_interleave(len(numbers) * steps, 0)
    return points.at(space.moved(still, by, found.layers))


def heads_of(reach: float, steps: int) -> tuple[str, ...]:
    """The words over the columns: -3, … 0, … 3."""
    return tuple(f"{float(amount):+.3g}" if amount else "0" for amount in spaced(-reach, reach, steps))


def _named(found: Directions) -> zip[tuple[str, float]]:
    return zip(found.names, found.effects, strict=True)
