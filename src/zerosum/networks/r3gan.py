"""R3GAN: a generator and a discriminator of plain residual blocks, without normalisation or any other trick.

Huang, Gokaslan, Kuleshov & Tompkin, "The GAN is dead; long live the GAN! A Modern GAN Baseline", NeurIPS 2024,
https://arxiv.org/abs/2501.05441, its configuration E; what the paper leaves open is as in the authors' code,
https://github.com/brownvc/R3GAN. The two networks mirror each other. From the generator's start on:

    z → Linear, times a learned basis of 4×4 → stage → twice as large → stage → … → 1×1 → image
    stage: `blocks` times x + f(x);   f: 1×1 to `expansion`·w, 3×3 in groups of `group`, 1×1 to w

and back in the discriminator, which ends with a depthwise convolution of its last, 4×4 map and a Linear. Leaky ReLU 0.2
stands before the second and the third convolution of f, and biases only before leaky ReLUs. Resampling is by [1, 3, 3,
1] / 8 along each axis, which is [1, 2, 1] with the box of two pixels, zeros beyond the border; a 1×1 convolution
changes the number of channels on its smaller side, where that differs.

Weights, after Zhang et al. 2019 (Fixup, https://arxiv.org/abs/1901.09321): the last convolution of each f is zero, the
other two N(0, g / √fan in), g = √(2 / 1.04) · L^(-1/4) for L blocks in all; elsewhere N(0, 1 / √fan in), but N(0, 1)
for the generator's basis; biases zero. So each block begins as the identity.

Published, with z of 64, expansion 2 and two blocks a stage (parameters counted from the authors' code; FID of 50,000
samples against all training images, Inception-v3):

    data         widths, from 4×4 on           group  classes    generator  discriminator   FID
    CIFAR-10     768 768 768 768                  16       10   20,781,952     21,280,512  1.96
    FFHQ-64      768 768 768 768 384              16        -   22,429,824     22,381,440  1.95
    FFHQ-256     768 768 768 768 384 192 96       16        -   23,057,952     23,009,568  2.75
    ImageNet-32  1536 1536 1536 1536              32     1000   82,914,304     86,548,992  1.27
    ImageNet-64  1536 1536 1536 1536 1536         32     1000  103,570,432    107,205,120  2.09

With classes, a label's embedding of 64 numbers stands behind z, and the discriminator's Linear makes `widths[0]`
features, whose inner product with another embedding of the label is the logit.

Departures. Images of any size: the start is the images' shape halved as often as leaves 4 pixels or more of the shorter
side, rounded up, and the generator crops what is too large around the centre; the discriminator's last map is rounded
down. A tanh ends the generator, unless `output` is "linear" as published. Labels come by the house's wrappers:
`LabelledGenerator` says a one-hot row, which `embedding` embeds as published; `ProjectionDiscriminator` keeps the
unconditional head beside the projection, `widths[0]` parameters more, and begins the projection Glorot-uniform, where
published is N(0, 1 / √(classes · widths[0])).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zerosum.errors import UsageError
from zerosum.networks.discriminator import Discriminator
from zerosum.networks.layers import ToRange, centre_crop, check_choice, check_images, check_positive, halved
from zerosum.networks.registry import register
from zerosum.networks.translator import Residual

LEAST = 4  # pixels of the smallest map's shorter side, and of the images'
FULL = 32  # pixels of the shorter side up to which maps have all channels
SLOPE = 0.2  # of the leaky ReLUs, below zero
GAIN = math.sqrt(2 / (1 + SLOPE**2))  # keeps the second moment through a leaky ReLU


def widths(height: int, width: int, most: int = 768, multiple: int = 8) -> list[int]:
    """Channels at each size of a map, from the smallest to the images', by the published rule.

    `most` up to 32 pixels of the shorter side, half of it up to 64, a quarter up to 128, …, each rounded up to a
    multiple of `multiple`. 64×64: [768, 768, 768, 768, 384]; 28×28, whose maps are 7, 14 and 28: [768, 768, 768].
    """
    shorter = min(height, width)
    stages = max(1, (shorter // LEAST).bit_length())
    sides = [halved(shorter, stages - 1 - stage) for stage in range(stages)]
    halvings = [(-(-side // FULL) - 1).bit_length() for side in sides]
    return [-(-most // 2**times // multiple) * multiple for times in halvings]


# x'_i = (x_{2i-1} + 3 x_{2i} + 3 x_{2i+1} + x_{2i+2}) / 8 along each axis; to enlarge, four times the transpose.
class Resample(nn.Module):
    """Maps (N, C, H, W) to (N, C, 2H, 2W) where `enlarge`, else to (N, C, H // 2, W // 2); zeros beyond the border.

    A depthwise convolution, the fastest on a CPU, at a few hundredths of a block's time: products with a matrix along
    each axis took 1.1 to 9 times as long, averages and cropped bilinear enlargement 2 to 17 times. In 16 bits it would
    be 10 to 30 times as slow there as in float32, and so is done in float32.
    """

    kernel: Tensor

    def __init__(self, *, enlarge: bool):
        super().__init__()
        self.enlarge = enlarge
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / (4 if enlarge else 8)
        self.register_buffer("kernel", torch.outer(taps, taps)[None, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, C, H, W) to maps of another size, in their dtype."""
        channels = x.shape[1]
        work = x.float() if x.device.type == "cpu" and x.dtype.itemsize < 4 else x
        kernel = self.kernel.to(work.dtype).expand(channels, -1, -1, -1)
        with torch.autocast(x.device.type, enabled=False):
            if self.enlarge:
                made = F.conv_transpose2d(work, kernel, stride=2, padding=1, groups=channels)
            else:
                made = F.conv2d(work, kernel, stride=2, padding=1, groups=channels)
        return made.to(x.dtype)


class Linear(nn.Linear):
    """A linear layer without bias, of weights N(0, 1 / √fan in)."""

    def __init__(self, before: int, after: int):
        super().__init__(before, after, bias=False)
        nn.init.normal_(self.weight, 0.0, before**-0.5)


class Pointwise(Linear):
    """A 1×1 convolution: maps (N, C, H, W) to channels-last maps (N, C', H, W).

    Of one channel torch's own cannot tell how the maps lie in memory, and would go on without channels-last.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, C, H, W) to maps (N, C', H, W)."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Start(nn.Module):
    """Latents (N, latent) to maps (N, C, H, W): a learned map for each channel, times a number linear in the latent."""

    def __init__(self, latent: int, shape: tuple[int, int, int]):
        super().__init__()
        channels, height, width = shape
        self.basis = nn.Parameter(torch.randn(height, width, channels))
        self.linear = Linear(latent, channels)

    def forward(self, z: Tensor) -> Tensor:
        """Latents (N, latent) to channels-last maps (N, C, H, W)."""
        made: Tensor = self.linear(z)[:, None, None, :] * self.basis
        return made.permute(0, 3, 1, 2)


class End(nn.Module):
    """Maps (N, C, H, W) to features (N, C): a depthwise convolution with kernels as large as the map, no bias."""

    def __init__(self, shape: tuple[int, int, int]):
        super().__init__()
        channels, height, width = shape
        self.basis = nn.Parameter(torch.randn(height, width, channels) * (height * width) ** -0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, C, H, W) to features (N, C), float32 also under autocast."""
        made: Tensor = x.permute(0, 2, 3, 1) * self.basis
        return made.sum((1, 2))


class Clamp(nn.Module):
    """In evaluation the nearest numbers in [-1, 1]; in training the same ones, for beyond is no gradient."""

    def forward(self, x: Tensor) -> Tensor:
        """Numbers of any shape to float32."""
        return x.float() if self.training else x.float().clamp(-1, 1)


class EmbedLabels(nn.Module):
    """Rows (N, latent) whose last `classes` numbers are a label's one-hot row: these become an embedding, linearly.

    UsageError unless there are classes, a length of the embedding, and numbers before the classes.
    """

    def __init__(self, latent: int, classes: int, embedding: int):
        super().__init__()
        check_positive(classes=classes, embedding=embedding)
        if latent <= classes:
            raise UsageError(
                f"classes is {classes}, and latents have {latent} numbers: a label's one-hot row stands behind others"
            )
        self.classes = classes
        self.linear = Linear(classes, embedding)

    def forward(self, z: Tensor) -> Tensor:
        """Rows (N, latent) to rows (N, latent − classes + embedding)."""
        embedded: Tensor = self.linear(z[:, -self.classes :])
        return torch.cat((z[:, : -self.classes].to(embedded.dtype), embedded), 1)


def block(width: int, expansion: int, group: int, gain: float) -> Residual:
    """x + f(x) for maps of `width` channels; the weights of f's first two convolutions are N(0, gain / √fan in)."""
    inner = expansion * width
    convolutions = [
        nn.Conv2d(width, inner, 1),
        nn.Conv2d(inner, inner, 3, padding=1, groups=inner // group),
        nn.Conv2d(inner, width, 1, bias=False),
    ]
    for layer, scale in zip(convolutions, (gain, gain, 0.0), strict=True):
        nn.init.normal_(layer.weight, 0.0, scale * layer.weight[0].numel() ** -0.5)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    first, second, third = convolutions
    return Residual(first, nn.LeakyReLU(SLOPE, inplace=True), second, nn.LeakyReLU(SLOPE, inplace=True), third)


@dataclass(frozen=True)
class Stages:
    """What the two networks share.

    Attributes:
        shape: (C, H, W) of the images.
        widths: channels of the maps, from the smallest on.
        blocks: in each stage.
        expansion: channels inside a block, as multiples of those around it.
        group: channels that a 3×3 convolution mixes.
    """

    shape: tuple[int, int, int]
    widths: tuple[int, ...]
    blocks: int
    expansion: int
    group: int

    @property
    def halvings(self) -> int:
        """How often the images' sides are halved."""
        return len(self.widths) - 1

    def made(self, width: int) -> list[Residual]:
        """The blocks of a stage whose maps have `width` channels, with the weights of L blocks in all."""
        gain = GAIN * (self.blocks * len(self.widths)) ** -0.25
        return [block(width, self.expansion, self.group, gain) for _ in range(self.blocks)]


def plan(
    network: str,
    shape: Sequence[int],
    width: int,
    chosen: Sequence[int],
    blocks: int,
    expansion: int,
    group: int,
) -> Stages:
    """The stages of a network called `network`, with channels as `chosen`, or by the rule with `width` at most.

    UsageError for numbers below 1, for images under 4×4, for widths that `group` does not divide when expanded, and for
    more of them than the images' sides can be halved.
    """
    images = check_images(shape, network, least=LEAST)
    check_positive(width=width, blocks=blocks, expansion=expansion, group=group)
    multiple = group // math.gcd(group, expansion)
    for each in chosen or [width]:
        check_positive(widths=each)
        if each % multiple:
            raise UsageError(
                f"{network}: {each} channels, {expansion} times as many inside a block, make no whole number of groups "
                f"of {group}: give widths in multiples of {multiple}, or another group"
            )
    channels = tuple(chosen) or tuple(widths(images[1], images[2], width, multiple))
    most = min(images[1:]).bit_length()
    if len(channels) > most:
        raise UsageError(
            f"{network}: of {images[1]}×{images[2]} images nothing is left after {len(channels) - 1} halvings: give "
            f"{most} widths at most"
        )
    return Stages(images, channels, blocks, expansion, group)


@register("r3gan-generator", role="generator", of="images")
class R3GANGenerator(nn.Module):
    """Latents (N, latent) to images (N, C, H, W) in [-1, 1]; UsageError for images under 4×4.

    Args:
        latent: length of a latent; 64 as published.
        shape: (C, H, W) of the images.
        width: channels of the largest maps by the rule, `widths`.
        widths: channels of each stage, from the smallest map on, in place of the rule's; empty: the rule's.
        blocks: residual blocks in each stage.
        expansion: channels inside a block, as multiples of those around it.
        group: channels that a 3×3 convolution mixes; it divides each width, expanded.
        embedding: length of the embedding that a label's one-hot row, the last `classes` numbers of a latent, is
            brought to; 0: none.
        classes: how many, where there is an embedding; else 0.
        output: "tanh"; or "linear" as published: without bounds in training, in evaluation clamped to [-1, 1].
    """

    def __init__(
        self,
        latent: int,
        shape: Sequence[int],
        *,
        width: int = 768,
        widths: Sequence[int] = [],
        blocks: int = 2,
        expansion: int = 2,
        group: int = 16,
        embedding: int = 0,
        classes: int = 0,
        output: str = "tanh",
    ):
        super().__init__()
        check_positive(latent=latent)
        check_choice("output", output, ("tanh", "linear"))
        stages = plan("r3gan-generator", shape, width, widths, blocks, expansion, group)
        channels, self.height, self.width = stages.shape
        start = [halved(side, stages.halvings) for side in stages.shape[1:]]
        layers: list[nn.Module] = []
        if embedding or classes:
            layers.append(EmbedLabels(latent, classes, embedding))
            latent += embedding - classes
        layers += [Start(latent, (stages.widths[0], start[0], start[1])), *stages.made(stages.widths[0])]
        for before, after in pairwise(stages.widths):
            layers += [Pointwise(before, after)] if before != after else []
            layers += [Resample(enlarge=True), *stages.made(after)]
        layers.append(Pointwise(stages.widths[-1], channels))
        layers.append(ToRange() if output == "tanh" else Clamp())
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        """Latents (N, latent) to images (N, C, H, W) in [-1, 1]; in training without bounds if `output` is "linear"."""
        return centre_crop(self.layers(z), self.height, self.width)


@register("r3gan-discriminator", role="discriminator", of="images")
class R3GANDiscriminator(Discriminator):
    """Images (N, C, H, W) to logits (N,); UsageError for images under 4×4. No sample's logit depends on another's.

    Args:
        shape: (C, H, W) of the images.
        width: channels of the smallest maps by the rule, `widths`.
        widths: channels of each stage, from the smallest map on, as the generator's; empty: the rule's.
        blocks: residual blocks in each stage.
        expansion: channels inside a block, as multiples of those around it.
        group: channels that a 3×3 convolution mixes; it divides each width, expanded.
        embedding: length of the features, linear in the last map's, that a projection of labels reads, as published
            for classes; 0: those of the last map, `widths[0]` of them.
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        width: int = 768,
        widths: Sequence[int] = [],
        blocks: int = 2,
        expansion: int = 2,
        group: int = 16,
        embedding: int = 0,
    ):
        stages = plan("r3gan-discriminator", shape, width, widths, blocks, expansion, group)
        channels, *sides = stages.shape
        end = [side >> stages.halvings for side in sides]
        sizes = stages.widths[::-1]
        layers: list[nn.Module] = [Pointwise(channels, sizes[0]), *stages.made(sizes[0])]
        for before, after in pairwise(sizes):
            layers.append(Resample(enlarge=False))
            layers += [Pointwise(before, after)] if before != after else []
            layers += stages.made(after)
        layers.append(End((sizes[-1], end[0], end[1])))
        if embedding:
            check_positive(embedding=embedding)
            layers.append(Linear(sizes[-1], embedding))
        super().__init__(nn.Sequential(*layers), embedding or sizes[-1], bias=False)
        for weight in self.head.parameters():
            nn.init.normal_(weight, 0.0, self.width**-0.5)
