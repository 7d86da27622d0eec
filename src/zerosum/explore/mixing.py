"""Style mixing: some layers driven by the style of one sample, the others by that of another.

Karras, Laine & Aila 2019, https://arxiv.org/abs/1812.04948, section 3.1 and figure 3: early layers draw what is large
(pose, shape), late ones what is fine (colour, texture).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from zerosum.explore.layers import layer_count, numbers_text, parse_layers
from zerosum.explore.progress import Progress, ticker
from zerosum.explore.sheet import Sheet, check_count, sheet_of
from zerosum.explore.space import Points, image_generator, space_of


def mix(
    model: Any,
    count: int = 5,
    *,
    layers: str | Sequence[int] | None = None,
    seed: int = 0,
    label: int | str | None = None,
    truncation: float = 1.0,
    progress: Progress | None = None,
) -> Sheet:
    """A grid of mixed samples: its rows have samples 0 … of a seed, its columns the `count` samples after these.

    Args:
        model: as `zerosum.load` gives it.
        count: rows, and columns.
        layers: those that the column's sample drives, as "0-2,5" or numbers; None: the first half.
        seed, label, truncation: as `Model.sample` has them.
        progress: called with what is done, how much of it and of how much, from two seconds on.

    The first row and the first column of the sheet are the samples themselves, their corner is blank. Raises
    `UsageError` where the generator has no styles, and for layers that it has not.
    """
    check_count("count", count, most=100)
    model = image_generator(model)
    many = layer_count(model)
    chosen = parse_layers(layers, many) or tuple(range(max(1, many // 2)))
    space = space_of(model, "w", truncation)
    styles = space.layered(space.points(range(2 * count), seed=seed, label=label).rows)
    rows, columns = styles[:count], styles[count:]
    taken = torch.zeros(many, 1, dtype=torch.bool)
    taken[list(chosen)] = True
    mixed = torch.where(taken, columns[None], rows[:, None])  # (rows, columns, layers, style)
    blank = torch.zeros_like(rows[:1])
    head = torch.cat((blank, columns))[None]
    whole = torch.cat((head, torch.cat((rows[:, None], mixed), 1))).flatten(0, 1)
    images = space.images(Points(whole), ticker(progress, "mixing", len(whole)))
    title = f"Layers {numbers_text(chosen)} of 0-{many - 1} from the top, the others from the left; seed {seed}"
    names = (" ", *map(str, range(count)))
    heads = (" ", *map(str, range(count, 2 * count)))
    return sheet_of(images, count + 1, model, title, rows=names, columns=heads, blank=frozenset({(0, 0)}))
