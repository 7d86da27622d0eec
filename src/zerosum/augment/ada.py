"""ADA's augmentation: each transform by a coin of its own, of probability p times the transform's multiplier.

Karras et al. 2020, "Training Generative Adversarial Networks with Limited Data", https://arxiv.org/abs/2006.06676,
appendix B. The laws, with u uniform and n normal, and what each does to a picture of W × H:

    pixels        mirror (1/2); turn by 0, 90, 180, 270°; shift by whole pixels, U(-1/8, 1/8) of W and H, rounded
    geometry      scale by 2^(0.2 n); turn by U(-180°, 180°); stretch by 2^(0.2 n), the height by its inverse;
                  turn again; shift by 0.125 n of W and H
    colours       brightness + 0.2 n; contrast × 2^(0.5 n); luma flip (1/2); hue, U(-180°, 180°); saturation × 2^n
    cutout        a box of half the width and height, its middle anywhere: not in ADA's own pipe ("bgc")

in this order. The first two rows are one affine map and one resampling. The two turns have the probability
1 - √(1 - p) each, so that an image is turned at all with the probability p. Numbers are those of the paper and of the
authors' code. Departures: the resampling is another (see `zerosum.augment.resampling`); the mirror image beyond the
border has no end, where theirs is 0 beyond one reflection; images with other channels than one or three get
brightness, contrast and luma flip on each channel alike (grey images there do, too).

An image without a single lucky coin is returned to the bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
from torch import Tensor

from zerosum.augment.common import Strength, check, each, normal
from zerosum.augment.resampling import move
from zerosum.errors import UsageError


@dataclass(frozen=True)
class Multipliers:
    """Each transform's probability in units of p, in [0, 1]; as they stand here, ADA's "bgc".

    `rotate` is for both turns together.
    """

    flip: float = 1.0
    rotate90: float = 1.0
    shift: float = 1.0
    scale: float = 1.0
    rotate: float = 1.0
    stretch: float = 1.0
    fraction: float = 1.0
    brightness: float = 1.0
    contrast: float = 1.0
    luma_flip: float = 1.0
    hue: float = 1.0
    saturation: float = 1.0
    cutout: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            if not 0 <= getattr(self, field.name) <= 1:
                raise UsageError(f"ADA's multiplier {field.name} is {getattr(self, field.name):g}; give one in [0, 1]")

    @property
    def moving(self) -> bool:
        """Whether any transform moves pixels."""
        return any((self.flip, self.rotate90, self.shift, self.scale, self.rotate, self.stretch, self.fraction))

    @property
    def colouring(self) -> bool:
        """Whether any transform changes colours."""
        return any((self.brightness, self.contrast, self.luma_flip, self.hue, self.saturation))


BGC = Multipliers()
# Huang et al. 2024, "The GAN is dead; long live the GAN!", https://arxiv.org/abs/2501.05441, the authors' code.
R3GAN = Multipliers(brightness=0.5, contrast=0.5, luma_flip=0.5, hue=0.5, saturation=0.5, cutout=1.0)

# Columns of `chance`: a coin for each transform, then the numbers of each.
_COINS = (
    *("flip", "rotate90", "shift", "scale", "before", "stretch", "after", "fraction"),
    *("brightness", "contrast", "luma_flip", "hue", "saturation", "cutout"),
)
_TWO = ("shift", "fraction", "cutout")
_COIN = {name: column for column, name in enumerate(_COINS)}
_FIRST = {name: len(_COINS) + at + sum(two in _COINS[:at] for two in _TWO) for at, name in enumerate(_COINS)}
ADA_NUMBERS = 2 * len(_COINS) + len(_TWO)  # uniform numbers an image: 31, whatever is used of them


class Geometry(NamedTuple):
    """What is done to the place of N images' pixels, in this order: each (N,).

    Attributes:
        moved: whether any coin fell; else the rest is the identity.
        mirror: 1, or -1 for a mirror image.
        quarter: turns by 90°, 0 to 3, counter-clockwise to the eye.
        shift_x, shift_y: whole pixels.
        scale: factor on both lengths.
        before: angle in radians, from x to y.
        stretch: factor on the width; the height has its inverse.
        after: angle in radians.
        fraction_x, fraction_y: pixels.
    """

    moved: Tensor
    mirror: Tensor
    quarter: Tensor
    shift_x: Tensor
    shift_y: Tensor
    scale: Tensor
    before: Tensor
    stretch: Tensor
    after: Tensor
    fraction_x: Tensor
    fraction_y: Tensor


class Colour(NamedTuple):
    """What is done to the colours of N images, in this order: each (N,).

    Attributes:
        changed: whether any coin fell; else the rest is the identity.
        brightness: added to each channel.
        contrast: factor on each channel.
        luma: 1, or -1: the luma, along (1, 1, 1), is turned over.
        hue: angle in radians about that axis.
        saturation: factor on the distance from it.
    """

    changed: Tensor
    brightness: Tensor
    contrast: Tensor
    luma: Tensor
    hue: Tensor
    saturation: Tensor


def ada(images: Tensor, chance: Tensor, p: Strength, multipliers: Multipliers = BGC) -> Tensor:
    """Images as the discriminator is to see them, real and generated alike.

    Args:
        images: (N, C, H, W) in [-1, 1], any C, H and W; the result may leave the range, as published.
        chance: (N, ADA_NUMBERS), uniform in [0, 1).
        p: probability of each transform, in [0, 1]: a number, or a tensor without dimensions (no one reads it on the
            host). From about 0.8 on the transforms leak into what is generated.
        multipliers: each transform's probability in units of p.

    Returns a tensor of the shape and dtype of `images`, computed in float32 or float64, differentiable by the images
    any number of times. Raises UsageError for points, a wrong number of random numbers, and p outside [0, 1].
    """
    check("ADA", images, chance, ADA_NUMBERS, p)
    if not isinstance(p, Tensor) and p == 0:
        return images
    height, width = images.shape[2:]
    done = images if images.dtype == torch.float64 else images.float()
    with torch.autocast(images.device.type, enabled=False):
        if multipliers.moving:
            geometry = draw_geometry(chance, p, height, width, multipliers)
            moved = move(done, inverse_map(geometry).to(done.dtype))
            done = torch.where(each(~geometry.moved), done, moved)
        if multipliers.colouring:
            colour = draw_colour(chance, p, multipliers)
            done = torch.where(each(~colour.changed), done, recolour(done, colour))
        if multipliers.cutout:
            done = done * ~_box(chance, p, height, width, multipliers)
    return done.to(images.dtype)


def draw_geometry(chance: Tensor, p: Strength, height: int, width: int, multipliers: Multipliers = BGC) -> Geometry:
    """The published law of the affine map, of `chance` (N, ADA_NUMBERS)."""
    of = _Drawing(chance, p, multipliers)
    turned = 1 - (1 - multipliers.rotate * p) ** 0.5  # each of two turns, so that there is one with p
    coins = {name: of.coin(name) for name in ("flip", "rotate90", "shift", "scale", "stretch", "fraction")}
    coins |= {name: of.coin(name, turned) for name in ("before", "after")}
    shift, fraction = of.shares("shift", 2) / 4 - 0.125, normal(of.shares("fraction", 2)) * 0.125
    return Geometry(
        torch.stack(list(coins.values())).any(0),
        torch.where(coins["flip"] & (of.share("flip") < 0.5), -1.0, 1.0),
        torch.where(coins["rotate90"], (of.share("rotate90") * 4).floor(), 0.0),
        torch.where(coins["shift"], (shift[:, 0] * width).round(), 0.0),
        torch.where(coins["shift"], (shift[:, 1] * height).round(), 0.0),
        torch.where(coins["scale"], torch.exp2(normal(of.share("scale")) * 0.2), 1.0),
        torch.where(coins["before"], of.angle("before"), 0.0),
        torch.where(coins["stretch"], torch.exp2(normal(of.share("stretch")) * 0.2), 1.0),
        torch.where(coins["after"], of.angle("after"), 0.0),
        torch.where(coins["fraction"], fraction[:, 0] * width, 0.0),
        torch.where(coins["fraction"], fraction[:, 1] * height, 0.0),
    )


def draw_colour(chance: Tensor, p: Strength, multipliers: Multipliers = BGC) -> Colour:
    """The published law of the colours, of `chance` (N, ADA_NUMBERS)."""
    of = _Drawing(chance, p, multipliers)
    coins = {name: of.coin(name) for name in ("brightness", "contrast", "luma_flip", "hue", "saturation")}
    return Colour(
        torch.stack(list(coins.values())).any(0),
        torch.where(coins["brightness"], normal(of.share("brightness")) * 0.2, 0.0),
        torch.where(coins["contrast"], torch.exp2(normal(of.share("contrast")) * 0.5), 1.0),
        torch.where(coins["luma_flip"] & (of.share("luma_flip") < 0.5), -1.0, 1.0),
        torch.where(coins["hue"], of.angle("hue"), 0.0),
        torch.where(coins["saturation"], torch.exp2(normal(of.share("saturation"))), 1.0),
    )


# G = T₂ R_after A R_before S T₁ Q F, first what stands last; with u for the place in the result and L for the linear
# part of G⁻¹, G⁻¹ u = F⁻¹ Q⁻¹ (M (u - t₂) - t₁), M = S⁻¹ R_before⁻¹ A⁻¹ R_after⁻¹.
def inverse_map(geometry: Geometry) -> Tensor:
    """(N, 2, 3): from pixels of the result to pixels of the image, both from the middle of the picture."""
    g = geometry
    blit = _product(_diagonal(g.mirror, torch.ones_like(g.mirror)), _rotation(g.quarter * (math.pi / 2)))
    general = _product(_rotation(-g.before), _diagonal(1 / g.stretch, g.stretch))
    general = _product(general, _rotation(-g.after)) / g.scale.view(-1, 1, 1)
    linear = _product(blit, general)
    first, second = torch.stack((g.shift_x, g.shift_y), 1), torch.stack((g.fraction_x, g.fraction_y), 1)
    offset = _product(blit, first.unsqueeze(2)) + _product(linear, second.unsqueeze(2))
    return torch.cat((linear, -offset), dim=2)


# In homogeneous coordinates C = Saturation · Hue · Luma · Contrast · Brightness. With v = (1, 1, 1)/√3 all but
# brightness have the axis v and the plane across it for their own, so that their product is
#     c (l vvᵀ + s (cos θ (I - vvᵀ) + sin θ [v]×)),
# whose rows are one row, turned: so are these three numbers. Brightness moves along v, and becomes c·l·b.
def recolour(images: Tensor, colour: Colour) -> Tensor:
    """`images` (N, C, H, W) in other colours; where C is not 3, without hue and saturation, each channel alike."""
    brightness, contrast, luma, hue, saturation = (each(value).to(images.dtype) for value in colour[1:])
    if images.shape[1] != 3:
        return (images + brightness) * (contrast * luma)
    along, across, round_ = luma / 3, saturation * hue.cos() / 3, saturation * hue.sin() / math.sqrt(3)
    following = images.roll(-1, 1), images.roll(-2, 1)  # each channel's next, and the one after that
    own = images * (along + 2 * across)
    mixed = own + following[0] * (along - across - round_) + following[1] * (along - across + round_)
    return contrast * (mixed + luma * brightness)


def _box(chance: Tensor, p: Strength, height: int, width: int, multipliers: Multipliers) -> Tensor:
    """(N, 1, H, W): the pixels whose middles lie within the box that is cut out."""
    of = _Drawing(chance, p, multipliers)
    middle = of.shares("cutout", 2)
    columns, rows = (
        ((torch.arange(size, device=chance.device) + 0.5) / size - middle[:, axis, None]).abs() < 0.25
        for axis, size in enumerate((width, height))
    )
    return rows[:, None, :, None] & columns[:, None, None, :] & each(of.coin("cutout"))


class _Drawing:
    """Coins and numbers of one call, by the transform's name."""

    def __init__(self, chance: Tensor, p: Strength, multipliers: Multipliers) -> None:
        self.chance, self.p, self.multipliers = chance, p, multipliers

    def coin(self, name: str, probability: Strength | None = None) -> Tensor:
        """(N,): whether the transform is on."""
        if probability is None:
            probability = getattr(self.multipliers, name) * self.p
        return self.chance[:, _COIN[name]] < probability

    def shares(self, name: str, count: int) -> Tensor:
        """(N, count), uniform in [0, 1)."""
        return self.chance[:, _FIRST[name] : _FIRST[name] + count]

    def share(self, name: str) -> Tensor:
        """(N,), uniform in [0, 1)."""
        return self.chance[:, _FIRST[name]]

    def angle(self, name: str) -> Tensor:
        """(N,), uniform in [-π, π)."""
        return (self.share(name) * 2 - 1) * math.pi


def _rotation(angle: Tensor) -> Tensor:
    cos, sin = angle.cos(), angle.sin()
    return torch.stack((cos, -sin, sin, cos), dim=1).view(-1, 2, 2)


def _diagonal(x: Tensor, y: Tensor) -> Tensor:
    return torch.diag_embed(torch.stack((x, y), dim=1))


def _product(a: Tensor, b: Tensor) -> Tensor:
    """Of small matrices, summed in full precision: TensorFloat-32 would move pixels."""
    return (a.unsqueeze(3) * b.unsqueeze(1)).sum(2)
