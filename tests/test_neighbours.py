"""Nearest neighbours and duplicates against all distances at once, and the birthday paradox against its own law."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from torch.utils._python_dispatch import TorchDispatchMode

from zerosum.errors import UsageError
from zerosum.metrics import duplicate_distance, duplicates, nearest, prdc, rows, vendi

DIGITS = torch.from_numpy(load_digits().data).float() / 8 - 1  # 1,797 of 64 pixels, no two alike


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(1, 12), others=st.integers(1, 40), size=st.integers(1, 5), wanted=st.integers(1, 40),
    values=st.sampled_from([2, 5, 1000]), shift=st.sampled_from([0.0, 0.1, 1000.1]),
    at_once=st.sampled_from([1, 50, 2**20]), seed=st.integers(0, 999),
)  # fmt: skip
def test_as_all_distances_sorted(
    count: int, others: int, size: int, wanted: int, values: int, shift: float, at_once: int, seed: int
) -> None:
    """With few values many rows are equal or equally far: the first of them comes first."""
    random = torch.Generator().manual_seed(seed)
    x, y = (torch.randint(values, (n, size), generator=random) / 7 + shift for n in (count, others))
    wanted = min(wanted, others)
    every = (x.double()[:, None] - y.double()).norm(dim=2)
    distances, indices = every.sort(dim=1, stable=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "AT_ONCE", at_once)
        found = nearest(x, y, wanted)
    assert torch.equal(found.indices, indices[:, :wanted])
    assert torch.equal(found.distances, distances[:, :wanted])


def test_copies_are_found_at_distance_0() -> None:
    """Far from 0, where |x|² + |y|² − 2 x·y leaves nothing of a small distance."""
    training = torch.cat([DIGITS, DIGITS]).double() + 1e3
    nudged = training[5:8].clone()
    nudged[:, 20] += 1e-7
    found = nearest(torch.cat([training[[1700, 3]], nudged]), training, 2)
    assert found.indices.tolist() == [[n, n + 1797] for n in (1700, 3, 5, 6, 7)]
    assert found.distances[:2].tolist() == [[0.0, 0.0]] * 2
    assert found.distances[2:].flatten().tolist() == pytest.approx([1e-7] * 6, rel=1e-5)


@pytest.mark.parametrize("support", [40, 400])
def test_birthdays_tell_the_support(support: int) -> None:
    """A generator of so many different images: pairs that are the same are n (n − 1) / 2S, give or take."""
    random = torch.Generator().manual_seed(support)
    drawn = DIGITS[torch.randint(support, (1000,), generator=random)]
    found = duplicates(drawn, within=0.0)
    assert found.support == pytest.approx(support, rel=0.1)
    noisy = drawn + 0.01 * torch.randn(drawn.shape, generator=random)
    assert duplicates(noisy, within=0.0).pairs == 0
    assert duplicates(noisy, within=0.2) == found


@pytest.mark.parametrize("at_once", [1, 70, 2**20])
def test_duplicates_by_hand(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "AT_ONCE", at_once)
    points = torch.tensor([[0.0], [10.0], [0.0], [11.0], [0.0], [30.0]])
    assert vars(duplicates(points, within=0.5)) == {"pairs": 3, "share": 0.5, "support": 5.0}
    assert vars(duplicates(points, within=1.0)) == {"pairs": 4, "share": 5 / 6, "support": 3.75}
    assert vars(duplicates(torch.ones(30, 8) / 3, within=0.0)) == {"pairs": 435, "share": 1.0, "support": 1.0}
    assert duplicates(points[[0, 1, 5]], within=9.0).support == math.inf


def test_the_distance_of_real_duplicates() -> None:
    """What 5% of real images have another one within; of these real images themselves so many repeat."""
    within = duplicate_distance(DIGITS, 0.05)
    assert duplicates(DIGITS, within).share == pytest.approx(0.05, abs=0.001)
    assert duplicate_distance(torch.cat([DIGITS, DIGITS])) == 0
    assert duplicate_distance(torch.tensor([[0.0], [1.0], [3.0], [7.0]]), 1.0) == 4


class Largest(TorchDispatchMode):
    """Remembers the most values that any result of PyTorch's has had."""

    values = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for part in result if isinstance(result, tuple | list) else [result]:
            if isinstance(part, torch.Tensor):
                self.values = max(self.values, part.numel())
        return result


@pytest.mark.parametrize(
    "measure",
    [
        lambda x, y: nearest(x, y, 3),
        lambda x, y: duplicates(x, 0.5),
        lambda x, y: duplicate_distance(y),
        prdc,
        lambda x, y: vendi(x),
    ],
    ids=["nearest", "duplicates", "duplicate_distance", "prdc", "vendi"],
)
def test_memory_does_not_grow_with_all_pairs(measure: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """No intermediate is larger than a block or the features themselves, of 600 × 700 distances."""
    monkeypatch.setattr(rows, "AT_ONCE", 5000)
    x, y = DIGITS[:600, 20:28].contiguous(), DIGITS[600:1300, 20:28].contiguous()
    with Largest() as largest:
        measure(x, y)
    assert 4000 < largest.values <= 5600  # 700 × 8 are the features


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: nearest(torch.zeros(3, 2), torch.zeros(5, 4)), r"these are \(3, 2\) and \(5, 4\)"),
        (lambda: nearest(torch.zeros(3, 2), torch.zeros(5, 2), 6), "ask for 1 to 5"),
        (lambda: nearest(torch.zeros(3, 2), torch.full((5, 2), math.nan)), "not finite"),
        (lambda: nearest(torch.zeros(3, 0), torch.zeros(3, 0)), r"these are \(3, 0\)"),
        (lambda: duplicates(torch.zeros(1, 2), 1.0), "at least 2 rows"),
        (lambda: duplicates(torch.zeros(3, 2), math.nan), "a distance of nan"),
        (lambda: duplicate_distance(torch.zeros(3, 2), 0.0), "share of real features is 0.0"),
    ],
)
def test_what_does_not_fit(call: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        call()
