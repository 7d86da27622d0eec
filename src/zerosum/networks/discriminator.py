"""What every discriminator is: a body that makes features of a sample, and a head that makes a number of them.

The features have uses of their own: feature matching compares them, minibatch layers stand between the two
parts (`minibatch.add_minibatch`), and a further head can share the body.

A discriminator may judge places instead of whole samples: its features and its logits are then maps.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from zerosum.errors import UsageError
from zerosum.networks.layers import logits_of


class Discriminator(nn.Module):
    """Samples (N, …) to logits (N,), or to maps of logits (N, h, w): `logits_of(head(body(x)))`.

    Args:
        body: maps samples, images (N, C, H, W) or points (N, D), to features (N, width), or of places, (N, width, …).
        width: how many features; kept as the attribute of that name, and not changed by layers in the head.
        bias: whether the head has one.

    The head, features (N, width) to one number (N, 1), is a linear layer at first, with torch's default
    weights, drawn after the body's. Another module may take its place: a convolution, where features are a map.

    Attributes:
        maps: whether features and logits are maps, a logit a place. Losses take their mean, penalties a sample's sum.
    """

    maps: bool = False

    def __init__(self, body: nn.Module, width: int, *, bias: bool = True):
        super().__init__()
        self.width = width
        self.body = body
        self.head: nn.Module = nn.Linear(width, 1, bias=bias)

    def forward(self, x: Tensor, *, features: bool = False) -> Any:
        """Samples, images (N, C, H, W) or points (N, D), to logits (N,) or (N, h, w).

        With `features`, to (logits, features), the latter (N, width), averaged over the places where they are a map.
        """
        seen = self.body(x)
        logits = logits_of(self.head(seen))
        return (logits, averaged(seen)) if features else logits


def averaged(features: Tensor) -> Tensor:
    """A body's features, (N, width) as they are or a map (N, width, h, w) averaged over its places: (N, width)."""
    return features.mean((2, 3)) if features.dim() == 4 else features


def feature_count(discriminator: nn.Module) -> int:
    """How many features a discriminator's body makes; `UsageError` where it has none."""
    if not isinstance(discriminator, Discriminator):
        raise UsageError(
            f"{type(discriminator).__name__} has no body and head, so there are no features to match or to read codes "
            "from: derive it from zerosum.networks.Discriminator."
        )
    return discriminator.width
