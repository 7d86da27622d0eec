"""Small released generators for tests: of random weights, with the config that a run gives them."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import nn

from light import LIGHT, awake
from zerosum.model import Model
from zerosum.networks import Blueprint, CodeDistribution, entry

SMALL: dict[str, dict[str, Any]] = {
    **LIGHT,
    "style-28-generator": {"width": 8, "style": 8, "mapping": [8]},
    "style-mlp-generator": {"hidden": [8, 8], "style": 8, "mapping": [8]},
    "mlp-generator": {"hidden": [16]},
    "encoder-generator": {"code": 8},
}
CLASSES = ("cat", "dog", "10")


def generator_of(
    name: str,
    *,
    labels: str = "none",
    shape: tuple[int, ...] = (3, 8, 8),
    latent: dict[str, Any] | None = None,
    codes: bool = False,
    **facts: Any,
) -> Model:
    """A whole model of a registered generator, as a run releases it; batch statistics and noise are not all zero."""
    torch.manual_seed(3)
    if getattr(entry(name).network, "takes_images", False):
        latent = {"size": prod(shape), "distribution": "images"}
    latent = {"size": 8, "distribution": "normal", "categorical": [], "continuous": 0} | (latent or {})
    length = latent["size"] + sum(latent["categorical"]) + latent["continuous"]
    classes = CLASSES if labels != "none" else ()
    arguments = {"latent": length, "shape": list(shape), **SMALL.get(name, {})}
    plan = Blueprint(name, {**arguments, **facts.pop("options", {})}, labels=labels, classes=len(classes))
    networks: dict[str, nn.Module] = {"generator": awake(plan.build())}
    for layer in networks["generator"].modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            nn.init.uniform_(layer.running_mean, -0.5, 0.5)
            nn.init.uniform_(layer.running_var, 0.2, 0.6)
        if hasattr(layer, "strength"):
            nn.init.uniform_(layer.strength, 0.1, 0.5)
    if codes:
        networks["codes"] = CodeDistribution(length)
        networks["codes"].fit(torch.randn(50, length) @ torch.randn(length, length) + 2)
    images = len(shape) == 3
    data = {"name": "things", "count": 9, "shape": list(shape), "dtype": "uint8" if images else "float32"}
    config = {
        "networks": {"generator": plan.to_json()},
        "latent": latent,
        "classes": list(classes),
        "data": data | ({"low": 0.0, "high": 255.0} if images else {"low": -2.0, "high": 6.0}),
        "codes": length if codes else 0,
        "variational": False,
        "recipe": "quick",
    }
    return Model(networks, config | facts)


CODED = {"distribution": "uniform", "categorical": [3, 2], "continuous": 1}


def run_of(model: Model, folder: Path) -> Path:
    """The model in a folder that is loaded as a run's."""
    model.save(folder / "model")
    return folder
