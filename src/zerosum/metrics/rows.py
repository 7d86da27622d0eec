"""Features as rows (N, D): checked, and the distances between two sets of them a block of rows at a time.

    |x − y|² = |x|² + |y|² − 2 x·y        in float64, after the mean of one set was taken off both

All distances of 50,000 rows to each other are 20 GB. A block has at most `AT_ONCE` of them (one row at least), and
float64 copies are made of at most as many features, so that memory grows with N no faster than what is given and
returned. The mean changes no distance, and taking it off leaves less to cancel.

PyTorch is imported when a function is called. The work is done where the first set is, or on the CPU where that
device has no float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from zerosum.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor, device

AT_ONCE = 2**23  # distances, or features, in float64: 64 MB
ROUNDING = 1e-13  # of |x|² + |y|²: what a squared distance may be off by, some hundred times float64's step


def check(*sets: Tensor, least: int = 1) -> None:
    """Raises UsageError unless the sets are finite rows of as many features, at least `least` rows each."""
    shapes = [tuple(rows.shape) for rows in sets]
    if any(len(shape) != 2 or shape[0] < least or shape[1] != shapes[0][-1] or not shape[1] for shape in shapes):
        wanted = "one row" if least == 1 else f"{least} rows"
        raise UsageError(
            f"Features are (N, D), at least {wanted}, and of one D where two sets are compared; "
            f"these are {' and '.join(map(str, shapes))}."
        )
    if not all(bool(rows.isfinite().all()) for rows in sets):
        raise UsageError("Some of these features are not finite (NaN or infinite): find the images they come from.")


def home(rows: Tensor) -> device:
    """The device to work on: that of the rows, or the CPU where it has no float64 (Apple's)."""
    import torch

    return torch.device("cpu") if rows.device.type == "mps" else rows.device


def pieces(rows: Tensor, like: Tensor) -> Iterator[Tensor]:
    """All rows in order, a bounded number at a time, in float64 where `like` is worked on: (n, D) each."""
    import torch

    for piece in rows.detach().split(max(1, AT_ONCE // rows.shape[1])):
        yield piece.to(home(like), torch.float64)


def squared_distances(rows: Tensor, others: Tensor, *, stretch: float = 0.0) -> Iterator[tuple[int, Tensor]]:
    """Squared Euclidean distances of `rows` (N, D) to `others` (M, D), in blocks: the first row's number, and (n, M).

    stretch: a share of |x|² + |y|² to add to each, for comparisons that rounding must not decide: + ROUNDING for
    "surely less than", − ROUNDING for "perhaps no more than". Distances are then no longer at least 0.
    """
    import torch

    count, place = len(others), home(rows)
    centre = torch.stack([piece.sum(0) for piece in pieces(others, rows)]).sum(0) / count
    step = max(1, AT_ONCE // max(count, rows.shape[1]))
    for first in range(0, len(rows), step):
        block = rows[first : first + step].detach().to(place, torch.float64) - centre
        norms = block.square().sum(1, keepdim=True)
        squares = torch.empty(len(block), count, dtype=torch.float64, device=place)
        at = 0
        for piece in pieces(others, rows):
            centred = piece - centre
            part = squares[:, at : at + len(piece)]
            torch.add(norms, centred.square().sum(1), out=part)
            part.mul_(1 + stretch).addmm_(block, centred.T, alpha=-2)
            at += len(piece)
        yield first, squares if stretch else squares.clamp_(min=0)
