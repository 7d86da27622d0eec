"""What goes into an ONNX file: the network, and around it all that else a caller would have to know.

    samples:       latent (N, length) [, label (N,)] [, truncation ()]  →  image (N, C, H, W), or point (N, D)
    translations:  given (N, c, h, w)  →  image (N, C, scale·h, scale·w)

Images are in [0, 255] or in [-1, 1], clamped and not rounded; points as the data had them. An autoencoder's fitted
distribution of codes is inside, and so is the mean style that truncation is towards. Where a network draws noise for
each pixel (the StyleGANs), it is the fixed noise of evaluation, a constant of the file: one latent, one image.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.instancenorm import _InstanceNorm

from zerosum.games import Latents, Randomness
from zerosum.games.randomness import uniform
from zerosum.model import STYLES, Model
from zerosum.networks import ImageToImage, StyleGenerator
from zerosum.translator import Way

HIGHS = (255, 1)  # of the ranges [0, 255] and [-1, 1]


class SampleGraph(nn.Module):
    """The generator of a `Model`.

    Args:
        model: the whole of it.
        high: 255 for images in [0, 255], 1 for [-1, 1]; points are in the data's own units.
    """

    mean_style: Tensor

    def __init__(self, model: Model, high: int) -> None:
        super().__init__()
        self.generator = model.generator
        self.codes = model.networks["codes"] if "codes" in model.networks else nn.Identity()
        self.high, self.points = high, len(model.shape) == 1
        self.data = model.config["data"]
        if self.truncates:
            self.register_buffer("mean_style", _mean_style(model))

    @property
    def truncates(self) -> bool:
        """Whether truncation, of styles, is an input; else latents are truncated before they come in."""
        return isinstance(self.generator, StyleGenerator)

    def forward(self, latent: Tensor, label: Tensor | None = None, truncation: Tensor | None = None) -> Tensor:
        """Latents (N, length), labels int64 (N,) where there are classes, ψ () where `truncates`, to samples."""
        if isinstance(self.generator, StyleGenerator):
            styles, psi = self.generator.styles(latent), 1.0 if truncation is None else truncation
            made = self.generator.synthesise(self.mean_style + psi * (styles - self.mean_style))
        else:
            codes = self.codes(latent)
            made = self.generator(codes) if label is None else self.generator(codes, label)
        return in_units(made, self.data) if self.points else to_range(made, self.high)


class TranslateGraph(nn.Module):
    """A network of a `Translator`.

    Args:
        network: it.
        high: as of `SampleGraph`, of images given and made.
        holes: whether the last channel given is a mask, high in holes and low elsewhere; what is in holes is ignored.
    """

    def __init__(self, network: nn.Module, high: int, *, holes: bool) -> None:
        super().__init__()
        self.network, self.high, self.holes = network, high, holes

    def forward(self, given: Tensor) -> Tensor:
        """Images (N, c, h, w), sides multiples of the network's stride, to (N, C, scale·h, scale·w)."""
        given = given / 127.5 - 1 if self.high == 255 else given
        return to_range(self.network(masked(given) if self.holes else given), self.high)


def to_range(images: Tensor, high: int) -> Tensor:
    """Images in [-1, 1], what is beyond clamped, to [0, 255] or [-1, 1]."""
    inside = images.clamp(-1, 1)
    return (inside + 1) * 127.5 if high == 255 else inside


def in_units(points: Tensor, data: dict[str, Any]) -> Tensor:
    """Points in [-1, 1], or beyond, in the units of their data."""
    low, high = float(data["low"]), float(data["high"])
    return points * ((high - low) / 2) + (high + low) / 2


def masked(given: Tensor) -> Tensor:
    """Images in [-1, 1] with a mask behind, 0 and -1 or 1 put where the network was trained to find them."""
    holes = (given[:, -1:] > 0).to(given.dtype)
    return torch.cat((given[:, :-1] * (1 - holes), holes * 2 - 1), 1)


def sample_inputs(model: Model, graph: SampleGraph, count: int, psi: float = 1.0) -> dict[str, Tensor]:
    """`count` latents of seed 0, and what else the graph takes, by name."""
    latents = Latents(**model.config["latent"])
    if latents.of_images:
        rows = Randomness(0).rows("export", 0, count, uniform(latents.length))
    else:
        rows = model.latents(count)
    labels = {"label": torch.arange(count) % len(model.classes)} if model.classes else {}
    return {"latent": rows, **labels, **({"truncation": torch.tensor(psi)} if graph.truncates else {})}


def given_images(way: Way, network: nn.Module, count: int, across: int = 2) -> Tensor:
    """`count` images in [-1, 1], `across` strides high and one more wide, or as few pixels as the network takes."""
    stride, least = stride_of(network), least_of(network)
    tall, wide = (max(stride * many, least) for many in (across, across + 1))
    channels = int(way.given["shape"][0])
    numbers = Randomness(0).rows(f"export/{across}", 0, count, uniform(channels * tall * wide))
    return numbers.reshape(count, channels, tall, wide)


def stride_of(network: nn.Module) -> int:
    """Sides of what a translator's file takes are multiples of this."""
    return int(network.stride)  # type: ignore[arg-type]


def least_of(network: nn.Module) -> int:
    """The shortest side that it takes, one of those multiples."""
    least = max((layer.least for layer in network.modules() if isinstance(layer, ImageToImage)), default=1)
    return -(-least // stride_of(network)) * stride_of(network)


def per_picture(network: nn.Module) -> bool:
    """Whether it normalises each picture by itself, so that pieces of one differ from the whole."""
    return any(isinstance(layer, _InstanceNorm | nn.GroupNorm) for layer in network.modules())


@torch.no_grad()
def _mean_style(model: Model) -> Tensor:
    """The same that `Model.generate` truncates towards."""
    many = Latents(**model.config["latent"]).rows(Randomness(0), "mean style", 0, STYLES)
    styles: Tensor = model.generator.styles(many.to(model.device)).mean(0)  # type: ignore[operator]
    return styles
