"""What two architectures share: checks of arguments, the step between vectors and maps, cropping, weights.

Maps are kept in the order N, H, W, C in memory (channels-last), which is where convolutions on CPUs and GPUs
are fastest. A linear layer that writes, or reads, its features in that order costs no copy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from zerosum.errors import UsageError, nearest
from zerosum.together import alone, drawn


def check_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """`shape` as a tuple: (C, H, W) of images or (D,) of points; UsageError for anything else."""
    sizes = tuple(shape)
    if len(sizes) not in (1, 3) or not all(type(size) is int and size > 0 for size in sizes):
        raise UsageError(
            f"shape {list(shape)!r}: give (channels, height, width) of the images, or (dimensions,) of points"
        )
    return sizes


def check_images(shape: Sequence[int], network: str, *, least: int, multiple: int = 1) -> tuple[int, int, int]:
    """`shape` as (C, H, W), for a network that takes sizes from `least` pixels up, in steps of `multiple`.

    Raises UsageError, with the remedy, for points, for smaller images and for sizes between the steps.
    """
    sizes = check_shape(shape)
    if len(sizes) != 3:
        raise UsageError(
            f"{network} draws images, the data are points of {sizes[0]} dimensions: "
            "choose mlp-generator and mlp-discriminator"
        )
    channels, height, width = sizes
    if min(height, width) < least:
        raise UsageError(
            f"{network} needs images of at least {least}×{least}, these are {height}×{width}: "
            "enlarge them with --data.size, or choose mlp-generator and mlp-discriminator"
        )
    if height % multiple or width % multiple:
        up = [-(-side // multiple) * multiple for side in (height, width)]
        raise UsageError(
            f"{network} needs height and width in multiples of {multiple}, these are {height}×{width}: "
            f"use --data.size {up[0]}x{up[1]}, or a network for any size (quick, dcgan)"
        )
    return channels, height, width


def check_positive(**values: int) -> None:
    """Raise UsageError for the first of the named numbers that is not an integer above zero."""
    for name, value in values.items():
        if type(value) is not int or value < 1:
            raise UsageError(f"{name} is {value!r}: it must be a whole number of at least 1")


def check_choice(option: str, value: str, known: tuple[str, ...]) -> None:
    """Raise UsageError with the nearest known word for a `value` of `option` that is none of them."""
    if value not in known:
        raise UsageError(f"there is no {option} {value!r}: {nearest(value, known)}")


class ToMap(nn.Module):
    """Features (N, H·W·C), ordered H, W, C, as a map (N, C, H, W): a channels-last view, no copy."""

    def __init__(self, channels: int, height: int, width: int):
        super().__init__()
        self.channels, self.height, self.width = channels, height, width

    def forward(self, features: Tensor) -> Tensor:
        """Features (N, H·W·C) to a map (N, C, H, W)."""
        return features.view(-1, self.height, self.width, self.channels).permute(0, 3, 1, 2)


class FromMap(nn.Module):
    """A map (N, C, H, W) as features (N, H·W·C), ordered H, W, C; no copy where the map is channels-last.

    A linear layer behind it is the "valid" convolution over the whole map, as one matrix product.
    """

    def forward(self, features: Tensor) -> Tensor:
        """A map (N, C, H, W) to features (N, H·W·C)."""
        return features.permute(0, 2, 3, 1).flatten(1)


class Dropout(nn.Dropout):
    """`nn.Dropout`, which on a CPU draws sixteen bits for each value instead of a double.

    torch's own spends there up to a fifth of a whole training step on its random numbers. The chance to be
    dropped is p rounded to a multiple of 2⁻¹⁶, and the scale 1 / (1 − p) that of the rounded one.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Values of any shape; in training each is zero with probability p, or divided by 1 − p."""
        if not self.training or torch.compiler.is_compiling():
            return super().forward(x)
        if x.device.type != "cpu":
            if alone():
                return super().forward(x)
            ones = drawn(lambda numbers: super(Dropout, self).forward(x.new_ones(numbers)), x.numel())
            return x * _as_in_memory(ones, x)
        dropped = round(self.p * 2**16)
        kept = (_as_in_memory(drawn(_bits, x.numel()), x) >= dropped - 2**15).to(x.dtype)
        return x * kept.mul_(2**16 / (2**16 - dropped))


def _bits(count: int) -> Tensor:
    """So many random numbers of sixteen bits."""
    return torch.empty(-(-count // 4), dtype=torch.int64).random_(-(2**63), None).view(torch.int16)[:count]


def _as_in_memory(values: Tensor, like: Tensor) -> Tensor:
    """As many values in a row as `like` has, in its shape, and in the order of its memory."""
    if like.dim() == 4 and like.is_contiguous(memory_format=torch.channels_last):
        count, channels, height, width = like.shape
        return values.view(count, height, width, channels).permute(0, 3, 1, 2)
    return values.view(like.shape)


class ToRange(nn.Tanh):
    """The tanh at a generator's end, in float32 also under autocast.

    In bfloat16 it is exactly 1 or -1 beyond 3.5, where its slope, and what a likelihood of brightness would say, is 0.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Numbers of any shape to float32 in [-1, 1]."""
        return super().forward(x.float())


class InstanceNorm(nn.InstanceNorm2d):
    """`nn.InstanceNorm2d` with scale and shift for each channel, which leaves channels-last maps channels-last.

    torch's own hands on contiguous maps, and the convolution behind it copies them back in both directions: with
    that convolution it takes 1.1 to 1.6 times as long on a CPU.
    """

    def __init__(self, channels: int):
        super().__init__(channels, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, C, H, W): over each map mean 0 and variance 1, then scaled and shifted."""
        last = x.is_contiguous(memory_format=torch.channels_last)
        normalised: Tensor = super().forward(x)
        return normalised.contiguous(memory_format=torch.channels_last) if last else normalised


# What may stand behind a convolution of so many channels: scale and shift for each channel, but for "none".
NORMS: dict[str, Callable[[int], list[nn.Module]]] = {
    "batch": lambda channels: [nn.BatchNorm2d(channels)],
    "layer": lambda channels: [nn.GroupNorm(1, channels)],
    "instance": lambda channels: [InstanceNorm(channels)],
    "none": lambda channels: [],
}


def centre_crop(images: Tensor, height: int, width: int) -> Tensor:
    """The middle `height`×`width` of images (N, C, H, W), a view; an odd remainder is lost at the end."""
    top, left = (images.shape[2] - height) // 2, (images.shape[3] - width) // 2
    return images[:, :, top : top + height, left : left + width]


def glorot_uniform_(network: nn.Module) -> None:
    """Keras's default weights: U(−a, a) with a = √(6 / (fan in + fan out)), biases zero (Glorot & Bengio
    2010).

    The fans of a k×k convolution are k²·C_in and k²·C_out; a transposed one's are swapped, which leaves a.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def normal_(network: nn.Module, std: float = 0.02) -> None:
    """DCGAN's weights: N(0, std) in linear and convolutional layers, N(1, std) in BatchNorm, biases zero."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0.0, std)
        elif isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d) and layer.affine:
            nn.init.normal_(layer.weight, 1.0, std)
        else:
            continue
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def halved(size: int, times: int) -> int:
    """`size` halved `times` times, rounded up at the end: the side of the map a generator starts from."""
    return -(-size >> times)


def mixes_samples(network: nn.Module) -> bool:
    """Whether one sample's output in training depends on the others of its batch.

    True for BatchNorm in any form, and for any layer that sets a true attribute `mixes_samples`. Where it is
    False, the gradient of a sum over samples is every sample's own gradient: penalties are exact, and a
    generator's turn may reuse the discriminator's gradient.
    """
    return any(
        isinstance(layer, nn.modules.batchnorm._BatchNorm) or bool(getattr(layer, "mixes_samples", False))
        for layer in network.modules()
    )


def is_convolutional(network: nn.Module) -> bool:
    """Whether any layer is a convolution (which gains from channels-last and reduced precision)."""
    return any(isinstance(layer, nn.modules.conv._ConvNd) for layer in network.modules())


def logits_of(values: Tensor) -> Tensor:
    """The column (N, 1) of a last linear layer as logits (N,)."""
    return torch.squeeze(values, 1)
