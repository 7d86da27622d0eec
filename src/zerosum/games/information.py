"""InfoGAN: samples that tell which code they were made of.

Chen et al., "InfoGAN: Interpretable Representation Learning by Information Maximizing Generative Adversarial Nets",
NeurIPS 2016, https://arxiv.org/abs/1606.03657. The mutual information of code and sample is at least (equation 5)

    L_I(G, Q) = E[log Q(c | G(z, c))] + H(c),

which G and Q both raise. Q shares all of the discriminator but its last layer, and has two layers of its own
(appendix C). Categorical codes have a softmax, continuous ones a normal density of deviation 1, as in the published
code, whose H(c) for codes uniform in [-1, 1] is log 2 each.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from zerosum.games.randomness import Latents

HIDDEN = 128


class Information(nn.Module):
    """Q: features (N, K) of a discriminator to the bound on the mutual information of codes and samples.

    Args:
        features: K.
        latents: what the generator starts from; its codes are the last columns of a latent.
        weight: of the bound in both players' losses.
    """

    def __init__(self, features: int, latents: Latents, weight: float) -> None:
        super().__init__()
        self.latents, self.weight = latents, weight
        self.layers = nn.Sequential(
            nn.Linear(features, HIDDEN, bias=False),
            nn.BatchNorm1d(HIDDEN),
            nn.LeakyReLU(0.1),
            nn.Linear(HIDDEN, latents.codes),
        )

    def forward(self, features: Tensor, codes: Tensor) -> Tensor:
        """The bound in nats, a scalar, for features (N, K) of samples made of `codes` (N, codes)."""
        guesses = self.layers(features).float()
        bound = torch.zeros((), device=guesses.device)
        start = 0
        for values in self.latents.categorical:
            here = slice(start, start + values)
            bound = bound + math.log(values) - cross_entropy(guesses[:, here], codes[:, here])
            start += values
        if self.latents.continuous:
            off = (codes[:, start:] - guesses[:, start:]).square().mean(0) / 2
            bound = bound + (math.log(2) - math.log(2 * math.pi) / 2 - off).sum()
        return bound
