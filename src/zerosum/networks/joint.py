"""Discriminators of pairs (x, z), a sample and its code.

Donahue, Krähenbühl & Darrell, "Adversarial Feature Learning" (BiGAN), 2017, https://arxiv.org/abs/1605.09782, and
Dumoulin et al., "Adversarially Learned Inference" (ALI), 2017, https://arxiv.org/abs/1606.00704: D tells (x, E(x)),
a real sample and what the encoder makes of it, from (G(z), z). Where it cannot, E inverts G.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from zerosum.networks.discriminator import Discriminator, averaged
from zerosum.networks.layers import check_positive, logits_of

SLOPE = 0.2  # BiGAN's


class PairBody(nn.Module):
    """Samples (N, …) and codes (N, code) to features of the pairs (N, hidden).

    The body's features of the sample stand beside `hidden` features of the code, as in ALI's networks, and a further
    layer sees both; leaky ReLU after each. Linear layers have torch's default weights. `body` maps samples to (N,
    width), or to a map (N, width, h, w), which is averaged over its places.
    """

    def __init__(self, body: nn.Module, width: int, code: int, hidden: int):
        super().__init__()
        check_positive(width=width, code=code, hidden=hidden)
        self.samples = body
        self.codes = nn.Sequential(nn.Linear(code, hidden), nn.LeakyReLU(SLOPE))
        self.both = nn.Sequential(nn.Linear(width + hidden, hidden), nn.LeakyReLU(SLOPE))

    def forward(self, x: Tensor, codes: Tensor) -> Tensor:
        """Samples (N, …) and codes (N, code) to features (N, hidden)."""
        both: Tensor = self.both(torch.cat((averaged(self.samples(x)), self.codes(codes)), 1))
        return both


class JointDiscriminator(Discriminator):
    """Samples (N, …) and codes (N, code) to logits (N,), one for each pair.

    Args:
        network: a discriminator of samples; its body serves here, its head is left out.
        code: length of a code.
        hidden: units that read the code, and units that read both; this one's `width`.

    Bind codes with `conditional.Given(network, codes)` for what calls a discriminator with samples alone, as penalties
    do: their gradient is then that by the sample. Minibatch layers go on this network (they then see pairs), not on
    `network`, whose head they would be lost with; spectral normalisation goes on this one, or on `network` before if
    the layers here are to be left out. UsageError for a code or a hidden below 1.
    """

    def __init__(self, network: Discriminator, code: int, hidden: int):
        super().__init__(PairBody(network.body, network.width, code, hidden), hidden)

    def forward(self, x: Tensor, codes: Tensor, *, features: bool = False) -> Any:  # type: ignore[override]
        """Pairs of samples (N, …) and codes (N, code) to logits (N,); with `features`, to (logits, features)."""
        seen = self.body(x, codes)
        logits = logits_of(self.head(seen))
        return (logits, seen) if features else logits
