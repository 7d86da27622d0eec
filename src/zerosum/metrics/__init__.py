"""Metrics: how far one distribution is from another, and what a generator covers.

`divergences` measures distributions and samples against each other, `modes` counts the modes of a mixture that
samples reach. A ground-floor room: of zerosum it imports `zerosum.errors` alone, and SciPy only where a function
needs it.
"""

from zerosum.metrics.divergences import (
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
from zerosum.metrics.modes import Modes, count_modes

__all__ = [
    "Distances",
    "Modes",
    "count_modes",
    "cross_entropy",
    "earth_mover",
    "earth_mover_assignment",
    "earth_mover_samples",
    "entropy",
    "jensen_shannon",
    "kullback_leibler",
    "parallel_lines",
    "sliced_wasserstein",
    "total_variation",
]
