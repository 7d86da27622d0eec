"""The kernel distance: against a double loop over the rows, unbiased, and the same for the same seed."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from zerosum.errors import UsageError
from zerosum.metrics import Kernel, kernel_distance


def some(count: int, size: int, seed: int, shift: float = 0.0) -> torch.Tensor:
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed)) + shift


def reference(x: np.ndarray, y: np.ndarray) -> float:
    """The estimate as it is written: sums over pairs of different rows, and over all pairs of the two sets."""
    n, m, d = len(x), len(y), x.shape[1]
    within_x = sum((x[i] @ x[j] / d + 1) ** 3 for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    within_y = sum((y[i] @ y[j] / d + 1) ** 3 for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return within_x + within_y - 2 * sum((a @ b / d + 1) ** 3 for a in x for b in y) / (n * m)


def test_as_the_double_loop_has_it() -> None:
    x, y = some(30, 7, 1), some(30, 7, 2, shift=0.3)
    whole = kernel_distance(x, y, subsets=3, size=30)  # a subset of all rows is all rows, in whatever order
    assert whole.mean == pytest.approx(reference(x.double().numpy(), y.double().numpy()), rel=1e-10)
    assert whole.deviation == pytest.approx(0, abs=1e-12)


def test_subsets_are_of_rows_none_twice() -> None:
    """Subsets of two rows, of sets of three: every figure is one of 3 × 3, and all of them come."""
    x, y = some(3, 4, 1), some(3, 4, 2)
    pairs = [[0, 1], [0, 2], [1, 2]]
    possible = [reference(x[i].double().numpy(), y[j].double().numpy()) for i in pairs for j in pairs]
    found = [kernel_distance(x, y, subsets=1, size=2, seed=seed).mean for seed in range(100)]
    nearest = [int(np.argmin(np.abs(np.array(possible) - figure))) for figure in found]
    assert np.array(found) == pytest.approx(np.array(possible)[nearest], abs=1e-12)
    assert set(nearest) == set(range(9))
    several = kernel_distance(x, y, subsets=500, size=2)
    assert several.mean == pytest.approx(np.mean(possible), abs=4 * np.std(possible) / 500**0.5)
    assert several.deviation == pytest.approx(np.std(possible), rel=0.15)


def test_unbiased() -> None:
    """Of 400 pairs of sets of one distribution, few rows each: about 0, and as often below as above."""
    found = [kernel_distance(some(12, 4, 2 * n), some(20, 4, 2 * n + 1), subsets=1, size=12).mean for n in range(400)]
    assert abs(np.mean(found)) < 3 * np.std(found, ddof=1) / math.sqrt(400)
    assert 100 < sum(figure < 0 for figure in found) < 300
    assert kernel_distance(some(12, 4, 0), some(20, 4, 1, shift=2.0), subsets=1, size=12).mean > max(found)


def test_same_seed_same_bits() -> None:
    x, y = some(60, 5, 1), some(80, 5, 2)
    first = kernel_distance(x, y, subsets=5, size=20, seed=3)
    assert kernel_distance(x, y, subsets=5, size=20, seed=3) == first
    assert kernel_distance(x, y, subsets=5, size=20, seed=4) != first
    assert isinstance(first, Kernel)


@pytest.mark.parametrize(
    ("x", "y", "choice", "words"),
    [
        (torch.zeros(9, 3), torch.zeros(9, 4), {"size": 5}, r"these are \(9, 3\) and \(9, 4\)"),
        (torch.zeros(9, 3), torch.full((9, 3), math.inf), {"size": 5}, "not finite"),
        (torch.zeros(9, 3), torch.zeros(7, 3), {"size": 8}, "9 real rows and 7 made ones: take .* of 2 to 7 rows"),
        (torch.zeros(9, 3), torch.zeros(7, 3), {"size": 1}, "subsets of 1 rows"),
        (torch.zeros(9, 3), torch.zeros(7, 3), {"size": 5, "subsets": 0}, "of 0 subsets"),
    ],
)
def test_what_does_not_fit(x: torch.Tensor, y: torch.Tensor, choice: dict[str, int], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        kernel_distance(x, y, **choice)
