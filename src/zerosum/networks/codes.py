"""Where an autoencoder's codes lie: a normal distribution fitted to those of real samples, to draw new ones from.

An autoencoder's codes follow no distribution that is known beforehand. One fitted to them afterwards makes a generator
of its decoder: Ghosh et al., "From Variational to Deterministic Autoencoders", ICLR 2020,
https://arxiv.org/abs/1903.12436, section 4.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class CodeDistribution(nn.Module):
    """Normal numbers (N, size) to codes (N, size) of the mean and the covariance that codes had when it was fitted.

    At first the codes are the numbers themselves.
    """

    mean: Tensor
    factor: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("factor", torch.eye(size))

    def forward(self, normal: Tensor) -> Tensor:
        """N(0, 1) numbers (N, size) to codes (N, size)."""
        return self.mean + normal @ self.factor

    @torch.no_grad()
    def fit(self, codes: Tensor) -> None:
        """Take mean and covariance of codes (N, size), N at least 2."""
        exact = codes.cpu().double()
        mean = exact.mean(0)
        # codes − mean = U S Vᵀ, so the covariance is V S² Vᵀ / (N − 1) = FᵀF with F = V S Vᵀ / √(N − 1): symmetric, the
        # same whatever the signs of the singular vectors.
        _, values, rows = torch.linalg.svd(exact - mean, full_matrices=False)
        self.mean.copy_(mean)
        self.factor.copy_(rows.T @ (values[:, None] * rows) / (len(codes) - 1) ** 0.5)
