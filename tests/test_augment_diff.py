"""DiffAugment against its definition written out with NumPy, image by image."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from torch import Tensor

from zerosum.augment import AUGMENTATIONS, DIFF_NUMBERS, augmentation, diff_augment
from zerosum.errors import UsageError

ALMOST_ONE = float(np.nextafter(np.float32(1), np.float32(0)))


def chances(count: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random((count, DIFF_NUMBERS), dtype=np.float32))


def some_images(count: int, *shape: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (count, *shape)))


def color(image: np.ndarray, chance: np.ndarray) -> np.ndarray:
    image = image + (chance[0] - 0.5)
    grey = image.mean(0, keepdims=True)
    image = (image - grey) * (2 * chance[1]) + grey
    return (image - image.mean()) * (chance[2] + 0.5) + image.mean()


def translation(image: np.ndarray, chance: np.ndarray) -> np.ndarray:
    most = [int(size * 0.125 + 0.5) for size in image.shape[1:]]
    down, right = (int(share * (2 * by + 1)) - by for share, by in zip(chance[3:5], most, strict=True))
    wide = np.pad(image, ((0, 0), (most[0],) * 2, (most[1],) * 2))
    return wide[:, most[0] + down :, most[1] + right :][:, : image.shape[1], : image.shape[2]]


def cutout(image: np.ndarray, chance: np.ndarray) -> np.ndarray:
    image = image.copy()
    spans = []
    for size, share in zip(image.shape[1:], chance[5:7], strict=True):
        length = int(size * 0.5 + 0.5)
        start = int(share * (size + (1 - length % 2))) - length // 2
        spans.append(slice(max(start, 0), start + length))
    image[:, spans[0], spans[1]] = 0
    return image


BY_HAND = {"color": color, "translation": translation, "cutout": cutout}


@pytest.mark.parametrize("policy", [*permutations(BY_HAND), ("color",), ("cutout",), ()], ids="+".join)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 14), (4, 3, 1)], ids=str)
def test_by_hand(shape: tuple[int, ...], policy: tuple[str, ...]) -> None:
    images, chance = some_images(30, *shape), chances(30)
    chance[0], chance[1] = 0.0, ALMOST_ONE
    for image, numbers, done in zip(images, chance, diff_augment(images, chance, policy), strict=True):
        want = image.numpy()
        for name in policy:
            want = BY_HAND[name](want, numbers.double().numpy())
        np.testing.assert_allclose(done.numpy(), want, atol=1e-6)  # shares are float32


def test_each_part_has_a_coin_of_its_own() -> None:
    images, chance = some_images(2000, 3, 8, 8), chances(2000)
    done = diff_augment(images, chance, p=torch.tensor(0.3))
    coins = chance[:, 7:] < 0.3
    for row in range(2000):
        want = images[row].numpy()
        for name, coin in zip(BY_HAND, coins[row], strict=True):
            want = BY_HAND[name](want, chance[row].double().numpy()) if coin else want
        np.testing.assert_allclose(done[row].numpy(), want, atol=1e-6)
    assert torch.equal(done[~coins.any(1)], images[~coins.any(1)])
    assert np.abs(coins.double().mean(0).numpy() - 0.3).max() < 4.5 * np.sqrt(0.21 / 2000)


@pytest.mark.parametrize("name", AUGMENTATIONS)
@pytest.mark.parametrize("p", [0.0, torch.zeros(())], ids=["float", "tensor"])
def test_nothing_at_p_0_in_any_dtype(name: str, p: Tensor | float) -> None:
    this = augmentation(name)
    chance = torch.from_numpy(np.random.default_rng(0).random((5, this.numbers), dtype=np.float32))
    for dtype in (torch.float32, torch.bfloat16):
        images = some_images(5, 3, 8, 6).to(dtype)
        assert torch.equal(this.apply(images, chance, p), images)
        some = this.apply(images, chance, 1.0)
        assert some.dtype == dtype
        assert not torch.equal(some, images)


def test_derivatives() -> None:
    images, chance = some_images(3, 3, 4, 5).requires_grad_(), chances(3)
    assert torch.autograd.gradcheck(lambda x: diff_augment(x, chance), images)
    assert torch.autograd.gradgradcheck(lambda x: diff_augment(x, chance).pow(3), images)


def test_what_does_not_fit_is_refused() -> None:
    images = some_images(2, 1, 8, 8)
    with pytest.raises(UsageError, match="did you mean 'cutout'"):
        diff_augment(images, chances(2), ("cutuot",))
    with pytest.raises(UsageError, match=f"{DIFF_NUMBERS} random numbers"):
        diff_augment(images, chances(3))
    with pytest.raises(UsageError, match="images"):
        diff_augment(images.flatten(1), chances(2))
    with pytest.raises(UsageError, match="did you mean 'diffaugment'"):
        augmentation("difaugment")
