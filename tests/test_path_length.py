"""Perceptual path length of generators whose paths have a known length."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from zerosum.errors import UsageError
from zerosum.metrics import path_length


def some(count: int, size: int, seed: int) -> Tensor:
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def same(values: Tensor) -> Tensor:
    return values


def cut(lengths: np.ndarray) -> float:
    """The mean as published, NumPy's percentiles rounded outwards."""
    low, high = np.percentile(lengths, 1, method="lower"), np.percentile(lengths, 99, method="higher")
    return float(lengths[(lengths >= low) & (lengths <= high)].mean())


@pytest.mark.parametrize("count", [1, 40, 350])
def test_straight_lines_through_a_linear_generator(count: int) -> None:
    """|f (G b − G a)|², wherever on the line the step is taken."""
    a, b, weights, head = some(count, 6, 1), some(count, 6, 2), some(6, 12, 3), some(12, 5, 4)
    found = path_length(
        lambda w: (w @ weights).reshape(-1, 3, 2, 2), a, b, lambda images: images.flatten(1) @ head, spherical=False
    )
    lengths = ((b - a) @ weights @ head).square().sum(1)
    assert found == pytest.approx(cut(lengths.numpy()), rel=1e-6)


def test_great_circles() -> None:
    """Between points of a sphere: (radius × angle)², for steps that are short beside the circle."""
    a, b = (3 * torch.nn.functional.normalize(some(350, 5, seed), dim=1) for seed in (1, 2))
    angles = torch.arccos((a * b).sum(1) / 9)
    assert path_length(same, a, b, same, spherical=True) == pytest.approx(cut((3 * angles).square().numpy()), rel=1e-5)


def test_ways_that_begin_and_end_where_they_should() -> None:
    """A step of nearly the whole way; from 3 to 4 along the same direction, and a quarter of a circle."""
    a, b = torch.tensor([[3.0, 0.0], [3.0, 0.0]]), torch.tensor([[4.0, 0.0], [0.0, 3.0]])
    seen: list[Tensor] = []

    def make(points: Tensor) -> Tensor:
        seen.append(points)
        return points

    path_length(make, a, b, same, spherical=True, epsilon=0.5)
    first, second = seen
    assert first.dtype == torch.float32
    steps = second.norm(dim=1) - first.norm(dim=1)
    assert steps.tolist() == pytest.approx([0.5, 0.0], abs=1e-6)
    assert first[0, 1] == second[0, 1] == 0
    turn = torch.atan2(second[1, 1], second[1, 0]) - torch.atan2(first[1, 1], first[1, 0])
    assert float(turn) == pytest.approx(math.pi / 4, abs=1e-6)


def test_tails_are_cut_away() -> None:
    """Two paths of 200 that tear, and two that stand still, leave the mean of the others."""
    a, b = torch.zeros(200, 1, dtype=torch.float64), torch.ones(200, 1, dtype=torch.float64)
    b[:2], b[-2:] = 1e4, 0
    assert path_length(same, a, b, same, spherical=False) == pytest.approx(cut(b.square()[:, 0].numpy()), rel=1e-6)
    assert path_length(same, a, b, same, spherical=False) < 2e6  # one of the two is on the edge that is kept
    b[1], b[-2] = 1, 1
    assert path_length(same, a, b, same, spherical=False) == pytest.approx(1, rel=1e-6)


def test_noise_and_labels_are_those_of_the_path() -> None:
    """Both ends of a step see the same draws, other paths other ones, and nobody else's are disturbed."""
    a, b = some(70, 3, 1), some(70, 3, 2)
    drawn = []

    def make(points: Tensor) -> Tensor:
        drawn.append(torch.randn(len(points), 1))
        return points + 100 * drawn[-1]

    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    noisy = path_length(make, a, b, same, spherical=False)
    assert torch.equal(torch.rand(1), expected)
    assert noisy == pytest.approx(path_length(same, a, b, same, spherical=False), rel=1e-4)
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[1], drawn[2])


def test_same_seed_same_bits() -> None:
    a, b = some(40, 4, 1).float(), some(40, 4, 2).float()
    first, again, other = (path_length(torch.sin, a, b, same, spherical=True, seed=seed) for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize(
    ("starts", "ends", "epsilon", "words"),
    [
        (torch.zeros(5, 3), torch.zeros(5, 4), 1e-4, r"these are \(5, 3\) and \(5, 4\)"),
        (torch.zeros(0, 3), torch.zeros(0, 3), 1e-4, r"these are \(0, 3\)"),
        (torch.zeros(5, 3), torch.zeros(5, 3), 0.0, "step of a path is 0.0"),
        (torch.zeros(5, 3), torch.full((5, 3), math.nan), 1e-4, "NaN or infinite"),
    ],
)
def test_what_does_not_fit(starts: Tensor, ends: Tensor, epsilon: float, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        path_length(same, starts, ends, same, spherical=False, epsilon=epsilon)
