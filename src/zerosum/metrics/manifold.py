"""Precision, recall, density and coverage: whether samples are good, and whether they are all there is.

Each set is taken for the union of balls around its rows. The ball of a row reaches to its k-th nearest neighbour in
its own set; B(x) is the ball around x, open: what lies on its surface is outside.

    precision = share of the made rows y that lie in any B(x), x real
    recall    = share of the real rows x that lie in any B(y), y made
    density   = mean over y of the number of real balls that y lies in, divided by k
    coverage  = share of the real rows x with a made row in B(x)

One outlier among the rows makes a ball that swallows much. Density and coverage, which count and use real balls only,
bear it better. For two sets of one distribution density is about 1, coverage about 1 − 2⁻ᵏ for equal counts.

Sources: Kynkäänniemi et al. 2019, Improved precision and recall metric, https://arxiv.org/abs/1904.06991;
Naeem et al. 2020, Reliable fidelity and diversity metrics, https://arxiv.org/abs/2002.09797, equations 3 to 8.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from zerosum.errors import UsageError
from zerosum.metrics import rows

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Manifold:
    """How two sets of features cover each other. All in [0, 1] but `density`, which is at least 0 and may pass 1.

    Attributes:
        precision: the share of the made rows among real ones.
        recall: the share of the real rows among made ones.
        density: how deep among real rows the made ones lie; 1 for sets alike.
        coverage: the share of the real rows with a made one near.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def prdc(real: Tensor, made: Tensor, *, k: int = 5) -> Manifold:
    """Precision, recall, density and coverage of made features (M, D) against real ones (N, D).

    k: which neighbour a ball reaches to. All four depend on the counts and on k: compare equal ones only. Works on
    the device of `real`, in blocks. Distances that differ by rounding only are equal: a copy of a row's k-th neighbour
    lies on the surface of that row's ball. So a set and its copy score 1, 1, 1, 1, but for rows that repeat.

    Raises UsageError for shapes that do not fit, features that are not finite, and sets of fewer than k + 1 rows.
    """
    if k < 1:
        raise UsageError(f"k is {k}: give the number of a neighbour, from 1 on.")
    rows.check(real, made, least=k + 1)
    real_radii, made_radii = _radii(real, k), _radii(made, k).to(rows.home(real))
    in_balls = made_radii.new_zeros(len(made))  # of how many real rows
    recalled = covered = 0
    for first, squares in rows.squared_distances(real, made, stretch=rows.ROUNDING):
        inside = squares < real_radii[first : first + len(squares), None]
        in_balls += inside.sum(0)
        covered += int(inside.any(1).sum())
        recalled += int((squares < made_radii).any(1).sum())
    return Manifold(
        precision=float((in_balls > 0).double().mean()),
        recall=recalled / len(real),
        density=float(in_balls.mean()) / k,
        coverage=covered / len(real),
    )


def _radii(features: Tensor, k: int) -> Tensor:
    """(N,) squared distances of the rows to their k-th nearest neighbours; number 0 is the row itself."""
    import torch

    blocks = rows.squared_distances(features, features)
    return torch.cat([squares.topk(k + 1, largest=False, sorted=False).values.amax(1) for _, squares in blocks])
