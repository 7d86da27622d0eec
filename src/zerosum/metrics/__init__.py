"""Metrics: how far one distribution is from another, and what a generator covers.

`divergences` measures distributions and samples against each other, `modes` counts the modes of a mixture that
samples reach, `pictures` compares images that should be alike, `extractors` turn images into features and `frechet`
says how far two sets of them are from each other. A ground-floor room: of zerosum it imports `zerosum.errors` alone,
and SciPy and PyTorch only where a function needs them.
"""

from typing import TYPE_CHECKING

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
from zerosum.metrics.frechet import frechet_distance, frechet_of_moments
from zerosum.metrics.modes import Modes, count_modes
from zerosum.metrics.pictures import psnr, ssim

if TYPE_CHECKING:
    from zerosum.metrics.extractors import EXTRACTORS, Extractor, extractor

__all__ = [
    "EXTRACTORS",
    "Distances",
    "Extractor",
    "Modes",
    "count_modes",
    "cross_entropy",
    "earth_mover",
    "earth_mover_assignment",
    "earth_mover_samples",
    "entropy",
    "extractor",
    "frechet_distance",
    "frechet_of_moments",
    "jensen_shannon",
    "kullback_leibler",
    "parallel_lines",
    "psnr",
    "sliced_wasserstein",
    "ssim",
    "total_variation",
]


def __getattr__(name: str) -> object:
    """What `extractors` has are torch's modules, so that it is imported when first asked for."""
    if name in ("EXTRACTORS", "Extractor", "extractor"):
        from zerosum.metrics import extractors

        return getattr(extractors, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
