"""A large picture a tile at a time: without seams, and in memory that grows with a row of tiles, not with its area.

The picture is cut into cells. A tile is a cell and a margin around it. Of what the network makes of a tile, the outer
`context` of the margin is dropped, as the tile's border shows in it; across the next `ramp` pixels, which lie half in
the cell, one tile's weight falls linearly to 0 while its neighbour's rises to 1. Where `context` is the network's whole
reach, each pixel is what the whole picture would have given, whatever tile it came from, and the ramp changes nothing.
Cells begin at multiples of the network's stride, so that its grids lie alike in all tiles.

Two things are near to the whole picture's result and not equal to it. The reach of a deep U-Net (765 pixels with eight
halvings) is longer than a margin can be: its tiles keep 128 of them and are blended across 256. And layers that
normalise each picture by itself have their means and variances from parts of it (`held_statistics`). Neither makes a
border: across those of cells the results step as the whole's do. Measured on photographs of 1281×1920 and 1281×1280
pixels, in levels of 255, with small networks trained on photographs for minutes: a U-Net of eight halvings with batch
normalisation was 0.3 off the whole in the mean and 13 at most; with instance normalisation 3 to 8 in the mean and 61 at
most; a ResNet of six blocks with instance normalisation 6 to 9 in the mean and 67 at most, and 23 in the mean where one
half of the picture was nothing like the other. What one sees is another tone all over the picture, or of a part of it
that has no edge.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.instancenorm import _InstanceNorm

Array = np.ndarray[Any, Any]
Make = Callable[[slice, slice], Array]
"""Rows and columns of the picture given -> float32 (scale·rows, scale·columns, C)."""

SIDE = 768  # pixels: margins of 100 then cost as much as the cells; a network of 64 channels takes 0.6 GB
RAMP = 32


@dataclass(frozen=True)
class Grid:
    """How pictures are cut, all in pixels of the picture given.

    Attributes:
        side: the largest side of a tile.
        margin: what a tile has around its cell; at the picture's own border, nothing.
        ramp: the pixels across which two tiles are blended, the border between their cells in their middle.
        stride: cells begin at its multiples, and the network pads what it is given to them.
        least: to this side, too.
    """

    side: int
    margin: int
    ramp: int
    stride: int
    least: int

    def area(self, height: int, width: int) -> int:
        """Pixels that the network works on where it is given so many: one row of a thousand may be 256 of them.

        Of a tile never more than `side` × `side`.
        """
        down, right = (max(self.least, -(-length // self.stride) * self.stride) for length in (height, width))
        return down * right

    def borders(self, length: int) -> list[int]:
        """Where cells begin along a side of `length` pixels, and its end; as equal as the stride allows."""
        if length <= self.side:
            return [0, length]
        # A margin at each side: the first and the last tile have one less, and fit.
        count = -(-length // (self.side - 2 * self.margin))
        cell = -(-length // (count * self.stride)) * self.stride
        begins = [begin for begin in range(0, length, cell) if length - begin >= max(self.ramp // 2, 1)]
        return [*begins, length]

    def count(self, height: int, width: int) -> int:
        """How many tiles a picture of this size has."""
        return (len(self.borders(height)) - 1) * (len(self.borders(width)) - 1)


def make_grid(stride: int, reach: int, least: int = 1) -> Grid:
    """The grid for a network of this stride and reach, which pads what it is given to `least` pixels a side.

    The margin holds the whole reach where a quarter of a tile does; else tiles are blended across half of their
    margin, for then they differ where they meet.
    """
    side = -(-max(SIDE, least, 4 * stride) // stride) * stride
    most = side // 4 // stride * stride
    margin = -(-(reach + RAMP // 2) // stride) * stride
    ramp = RAMP
    if margin > most:
        margin, ramp = most, most // 2 * 2
    return Grid(side, margin, ramp, stride, least)


def bands(make: Make, height: int, width: int, grid: Grid, scale: int) -> Iterator[tuple[int, Array]]:
    """What `make` gives of a whole picture, as (first row, float32 (rows, scale·width, C)) from the top down.

    Only one row of tiles is kept at a time.
    """
    carried: Array | None = None  # the rows around the border above: what the tiles above it gave to them
    for rows in _cells(height, grid):
        band: Array | None = None
        for columns in _cells(width, grid):
            made = make(rows.read, columns.read)[rows.kept(scale), columns.kept(scale)]
            if band is None:
                band = np.zeros((len(made), width * scale, made.shape[2]), dtype=np.float32)
            weights = np.outer(rows.weights(scale), columns.weights(scale)).astype(np.float32)
            band[:, columns.first * scale : columns.last * scale] += made * weights[..., None]
        if band is None:
            return
        if carried is not None:
            band[: len(carried)] += carried
        done = len(band) - rows.after * scale
        carried = band[done:].copy()
        yield rows.first * scale, band[:done]


@dataclass(frozen=True)
class _Cell:
    """One side of a tile: it reads `read`, is used from `first` to `last`, the outer pixels of that being ramps.

    `before`, `after`: how many pixels each ramp has; 0 at the picture's own border.
    """

    read: slice
    first: int
    last: int
    before: int
    after: int

    def kept(self, scale: int) -> slice:
        """The used part of what is made of `read`."""
        return slice((self.first - self.read.start) * scale, (self.last - self.read.start) * scale)

    def weights(self, scale: int) -> Array:
        """Of each pixel made, from `first` to `last`: with the neighbours' they add up to 1."""

        def ramp(length: int) -> Array:
            return (np.arange(length) + 0.5) / max(length, 1)

        middle = np.ones((self.last - self.first - self.before - self.after) * scale)
        return np.concatenate([ramp(self.before * scale), middle, ramp(self.after * scale)[::-1]])


def _cells(length: int, grid: Grid) -> Iterator[_Cell]:
    borders, half = grid.borders(length), grid.ramp // 2
    for begin, end in pairwise(borders):
        before, after = half if begin else 0, half if end < length else 0
        read = slice(max(begin - grid.margin, 0), min(end + grid.margin, length))
        yield _Cell(read, begin - before, end + after, 2 * before, 2 * after)


def patches(height: int, width: int, grid: Grid) -> list[tuple[slice, slice]]:
    """Rows and columns of equal parts, together about a tile, spread evenly over a picture, at its own size.

    Sixteen of a quarter of a tile's side; fewer and larger ones where the stride is so large that their smallest maps
    would be all border.
    """
    side = max(grid.side // 4, 2 * grid.stride)
    count = (grid.side // side) ** 2
    down = min(count, max(1, round(math.sqrt(count * height / width))))

    def along(length: int, number: int) -> list[slice]:
        long = min(side, length)
        middles = ((place + 0.5) / number * length for place in range(number))
        begins = {min(max(round(middle - long / 2), 0), length - long) // grid.stride for middle in middles}
        return [slice(begin * grid.stride, begin * grid.stride + long) for begin in sorted(begins)]

    return [(rows, columns) for rows in along(height, down) for columns in along(width, count // down)]


@contextmanager
def held_statistics(network: nn.Module, sample: Tensor) -> Iterator[None]:
    """Inside, layers that normalise each picture by itself (instance, layer, group) take their means and variances
    from `sample`, and not from each tile.

    sample: float32 (n, c, h, w), parts of one picture at their own size, taken together as if they were one.

    Else a tile of sky and its neighbour of sky and roof would be normalised apart, and meet in a step.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, _InstanceNorm | nn.GroupNorm)]
    held: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    def normalised(layer: _InstanceNorm | nn.GroupNorm, inputs: tuple[Tensor], _: Tensor) -> Tensor:
        values = inputs[0]
        if layer not in held:
            channels = values.shape[1]
            groups = layer.num_groups if isinstance(layer, nn.GroupNorm) else channels
            grouped = values.permute(1, 0, 2, 3).reshape(groups, -1)
            variance, mean = torch.var_mean(grouped, 1, correction=0)
            held[layer] = mean.repeat_interleave(channels // groups), variance.repeat_interleave(channels // groups)
        return functional.batch_norm(values, *held[layer], layer.weight, layer.bias, training=False, eps=layer.eps)

    handles = [layer.register_forward_hook(normalised) for layer in layers]
    try:
        if layers:
            network(sample)
        yield
    finally:
        for handle in handles:
            handle.remove()
