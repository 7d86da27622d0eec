"""What a restored sample costs, and what a code costs, as plain functions.

With x a sample and y what was made of it, both in [-1, 1] where they are images, per sample, summed over its numbers:

    squared     ½ Σ (x − y)²                     −log N(x; y, I), but for a constant
    absolute    Σ |x − y|                        −log of a Laplace density of scale 1, but for a constant
    bernoulli   −Σ [ x' log y' + (1 − x') log(1 − y') ],   x' = (x + 1)/2, y' = (y + 1)/2

Imports torch: import late where a command line must answer at once.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from zerosum.errors import UsageError, nearest

LEAST = 1e-7  # a brightness is kept so far from 0 and 1, where its logarithm ends; in float32 a tanh ends there too


def squared(wanted: Tensor, made: Tensor) -> Tensor:
    """½ Σ (x − y)² of each sample: (N, …) and (N, …) to (N,)."""
    return (wanted - made).square().flatten(1).sum(1) / 2


def absolute(wanted: Tensor, made: Tensor) -> Tensor:
    """Σ |x − y| of each sample: (N, …) and (N, …) to (N,)."""
    return (wanted - made).abs().flatten(1).sum(1)


# −Σ [x' log y' + (1 − x') log(1 − y')]: Kingma & Welling 2014, https://arxiv.org/abs/1312.6114, appendix C.1, for
# brightness in [0, 1].
def bernoulli(wanted: Tensor, made: Tensor) -> Tensor:
    """The cross-entropy of brightness, in nats, of each sample: (N, …) and (N, …) in [-1, 1] to (N,)."""
    bright, guess = (wanted + 1) / 2, ((made + 1) / 2).clamp(LEAST, 1 - LEAST)
    return -(bright * guess.log() + (1 - bright) * (1 - guess).log()).flatten(1).sum(1)


COSTS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "squared": squared,
    "absolute": absolute,
    "bernoulli": bernoulli,
}


def get_cost(name: str) -> Callable[[Tensor, Tensor], Tensor]:
    """The cost of that name in `COSTS`; UsageError with the nearest name for an unknown one."""
    if name not in COSTS:
        raise UsageError(f"there is no reconstruction loss {name!r}: {nearest(name, list(COSTS))}")
    return COSTS[name]


# KL(N(μ, σ²) ‖ N(0, 1)) = ½ Σ (μ² + σ² − log σ² − 1)
# Kingma & Welling 2014, equation 10 and appendix B.
def normal_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """The divergence of each normal distribution of codes from N(0, I), in nats: (N, d) and (N, d) to (N,)."""
    return (mean.square() + log_variance.exp() - log_variance - 1).sum(1) / 2


# z = μ + σ ε
# Kingma & Welling 2014, section 2.4.
def reparameterised(mean: Tensor, log_variance: Tensor, normal: Tensor) -> Tensor:
    """Codes (N, d) drawn from N(mean, exp(log_variance)) by N(0, 1) numbers, with a gradient to both."""
    return mean + torch.exp(log_variance / 2) * normal
