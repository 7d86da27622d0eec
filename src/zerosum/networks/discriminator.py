"""What every discriminator is: a body that makes features of a sample, and a head that makes a number of them.

The features have uses of their own: feature matching compares them, minibatch layers stand between the two
parts (`minibatch.add_minibatch`), and a further head can share the body.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from zerosum.networks.layers import logits_of


class Discriminator(nn.Module):
    """Samples (N, …) to logits (N,): `logits_of(head(body(x)))`.

    Args:
        body: maps samples, images (N, C, H, W) or points (N, D), to features (N, width).
        width: how many features; kept as the attribute of that name, and not changed by layers in the head.
        bias: whether the head has one.

    The head, features (N, width) to one number (N, 1), is a linear layer at first, with torch's default
    weights, drawn after the body's. Another module may take its place.
    """

    def __init__(self, body: nn.Module, width: int, *, bias: bool = True):
        super().__init__()
        self.width = width
        self.body = body
        self.head: nn.Module = nn.Linear(width, 1, bias=bias)

    def forward(self, x: Tensor, *, features: bool = False) -> Any:
        """Samples, images (N, C, H, W) or points (N, D), to logits (N,); with `features`, to (logits, features)."""
        seen = self.body(x)
        logits = logits_of(self.head(seen))
        return (logits, seen) if features else logits
