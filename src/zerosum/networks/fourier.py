"""Fourier features of points, damped by the noise that the points carry.

Tancik et al. 2020, "Fourier Features Let Networks Learn High Frequency Functions in Low Dimensional Domains",
https://arxiv.org/abs/2006.10739: a small network cannot see detail much finer than its input's range unless
it is shown cos(ω·x) and sin(ω·x) as well, with ω ~ N(0, scale²).

Where noise n ~ N(0, σ²) is added to the input, E cos(ω·(x + n)) = cos(ω·x)·exp(−½‖ω‖²σ²), for the expectation
of exp(iω·n) is exp(−½‖ω‖²σ²); the same for the sine. So that factor is a feature's reliability: the share of it
that still speaks of x, the rest being the noise. Each feature is multiplied by its own, which silences the
frequencies that noise has drowned, and lets them in, coarse ones first, as the noise is annealed.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from zerosum.errors import UsageError
from zerosum.networks.layers import check_positive


# x ↦ (x, r cos(ω·x), r sin(ω·x)),   r = exp(−½‖ω‖²σ²)
class FourierFeatures(nn.Module):
    """Points (N, D) to (N, D + 2·frequencies·len(scales)): the points, then all cosines, then all sines.

    Buffers: `frequencies` (frequencies·len(scales), D), in radians a unit of the data, drawn once from torch's
    default generator and kept with the weights; `noise_level`, a scalar, zero at first, in units of the data
    and not kept: whoever adds noise to the points sets it to that noise's deviation σ.

    Args:
        dimensions: D.
        scales: the deviation of each group of frequencies; UsageError for one that is not above zero, or none.
        frequencies: how many for each scale.
    """

    frequencies: Tensor
    noise_level: Tensor

    def __init__(self, dimensions: int, scales: Sequence[float], frequencies: int = 16):
        super().__init__()
        check_positive(dimensions=dimensions, frequencies=frequencies)
        if not scales or not all(scale > 0 for scale in scales):
            raise UsageError(
                f"the scales of Fourier features are {list(scales)}: give numbers above zero, as [1, 4, 16]"
            )
        drawn = torch.cat([scale * torch.randn(frequencies, dimensions) for scale in scales])
        self.register_buffer("frequencies", drawn)
        self.register_buffer("noise_level", torch.zeros(()), persistent=False)
        self.width = dimensions + 2 * len(drawn)

    def forward(self, points: Tensor) -> Tensor:
        """Points (N, D) to (N, width); in float32 under autocast too, for the phases are large."""
        with torch.autocast(points.device.type, enabled=False):
            points = points.to(self.frequencies.dtype)
            phases = points @ self.frequencies.T
            reliability = torch.exp(-0.5 * self.frequencies.square().sum(1) * self.noise_level**2)
            return torch.cat((points, phases.cos() * reliability, phases.sin() * reliability), 1)
