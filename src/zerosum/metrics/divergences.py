"""Distances between distributions, exact on a line and estimated from samples.

For P and Q on the same K places, with weights p and q:

    TV(P, Q)  = ½ Σ |p − q|                     in [0, 1]
    H(P)      = −Σ p log p                      entropy, in [0, log K]
    H(P, Q)   = −Σ p log q                      cross-entropy, in [H(P), ∞]
    KL(P ‖ Q) = Σ p log(p / q) = H(P, Q) − H(P) in [0, ∞]
    JS(P, Q)  = ½ KL(P ‖ M) + ½ KL(Q ‖ M)       M = (P + Q) / 2, in [0, log 2]
    EMD(P, Q) = inf E‖x − y‖ over all joint distributions of x ~ P and y ~ Q, in [0, ∞)

with 0 log 0 = 0, natural logarithms (nats), and infinity where q = 0 < p. TV, √JS and EMD are metrics; KL is not even
symmetric. The earth mover's distance is the Wasserstein distance of order 1: it alone knows where the places are.

Sources: Cover and Thomas, Elements of Information Theory, chapter 2; Lin 1991, Divergence measures based on the
Shannon entropy; Peyré and Cuturi 2019, Computational Optimal Transport, https://arxiv.org/abs/1803.00567; Arjovsky
et al. 2017, https://arxiv.org/abs/1701.07875 (section 2, the parallel lines).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zerosum.errors import DataError, UsageError

Floats = NDArray[np.float64]
SUM_TOLERANCE = 1e-6  # weights in float32 that were divided by their sum are this close to 1


@dataclass(frozen=True)
class Distances:
    """Four distances between the same two distributions: total variation, KL(P ‖ Q), Jensen-Shannon, earth mover's."""

    total_variation: float
    kullback_leibler: float
    jensen_shannon: float
    earth_mover: float


# TV = ½ Σ |p − q|
def total_variation(p: ArrayLike, q: ArrayLike) -> float:
    """The largest difference in the probability of any event, in [0, 1].

    p, q: (K,) weights of the same places, each summing to 1. Raises UsageError for shapes that do not fit, DataError
    for weights that are no distribution; so do the functions below.
    """
    p, q = _two_distributions(p, q)
    return min(1.0, 0.5 * float(np.abs(p - q).sum()))


# H(P) = −Σ p log p
def entropy(p: ArrayLike) -> float:
    """Entropy in nats, in [0, log K], of (K,) weights."""
    p = _distribution("p", p)
    return max(0.0, -float(p @ _logarithm(p)))


# H(P, Q) = −Σ p log q
def cross_entropy(p: ArrayLike, q: ArrayLike) -> float:
    """Cross-entropy in nats, at least the entropy of p; infinite where q = 0 < p. p, q: (K,) weights."""
    p, q = _two_distributions(p, q)
    if ((q == 0) & (p > 0)).any():
        return math.inf
    return max(0.0, -float(p @ _logarithm(q)))


# KL(P ‖ Q) = Σ p (log p − log q)
def kullback_leibler(p: ArrayLike, q: ArrayLike) -> float:
    """Kullback-Leibler divergence of P from Q in nats, in [0, ∞]; infinite where q = 0 < p. p, q: (K,) weights."""
    p, q = _two_distributions(p, q)
    if ((q == 0) & (p > 0)).any():
        return math.inf
    return max(0.0, float(p @ (_logarithm(p) - _logarithm(q))))


# JS = ½ Σ p (log p − log m) + ½ Σ q (log q − log m), log m = log(p + q) − log 2: p + q does not underflow, its half may
def jensen_shannon(p: ArrayLike, q: ArrayLike) -> float:
    """Jensen-Shannon divergence in nats, in [0, log 2], of (K,) weights; log 2 where P and Q share no place."""
    p, q = _two_distributions(p, q)
    middle = _logarithm(p + q) - math.log(2)
    divergence = 0.5 * float(p @ (_logarithm(p) - middle) + q @ (_logarithm(q) - middle))
    return min(math.log(2), max(0.0, divergence))


# EMD = ∫ |F(t) − G(t)| dt, with F and G the cumulative distributions
# Peyré and Cuturi 2019, remark 2.30.
def earth_mover(positions: ArrayLike, p: ArrayLike, q: ArrayLike) -> float:
    """The exact earth mover's distance of two discrete distributions on a line, in the unit of `positions`.

    positions: (K,) places in any order, the same place more than once or not. p, q: (K,) their weights under P and Q.
    """
    p, q = _two_distributions(p, q)
    places = _finite("positions", positions)
    if places.shape != p.shape:
        raise UsageError(f"there are {places.shape} positions and {p.shape} weights: give one position a weight")
    order = np.argsort(places)
    surplus = np.cumsum((p - q)[order])[:-1]  # what has to cross each gap between neighbours
    return float(np.abs(surplus) @ np.diff(places[order]))


def earth_mover_samples(x: ArrayLike, y: ArrayLike) -> float:
    """The earth mover's distance of two samples on a line, x: (N,) and y: (M,), by sorting; in their unit.

    Exact for the two empirical distributions, of equal counts or not, in O((N + M) log(N + M)).
    """
    x, y = (_sample(name, sample, axes=1)[:, None] for name, sample in (("x", x), ("y", y)))
    return float(_by_sorting(x, y)[0])


# EMD = min over permutations π of 1/N Σ ‖xᵢ − y_π(i)‖
# Peyré and Cuturi 2019, proposition 2.1 (a best coupling of equal, equally weighted counts is a permutation).
def earth_mover_assignment(x: ArrayLike, y: ArrayLike) -> float:
    """The earth mover's distance of two samples in n dimensions, x and y: (N, D), by the assignment problem.

    The cost is the Euclidean distance. Exact for the two empirical distributions, and, as an estimate for what they
    were drawn from, too large: by about N^(−1/D) for D > 2. Memory grows as N² (200 MB at 5,000), time as N³ at worst.
    Raises UsageError for unequal counts, and where SciPy is not installed.
    """
    x, y = two_clouds(x, y)
    if len(x) != len(y):
        raise UsageError(
            f"the assignment problem pairs every point of x with one of y, but there are {len(x)} and {len(y)}: "
            "draw the same number, or use sliced_wasserstein"
        )
    costs = _scipy("scipy.spatial.distance").cdist(x, y)
    rows, columns = _scipy("scipy.optimize").linear_sum_assignment(costs)
    return float(costs[rows, columns].mean())


# SW = E_u EMD(u·x, u·y), u uniform on the unit sphere
# Bonneel et al. 2015, Sliced and Radon Wasserstein barycenters of measures, https://doi.org/10.1007/s10851-014-0506-3
def sliced_wasserstein(x: ArrayLike, y: ArrayLike, directions: int = 128, seed: int = 0) -> float:
    """The mean earth mover's distance of two samples' shadows on random lines, x: (N, D) and y: (M, D); in their unit.

    directions: how many lines (at least 1); the same seed gives the same ones for the same D. Never more than the
    earth mover's distance, and equal to it for D = 1. Raises UsageError for shapes that do not fit.
    """
    x, y = two_clouds(x, y)
    if directions < 1:
        raise UsageError(f"{directions} directions were asked for: give at least 1")
    lines = np.random.default_rng(seed).standard_normal((x.shape[1], directions))  # isotropic: uniform once scaled
    lines /= np.linalg.norm(lines, axis=0)
    return float(_by_sorting(x @ lines, y @ lines).mean())


# P = (0, Z), Q = (θ, Z), Z uniform on [0, 1]
# Arjovsky et al. 2017, example 1.
def parallel_lines(theta: float) -> Distances:
    """All four distances between the uniform distributions on two parallel segments of length 1, `theta` apart.

    However close they are, they share no point: TV 1, KL ∞, JS log 2; EMD |θ| alone has a slope. All are 0 at θ = 0.
    """
    if not math.isfinite(theta):
        raise UsageError(f"theta is {theta}: give a finite distance")
    if theta == 0:
        return Distances(0.0, 0.0, 0.0, 0.0)
    return Distances(1.0, math.inf, math.log(2), abs(float(theta)))


def _by_sorting(x: Floats, y: Floats) -> Floats:
    """(K,) one-dimensional earth mover's distances ∫ |F⁻¹(t) − G⁻¹(t)| dt of the columns of x (N, K) and y (M, K)."""
    n, m = len(x), len(y)
    # The quantile functions are constant between these levels, counted in units of 1 / nm: integers, so no level is
    # split by rounding. For n = m the i-th smallest meets the i-th smallest.
    levels = np.union1d(np.arange(1, n + 1) * m, np.arange(1, m + 1) * n)
    shares = np.diff(levels, prepend=0) / (n * m)
    gaps = np.abs(np.sort(x, axis=0)[(levels - 1) // m] - np.sort(y, axis=0)[(levels - 1) // n])
    distances: Floats = shares @ gaps
    return distances


def _logarithm(weights: Floats) -> Floats:
    """log w, and 0 where w = 0: every use multiplies it by a weight that is 0 there."""
    return np.log(weights, out=np.zeros_like(weights), where=weights > 0)


def _finite(name: str, values: ArrayLike) -> Floats:
    """`values` in float64. Raises UsageError for what is not numbers, DataError for NaN or infinity."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as fault:
        raise UsageError(f"{name} is not an array of numbers ({fault})") from fault
    if not np.isfinite(array).all():
        raise DataError(f"{name} holds NaN or infinity: leave such values out, or find where they come from")
    return array


def _distribution(name: str, weights: ArrayLike) -> Floats:
    array = _finite(name, weights)
    if array.ndim != 1 or array.size == 0:
        raise UsageError(f"{name} has the shape {array.shape}: give one weight a place, (K,)")
    if (array < 0).any() or abs(array.sum() - 1) > SUM_TOLERANCE:
        raise DataError(
            f"{name} is no distribution: its smallest weight is {array.min():g} and they sum to {array.sum():g}; "
            "divide non-negative weights by their sum"
        )
    shares: Floats = array / array.sum()
    return shares


def _two_distributions(p: ArrayLike, q: ArrayLike) -> tuple[Floats, Floats]:
    first, second = _distribution("p", p), _distribution("q", q)
    if first.shape != second.shape:
        raise UsageError(f"p has {first.size} weights and q has {second.size}: give both over the same places")
    return first, second


def _sample(name: str, points: ArrayLike, axes: int) -> Floats:
    array = _finite(name, points)
    if array.ndim != axes or array.size == 0:
        wanted = "numbers, (N,)" if axes == 1 else "points, (N, D)"
        raise UsageError(f"{name} has the shape {array.shape}: give at least one of {wanted}")
    return array


def two_clouds(x: ArrayLike, y: ArrayLike, names: tuple[str, str] = ("x", "y")) -> tuple[Floats, Floats]:
    """x (N, D) and y (M, D) in float64, checked; `names` are for messages. Raises UsageError and DataError."""
    first, second = (_sample(name, points, axes=2) for name, points in zip(names, (x, y), strict=True))
    if first.shape[1] != second.shape[1]:
        sizes = f"{first.shape[1]} dimensions and {names[1]} {second.shape[1]}"
        raise UsageError(f"{names[0]} has {sizes}: give both in the same space")
    return first, second


def _scipy(module: str) -> Any:
    """A module of SciPy, imported late. Raises UsageError where it is not installed."""
    try:
        return import_module(module)
    except ImportError as fault:
        raise UsageError("this distance needs SciPy: pip install 'zerosum[metrics]'") from fault
