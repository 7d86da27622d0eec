"""A batch whose rows lie on several processes, seen whole by what mixes its samples.

Process r of K holds rows r·n to (r + 1)·n of a batch of K·n. Where there is one process, and outside of `shared`, every
function here does nothing.

Each process minimises a loss L_r of its own, and the mean of their gradients is applied. So the slope that reaches a
row is that of Σ_r L_r, whichever process's loss it comes from: gathering the rows of all, and adding up slopes and
keeping one's own, are each other's transposes, and the sum over processes is its own. All three are written as
functions whose derivatives are one another, so that they can be differentiated as often as a penalty asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor


class Group(Protocol):
    """Processes that share a batch; every one of them calls the same functions in the same order."""

    rank: int
    size: int

    def sum(self, values: Tensor) -> Tensor:
        """The sum over processes of tensors of one shape: a new one."""

    def gather(self, rows: Tensor) -> Tensor:
        """The rows (n, …) of all processes, in their order: (size·n, …)."""


class _Here:
    """The processes that share the batch which is played now, if there are several, and how many there are of it."""

    group: Group | None = None
    sides = 1


_here = _Here()


@contextmanager
def shared(group: Group | None) -> Iterator[None]:
    """Within it batches are those of a group; None: of this process alone."""
    outside, _here.group = _here.group, group
    try:
        yield
    finally:
        _here.group = outside


@contextmanager
def side_by_side(count: int) -> Iterator[None]:
    """Within it rows are those of `count` batches, one after another, as real samples and generated ones."""
    outside, _here.sides = _here.sides, count
    try:
        yield
    finally:
        _here.sides = outside


def alone() -> bool:
    """Whether a batch lies whole on this process."""
    return _here.group is None


def gathered(rows: Tensor, dim: int = 0) -> Tensor:
    """The rows (n, …) of the whole batch, which lie along `dim`; slopes go back to the processes they came from."""
    group = _here.group
    if group is None:
        return rows
    whole: Tensor = _Gather.apply(group, rows.movedim(dim, 0))  # type: ignore[no-untyped-call]
    if _here.sides > 1:
        whole = whole.unflatten(0, (group.size, _here.sides, -1)).transpose(0, 1).flatten(0, 2)
    return whole.movedim(0, dim)


def of_each(values: Tensor) -> Tensor:
    """What each process has (…), in their order: (processes, …); slopes go back to the processes they came from."""
    group = _here.group
    if group is None:
        return values[None]
    stacked: Tensor = _Gather.apply(group, values[None])  # type: ignore[no-untyped-call]
    return stacked


def own(whole: Tensor, dim: int = 0) -> Tensor:
    """Of rows that all processes hold alike, those of this one."""
    group = _here.group
    if group is None:
        return whole
    rows = whole.shape[dim] // (group.size * _here.sides)
    starts = [(side * group.size + group.rank) * rows for side in range(_here.sides)]
    parts = [whole.narrow(dim, start, rows) for start in starts]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim)


def averaged(values: Tensor) -> Tensor:
    """The mean over processes of what each has: of means over its rows, so of the mean over the batch."""
    group = _here.group
    if group is None:
        return values
    total: Tensor = _Sum.apply(group, values)  # type: ignore[no-untyped-call]
    return total / group.size


def deviation(values: Tensor) -> Tensor:
    """The standard deviation, over N − 1, of all the numbers of a batch; without a gradient where there are several."""
    group = _here.group
    if group is None:
        return values.std()
    values = values.detach()
    numbers = values.numel() * group.size
    variance = averaged((values - averaged(values.mean())).square().mean())
    return (variance * numbers / (numbers - 1)).sqrt()


def drawn(make: Callable[[int], Tensor], rows: int, dim: int = 0) -> Tensor:
    """What `make(rows)` draws from PyTorch's generator, along `dim` a row a sample: of the whole batch's, one's own.

    Each process draws all of it and drops what is others': so nothing that is drawn depends on their number.
    """
    group = _here.group
    return make(rows) if group is None else own(make(rows * group.size), dim)


def drawn_like(make: Callable[[Tensor], Tensor], samples: Tensor) -> Tensor:
    """The same for what draws by the shape of samples (N, …), as `torch.randn_like`, and in their order in memory."""
    return drawn(lambda rows: make(_stretched(samples, rows)), len(samples))


def _stretched(samples: Tensor, rows: int) -> Tensor:
    """`samples`, or something like them of so many rows, with no values."""
    if rows == len(samples):
        return samples
    row = samples.numel() // max(len(samples), 1)
    if samples.stride(0) == row and not samples.is_contiguous():  # as channels-last maps: row after row all the same
        return torch.empty_strided(
            (rows, *samples.shape[1:]), samples.stride(), dtype=samples.dtype, device=samples.device
        )
    return samples.new_empty((rows, *samples.shape[1:]))


class _Gather(torch.autograd.Function):
    """Rows of each process to the rows of all."""

    @staticmethod
    def forward(ctx: Any, group: Group, rows: Tensor) -> Tensor:
        ctx.group = group
        return group.gather(rows)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[None, Tensor]:
        return None, _Scatter.apply(ctx.group, slopes[0])  # type: ignore[no-untyped-call]


class _Scatter(torch.autograd.Function):
    """The sum over processes of the rows of all to the rows of each: the transpose of `_Gather`."""

    @staticmethod
    def forward(ctx: Any, group: Group, whole: Tensor) -> Tensor:
        ctx.group = group
        rows = len(whole) // group.size
        return group.sum(whole).narrow(0, group.rank * rows, rows).clone()

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[None, Tensor]:
        return None, _Gather.apply(ctx.group, slopes[0])  # type: ignore[no-untyped-call]


class _Sum(torch.autograd.Function):
    """The sum over processes, its own transpose."""

    @staticmethod
    def forward(ctx: Any, group: Group, values: Tensor) -> Tensor:
        ctx.group = group
        return group.sum(values)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[None, Tensor]:
        return None, _Sum.apply(ctx.group, slopes[0])  # type: ignore[no-untyped-call]
