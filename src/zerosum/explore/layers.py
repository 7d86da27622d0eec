"""The layers of a style generator by number, as people write them: 0-2,5."""

from __future__ import annotations

import re
from collections.abc import Sequence

from zerosum.errors import UsageError
from zerosum.explore.space import style_generator, without_styles
from zerosum.model import Model

PART = re.compile(r"(\d{1,6})(?:-(\d{1,6}))?", re.ASCII)


def layer_count(model: Model) -> int:
    """How many layers a style drives. Raises `UsageError` where there are no styles."""
    styled = style_generator(model)
    if styled is None:
        raise UsageError(without_styles(model))
    return len(styled.layers)


def parse_layers(layers: str | Sequence[int] | None, count: int) -> tuple[int, ...]:
    """The numbers of layers, sorted, none of them twice: of "0-2,5", or of numbers; None: none.

    Raises `UsageError` for other words, and for a layer that is none of 0 to `count` − 1.
    """
    if layers is None:
        return ()
    if isinstance(layers, str):
        found = [PART.fullmatch(part.strip()) for part in layers.split(",")]
        if not all(found):
            raise UsageError(f"--layers {layers}: give layers as 0-2,5.")
        ends = [(int(part[1]), int(part[2] or part[1])) for part in found if part]
        if any(first > last for first, last in ends):
            raise UsageError(f"--layers {layers}: give the lower number first, as 0-2,5.")
        if max(last for _, last in ends) >= count:
            raise UsageError(f"--layers {layers}: this generator has layers 0 to {count - 1}.")
        return tuple(sorted({number for first, last in ends for number in range(first, last + 1)}))
    if not layers or min(layers) < 0 or max(layers) >= count:
        raise UsageError(f"Layers {list(layers)}: this generator has layers 0 to {count - 1}.")
    return tuple(sorted(set(layers)))


def numbers_text(numbers: Sequence[int]) -> str:
    """Whole numbers in their order as people write them: 0-2, 5."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)
