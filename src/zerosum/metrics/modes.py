"""Counting the modes of a mixture that samples reach: the protocol of VEEGAN and PacGAN.

A generator trained on a mixture of K equally likely, isotropic Gaussians is judged by 2,500 samples:

    modes reached  how many centres have a sample within 3σ, of K
    high quality   the share of samples within 3σ of any centre
    reverse KL     KL(h ‖ u), where every sample, of high quality or not, is counted at its nearest centre,
                   h is the share of each centre, and u = 1/K: log K − H(h), from 0 to log K

In two dimensions 1 − exp(−3²/2) = 98.9% of true samples are of high quality: no generator can be better without
being narrower than its data. N true samples have a reverse KL of about (K − 1) / 2N (0.0014 for 8 modes and 0.0048
for 25, with 2,500 samples), which is the least that means anything.

Sources: Srivastava et al. 2017, VEEGAN, https://arxiv.org/abs/1705.07761; Lin et al. 2018, PacGAN,
https://arxiv.org/abs/1712.04086, section 4.1. The code published with PacGAN leaves samples of low quality out of its
histogram; the paper, as here, does not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from zerosum.errors import UsageError
from zerosum.metrics.divergences import kullback_leibler, two_clouds


@dataclass(frozen=True)
class Modes:
    """What samples of a mixture reach.

    Attributes:
        reached: how many modes have a sample near.
        total: how many there are.
        high_quality: the share of samples near a mode, in [0, 1].
        reverse_kl: KL in nats of the samples' histogram over the modes from the uniform one, in [0, log total].
    """

    reached: int
    total: int
    high_quality: float
    reverse_kl: float


def count_modes(points: ArrayLike, centres: ArrayLike, sigma: float, within: float = 3.0) -> Modes:
    """The modes that samples reach.

    points: (N, D) samples. centres: (K, D) of the mixture, equally likely. sigma: the standard deviation of each mode
    along every axis, above 0, in the unit of the points. within: how many of them a sample may lie off a centre, its
    Euclidean distance, and still be of high quality.

    Raises UsageError for shapes that do not fit, DataError for points that are not finite.
    """
    samples, places = two_clouds(points, centres, names=("points", "centres"))
    if not (math.isfinite(sigma) and sigma > 0 and math.isfinite(within) and within > 0):
        raise UsageError(f"sigma is {sigma} and within {within}: give finite numbers above 0")
    distances = np.stack([np.linalg.norm(samples - place, axis=1) for place in places], axis=1)  # (N, K)
    near = distances <= within * sigma
    histogram = np.bincount(distances.argmin(axis=1), minlength=len(places)) / len(samples)
    return Modes(
        reached=int(near.any(axis=0).sum()),
        total=len(places),
        high_quality=float(near.any(axis=1).mean()),
        reverse_kl=kullback_leibler(histogram, np.full(len(places), 1 / len(places))),
    )
