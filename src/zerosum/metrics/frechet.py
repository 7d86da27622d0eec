"""How far two sets of features are from each other, each taken for a Gaussian.

    d² = |m₁ − m₂|² + tr(S₁ + S₂ − 2 (S₁½ S₂ S₁½)½)          m: means, S: covariances (n − 1 below)

Source: Dowson and Landau 1982, The Fréchet distance between multivariate normal distributions, equation 4; as a
measure of generators Heusel et al. 2017, GANs trained by a two time-scale update rule, equation 6 (arXiv:1706.08500).
As is the custom there, the figure is the square d².

The last trace is the sum of the singular values of R₁ R₂ᵀ for any R with S = RᵀR. No root of a product is taken, so
that nothing turns imaginary, and R may be the centred features themselves: exact also with fewer samples than
features, where a covariance has no full rank. With few samples the figure is too large: compare equal counts only.

PyTorch is imported when a function is called. All is float64 on the CPU.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zerosum.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

BLOCK = 4096  # rows in float64 at once: 64 MB of 2,048 features


def frechet_distance(features_a: Tensor, features_b: Tensor) -> float:
    """The squared Fréchet distance of two sets of features, at least 0; in squared units of the features.

    features_a: (n, D), features_b: (m, D), any n, m ≥ 2. Raises UsageError for other shapes, and for features that
    are not finite.
    """
    _check(features_a, features_b)
    mean_a, root_a = _moments(features_a)
    mean_b, root_b = _moments(features_b)
    return _distance(mean_a, root_a, mean_b, root_b)


def frechet_of_moments(mean_a: Tensor, covariance_a: Tensor, mean_b: Tensor, covariance_b: Tensor) -> float:
    """The squared Fréchet distance of two Gaussians, at least 0.

    means: (D,); covariances: (D, D), symmetric, without negative eigenvalues but those of rounding.
    Raises UsageError for other shapes, and for moments that are not finite.
    """
    size = mean_a.numel()
    for name, moment, shape in (
        ("mean", mean_a, (size,)),
        ("mean", mean_b, (size,)),
        ("covariance", covariance_a, (size, size)),
        ("covariance", covariance_b, (size, size)),
    ):
        if tuple(moment.shape) != shape:
            raise UsageError(f"A {name} of shape {tuple(moment.shape)} does not fit: it must be {shape}.")
        _check_finite(moment)
    return _distance(_double(mean_a), _root(_double(covariance_a)), _double(mean_b), _root(_double(covariance_b)))


# |m₁ − m₂|² + tr S₁ + tr S₂ − 2 Σ σ(R₁ R₂ᵀ), for tr S = |R|²
def _distance(mean_a: Tensor, root_a: Tensor, mean_b: Tensor, root_b: Tensor) -> float:
    """Of means (D,) and roots (r, D), whose RᵀR are the covariances."""
    import torch

    apart = (mean_a - mean_b).square().sum() + root_a.square().sum() + root_b.square().sum()
    common = torch.linalg.svdvals(root_a @ root_b.T).sum()
    return max(0.0, float(apart - 2 * common))  # equal sets may come out at −10⁻¹⁶


def _moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """The mean (D,), and R (min(n, D), D) with RᵀR the covariance: the triangle of the centred features' QR.

    A block of rows at a time, each QR of the triangle so far and the next block: only these are ever in float64.
    """
    import torch

    blocks, width = features.split(BLOCK), features.shape[1]
    mean = torch.stack([_double(block).sum(0) for block in blocks]).sum(0) / len(features)
    root = torch.empty(0, width, dtype=torch.float64)
    for block in blocks:
        root = torch.cat((root, (_double(block) - mean) / (len(features) - 1) ** 0.5))
        if len(root) > width:
            root = torch.linalg.qr(root, mode="r").R
    return mean, root


def _root(covariance: Tensor) -> Tensor:
    """R (D, D) with RᵀR the covariance, by its eigenvalues; negative ones are rounding, and 0."""
    import torch

    values, vectors = torch.linalg.eigh(covariance)
    root: Tensor = values.clamp(min=0).sqrt()[:, None] * vectors.T
    return root


def _double(values: Tensor) -> Tensor:
    return values.detach().cpu().double()


def _check(features_a: Tensor, features_b: Tensor) -> None:
    shapes = [tuple(features.shape) for features in (features_a, features_b)]
    if any(len(shape) != 2 or shape[0] < 2 for shape in shapes) or shapes[0][1] != shapes[1][1]:
        raise UsageError(
            f"A Fréchet distance is of two sets of at least two rows of as many features, (n, D) and (m, D), "
            f"and these are {shapes[0]} and {shapes[1]}."
        )
    _check_finite(features_a)
    _check_finite(features_b)


def _check_finite(values: Tensor) -> None:
    if not bool(values.isfinite().all()):
        raise UsageError("A Fréchet distance is of finite numbers, and some of these are not (NaN or infinite).")
