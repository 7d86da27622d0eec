"""Directions of a latent that change a picture most, from the generator's first layer alone.

Shen & Zhou, "Closed-Form Factorization of Latent Semantics in GANs", CVPR 2021, https://arxiv.org/abs/2007.06600: where
the first layer is y = A z + b, a step α along a unit vector n changes y by α A n, whatever z. The n that change it most
are the eigenvectors of AᵀA with the largest eigenvalues (equations 4 to 7): the right singular vectors of A.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zerosum.model import Model
from zerosum.networks import LabelledGenerator


def closed_form_directions(model: Model, most: int = 8) -> tuple[Tensor, Tensor]:
    """Unit vectors float32 (K, length) in the space of a model's latents, and their singular values (K,), descending.

    The largest number of each vector is positive. K is `most`, or as many as there are; 0 where no linear layer reads
    the latent.
    """
    weight = _first_weight(model)
    if weight is None:
        return torch.empty(0, 0), torch.empty(0)
    _, values, rows = torch.linalg.svd(weight, full_matrices=False)
    rows, values = rows[:most], values[:most]
    largest = rows.gather(1, rows.abs().argmax(1, keepdim=True))
    return (rows * largest.sign()).float(), values.float()


def _first_weight(model: Model) -> Tensor | None:
    """A, float64 (features, length), of the first layer; numbers of a label stand behind those of the latent."""
    length = model.latents(1).shape[1]
    wanted = length + (len(model.classes) if isinstance(model.generator, LabelledGenerator) else 0)
    linear = (layer for layer in model.generator.modules() if isinstance(layer, nn.Linear))
    found = next((layer.weight for layer in linear if layer.in_features == wanted), None)
    if found is None:
        return None
    weight = found.detach().cpu().double()[:, :length]
    if "codes" not in model.networks:
        return weight
    factor: Tensor = model.networks["codes"].factor.cpu().double()  # type: ignore[assignment]
    return weight @ factor.T
