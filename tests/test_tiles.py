"""Large pictures in tiles: what comes out is what the whole picture would have given, without a seam."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn

import zerosum.translator
from translators import Local, model_of, side, translator
from zerosum.tiles import Array, Grid, bands, held_statistics, make_grid, patches


def assembled(grid: Grid, height: int, width: int, scale: int = 1) -> tuple[Array, int]:
    """A picture of its own coordinates, put together again, and the largest area worked on at once."""
    rows, columns = np.mgrid[0 : height * scale, 0 : width * scale].astype(np.float32)
    picture, areas = np.stack([rows, columns], -1), []

    def make(down: slice, right: slice) -> Array:
        areas.append(grid.area(down.stop - down.start, right.stop - right.start))
        assert down.start % grid.stride == right.start % grid.stride == 0
        return picture[down.start * scale : down.stop * scale, right.start * scale : right.stop * scale]

    result = np.full_like(picture, np.nan)
    reached = 0
    for first, band in bands(make, height, width, grid, scale):
        assert first == reached, "bands follow one another"
        reached += len(band)
        result[first:reached] = band
    assert len(areas) == grid.count(height, width)
    return np.abs(result - picture), max(areas)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 9).map(lambda power: 2**power // 2),
    st.integers(0, 300),
    st.integers(1, 1500),
    st.integers(1, 1500),
    st.integers(1, 2),
)
def test_any_size_is_put_together_again(stride: int, reach: int, height: int, width: int, scale: int) -> None:
    grid = make_grid(stride, reach, max(8, stride))
    error, area = assembled(grid, height, width, scale)
    assert error.max() < 1e-2, "every pixel once, its weights adding up to 1"
    assert area <= grid.side**2


@pytest.mark.parametrize("stride", [1, 4, 64, 256])
def test_weights_add_up_where_the_last_cell_is_a_sliver(stride: int) -> None:
    grid = make_grid(stride, 60)
    for length in range(3 * grid.side - 40, 3 * grid.side + 40, 7):
        error, _ = assembled(grid, 9, length)
        assert error.max() < 1e-2


EXACT = {
    "local": lambda: translator(Local()),
    "enlarging": lambda: translator(Local(scale=2)),
    "unet": lambda: model_of("unet-generator", depth=3, width=4),
    "resnet": lambda: model_of("resnet-generator", blocks=1, width=4, norm="batch"),
    "srgan": lambda: model_of("srgan-generator", side([3, 8, 8]), blocks=1, width=4),
}


@pytest.mark.parametrize("name", EXACT)
def test_tiled_is_whole_where_the_reach_fits(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing is normalised by itself the tiles cannot be told, at any place."""
    monkeypatch.setattr("zerosum.tiles.SIDE", 256)
    model = EXACT[name]()
    network = model.networks["generator"]
    picture = np.random.default_rng(0).integers(0, 256, (270, 611, 3), dtype=np.uint8)
    images = torch.from_numpy(picture)[None].permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        whole = network(images)[0].permute(1, 2, 0).numpy()

    def make(rows: slice, columns: slice) -> Array:
        with torch.no_grad():
            return np.asarray(network(images[:, :, rows, columns])[0].permute(1, 2, 0))

    grid, scale = make_grid(int(network.stride), int(network.reach)), int(network.scale)
    assert grid.count(270, 611) > 4
    assert whole.std() > 0.05
    for first, band in bands(make, 270, 611, grid, scale):
        assert np.abs(band - whole[first : first + len(band)]).max() < 1e-4
    result = model.translate(picture)
    assert result.shape == (270 * scale, 611 * scale, 3)
    assert np.abs(result - (whole + 1) * 127.5).max() < 0.52


@pytest.mark.parametrize("norm", ["instance", "layer"])
def test_normalised_pictures_have_no_seams(norm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles under common statistics are the whole picture under them; each with its own they differ where they meet."""
    monkeypatch.setattr("zerosum.tiles.SIDE", 256)
    model = model_of("resnet-generator", blocks=1, width=4, norm=norm)
    network = model.networks["generator"]
    rows, columns = np.mgrid[0:280, 0:700].astype(np.float32)
    picture = np.stack([rows / 280 * 255, 127 + 120 * np.sin(columns / 120), columns / 700 * 255], -1).astype(np.uint8)
    images = torch.from_numpy(picture)[None].permute(0, 3, 1, 2).float() / 127.5 - 1
    parts = torch.cat([images[:, :, down, right] for down, right in patches(280, 700, make_grid(4, network.reach))])
    with torch.no_grad(), held_statistics(network, parts):
        whole = (network(images)[0].permute(1, 2, 0).numpy() + 1) * 127.5
    assert np.abs(model.translate(picture) - whole).max() < 0.6
    monkeypatch.setattr(zerosum.translator, "held_statistics", lambda *_: nullcontext())
    assert np.abs(model.translate(picture) - whole).mean() > 5, "or there was nothing to mend"


@pytest.mark.parametrize(("norm", "off"), [("batch", 4), ("instance", 25)])
def test_the_published_depth_has_no_seams(norm: str, off: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight halvings reach further than a margin: the tiles differ from the whole, and yet one cannot see where.

    Its convolutions are averages here, so that nothing but a seam steps between two columns at a multiple of 2; across
    the cells' borders it is then a tenth of the mean step, at most, and several times that where nothing is blended.
    """
    model = model_of(given=side([3, 256, 256]), wanted=side([3, 256, 256]), width=4, norm=norm)
    network = model.networks["generator"]
    for weight in (weight for weight in network.parameters() if weight.ndim == 4):
        weight.data = 2 * weight.data.mean((2, 3), keepdim=True).expand_as(weight)
    colours = np.random.default_rng(0).integers(0, 256, (3, 14, 3), dtype=np.uint8)
    picture = np.array(Image.fromarray(colours).resize((2100, 300), Image.Resampling.BICUBIC))
    grid = make_grid(int(network.stride), int(network.reach))
    assert (grid.stride, network.reach) == (256, 765)
    borders = np.array(grid.borders(2100)[1:-1])
    assert len(borders) == 3

    def steps(result: Array) -> float:
        """The largest mean step across a border, over the mean of those elsewhere."""
        along = np.abs(np.diff(result.astype(float), axis=1)).mean((0, 2))
        return float(along[borders - 1].max() / np.delete(along, borders - 1).mean())

    tiled = model.translate(picture)
    assert steps(tiled) < 0.1
    with torch.no_grad():
        whole = network(torch.from_numpy(picture)[None].permute(0, 3, 1, 2).float() / 127.5 - 1)[0].permute(1, 2, 0)
    difference = np.abs((whole.numpy() + 1) * 127.5 - tiled).mean()
    assert 1 < difference < off, "as much as tiles.py says of deep networks, or more, for this one has random weights"
    monkeypatch.setattr(zerosum.translator, "make_grid", lambda *_: replace(grid, ramp=2))
    assert steps(model.translate(picture)) > 2, "or there was nothing to blend"


@pytest.mark.parametrize("layer", [nn.InstanceNorm2d(6, affine=True), nn.GroupNorm(2, 6), nn.GroupNorm(1, 6)])
def test_held_statistics_of_a_picture_are_its_own(layer: nn.Module) -> None:
    """On the sample itself, if it is one picture, the layer does what it always does; afterwards too."""
    sample, other = torch.randn(1, 6, 9, 7) * 3 + 1, torch.randn(1, 6, 9, 7)
    for weight in layer.parameters():
        nn.init.normal_(weight)
    expected, alone = layer(sample), layer(other)
    with held_statistics(layer, sample):
        torch.testing.assert_close(layer(sample), expected, rtol=1e-4, atol=1e-5)
        assert (layer(other) - alone).abs().max() > 0.1
    torch.testing.assert_close(layer(other), alone)


def test_patches_lie_in_the_picture_and_are_alike() -> None:
    sizes = ((4, 1300, 1900), (1, 3, 400_000), (256, 1100, 5000), (64, 4000, 300), (256, 1, 60_000))
    for stride, height, width in sizes:
        grid = make_grid(stride, 100, max(8, stride))
        parts = patches(height, width, grid)
        assert len({(rows.stop - rows.start, columns.stop - columns.start) for rows, columns in parts}) == 1
        assert all(rows.start >= 0 and rows.stop <= height and columns.stop <= width for rows, columns in parts)
        assert 3 <= len(parts) <= 16
        area = sum(grid.area(rows.stop - rows.start, columns.stop - columns.start) for rows, columns in parts)
        assert area <= grid.side**2
