"""The Fréchet distance against numbers worked by hand, and against SciPy's matrix root."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from zerosum.errors import UsageError
from zerosum.metrics import frechet, frechet_distance, frechet_of_moments

Z2, I2 = torch.zeros(2), torch.eye(2)


def reference(a: np.ndarray, b: np.ndarray) -> float:
    """As FID's own scripts have it: the real part of the root of the product, here of the covariances."""
    s, t = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(s + t - 2 * sqrtm(s @ t).real))


def some(count: int, size: int, seed: int) -> np.ndarray:
    """Features that depend on each other, not centred."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, size)) @ rng.normal(size=(size, size)) + rng.normal(size=size)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        # tr = 5 + 4 − 2 tr √(S₁½ S₂ S₁½) of a 2 × 2 matrix: tr √M = √(tr M + 2 √det M) = √(10 + 2 √12)
        ((Z2, torch.diag(torch.tensor([1.0, 4.0]))), (Z2, torch.tensor([[2.0, 1.0], [1.0, 2.0]])), 0.771220),
        ((torch.zeros(8), 4 * torch.eye(8)), (torch.zeros(8), torch.eye(8)), 8.0),
        ((Z2, I2), (torch.tensor([3.0, 4.0]), I2), 25.0),
        ((Z2, torch.zeros(2, 2)), (Z2, I2), 2.0),
        ((torch.zeros(1), torch.tensor([[9.0]])), (torch.ones(1), torch.tensor([[4.0]])), 2.0),
    ],
    ids=["2 by 2", "8-D", "shifted", "a point", "1-D"],
)
def test_gaussians_by_hand(one: tuple[torch.Tensor, ...], other: tuple[torch.Tensor, ...], expected: float) -> None:
    assert frechet_of_moments(*one, *other) == pytest.approx(expected, abs=1e-6)
    assert frechet_of_moments(*other, *one) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("count", "others"), [(200, 300), (40, 12), (7, 100), (5, 9)])
def test_samples_as_scipy_has_them(count: int, others: int) -> None:
    """12 features: more samples than these, and fewer, where SciPy's root of a product without full rank is rough."""
    a, b = some(count, 12, 1), some(others, 12, 2)
    found = frechet_distance(torch.from_numpy(a), torch.from_numpy(b))
    assert found == pytest.approx(reference(a, b), rel=1e-9 if min(count, others) > 12 else 1e-5)


def test_two_ways_to_the_same_figure() -> None:
    """Many features and few samples of them, as of a network: from samples, and from their moments."""
    a, b = some(20, 300, 3), some(30, 300, 4)
    moments = [torch.from_numpy(m) for x in (a, b) for m in (x.mean(0), np.cov(x, rowvar=False))]
    found = frechet_distance(torch.from_numpy(a), torch.from_numpy(b))
    assert math.isfinite(found)
    assert frechet_of_moments(*moments) == pytest.approx(found, rel=1e-6)


@settings(max_examples=25, deadline=None)
@given(
    count=st.integers(2, 40), others=st.integers(2, 40), size=st.integers(1, 16), seed=st.integers(0, 1000),
    scale=st.sampled_from([1e-3, 1.0, 1e3]),
)  # fmt: skip
def test_turning_and_shifting_both_changes_nothing(count: int, others: int, size: int, seed: int, scale: float) -> None:
    a, b = some(count, size, seed) * scale, some(others, size, seed + 1) * scale
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(size, size)))[0]
    a, b, turned_a, turned_b = map(torch.from_numpy, (a, b, a @ turn + scale, b @ turn + scale))
    found = frechet_distance(a, b)
    assert found >= 0
    assert frechet_distance(turned_a, turned_b) == pytest.approx(found, rel=1e-9)
    assert frechet_distance(b, a) == pytest.approx(found, rel=1e-9)
    assert frechet_distance(a, a.flip(0)) <= 1e-9 * scale**2


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        (torch.zeros(5, 3), torch.zeros(5, 4), r"these are \(5, 3\) and \(5, 4\)"),
        (torch.zeros(1, 3), torch.zeros(5, 3), "at least two rows"),
        (torch.zeros(5, 3, 1), torch.zeros(5, 3, 1), "at least two rows"),
        (torch.zeros(5, 3), torch.full((5, 3), math.nan), "not \\(NaN or infinite\\)"),
    ],
)
def test_what_does_not_fit(a: torch.Tensor, b: torch.Tensor, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        frechet_distance(a, b)


def test_moments_that_do_not_fit() -> None:
    with pytest.raises(UsageError, match=r"A covariance of shape \(3, 3\) does not fit: it must be \(2, 2\)"):
        frechet_of_moments(Z2, I2, Z2, torch.eye(3))
    with pytest.raises(UsageError, match="NaN or infinite"):
        frechet_of_moments(Z2, I2, Z2, I2 * math.inf)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 500 rows at once, of 64, and of 7, which are fewer than there are features."""
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(500, 12, generator=generator) @ torch.randn(12, 12, generator=generator) for _ in range(2))
    found = []
    for rows in (1000, 64, 7):
        monkeypatch.setattr(frechet, "BLOCK", rows)
        found.append(frechet_distance(a, b))
    assert found == pytest.approx([found[0]] * 3, rel=1e-12)
