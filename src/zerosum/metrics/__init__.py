"""Metrics: how far one distribution is from another, and what a generator covers.

`divergences` measures distributions and samples against each other, `modes` counts the modes of a mixture that
samples reach, `pictures` compares images that should be alike. A ground-floor room: of zerosum it imports
`zerosum.errors` alone, and SciPy and PyTorch only where a function needs them.
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
from zerosum.metrics.pictures import psnr, ssim

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
    "psnr",
    "sliced_wasserstein",
    "ssim",
    "total_variation",
]
