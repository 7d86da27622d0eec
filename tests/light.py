"""Options that make a heavy network light, for tests that run over all of them, and a network all of which learns."""

from __future__ import annotations

from typing import Any, TypeVar

from torch import nn

Network = TypeVar("Network", bound=nn.Module)

LIGHT: dict[str, dict[str, Any]] = {
    "r3gan-generator": {"width": 16},
    "r3gan-discriminator": {"width": 16},
    "stylegan2-generator": {"channel_max": 16, "style": 16, "mapping_layers": 2},
    "stylegan2-discriminator": {"channel_max": 16},
}


def awake(network: Network) -> Network:
    """The same network; convolutions that begin at zero, before which nothing learns yet, are drawn from N(0, 0.1)."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d) and not layer.weight.any():
            nn.init.normal_(layer.weight, 0.0, 0.1)
    return network
