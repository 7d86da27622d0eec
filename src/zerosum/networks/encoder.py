"""Encoders: the body of any registered discriminator, with a head that makes a code in place of a logit.

An autoencoder's decoder is a registered generator; between the two of them there is no third kind of network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from zerosum.errors import UsageError, nearest
from zerosum.networks.discriminator import Discriminator, averaged
from zerosum.networks.layers import check_positive
from zerosum.networks.registry import build, entry, names


class Encoder(nn.Module):
    """Images (N, C, H, W) or points (N, D), whichever the body takes, to codes (N, code): `head(body(x))`.

    Args:
        body: maps samples to features (N, width), or to a map of them (N, width, h, w), which is averaged.
        width: how many features.
        code: length of a code, any real numbers; a variational encoder's is twice that of its latents: the means,
            then the logarithms of the variances.

    The head is linear, with torch's default weights, U(−1/√width, 1/√width), whatever those of the body: codes begin at
    about 0.6 of the features' root mean square, so that variances begin near 1. (N(0, 0.02), which a body may have,
    would make them grow with √width.) UsageError for a width or a code below 1.
    """

    def __init__(self, body: nn.Module, width: int, code: int):
        super().__init__()
        check_positive(width=width, code=code)
        self.width, self.code = width, code
        self.body = body
        self.head = nn.Linear(width, code)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) or points (N, D) to codes (N, code)."""
        codes: Tensor = self.head(averaged(self.body(x)))
        return codes


def build_encoder(name: str, *, shape: Sequence[int], code: int, **options: Any) -> Encoder:
    """A new encoder with the body of the registered discriminator `name`.

    Args:
        name: as `networks.names("discriminator")` lists them.
        shape: (C, H, W) of the images or (D,) of the points.
        code: length of a code.
        options: the discriminator's own. Its BatchNorm stays; its dropout too, unless it is set to 0 here.

    The weights are drawn from torch's default generator. Raises UsageError for a network that is no discriminator, and
    as `build` does.
    """
    known = names("discriminator")
    if entry(name).role != "discriminator":
        raise UsageError(f"an encoder is a discriminator's body, and {name} is a generator: {nearest(name, known)}")
    network = build(name, shape=shape, **options)
    if not isinstance(network, Discriminator):
        raise UsageError(f"{name} has no body to encode with: derive it from zerosum.networks.Discriminator")
    return Encoder(network.body, network.width, code)
