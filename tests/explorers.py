"""Small generators to explore, of any registered network, with random weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from light import LIGHT, awake
from zerosum.model import Model
from zerosum.networks import Blueprint, CodeDistribution

SHAPE = (1, 8, 8)
OPTIONS: dict[str, dict[str, Any]] = {
    "style-28-generator": {"mapping": [16], "width": 8, "style": 12},
    "style-mlp-generator": {"mapping": [16], "hidden": [16, 16], "style": 12},
    "dcgan-generator": {"width": 8},
    "sndcgan-generator": {"width": 8},
    **LIGHT,
}


def explorer(
    name: str,
    *,
    shape: tuple[int, ...] = SHAPE,
    classes: int = 0,
    labels: str = "none",
    latent: dict[str, Any] | None = None,
    codes: bool = False,
    seed: int = 0,
    options: dict[str, Any] | None = None,
) -> Model:
    """A model whose generator is the registered network `name`; `latent`: what `games.Latents` takes."""
    torch.manual_seed(seed)
    drawn = {"size": 64 if name == "encoder-generator" else 6, "distribution": "normal", **(latent or {})}
    length = drawn["size"] + sum(drawn.get("categorical", ())) + drawn.get("continuous", 0)
    arguments = {"latent": length, "shape": list(shape), **OPTIONS.get(name, {}), **(options or {})}
    plan = Blueprint(name, arguments, labels=labels, classes=classes)
    networks: dict[str, nn.Module] = {"generator": awake(plan.build())}
    _settle(networks["generator"], length, classes if labels != "none" else 0)
    config: dict[str, Any] = {
        "networks": {"generator": plan.to_json()},
        "latent": drawn,
        "classes": [f"class {number}" for number in range(classes)],
        "data": {"name": "made", "shape": list(shape), "dtype": "uint8", "low": 0, "high": 255},
    }
    if codes:
        networks["codes"] = CodeDistribution(length)
        networks["codes"].fit(torch.randn(50, length) * 2 + 1)  # type: ignore[operator]
        config["codes"] = length
    return Model(networks, config)


def _settle(generator: nn.Module, length: int, classes: int) -> None:
    """BatchNorm's statistics as one batch has them: else what was drawn small stays small, and all images are alike."""
    norms = [layer for layer in generator.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        generator.train()(torch.randn(32, length), *([torch.arange(32) % classes] if classes else []))
    generator.eval()
