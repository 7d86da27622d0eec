"""One dial for how large a game is: from a size and the images' shape to widths, batch and rates.

`m` and up are published configurations, with their numbers of parameters (but of `quick`, which is zerosum's own at any
size); `xs` and `s` are narrower, for a CPU: think of `xs` as twenty minutes of two CPU cores, of `s` as an hour there
or minutes of a GPU. A size says nothing of when the run ends, nor of augmentation: that is the recipe's, as is every
setting that is not in `sized`'s answer.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod, sqrt
from typing import Any

from zerosum.errors import UsageError, nearest
from zerosum.networks import r3gan, stylegan2
from zerosum.networks.layers import check_images, halved

SIZES = ("xs", "s", "m", "l", "xl")
LEAST = 4  # pixels of the shorter side; the networks take no less
Shape = tuple[int, int, int]


def sized(network: str, size: str, shape: tuple[int, ...], classes: int = 0) -> dict[str, Any]:
    """The settings of a game whose generator is the registered `network`, as dotted keys with their values.

    Args:
        network: "quick-generator", "r3gan-generator" or "stylegan2-generator"; the discriminator is its partner.
        size: one of `SIZES`.
        shape: (C, H, W) of the images.
        classes: of labels that the game has (the generator's concatenated, the discriminator's projected); else 0.

    A size holds the same keys as any other of the network, so that one takes the place of another's whole. Penalties
    are set for the recipes that have them: R1's gamma, and R2's for R3GAN.

    Raises UsageError for another network or size, for points, and for images under 4×4.
    """
    if network not in _SIZED:
        *first, last = (name.removesuffix("-generator") for name in _SIZED)
        raise UsageError(
            f"training.size: {network} has one size, its own; the recipes {', '.join(first)} and {last} have five. "
            "Leave the size out, or set the network's options (--generator.options.NAME) and --training.batch."
        )
    if size not in SIZES:
        raise UsageError(f"training.size: there is no size {size!r}: {nearest(size, SIZES)}")
    return _SIZED[network](size, check_images(shape, network, least=LEAST), classes)


# γ = 1.26 · (√(H·W) / 64)³
def gamma(height: int, width: int) -> float:
    """γ of R1 and of R2, for R3GAN on images of `height`×`width` pixels.

    Published (Huang et al. 2024 and the authors' code; see `zerosum.networks.r3gan`), with what the rule says:

        data         side  batch    γ      rule
        CIFAR-10       32    512   0.05   0.158
        ImageNet-32    32   4096   0.5    0.158
        FFHQ-64        64    256   2      1.26
        ImageNet-64    64   4096   1      1.26
        FFHQ-256      256    256   150    80.6

    Least squares of log γ by log side gives the power 3.3, and the third power is as near. It stays within a factor
    of 3.2, √10, and no rule of the side alone can stay nearer, for at 32 pixels ten lies between the two. The batch
    explains none of it: γ is ten times as large for eight times the batch at 32 pixels, and half as large for sixteen
    times at 64. So it is left out. With fades, γ falls to a tenth in a run anyhow: what matters is its order.
    """
    return 1.26 * (sqrt(height * width) / 64) ** 3


def narrowing(height: int, width: int, numbers: int, least: int, most: int) -> list[int]:
    """Channels of R3GAN's stages, from the smallest map on, so that each stage's maps hold about `numbers` numbers.

    From `least` to `most` channels, in multiples of 8, half a group of a block's inner ones. At one width, the largest
    maps would take nearly all of the time.
    """
    stages = len(r3gan.widths(height, width))
    areas = [prod(halved(side, stages - 1 - stage) for side in (height, width)) for stage in range(stages)]
    return [max(least, min(most, -(-numbers // (area * 8)) * 8)) for area in areas]


def _quick(size: str, shape: Shape, classes: int) -> dict[str, Any]:
    """The networks of `quick`: s is its own; the others are as narrow or wide, and nothing of them is published.

    Wider networks take smaller steps and larger batches.
    """
    width, batch, lr = {
        "xs": (16, 64, 1e-3),
        "s": (32, 64, 1e-3),
        "m": (64, 64, 7e-4),
        "l": (128, 128, 5e-4),
        "xl": (256, 256, 5e-4),
    }[size]
    settings: dict[str, Any] = {"training.batch": batch}
    for player in ("generator", "discriminator"):
        settings |= {f"{player}.options.width": width, f"{player}.lr": lr}
    return settings


def _r3gan(size: str, shape: Shape, classes: int) -> dict[str, Any]:
    """R3GAN: m is CIFAR-10's or FFHQ's, l has ImageNet's networks, xl its batch, average and schedules too.

    The widths of l halve beyond 64 pixels, where nothing is published. Rates are the published 2e-4 from m on; narrower
    networks take larger steps, and R1 and R2 at every 8th turn alone.
    """
    _, height, width = shape
    small = min(height, width) <= r3gan.FULL
    published = r3gan.widths(height, width, 768)
    widest = [min(1536, 4 * each) for each in published]
    widths, group, batch, lr, every = {
        "xs": (narrowing(height, width, 5_000, 8, 192), 16, 32, 3e-3, 8),
        "s": (narrowing(height, width, 12_000, 16, 384), 16, 64, 1e-3, 8),
        "m": (published, 16, 512 if small else 256, 2e-4, 1),
        "l": (widest, 32, 512 if small else 256, 2e-4, 1),
        "xl": (widest, 32, 4096, 2e-4, 1),
    }[size]
    until = 0.2 if size == "xl" else 1.0
    settings: dict[str, Any] = {
        "generator.options.embedding": 64 if classes else 0,
        "generator.options.classes": classes,
        "discriminator.options.embedding": widths[0] if classes else 0,
        "training.batch": batch,
        "training.ema": 50_000_000 if size == "xl" else 500_000,
    }
    for player in ("generator", "discriminator"):
        settings |= {f"{player}.options.widths": widths, f"{player}.options.group": group}
        settings |= {f"{player}.lr": lr, f"{player}.decay_until": until}
    for penalty in ("r1", "r2"):
        settings[f"game.penalties.{penalty}.gamma"] = gamma(height, width)
        settings[f"game.penalties.{penalty}.every"] = every
        settings[f"game.penalties.{penalty}.fade_until"] = until
    return settings


def _stylegan2(size: str, shape: Shape, classes: int) -> dict[str, Any]:
    """StyleGAN2: m is the authors' `auto` for one device, l their paper256, paper512 or paper1024, xl `stylegan2`.

    Karras et al. 2020 (ADA), https://arxiv.org/abs/2006.06676, by the training options of the authors' code,
    https://github.com/NVlabs/stylegan2-ada-pytorch. Their resolution is √(H·W) here. Their γ of l and xl, for 256, 512
    and 1024 pixels, goes with the pixels below 256, and below 1024 for xl, as that of `auto` does. xs and s follow
    `auto` with fewer channels, and shorter latents and styles. With labels no styles are mixed: that would mix labels.
    """
    _, height, width = shape
    pixels = height * width
    side = sqrt(pixels)
    paper = next((row for row in PAPER if side <= row[0]), PAPER[-1])
    batch, lr = max(min(int(4096 / side), 32), 1), 0.0025 if side < 1024 else 0.002
    automatic = (batch, min(batch, 4), lr, 0.0002 * pixels / batch, batch * 10_000 // 32)
    largest = len(stylegan2.widths(height, width, 2**30, 1))
    resolution = 2 << largest  # of the square whose maps are the largest here
    layers, style, base, most, (images, group, lr, r1, ema) = {
        "xs": (2, 64, max(512, 8 * resolution), 128, automatic),
        "s": (2, 128, max(1024, 16 * resolution), 256, automatic),
        "m": (2, 512, 32768 if side >= 512 else 16384, 512, automatic),
        "l": (8, 512, paper[1], 512, (*paper[2:5], paper[5] * min(1.0, pixels / 256**2), paper[6])),
        "xl": (8, 512, 32768, 512, (32, 4, 0.002, 10.0 * min(1.0, pixels / 1024**2), 10_000)),
    }[size]
    settings: dict[str, Any] = {
        "latent.size": style,
        "generator.options.style": style,
        "generator.options.mapping_layers": layers,
        "generator.options.mixing": 0.0 if classes else 0.9,
        "discriminator.options.group": group,
        "game.penalties.r1.gamma": r1,
        "training.batch": images,
        "training.ema": ema,
    }
    for player in ("generator", "discriminator"):
        settings |= {f"{player}.options.channel_base": base, f"{player}.options.channel_max": most, f"{player}.lr": lr}
    return settings


# Up to which side; channel_base, batch, samples whose deviation is taken together, rate, γ, half-life of the average.
PAPER = (
    (256, 16384, 64, 8, 0.0025, 1.0, 20_000),
    (512, 32768, 64, 8, 0.0025, 0.5, 20_000),
    (1024, 32768, 32, 4, 0.002, 2.0, 10_000),
)
_SIZED: dict[str, Callable[[str, Shape, int], dict[str, Any]]] = {
    "quick-generator": _quick,
    "r3gan-generator": _r3gan,
    "stylegan2-generator": _stylegan2,
}
