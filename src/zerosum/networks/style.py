"""Generators driven by a style: the ideas of the first StyleGAN at small size.

Karras, Laine & Aila, "A Style-Based Generator Architecture for Generative Adversarial Networks", 2019,
https://arxiv.org/abs/1812.04948. A mapping network makes a style of each latent; the synthesis begins from a constant,
the same for all, and the style enters at each layer anew, as the scale and shift of what was normalised:

    layer → + strength · noise → leaky ReLU 0.2 → AdaIN(·, style)

so that each layer's share of the style can be exchanged, and noise of its own strength draws what is chance. In
training a part of the samples take the style of their later layers from another latent (*style mixing*), so that layers
do not count on what others were told.

Published is a network of 18 layers for 1024×1024 faces with eight layers of mapping. Here are five of them (512, 512,
1024, 1024, style), and a synthesis for 28×28 (`style-28-generator`) or of linear layers (`style-mlp-generator`); no
equalised learning rate in the synthesis, no progressive growing, no blur of what was enlarged.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from zerosum.errors import UsageError
from zerosum.networks.layers import ToRange, check_choice, check_images, check_positive, check_shape
from zerosum.networks.mapping import SLOPE, MappingNetwork, he_normal_
from zerosum.networks.registry import register
from zerosum.together import drawn, gathered, own

MAPPING = [512, 512, 1024, 1024]  # units of the mapping network before its last layer
EPSILON = 1e-5  # added to a variance, as Huang & Belongie's code has it; StyleGAN's 1e-8 is lost in 16 bits


# AdaIN(x, y) = y_s (x − μ(x)) / σ(x) + y_b
# Karras et al. 2019, equation 1; Huang & Belongie 2017, https://arxiv.org/abs/1703.06868, equation 8.
def adaptive_instance_norm(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Each sample normalised, then scaled and shifted by its style.

    Maps (N, C, H, W): each channel over its places. Features (N, F): over the features. `scale` and `shift`: (N, C) or
    (N, F). Plain means, and sums of products in one pass: on channels-last maps on a CPU torch's own variance takes
    twice as long, its instance normalisation half as long again.
    """
    where = (2, 3) if x.dim() == 4 else (1,)
    if x.dim() == 4:
        scale, shift = scale[:, :, None, None], shift[:, :, None, None]
    centred = x - x.mean(where, keepdim=True)
    variance = centred.square().mean(where, keepdim=True)
    return torch.addcmul(shift, centred, scale * torch.rsqrt(variance + EPSILON))


class StyledLayer(nn.Module):
    """A layer, noise, leaky ReLU 0.2, and AdaIN by the style.

    Args:
        layer: makes maps (N, C, H, W) or features (N, F).
        shape: (C, H, W) or (F,) of what it makes.
        style: length of a style.

    The noise is N(0, 1): on maps one number a pixel, with a strength learned for each channel, on features one number,
    and one strength, for each. Strengths begin at 0. It is drawn anew in training, from torch's default generator, and
    otherwise is the buffer `noise`, drawn when the network is built, so that a latent always makes the same sample.

    Scale and shift are linear in the style, with weights N(0, 1/style); the scale's biases begin at 1, the shift's at
    0.
    """

    noise: Tensor

    def __init__(self, layer: nn.Module, shape: tuple[int, ...], style: int):
        super().__init__()
        self.layer = layer
        self.strength = nn.Parameter(torch.zeros(shape[0], *[1] * (len(shape) - 1)))
        self.register_buffer("noise", torch.randn(1, *((1, *shape[1:]) if len(shape) == 3 else shape)))
        self.affine = nn.Linear(style, 2 * shape[0])
        nn.init.kaiming_normal_(self.affine.weight, nonlinearity="linear")
        with torch.no_grad():
            self.affine.bias[: shape[0]] = 1
            self.affine.bias[shape[0] :] = 0

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """What the layer takes, and styles (N, style), to maps (N, C, H, W) or features (N, F)."""
        made = self.layer(x)
        noise = self.noise
        if self.training:
            noise = noise_like(noise, len(made))
        scale, shift = self.affine(style).chunk(2, 1)
        noisy = torch.addcmul(made, self.strength, noise)
        return adaptive_instance_norm(leaky_relu(noisy, SLOPE), scale, shift)


def noise_like(noise: Tensor, rows: int) -> Tensor:
    """N(0, 1) numbers, `rows` times the shape of `noise` (1, …), from torch's default generator."""
    return drawn(lambda n: torch.randn(n, *noise.shape[1:], dtype=noise.dtype, device=noise.device), rows)


class StyleGenerator(nn.Module):
    """Latents (N, latent) to samples: a mapping network, and a synthesis of layers driven by its styles.

    Args:
        mapping: latents to styles.
        layers: the synthesis; the first takes the constant as it is.
        shape: (C, H, W) or (F,) of the constant, learned from N(0, 1).
        last: what makes samples of the last layer's maps or features.
        mixing: the share of the samples whose style is mixed in training.
    """

    def __init__(
        self,
        mapping: MappingNetwork,
        layers: Sequence[StyledLayer],
        shape: tuple[int, ...],
        last: nn.Module,
        mixing: float,
    ):
        super().__init__()
        if not 0 <= mixing <= 1:
            raise UsageError(f"mixing is {mixing}: give the share of the samples whose style is mixed, from 0 to 1")
        self.mapping = mapping
        self.constant = nn.Parameter(torch.randn(shape))
        self.layers = nn.ModuleList(layers)
        self.last = last
        self.mixing = mixing
        self.mixes_samples = mixing > 0  # see `networks.mixes_samples`

    def styles(self, z: Tensor) -> Tensor:
        """Latents (N, latent) to styles (N, style)."""
        styles: Tensor = self.mapping(z)
        return styles

    def synthesise(self, styles: Tensor) -> Tensor:
        """Styles (N, style), or one for each layer (N, layers, style), to images (N, C, H, W) or points (N, D).

        UsageError where the number of styles is not that of the layers, `len(self.layers)`.
        """
        if styles.dim() == 2:
            styles = styles[:, None].expand(-1, len(self.layers), -1)
        if styles.shape[1] != len(self.layers):
            raise UsageError(
                f"styles of shape {list(styles.shape)}: give (N, style), or (N, {len(self.layers)}, style), one a layer"
            )
        x = self.constant.expand(styles.shape[0], *self.constant.shape)  # no len(): ONNX would fix the batch
        if x.dim() == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        for layer, style in zip(self.layers, styles.unbind(1), strict=True):
            x = layer(x, style)
        made: Tensor = self.last(x)
        return made

    def forward(self, z: Tensor) -> Tensor:
        """Latents (N, latent) to images (N, C, H, W) or points (N, D); in training a share of the styles is mixed."""
        styles = self.styles(z)
        return self.synthesise(self._mixed(styles) if self.training and self.mixing else styles)

    def _mixed(self, styles: Tensor) -> Tensor:
        """Styles (N, style) to (N, layers, style): for the share `mixing`, another's from a random layer on.

        The other is the neighbour in the batch: latents of a batch are independent, so any other will do (a sample
        that is alone has none). The layer from which it holds is one of 1 to layers − 1, all equally likely (Karras et
        al. 2019, section 3.1).
        """
        count, layers = len(styles), len(self.layers)
        chance, place = drawn(lambda rows: torch.rand(2, rows, 1, device=styles.device), count, 1).unbind(0)
        crossover = torch.where(chance < self.mixing, 1 + (place * (layers - 1)).floor(), layers)  # (N, 1)
        others = torch.arange(layers, device=styles.device) >= crossover  # (N, layers)
        return torch.where(others[:, :, None], own(gathered(styles).roll(1, 0))[:, None], styles[:, None])


@register("style-mlp-generator", role="generator", of="both")
class StyleMLPGenerator(StyleGenerator):
    """Latents (N, latent) to images (N, C, H, W) or points (N, D), by linear layers; AdaIN is over each one's features.

    Args:
        latent: length of a latent.
        shape: (C, H, W) of the images or (D,) of the points.
        style: length of a style.
        mapping: widths of the mapping network before its last layer, whose width is `style`.
        normalise: whether latents are brought to unit second moment; take False for latents of one or two numbers.
        hidden: features of the constant and of each layer after it; two or more.
        mixing: share of the samples whose style is mixed in training; 0 for none.
        output: "tanh" for [-1, 1], or "linear" for points without bounds.
    """

    def __init__(
        self,
        latent: int,
        shape: Sequence[int],
        *,
        hidden: Sequence[int] = [256, 256, 256],
        style: int = 128,
        mapping: Sequence[int] = MAPPING,
        normalise: bool = True,
        mixing: float = 0.9,
        output: str = "tanh",
    ):
        sizes = check_shape(shape)
        check_choice("output", output, ("tanh", "linear"))
        for width in hidden:
            check_positive(hidden=width)
        if len(hidden) < 2:
            raise UsageError(f"hidden is {list(hidden)}: give two layers or more, as [256, 256, 256]")
        check_positive(style=style)
        made = MappingNetwork(latent, [*mapping, style], normalise=normalise)
        layers = [nn.Identity(), *(nn.Linear(before, after) for before, after in pairwise(hidden))]
        for layer in layers:
            he_normal_(layer)
        styled = [StyledLayer(layer, (width,), style) for layer, width in zip(layers, hidden, strict=True)]
        last: list[nn.Module] = [nn.Linear(hidden[-1], prod(sizes)), nn.Unflatten(1, sizes)]
        if output == "tanh":
            last.append(ToRange())
        super().__init__(made, styled, (hidden[0],), nn.Sequential(*last), mixing)


@register("style-28-generator", role="generator", of="images")
class Style28Generator(StyleGenerator):
    """Latents (N, latent) to images (N, C, H, W) in [-1, 1]; H and W multiples of 4, UsageError otherwise.

    A constant of a quarter of the sides, 7×7 for 28×28, and a 3×3 convolution there; then twice: bilinearly enlarged
    by 2, and a 3×3 convolution to half of the channels; a 1×1 convolution makes the image.

    Args:
        latent: length of a latent.
        shape: (C, H, W) of the images.
        style: length of a style.
        mapping: widths of the mapping network before its last layer, whose width is `style`.
        normalise: whether latents are brought to unit second moment; take False for latents of one or two numbers.
        width: channels of the constant, a multiple of 4.
        mixing: share of the samples whose style is mixed in training; 0 for none.
    """

    def __init__(
        self,
        latent: int,
        shape: Sequence[int],
        *,
        width: int = 128,
        style: int = 128,
        mapping: Sequence[int] = MAPPING,
        normalise: bool = True,
        mixing: float = 0.9,
    ):
        channels, rows, columns = check_images(shape, "style-28-generator", least=4, multiple=4)
        check_positive(style=style, width=width)
        if width % 4:
            raise UsageError(f"width is {width}: it is halved twice, so give a multiple of 4")
        made = MappingNetwork(latent, [*mapping, style], normalise=normalise)
        shapes = [
            (width, rows // 4, columns // 4),
            (width, rows // 4, columns // 4),
            (width // 2, rows // 2, columns // 2),
            (width // 4, rows, columns),
        ]
        layers: list[nn.Module] = [nn.Identity()]
        for (before, low, _), (after, high, _) in pairwise(shapes):
            convolution = nn.Conv2d(before, after, 3, padding=1)
            enlarge = [nn.Upsample(scale_factor=2, mode="bilinear")] if high > low else []
            layers.append(nn.Sequential(*enlarge, convolution))
        for layer in layers:
            he_normal_(layer)
        styled = [StyledLayer(layer, of, style) for layer, of in zip(layers, shapes, strict=True)]
        last = nn.Sequential(nn.Conv2d(width // 4, channels, 1), ToRange())
        super().__init__(made, styled, shapes[0], last, mixing)
