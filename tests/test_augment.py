"""Augmentation against NumPy's own padding and rolling, and its gradient against finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from zerosum.augment import flip_and_shift
from zerosum.errors import UsageError

ALMOST_ONE = float(np.nextafter(np.float32(1), np.float32(0)))  # the largest share there is


def some_images(count: int, *shape: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (count, *shape)).astype(np.float32))


def by_hand(image: np.ndarray, chance: np.ndarray, pixels: int, flip: bool) -> np.ndarray:
    """One image (C, H, W): cut out of its reflection, then mirrored."""
    height, width = image.shape[1:]
    wide = np.pad(image, ((0, 0), (pixels, pixels), (pixels, pixels)), mode="reflect")
    top, left = (int(np.floor(np.float64(share) * (2 * pixels + 1))) for share in chance[1:])
    cut = wide[:, top : top + height, left : left + width]
    return cut[:, :, ::-1] if flip and chance[0] < 0.5 else cut


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["nchw", "nhwc"])
@pytest.mark.parametrize("flip", [True, False])
@pytest.mark.parametrize("pixels", [0, 1, 4])
@pytest.mark.parametrize("shape", [(1, 5, 7), (3, 8, 6)], ids=str)
def test_against_numpy(shape: tuple[int, ...], pixels: int, flip: bool, layout: torch.memory_format) -> None:
    images = some_images(40, *shape).contiguous(memory_format=layout)
    chance = torch.from_numpy(np.random.default_rng(1).random((40, 3), dtype=np.float32))
    chance[0], chance[1], chance[2] = 0.0, ALMOST_ONE, torch.tensor([0.5, 0.0, ALMOST_ONE])
    moved = flip_and_shift(images, chance, pixels=pixels, flip=flip)
    expected = [by_hand(i, c, pixels, flip) for i, c in zip(images.numpy(), chance.numpy(), strict=True)]
    np.testing.assert_array_equal(moved.numpy(), np.stack(expected))


def test_every_shift_is_equally_likely_and_mirrors_come_half_of_the_time() -> None:
    """A lone bright pixel in the middle of 9×9 is met at each of 5×5 places, as often as its own mirror image."""
    image = torch.zeros(1, 1, 9, 9)
    image[..., 4, 4], image[..., 4, 5] = 1.0, 0.5  # the half bright one stands right of it, or left in a mirror
    steps = (torch.arange(5) + 0.5) / 5
    chance = torch.cartesian_prod(torch.tensor([0.25, 0.75]), steps, steps)
    moved = flip_and_shift(image.expand(50, -1, -1, -1), chance, pixels=2)[:, 0].numpy()
    found = []
    for picture in moved:
        (row,), (column,) = np.nonzero(picture == 1)
        found.append((int(row), int(column), bool(picture[row, column - 1] == 0.5)))
    assert sorted(found) == [(y, x, mirrored) for y in range(2, 7) for x in range(2, 7) for mirrored in (False, True)]


@pytest.mark.parametrize("share", [0.0, 0.999999, ALMOST_ONE])
@pytest.mark.parametrize("pixels", [1, 3, 4, 7])
def test_extreme_chances_are_extreme_shifts(pixels: int, share: float) -> None:
    """Where a shift uncovers nothing, it is a roll."""
    images = some_images(2, 3, 16, 16)
    chance = torch.full((2, 3), share)
    moved = flip_and_shift(images, chance, pixels=pixels, flip=False).numpy()
    by = pixels if share == 0 else -pixels  # the window's first row is the first of the padding, or the last
    rolled = np.roll(images.numpy(), (by, by), axis=(2, 3))
    inside = slice(pixels, 16 - pixels)
    np.testing.assert_array_equal(moved[:, :, inside, inside], rolled[:, :, inside, inside])


def test_no_shift_and_no_mirror_is_the_image() -> None:
    images = some_images(3, 2, 6, 5)
    assert torch.equal(flip_and_shift(images, torch.full((3, 3), 0.5), pixels=4), images)


def test_gradient() -> None:
    images = some_images(3, 2, 4, 5).double().requires_grad_()
    chance = torch.tensor([[0.1, 0.0, 0.99], [0.9, 0.4, 0.2], [0.3, 0.99, 0.7]])
    assert torch.autograd.gradcheck(lambda x: flip_and_shift(x, chance, pixels=2), images)
    assert torch.autograd.gradgradcheck(lambda x: flip_and_shift(x, chance, pixels=2).square(), images)


@pytest.mark.parametrize(
    ("shape", "pixels"), [((8, 2), 4), ((8, 3, 4, 9), 4), ((8, 3, 9, 4), 4), ((8, 1, 1, 1), 1)], ids=str
)
def test_points_and_small_images_are_refused(shape: tuple[int, ...], pixels: int) -> None:
    with pytest.raises(UsageError, match=rf"up to {pixels} pixels"):
        flip_and_shift(torch.zeros(shape), torch.zeros(8, 3), pixels=pixels)
