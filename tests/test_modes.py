"""The protocol of counting modes: a mixture's own samples, collapsed ones, and counts by hand."""

import math

import numpy as np
import pytest

from zerosum.data.builtin import MIXTURES, mixture
from zerosum.errors import DataError, UsageError
from zerosum.metrics import Modes, count_modes


@pytest.mark.parametrize("name", MIXTURES)
def test_true_samples_reach_the_best_possible(name):
    """1 − exp(−3²/2) of a Gaussian in the plane lies within 3σ; 2N KL is nearly χ² with K − 1 degrees of freedom."""
    centres, sigma = MIXTURES[name]
    points = mixture(centres, sigma, 100_000)
    found = count_modes(points, centres, sigma)
    best = 1 - math.exp(-4.5)
    assert found.reached == found.total == len(centres)
    assert found.high_quality == pytest.approx(best, abs=4 * math.sqrt(best * (1 - best) / 100_000))
    excess = [count_modes(part, centres, sigma).reverse_kl * 2 * 2500 for part in points.reshape(40, 2500, 2)]
    freedom = len(centres) - 1
    assert np.mean(excess) == pytest.approx(freedom, abs=4 * math.sqrt(2 * freedom / 40))


def test_counts_by_hand():
    centres = [[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]]
    points = [
        [0.0, 3.0],  # on the edge of 3σ of the first
        [0.1, 0.2],
        [7.0, 0.0],  # on the edge of the second
        [0.0, 6.0],  # 4σ off the third: of low quality, and the third is not reached
    ]
    found = count_modes(points, centres, sigma=1)
    # shares 1/2, 1/4, 1/4, 0: log 4 − 1.5 log 2
    assert found == Modes(2, 4, 0.75, pytest.approx(0.5 * math.log(2), abs=1e-12))
    assert count_modes(points, centres, sigma=1, within=4).reached == 3
    assert count_modes(points, centres, sigma=0.9).high_quality == 0.25


def test_collapse_to_one_mode():
    centres, sigma = MIXTURES["grid25"]
    found = count_modes(np.tile(centres[7], (100, 1)), centres, sigma)
    assert found == Modes(1, 25, 1.0, pytest.approx(math.log(25)))


@pytest.mark.parametrize(
    ("points", "centres", "options", "error", "words"),
    [
        ([[math.nan, 0]], [[0, 0]], {"sigma": 1}, DataError, "points holds NaN"),
        ([[0, 0, 0]], [[0, 0]], {"sigma": 1}, UsageError, "points has 3 dimensions and centres 2"),
        ([], [[0, 0]], {"sigma": 1}, UsageError, "points has the shape"),
        ([[0, 0]], [[0, 0]], {"sigma": 0}, UsageError, "above 0"),
        ([[0, 0]], [[0, 0]], {"sigma": 1, "within": math.inf}, UsageError, "finite"),
    ],
)
def test_refusals(points, centres, options, error, words):
    with pytest.raises(error, match=words):
        count_modes(points, centres, **options)
