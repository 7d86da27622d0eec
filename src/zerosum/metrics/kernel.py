"""The kernel distance of two sets of features: how far apart they are, without taking them for Gaussians.

    k(x, y) = (x·y / D + 1)³
    MMD²    = mean k(xᵢ, xⱼ), i ≠ j  +  mean k(yᵢ, yⱼ), i ≠ j  −  2 mean k(xᵢ, yⱼ)

Of samples of one distribution its expectation is 0 at any count, so that it can be negative, and it does not shrink
or grow with the count as the Fréchet distance does. Published figures are means over subsets; so is this one.

Sources: Bińkowski, Sutherland, Arbel and Gretton 2018, Demystifying MMD GANs, section 3
(https://arxiv.org/abs/1801.01401); the estimate is Gretton et al. 2012, A kernel two-sample test, equation 3.

PyTorch is imported when a function is called. All is float64, on the features' device where it has float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from zerosum.errors import UsageError
from zerosum.metrics import rows

if TYPE_CHECKING:
    from torch import Generator, Tensor


@dataclass(frozen=True)
class Kernel:
    """A kernel distance.

    Attributes:
        mean: over the subsets; about 0 for sets of one distribution, then negative as often as positive.
        deviation: the standard deviation of the subsets' figures (their number below), not the error of the mean:
            subsets share rows.
    """

    mean: float
    deviation: float


def kernel_distance(real: Tensor, made: Tensor, *, subsets: int = 100, size: int = 1000, seed: int = 0) -> Kernel:
    """The unbiased squared maximum mean discrepancy of two sets of features, with the cubic kernel.

    real: (N, D), made: (M, D). subsets: how many draws to take the mean of, each of `size` rows of either set, none
    twice in a draw. The same seed on the same machine gives the same figures to the bit.

    Raises UsageError for shapes that do not fit, features that are not finite, and subsets of more rows than there are.
    """
    import torch

    rows.check(real, made, least=2)
    if subsets < 1 or not 2 <= size <= min(len(real), len(made)):
        raise UsageError(
            f"A kernel distance was asked for of {subsets} subsets of {size} rows, with {len(real)} real rows and "
            f"{len(made)} made ones: take at least 1 subset of 2 to {min(len(real), len(made))} rows."
        )
    random = torch.Generator().manual_seed(seed)
    figures = []
    for _ in range(subsets):
        one, other = (_subset(features, size, random, like=real) for features in (real, made))
        figures.append(_discrepancy(one, other))
    found = torch.tensor(figures, dtype=torch.float64)
    return Kernel(mean=float(found.mean()), deviation=float(found.std(correction=0)))


def _subset(features: Tensor, size: int, random: Generator, like: Tensor) -> Tensor:
    """(size, D) rows in float64, none twice."""
    import torch

    chosen = torch.randperm(len(features), generator=random)[:size]
    return features.detach()[chosen.to(features.device)].to(rows.home(like), torch.float64)


def _discrepancy(x: Tensor, y: Tensor) -> float:
    """MMD² of (n, D) and (n, D)."""
    within = [float(kernel.sum() - kernel.trace()) for kernel in (_kernel(x, x), _kernel(y, y))]
    return sum(within) / (len(x) * (len(x) - 1)) - 2 * float(_kernel(x, y).mean())


# k(x, y) = (x·y / D + 1)³
def _kernel(x: Tensor, y: Tensor) -> Tensor:
    """(n, m) values of the kernel."""
    base = (x @ y.T).div_(x.shape[1]).add_(1)
    return (base * base).mul_(base)
