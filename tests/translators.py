"""Small translators for tests: of random weights, with the config that a run gives them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from zerosum.networks import Blueprint
from zerosum.translator import Translator


class Local(nn.Module):
    """A translator whose pixels depend on what lies 7 pixels around, by convolutions alone; its stride is 4."""

    stride, reach = 4, 7

    def __init__(self, given: int = 3, wanted: int = 3, scale: int = 1) -> None:
        super().__init__()
        self.scale = scale
        self.layer = nn.Conv2d(given, wanted, 5, padding=2)

    def forward(self, given: Tensor) -> Tensor:
        """What lies around, and where in its 4×4 square of the picture the pixel lies."""
        height, width = given.shape[2:]
        padded = functional.pad(given, (0, -width % 4, 0, -height % 4), mode="replicate")
        squares = functional.avg_pool2d(padded, 4).repeat_interleave(4, 2).repeat_interleave(4, 3)
        made = torch.tanh(self.layer(squares[:, :, :height, :width] + given))
        return made.repeat_interleave(self.scale, 2).repeat_interleave(self.scale, 3)


def side(shape: list[int], dtype: str = "uint8", high: float | None = None, low: float = 0.0) -> dict[str, Any]:
    """Facts about the data of one side."""
    full = {"uint8": 255.0, "uint16": 65535.0, "float32": 1.0}[dtype] if high is None else high
    return {"name": "pictures", "count": 9, "shape": shape, "dtype": dtype, "low": low, "high": full}


def translator(network: nn.Module, **facts: Any) -> Translator:
    """One that has this network; it cannot be saved, for the network is not registered."""
    torch.manual_seed(0)
    for weight in network.parameters():
        nn.init.normal_(weight, 0, 0.3)
    config = {"game": "paired", "given": side([3, 16, 16]), "data": side([3, 16, 16]), "degrade": ""}
    return Translator({"generator": network}, config | facts)


def model_of(
    name: str = "unet-generator",
    given: dict[str, Any] | None = None,
    wanted: dict[str, Any] | None = None,
    *,
    game: str = "paired",
    degrade: str = "",
    **options: Any,
) -> Translator:
    """A whole translator of registered networks, as a run releases it."""
    torch.manual_seed(0)
    given, wanted = given or side([3, 16, 16]), wanted or side([3, 16, 16])
    ways = (
        {"generator": (given, wanted)} if game == "paired" else {"a_to_b": (given, wanted), "b_to_a": (wanted, given)}
    )
    keeps = degrade.startswith("mask")
    plans = {
        player: Blueprint(name, {"source": before["shape"], "shape": after["shape"], **options}, keeps=keeps)
        for player, (before, after) in ways.items()
    }
    config = {
        "networks": {player: plan.to_json() for player, plan in plans.items()},
        "game": game,
        "given": given,
        "data": wanted,
        "degrade": degrade,
        "recipe": "pix2pix",
        "zerosum": "0",
        "images": 1,
        "parameters": 1,
    }
    networks = {player: plan.build() for player, plan in plans.items()}
    for weight in (weight for network in networks.values() for weight in network.parameters() if weight.ndim == 4):
        nn.init.kaiming_normal_(weight)  # or all that is made is grey
    return Translator(networks, config)


# Every network, lightly, and what else a config can be: arguments of `model_of`.
SHIPPED: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("unet-generator", {"depth": 2, "width": 2}, {}),
    ("unet-generator", {"depth": 2, "width": 2}, {"degrade": "mask:box", "given": side([4, 16, 16])}),
    ("resnet-generator", {"width": 2, "blocks": 1}, {"game": "unpaired"}),
    ("srgan-generator", {"width": 2, "blocks": 1}, {"given": side([3, 8, 8])}),
]
