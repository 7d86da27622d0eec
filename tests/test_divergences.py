"""Distances between distributions against hand-worked values, SciPy, and what theory says of them."""

import math
import sys

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from scipy.spatial.distance import jensenshannon

from zerosum.errors import DataError, UsageError
from zerosum.metrics import (
    Distances,
    cross_entropy,
    earth_mover,
    earth_mover_assignment,
    earth_mover_samples,
    entropy,
    jensen_shannon,
    kullback_leibler,
    parallel_lines,
    sliced_wasserstein,
    total_variation,
)

LOG2 = math.log(2)
FLAT, PEAKED = (1 / 3, 1 / 3, 1 / 3), (1 / 4, 1 / 2, 1 / 4)
PLACES = np.array([3.0, -1.0, 0.5, 7.25, 0.5])


@st.composite
def distributions(draw, count):
    """`count` distributions over the places, some of their weights 0."""
    found = []
    for _ in range(count):
        weights = draw(arrays(float, len(PLACES), elements=st.sampled_from([0.0, 1e-12]) | st.floats(0.01, 1)))
        assume(weights.sum() > 1e-3)
        found.append(weights / weights.sum())
    return found


def samples(most=12):
    return st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=most).map(np.array)


# ── worked examples ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("distance", "expected"),
    [
        (total_variation, 1 / 6),  # (1/12 + 1/6 + 1/12) / 2
        (lambda p, q: earth_mover((0, 1, 2), p, q), 1 / 6),  # 1/12 crosses each of two gaps
        (lambda p, q: earth_mover((0, 10, 20), p, q), 10 / 6),
        (kullback_leibler, math.log(32 / 27) / 3),  # (log 4/3 + log 2/3 + log 4/3) / 3
        (lambda p, q: kullback_leibler(q, p), math.log(9 / 8) / 2),  # (log 3/4) / 2 + (log 3/2) / 2
        (lambda p, q: entropy(p), math.log(3)),
        (lambda p, q: entropy(q), 1.5 * LOG2),
        (cross_entropy, 5 / 3 * LOG2),  # (2 + 1 + 2) log 2 / 3
        # M = (7, 10, 7) / 24: the entropy of M less half of both above
        (jensen_shannon, math.log(24) - (7 * math.log(7) + 5 * math.log(10)) / 12 - math.log(3) / 2 - 0.75 * LOG2),
    ],
)
def test_worked_example(distance, expected):
    assert distance(FLAT, PEAKED) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("p", "q", "expected"),
    [
        ((1, 0), (0, 1), (1, math.inf, LOG2, 1)),
        ((1, 0), (0.5, 0.5), (0.5, LOG2, 0.75 * math.log(4 / 3), 0.5)),
        ((0.5, 0.5), (1, 0), (0.5, math.inf, 0.75 * math.log(4 / 3), 0.5)),
        ((0.3, 0.7), (0.3, 0.7), (0, 0, 0, 0)),
    ],
)
def test_where_they_do_not_overlap(p, q, expected):
    assert total_variation(p, q) == pytest.approx(expected[0], abs=1e-12)
    assert kullback_leibler(p, q) == pytest.approx(expected[1], abs=1e-12)
    assert jensen_shannon(p, q) == pytest.approx(expected[2], abs=1e-12)
    assert earth_mover((0, 1), p, q) == pytest.approx(expected[3], abs=1e-12)
    assert math.isinf(cross_entropy(p, q)) == math.isinf(expected[1])


@pytest.mark.parametrize("theta", [-2.0, 1e-9, 0.5, 3])
def test_parallel_lines(theta):
    """Against samples of both lines: the nearest partner of (0, z) is (θ, z), and a shadow shrinks θ by |cos φ|."""
    found = parallel_lines(theta)
    assert found == Distances(1, math.inf, LOG2, abs(theta))
    heights = np.random.default_rng(1).uniform(size=60)
    left, right = (np.stack([np.full(60, place), heights], 1) for place in (0.0, theta))
    assert earth_mover_assignment(left, right) == pytest.approx(found.earth_mover, abs=1e-9)
    assert sliced_wasserstein(left, right, directions=20_000) == pytest.approx(2 / math.pi * abs(theta), rel=0.01)


def test_parallel_lines_that_meet():
    assert parallel_lines(0) == Distances(0, 0, 0, 0)


# ── what holds for all distributions ─────────────────────────────────────────────────────────────


@given(distributions(3))
def test_metrics_are_metrics(found):
    p, q, r = found
    root = lambda a, b: math.sqrt(jensen_shannon(a, b))  # noqa: E731
    for distance in (total_variation, lambda a, b: earth_mover(PLACES, a, b), root):
        assert distance(p, p) == pytest.approx(0, abs=1e-7)  # the root of a rounding error
        assert distance(p, q) == pytest.approx(distance(q, p), abs=1e-12)
        assert distance(p, r) <= distance(p, q) + distance(q, r) + 1e-7


@given(distributions(2))
def test_inequalities_between_them(found):
    p, q = found
    tv, kl, js = total_variation(p, q), kullback_leibler(p, q), jensen_shannon(p, q)
    assert tv <= math.sqrt(kl / 2) + 1e-7  # Pinsker
    assert tv**2 / 2 <= js + 1e-12  # Pinsker, of both halves
    assert js <= min(LOG2 * tv, LOG2) + 1e-12  # Lin 1991, theorem 3
    assert earth_mover(PLACES, p, q) <= tv * np.ptp(PLACES) + 1e-12
    gap = cross_entropy(p, q) - entropy(p)
    assert kl == gap == math.inf or kl == pytest.approx(gap, abs=1e-9)


@given(distributions(2))
def test_discrete_against_scipy(found):
    p, q = found
    assert entropy(p) == pytest.approx(stats.entropy(p), abs=1e-12)
    assert kullback_leibler(p, q) == pytest.approx(stats.entropy(p, q), abs=1e-12)
    assert jensen_shannon(p, q) == pytest.approx(jensenshannon(p, q) ** 2, abs=1e-12)
    expected = stats.wasserstein_distance(PLACES, PLACES, p, q)
    assert earth_mover(PLACES, p, q) == pytest.approx(expected, abs=1e-9)


def test_weights_too_small_to_halve():
    tiny = 5e-324
    assert jensen_shannon((1, tiny), (1, 0)) == pytest.approx(0, abs=1e-12)
    assert kullback_leibler((0.5, 0.5), (1, tiny)) == pytest.approx(-0.5 * math.log(tiny) - LOG2)


# ── samples ──────────────────────────────────────────────────────────────────────────────────────


def test_samples_by_hand():
    assert earth_mover_samples([5, 0, 2], [1, 2, 3]) == pytest.approx(1)  # 0-1, 2-2, 5-3
    assert earth_mover_samples([0, 6], [0, 3, 6]) == pytest.approx(1)  # 1/6 of the mass each way, over 3
    assert earth_mover_assignment([[0, 0], [3, 4]], [[3, 4], [0, 1]]) == pytest.approx(0.5)


@given(samples(), samples())
def test_sorting_against_scipy(x, y):
    expected = stats.wasserstein_distance(x, y)
    assert earth_mover_samples(x, y) == pytest.approx(expected, abs=1e-9)
    assert sliced_wasserstein(x[:, None], y[:, None], directions=3) == pytest.approx(expected, abs=1e-9)
    if len(x) == len(y):
        assert earth_mover_assignment(x[:, None], y[:, None]) == pytest.approx(expected, abs=1e-9)


@given(samples(), samples(), st.randoms())
def test_sorting_is_the_discrete_distance(x, y, order):
    """Samples are a distribution over all their places, in any order."""
    places, weights = np.concatenate([x, y]), np.zeros((2, len(x) + len(y)))
    weights[0, : len(x)], weights[1, len(x) :] = 1 / len(x), 1 / len(y)
    shuffled = order.sample(range(len(places)), len(places))
    expected = earth_mover_samples(x, y)
    assert earth_mover(places[shuffled], *weights[:, shuffled]) == pytest.approx(expected, abs=1e-9)


@given(arrays(float, (3, 6, 2), elements=st.floats(-10, 10)))
def test_clouds_against_every_permutation(clouds):
    from itertools import permutations

    x, y, z = clouds
    exact = earth_mover_assignment(x, y)
    best = min(np.linalg.norm(x - y[list(order)], axis=1).mean() for order in permutations(range(6)))
    assert exact == pytest.approx(best, abs=1e-9)
    assert exact <= earth_mover_assignment(x, z) + earth_mover_assignment(z, y) + 1e-9
    assert sliced_wasserstein(x, y) <= exact + 1e-9


def test_sliced_follows_its_seed_and_a_closed_form():
    """A shift by t in D = 3 dimensions throws shadows of length |t| |cos φ|, |t| / 2 on average."""
    x = np.random.default_rng(2).standard_normal((50, 3))
    y = x + np.array([0, 3, 4])
    assert sliced_wasserstein(x, y, directions=50_000) == pytest.approx(2.5, rel=0.01)
    assert sliced_wasserstein(x, y, seed=1) == sliced_wasserstein(x, y, seed=1) != sliced_wasserstein(x, y, seed=2)
    assert sliced_wasserstein(x, np.repeat(y, 2, axis=0)) == pytest.approx(sliced_wasserstein(x, y))


# ── what is refused ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: total_variation((0.5, 0.6), (0.5, 0.5)), DataError, "p is no distribution.*sum to 1.1"),
        (lambda: entropy((1.5, -0.5)), DataError, "smallest weight is -0.5"),
        (lambda: entropy((math.nan, 1)), DataError, "p holds NaN"),
        (lambda: entropy(()), UsageError, r"shape \(0,\)"),
        (lambda: entropy("even"), UsageError, "not an array of numbers"),
        (lambda: kullback_leibler((1,), (0.5, 0.5)), UsageError, "1 weights and q has 2"),
        (lambda: earth_mover((0, 1, 2), (0.5, 0.5), (1, 0)), UsageError, "one position a weight"),
        (lambda: earth_mover_samples([], [1]), UsageError, "at least one"),
        (lambda: earth_mover_samples([[1]], [[1]]), UsageError, r"\(N,\)"),
        (lambda: earth_mover_samples([math.inf], [1]), DataError, "x holds"),
        (lambda: earth_mover_assignment([[1]], [[1], [2]]), UsageError, "1 and 2: draw the same number"),
        (lambda: sliced_wasserstein([[1]], [[1, 2]]), UsageError, "same space"),
        (lambda: sliced_wasserstein([[1]], [[1]], directions=0), UsageError, "at least 1"),
        (lambda: parallel_lines(math.nan), UsageError, "finite"),
    ],
)
def test_refusals(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_without_scipy_only_the_assignment_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.spatial.distance", None)
    with pytest.raises(UsageError, match=r"pip install 'zerosum\[metrics\]'"):
        earth_mover_assignment([[1.0]], [[2.0]])
    assert earth_mover_samples([1.0], [2.0]) == 1
