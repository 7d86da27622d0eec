"""StyleGAN2, in PyTorch alone.

Karras, Laine, Aittala, Hellsten, Lehtinen & Aila, "Analyzing and Improving the Image Quality of StyleGAN", CVPR 2020,
https://arxiv.org/abs/1912.04958. A style no longer scales what was normalised, but the weights of each convolution,
which are then normalised as if what enters were of unit variance (`modulated`). Each resolution makes an image of its
own, and they are summed (the *skip* generator); the discriminator is *residual*, and sees the deviation of groups of
samples. Noise, one number a pixel, comes with one learned strength a layer. All layers are of equalised learning rate
(`equalised`).

Facts that the paper leaves out are those of the authors' code, https://github.com/NVlabs/stylegan2-ada-pytorch: ε is
1e-8, leaky ReLU 0.2 is followed by √2, affine maps of styles begin with biases 1, resampling is by [1, 3, 3, 1] with
zeros around. Of its configurations (Karras et al. 2020, "Training Generative Adversarial Networks with Limited Data",
https://arxiv.org/abs/2006.06676) these are the options that concern networks, beside a latent of 512:

    stylegan2, paper512, paper1024     the defaults (paper512 with groups of 8)
    paper256                           channel_base 16384, group 8
    auto                               mapping_layers 2; under 512 pixels channel_base 16384
    cifar                              mapping_layers 2, mixing 0; residual false, group 32

Departures: styles are mixed for each sample, not for a whole batch, and with another of the same batch (see
`StyleGenerator`); labels come by the house's wrappers, one-hot behind the latent, not as an embedding; the mean style
of truncation is taken when it is asked for, not tracked; no clamps at 256, which float16 alone needs.

Sizes: s = ⌈log2(shorter side / 4)⌉ doublings from a constant of the images' aspect, 4×4 for squares of a power of two;
what is too large is cropped around the centre, and the discriminator halves odd sides downwards. The maps of what would
be resolution 4·2^k in a square have min(channel_max, channel_base / (4·2^k)) channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zerosum.errors import UsageError
from zerosum.networks.blur import Blur, enlarged
from zerosum.networks.discriminator import Discriminator
from zerosum.networks.equalised import GAIN, EqualisedConv, EqualisedLinear, EqualisedMapping
from zerosum.networks.layers import FromMap, centre_crop, check_images, check_positive, halved
from zerosum.networks.mapping import SLOPE
from zerosum.networks.minibatch import MinibatchDeviation
from zerosum.networks.modulated import ModulatedConv
from zerosum.networks.registry import register
from zerosum.networks.style import StyleGenerator, noise_like


def widths(height: int, width: int, channel_base: int, channel_max: int) -> list[int]:
    """Channels of each resolution, the smallest first; 32×32 by default: [512, 512, 512, 512].

    UsageError where there is none for the largest.
    """
    check_positive(channel_base=channel_base, channel_max=channel_max)
    doublings = (-(-min(height, width) // 4) - 1).bit_length()  # the ceiling of log2
    if channel_base < 4 << doublings:
        raise UsageError(
            f"channel_base is {channel_base}, and resolution {4 << doublings} gets so many channels divided by it, "
            f"none: give {4 << doublings} or more (published: 32768)"
        )
    return [min(channel_max, channel_base // (4 << level)) for level in range(doublings + 1)]


class SynthesisLayer(nn.Module):
    """A modulated 3×3 convolution, noise, bias, leaky ReLU 0.2 and √2.

    Args:
        before, after: channels.
        sides: (H, W) of what it makes.
        style: length of a style.
        up: whether it enlarges by 2.

    The noise is N(0, 1), one number a pixel, times `strength`, which begins at 0. It is drawn anew in training, from
    torch's default generator, and otherwise is the buffer `noise`, drawn when the network is built, so that a latent
    always makes the same sample.
    """

    noise: Tensor

    def __init__(self, before: int, after: int, sides: tuple[int, int], style: int, *, up: bool):
        super().__init__()
        self.affine = EqualisedLinear(style, before, start=1.0)
        self.convolution = ModulatedConv(before, after, 3, up=up, gain=GAIN)
        self.register_buffer("noise", torch.randn(1, 1, *sides))
        self.strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(after))

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Maps (N, before, …), styles (N, style) to maps (N, after, H, W)."""
        made = self.convolution(x, self.affine(style))
        noise = self.noise
        if self.training:
            noise = noise_like(noise, len(made))
        added = (self.bias * GAIN).to(made.dtype)[:, None, None]
        return F.leaky_relu(made + (noise * (self.strength * GAIN)).to(made.dtype) + added, SLOPE)


class ToImage(nn.Module):
    """Maps to images: a 1×1 convolution, modulated and not demodulated, and a bias; in float32 also under autocast."""

    def __init__(self, before: int, channels: int, style: int):
        super().__init__()
        self.affine = EqualisedLinear(style, before, start=1.0)
        self.convolution = ModulatedConv(before, channels, 1, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Maps (N, before, H, W), styles (N, style) to images (N, channels, H, W) without bounds."""
        made: Tensor = self.convolution(x, self.affine(style))
        return made.to(self.bias.dtype) + self.bias[:, None, None]


class Step(nn.Module):
    """What one style drives: the image of the maps that are there, then the next maps; either may be missing.

    Args:
        image: maps to an image, which is added to those before.
        layer: maps to the next maps.
    """

    def __init__(self, image: ToImage | None, layer: SynthesisLayer | None):
        super().__init__()
        self.image, self.layer = image, layer

    def forward(self, state: Tensor | tuple[Tensor, Tensor | None], style: Tensor) -> tuple[Tensor, Tensor | None]:
        """Maps (N, before, H, W), from the second step on with the image so far, and styles (N, style) to the same."""
        maps, image = state if isinstance(state, tuple) else (state, None)
        if self.image is not None:
            made = self.image(maps, style)
            image = made if image is None else enlarged(image) + made
        if self.layer is not None:
            maps = self.layer(maps, style)
        return maps, image


class Finish(nn.Module):
    """The image of the last step, cropped to `height`×`width`; in evaluation clamped to [-1, 1]."""

    def __init__(self, height: int, width: int):
        super().__init__()
        self.height, self.width = height, width

    def forward(self, state: tuple[Tensor, Tensor]) -> Tensor:
        """The last maps, and images (N, C, H, W), to the images."""
        images = centre_crop(state[1], self.height, self.width)
        return images if self.training else images.clamp(-1, 1)


@register("stylegan2-generator", role="generator", of="images")
class StyleGAN2Generator(StyleGenerator):
    """Latents (N, latent) to images (N, C, H, W); UsageError for images under 4×4.

    In evaluation they are in [-1, 1]: what is beyond is clamped, as when the authors write images. In training they are
    as the sum has them, as published, so that the discriminator's word reaches what is beyond too.

    A square of 4·2^s pixels takes 2s + 2 styles: one for each of 2s + 1 convolutions, one for the last image. Each
    other image has the style of the convolution that enlarges the same maps.

    Args:
        latent: length of a latent; published: 512.
        shape: (C, H, W) of the images.
        style: length of a style, and width of the mapping network.
        mapping_layers: of the mapping network.
        channel_base: channels times resolution, at most.
        channel_max: channels, at most.
        mixing: share of the samples whose style is mixed in training; 0 for none.
    """

    def __init__(
        self,
        latent: int,
        shape: Sequence[int],
        *,
        style: int = 512,
        mapping_layers: int = 8,
        channel_base: int = 32768,
        channel_max: int = 512,
        mixing: float = 0.9,
    ):
        channels, height, width = check_images(shape, "stylegan2-generator", least=4)
        check_positive(latent=latent, style=style, mapping_layers=mapping_layers)
        sizes = widths(height, width, channel_base, channel_max)
        rows, columns = halved(height, len(sizes) - 1), halved(width, len(sizes) - 1)
        mapping = EqualisedMapping(latent, [style] * mapping_layers)
        steps: list[Any] = []  # in the place of styled layers, and called as they are
        for level, after in enumerate(sizes):
            sides = rows << level, columns << level
            if level:
                before = sizes[level - 1]
                enlarge = SynthesisLayer(before, after, sides, style, up=True)
                steps.append(Step(ToImage(before, channels, style), enlarge))
            steps.append(Step(None, SynthesisLayer(after, after, sides, style, up=False)))
        steps.append(Step(ToImage(sizes[-1], channels, style), None))
        super().__init__(mapping, steps, (sizes[0], rows, columns), Finish(height, width), mixing)


class FromImage(EqualisedConv):
    """Images to maps by a 1×1, in the order of channels-last maps: of one channel, torch could not tell."""

    def __init__(self, channels: int, after: int):
        super().__init__(channels, after, 1, gain=GAIN)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, channels, H, W) to maps (N, after, H, W)."""
        return super().forward(x).contiguous(memory_format=torch.channels_last)


class Stage(nn.Module):
    """A stage of the discriminator: two 3×3 convolutions, the second to half the sides, beside a 1×1 that is added.

    Args:
        before, after: channels.
        residual: whether there is the 1×1; the sum of both is divided by √2.
    """

    def __init__(self, before: int, after: int, *, residual: bool):
        super().__init__()
        share = sqrt(0.5) if residual else 1.0
        self.layers = nn.Sequential(
            EqualisedConv(before, before, 3, gain=GAIN),
            nn.LeakyReLU(SLOPE),
            Blur(padding=2),
            EqualisedConv(before, after, 3, stride=2, padding=0, gain=GAIN * share),
            nn.LeakyReLU(SLOPE),
        )
        short = [Blur(padding=1, stride=2), EqualisedConv(before, after, 1, bias=False, gain=share)]
        self.short = nn.Sequential(*short) if residual else None

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, before, H, W) to (N, after, H // 2, W // 2)."""
        made: Tensor = self.layers(x)
        return made if self.short is None else made + self.short(x)


class DeviationMap(MinibatchDeviation):
    """The deviation of each sample's group as a further channel, the same everywhere; see `MinibatchDeviation`."""

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, C, H, W) to (N, C + 1, H, W)."""
        deviation = super().forward(x.flatten(1))[:, -1:].to(x.dtype)
        joined = torch.cat((x, deviation[:, :, None, None].expand(-1, -1, *x.shape[2:])), 1)
        return joined.contiguous(memory_format=torch.channels_last)


@register("stylegan2-discriminator", role="discriminator", of="images")
class StyleGAN2Discriminator(Discriminator):
    """Images (N, C, H, W) to logits (N,); UsageError for images under 4×4. It mixes the samples of a batch.

    Args:
        shape: (C, H, W) of the images.
        channel_base: channels times resolution, at most.
        channel_max: channels, at most.
        residual: whether stages have a way beside their convolutions.
        group: samples whose deviation is taken together; see `MinibatchDeviation`.
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        channel_base: int = 32768,
        channel_max: int = 512,
        residual: bool = True,
        group: int = 4,
    ):
        channels, height, width = check_images(shape, "stylegan2-discriminator", least=4)
        sizes = widths(height, width, channel_base, channel_max)[::-1]
        stages = len(sizes) - 1
        last = sizes[-1]
        body = nn.Sequential(
            FromImage(channels, sizes[0]),
            nn.LeakyReLU(SLOPE),
            *(Stage(before, after, residual=residual) for before, after in pairwise(sizes)),
            DeviationMap(last, group),
            EqualisedConv(last + 1, last, 3, gain=GAIN),
            nn.LeakyReLU(SLOPE),
            FromMap(),
            EqualisedLinear(last * (height >> stages) * (width >> stages), last, gain=GAIN),
            nn.LeakyReLU(SLOPE),
        )
        super().__init__(body, last)
        self.head = EqualisedLinear(last, 1)
