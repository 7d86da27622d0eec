"""The Vendi score: how many different samples a set amounts to.

    VS = exp(−Σ λ log λ)            λ: the eigenvalues of K / n, which sum to 1;  Kᵢⱼ = cos(xᵢ, xⱼ)

n equal rows score 1, n orthogonal ones n, and 8 modes of equal weight whose rows are orthogonal 8. It needs no real
data; compare it with the score of as many real rows.

Source: Friedman and Dieng 2022, The Vendi score, https://arxiv.org/abs/2210.02410, definition 3.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zerosum.metrics import rows

if TYPE_CHECKING:
    from torch import Tensor


def vendi(features: Tensor) -> float:
    """The effective number of different rows of (N, D), in [1, min(N, D + 1)], by the cosine between them.

    A row of zeros has no direction; all such rows count as alike, and orthogonal to the others. Takes the smaller of
    the two matrices with these eigenvalues, X Xᵀ (N, N) and Xᵀ X (D, D). Raises UsageError for other shapes and for
    features that are not finite.
    """
    import torch

    rows.check(features)
    pieces = (_directions(piece) for piece in rows.pieces(features, features))
    if len(features) <= features.shape[1]:
        all_rows = torch.cat(list(pieces))  # no more values than D²
        gram = all_rows @ all_rows.T
    else:
        size = features.shape[1] + 1
        gram = torch.zeros(size, size, dtype=torch.float64, device=rows.home(features))
        for piece in pieces:
            gram.addmm_(piece.T, piece)
    shares = torch.linalg.eigvalsh(gram / len(features)).clamp(min=0)  # negative ones are rounding
    return float(torch.special.entr(shares).sum().exp())


def _directions(piece: Tensor) -> Tensor:
    """(n, D + 1) rows of length 1: the last value is 1 for rows of zeros, 0 for the others."""
    import torch

    largest = piece.abs().amax(1, keepdim=True)
    none = largest == 0
    scaled = piece / torch.where(none, 1.0, largest)  # so that no square overflows or vanishes
    scaled = torch.cat([scaled, none.double()], dim=1)
    directions: Tensor = scaled / scaled.norm(dim=1, keepdim=True)
    return directions
