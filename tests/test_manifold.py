"""Precision, recall, density and coverage as the package of the paper has them, and on sets worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from prdc import compute_prdc

from zerosum.errors import UsageError
from zerosum.metrics import Manifold, prdc, rows


def as_published(real: torch.Tensor, made: torch.Tensor, k: int) -> Manifold:
    found = compute_prdc(real.double().numpy(), made.double().numpy(), nearest_k=k)
    return Manifold(**{name: float(figure) for name, figure in found.items()})


def equal(one: Manifold, other: Manifold) -> None:
    assert vars(one) == pytest.approx(vars(other), abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(9, 60), others=st.integers(9, 60), size=st.integers(1, 9), k=st.integers(1, 7),
    shift=st.sampled_from([0.0, 0.3, 1.0, 20.0]), spread=st.sampled_from([0.2, 1.0, 3.0]), seed=st.integers(0, 999),
    at_once=st.sampled_from([1, 40, 2**20]),
)  # fmt: skip
def test_as_the_package_has_it(
    count: int, others: int, size: int, k: int, shift: float, spread: float, seed: int, at_once: int
) -> None:
    """Near sets and far ones, in blocks of one row and in a single one."""
    random = torch.Generator().manual_seed(seed)
    real = torch.randn(count, size, generator=random) + 5
    made = torch.randn(others, size, generator=random) * spread + 5 + shift
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "AT_ONCE", at_once)
        equal(prdc(real, made, k=k), as_published(real, made, k))


def test_ties_as_the_package_has_them() -> None:
    """Whole numbers, whose distances are exact there too: many lie on a surface, which is outside."""
    random = np.random.default_rng(0)
    real, made = (torch.from_numpy(random.integers(0, 5, (80, 3))).double() for _ in range(2))
    for k in (1, 3, 5):
        equal(prdc(real, made, k=k), as_published(real, made, k))


def test_by_hand() -> None:
    """On a line, k = 1: the balls of 0, 1, 10 reach 1, 1, 9; those of 0.5, 0.75, 100, 101 reach ¼, ¼, 1, 1."""
    real, made = torch.tensor([[0.0], [1.0], [10.0]]), torch.tensor([[0.5], [0.75], [100.0], [101.0]])
    found = prdc(real, made, k=1)
    # 0.5 and 0.75 lie in the balls of 0 and 1, not of 10; no real row lies in a made ball, 1 on the surface of one.
    assert found == Manifold(precision=0.5, recall=0.0, density=1.0, coverage=2 / 3)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_a_set_and_its_copy(scale: float) -> None:
    """A generator that has its data by heart: every distance ties with a radius, and rounding decides nothing."""
    real = torch.randn(300, 40, generator=torch.Generator().manual_seed(0)) * scale + scale
    assert prdc(real, real.flip(0)) == Manifold(precision=1.0, recall=1.0, density=1.0, coverage=1.0)


def test_what_each_of_them_sees() -> None:
    """Two modes: one left out costs recall and coverage, noise costs precision and density."""
    random = torch.Generator().manual_seed(0)
    left, right = (torch.randn(300, 6, generator=random) + shift for shift in (-8, 8))
    again, noise = (torch.randn(300, 6, generator=random) * scale - 8 for scale in (1, 6))
    collapsed, noisy = prdc(torch.cat([left, right]), again), prdc(left, noise)
    assert collapsed.precision > 0.8
    assert collapsed.density > 0.8
    assert collapsed.recall < 0.55
    assert collapsed.coverage < 0.55
    assert noisy.precision < 0.2
    assert noisy.density < 0.1


@pytest.mark.parametrize(
    ("real", "made", "k", "words"),
    [
        (torch.zeros(9, 3), torch.zeros(9, 4), 5, r"these are \(9, 3\) and \(9, 4\)"),
        (torch.zeros(9, 3), torch.zeros(5, 3), 5, "at least 6 rows"),
        (torch.zeros(9, 3), torch.zeros(9, 3), 0, "k is 0"),
        (torch.zeros(9, 3) / 0, torch.zeros(9, 3), 5, "not finite"),
    ],
)
def test_what_does_not_fit(real: torch.Tensor, made: torch.Tensor, k: int, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        prdc(real, made, k=k)
