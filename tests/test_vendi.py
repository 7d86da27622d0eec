"""The Vendi score against hand-worked sets and its definition; the diversity of images against SSIM of all pairs."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from zerosum.errors import UsageError
from zerosum.metrics import rows, ssim, ssim_diversity, vendi

DIGITS = torch.from_numpy(load_digits().images[:200]).float()[:, None] / 8 - 1


def reference(features: np.ndarray) -> float:
    """By the definition: all cosines, eigenvalues, entropy."""
    cosines = features @ features.T / np.outer(*[np.linalg.norm(features, axis=1)] * 2)
    values = np.linalg.eigvalsh(cosines / len(features))
    values = values[values > 1e-12]
    return float(np.exp(-(values * np.log(values)).sum()))


@pytest.mark.parametrize("width", [8, 30, 1000], ids=["more rows", "as wide", "wider"])
@pytest.mark.parametrize("each", [1, 25])
def test_modes_at_right_angles(width: int, each: int) -> None:
    """8 of them count 8, however long their rows are and however often they come."""
    directions = torch.linalg.qr(torch.randn(width, 8, generator=torch.Generator().manual_seed(0)).double()).Q.T
    lengths = torch.logspace(-3, 3, 8 * each, dtype=torch.float64)
    assert vendi(directions.repeat(each, 1) * lengths[:, None]) == pytest.approx(8, rel=1e-9)


def test_by_hand() -> None:
    assert vendi(torch.full((50, 3), 7.0)) == pytest.approx(1)
    weights = torch.tensor([0.5, 0.25, 0.25])  # 2 rows one way, 1 another, 1 a third: exp H = √8
    assert vendi(torch.eye(3)[[0, 0, 1, 2]]) == pytest.approx(float((-(weights * weights.log()).sum()).exp()))
    assert vendi(torch.tensor([[1.0, 0.0], [1.0, 1.0]])) == pytest.approx(
        math.exp(-sum(v * math.log(v) for v in ((1 + 0.5**0.5) / 2, (1 - 0.5**0.5) / 2)))
    )
    assert vendi(torch.tensor([[0.0, 0.0], [5.0, 0.0], [0.0, 0.0], [5.0, 0.0]])) == pytest.approx(2)  # no direction
    assert vendi(torch.zeros(4, 2)) == pytest.approx(1)


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(1, 40), size=st.integers(1, 40), seed=st.integers(0, 999), at_once=st.sampled_from([1, 99, 2**20])
)
def test_as_defined(count: int, size: int, seed: int, at_once: int) -> None:
    """More rows than features, and fewer, where another matrix has the same eigenvalues."""
    features = torch.randn(count, size, generator=torch.Generator().manual_seed(seed)) + 0.5
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "AT_ONCE", at_once)
        found = vendi(features)
    assert found == pytest.approx(reference(features.double().numpy()), rel=1e-8)
    assert vendi(torch.cat([features] * 3)) == pytest.approx(found, rel=1e-8)


def test_diversity_is_that_of_all_pairs() -> None:
    """Many draws of the pairs of six images come near the mean of all fifteen; one draw is one of them."""
    six = DIGITS[:6]
    one, other = torch.combinations(torch.arange(6)).T
    every = 1 - ssim(six[one], six[other])
    assert ssim_diversity(six, pairs=20_000) == pytest.approx(
        float(every.mean()), abs=4 * float(every.std()) / 20_000**0.5
    )
    single = torch.tensor([ssim_diversity(six, pairs=1, seed=seed) for seed in range(200)], dtype=torch.float64)
    which = (single[:, None] - every).abs().min(dim=1)
    assert float(which.values.max()) < 1e-12
    assert set(which.indices.tolist()) == set(range(15))


def test_diversity_sees_collapse() -> None:
    assert ssim_diversity(DIGITS[:1].repeat(50, 1, 1, 1)) == pytest.approx(0, abs=1e-12)
    assert ssim_diversity(torch.cat([DIGITS[:1]] * 196 + [DIGITS[1:5]])) < 0.2 < 0.7 < ssim_diversity(DIGITS)
    assert ssim_diversity(DIGITS, seed=1) == ssim_diversity(DIGITS, seed=1) != ssim_diversity(DIGITS, seed=2)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: vendi(torch.zeros(3)), r"these are \(3,\)"),
        (lambda: vendi(torch.tensor([[math.inf]])), "not finite"),
        (lambda: ssim_diversity(torch.zeros(1, 1, 8, 8)), "at least two images"),
        (lambda: ssim_diversity(torch.zeros(30, 64)), r"of shape \(30, 64\)"),
        (lambda: ssim_diversity(DIGITS, pairs=0), "over 0 pairs"),
    ],
)
def test_what_does_not_fit(call: Callable[[], object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        call()
