"""Metrics: how far one distribution is from another, and what a generator covers.

`divergences` measures distributions and samples against each other, `modes` counts the modes of a mixture that
samples reach, `pictures` compares images that should be alike, and `diversity` images that should not. `extractors`
turn images into features. Of these `frechet` and `kernel` say how far two sets are from each other, `manifold` how
they cover each other, `vendi` how many different ones there are; `neighbours` finds training data and duplicates, and
`path_length` measures ways through the latents. A ground-floor room: of zerosum it imports `zerosum.errors` alone, and
SciPy and PyTorch only where a function needs them.
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
from zerosum.metrics.diversity import ssim_diversity
from zerosum.metrics.frechet import frechet_distance, frechet_of_moments
from zerosum.metrics.kernel import Kernel, kernel_distance
from zerosum.metrics.manifold import Manifold, prdc
from zerosum.metrics.modes import Modes, count_modes
from zerosum.metrics.neighbours import Duplicates, Neighbours, duplicate_distance, duplicates, nearest
from zerosum.metrics.path_length import path_length
from zerosum.metrics.pictures import psnr, ssim
from zerosum.metrics.vendi import vendi

if TYPE_CHECKING:
    from zerosum.metrics.extractors import EXTRACTORS, Extractor, extractor

__all__ = [
    "EXTRACTORS",
    "Distances",
    "Duplicates",
    "Extractor",
    "Kernel",
    "Manifold",
    "Modes",
    "Neighbours",
    "count_modes",
    "cross_entropy",
    "duplicate_distance",
    "duplicates",
    "earth_mover",
    "earth_mover_assignment",
    "earth_mover_samples",
    "entropy",
    "extractor",
    "frechet_distance",
    "frechet_of_moments",
    "jensen_shannon",
    "kernel_distance",
    "kullback_leibler",
    "nearest",
    "parallel_lines",
    "path_length",
    "prdc",
    "psnr",
    "sliced_wasserstein",
    "ssim",
    "ssim_diversity",
    "total_variation",
    "vendi",
]


def __getattr__(name: str) -> object:
    """What `extractors` has are torch's modules, so that it is imported when first asked for."""
    if name in ("EXTRACTORS", "Extractor", "extractor"):
        from zerosum.metrics import extractors

        return getattr(extractors, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
