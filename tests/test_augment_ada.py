"""ADA's pipe: against SciPy, Pillow and written-out matrices; its laws against the published ones; what leaks."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage, stats
from torch import Tensor

from zerosum.augment import ADA_NUMBERS, BGC, R3GAN, Multipliers, ada
from zerosum.augment.ada import Colour, Geometry, draw_colour, draw_geometry, inverse_map, recolour
from zerosum.augment.resampling import move
from zerosum.errors import UsageError

NOTHING = dict.fromkeys(BGC.__dataclass_fields__, 0.0)


def chances(count: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random((count, ADA_NUMBERS), dtype=np.float32))


def some_images(count: int, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (count, *shape))).to(dtype)


def some_maps(count: int) -> Tensor:
    """Any at all, far beyond the border too."""
    return torch.from_numpy(np.random.default_rng(1).normal(size=(count, 2, 3)) * (1, 1, 10))


def smooth(height: int, width: int) -> np.ndarray:
    """A few soft spots, none of them symmetric."""
    y, x = np.mgrid[:height, :width]
    y, x = (y - (height - 1) / 2) / height, (x - (width - 1) / 2) / width
    return np.exp(-20 * ((x - 0.1) ** 2 + (y + 0.15) ** 2)) - 0.7 * np.exp(-30 * ((x + 0.2) ** 2 + (y - 0.05) ** 2))


def geometry(**values: float) -> Geometry:
    """Of one image: the identity but for `values`."""
    plain = Geometry(*(torch.tensor([value], dtype=torch.float64) for value in (1, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0)))
    return plain._replace(**{name: torch.tensor([value], dtype=torch.float64) for name, value in values.items()})


def moved(picture: np.ndarray, **values: float) -> np.ndarray:
    return move(torch.from_numpy(picture)[None, None], inverse_map(geometry(**values)))[0, 0].numpy()


# the resampling


@pytest.mark.parametrize("shape", [(9, 12), (16, 5), (2, 7)], ids=str)
def test_any_affine_map_against_scipy(shape: tuple[int, int]) -> None:
    """Cubic splines, mirrored: noise far beyond the border, to rounding."""
    images, maps = some_images(6, 2, *shape), some_maps(6)
    done = move(images, maps).numpy()
    middle = (np.array(shape) - 1) / 2
    for image, result, own in zip(images.numpy(), done, maps.numpy(), strict=True):
        linear, offset = own[::-1, 1::-1], own[::-1, 2]  # theirs is rows first
        for plane, got in zip(image, result, strict=True):
            start = offset + middle - linear @ middle
            want = ndimage.affine_transform(plane, linear, start, order=3, mode="mirror")
            np.testing.assert_allclose(got, want, atol=1e-11)


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (6, 1)], ids=str)
def test_a_single_row_or_pixel_goes_on_for_ever(shape: tuple[int, int]) -> None:
    picture = some_images(1, 1, *shape)
    done = move(picture, inverse_map(geometry(fraction_x=1.0, fraction_y=2.0)))
    want = np.pad(picture[0, 0].numpy(), 2, mode="reflect")[: shape[0], 1 : 1 + shape[1]]
    np.testing.assert_allclose(done[0, 0].numpy(), want, atol=1e-12)


def test_derivatives_of_the_resampling() -> None:
    images, maps = some_images(2, 2, 4, 5).requires_grad_(), some_maps(2)
    assert torch.autograd.gradcheck(lambda x: move(x, maps), images)
    assert torch.autograd.gradgradcheck(lambda x: move(x, maps).pow(3), images)


# each transform of place by itself


@pytest.mark.parametrize("shape", [(16, 16), (12, 20)], ids=str)
@pytest.mark.parametrize("degrees", [0, 30, 77, -135])
@pytest.mark.parametrize("name", ["before", "after"])
def test_turns_against_scipy(name: str, degrees: float, shape: tuple[int, int]) -> None:
    picture = smooth(*shape)
    want = ndimage.rotate(picture, -degrees, reshape=False, order=3, mode="mirror")  # from x to y, and y is down
    np.testing.assert_allclose(moved(picture, **{name: math.radians(degrees)}), want, atol=1e-11)


def test_shifts_and_scales_against_scipy() -> None:
    picture = smooth(14, 18)
    want = ndimage.shift(picture, (-1.7, 3.25), order=3, mode="mirror")
    np.testing.assert_allclose(moved(picture, fraction_x=3.25, fraction_y=-1.7), want, atol=1e-11)
    middle = np.array([6.5, 8.5])
    for values, (down, right) in ({"scale": 1.3}, (1.3, 1.3)), ({"stretch": 0.8}, (1.25, 0.8)):
        back = np.array([1 / down, 1 / right])
        want = ndimage.affine_transform(picture, back, middle - back * middle, order=3, mode="mirror")
        np.testing.assert_allclose(moved(picture, **values), want, atol=1e-11)


def test_blits_lose_nothing() -> None:
    """Mirrors, quarters and whole pixels are NumPy's own, of noise."""
    picture = some_images(1, 1, 8, 8)[0, 0].numpy()
    np.testing.assert_allclose(moved(picture, mirror=-1.0), picture[:, ::-1], atol=1e-12)
    for quarter in range(4):
        np.testing.assert_allclose(moved(picture, quarter=quarter), np.rot90(picture, quarter), atol=1e-12)
    long = np.pad(picture, 3, mode="reflect")
    np.testing.assert_allclose(moved(picture, shift_x=1.0, shift_y=-3.0), long[6:14, 2:10], atol=1e-12)


def test_against_pillow() -> None:
    """Another interpolation and other borders: within 1% of the range inside a smooth picture."""
    picture = smooth(48, 48)
    want = np.asarray(Image.fromarray(picture.astype(np.float32)).rotate(-25, Image.Resampling.BICUBIC))
    got = moved(picture, after=math.radians(25))
    np.testing.assert_allclose(got[10:-10, 10:-10], want[10:-10, 10:-10], atol=0.02)


def test_the_order_of_transforms() -> None:
    """The composed map of random parameters, point by point: each transform after the other, as published."""
    g = Geometry(*(value.double() for value in draw_geometry(chances(50), 0.9, 20, 30)))
    inverse = inverse_map(g).numpy()
    for row in range(50):
        one = {name: float(values[row]) for name, values in g._asdict().items()}
        point = np.array([3.0, -2.0])
        at = point * (one["mirror"], 1)
        for _ in range(int(one["quarter"])):
            at = np.array([at[1], -at[0]])  # counter-clockwise to the eye, for y is down
        at += np.array([one["shift_x"], one["shift_y"]])
        at = turn(at * one["scale"], one["before"])
        at = turn(at * (one["stretch"], 1 / one["stretch"]), one["after"])
        at += np.array([one["fraction_x"], one["fraction_y"]])
        np.testing.assert_allclose(inverse[row] @ np.append(at, 1), point, atol=1e-9)


def turn(at: np.ndarray, angle: float) -> np.ndarray:
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]) @ at


# colours


def by_matrices(colour: dict[str, float]) -> np.ndarray:
    """C (4, 4) of the paper: brightness, contrast, luma flip (Householder), hue (Rodrigues), saturation."""
    v = np.array([1, 1, 1, 0]) / np.sqrt(3)
    bright, axis, identity = np.eye(4), np.outer(v, v), np.eye(4)
    bright[:3, 3] = colour["brightness"]
    contrast = np.diag([colour["contrast"]] * 3 + [1])
    luma = identity - 2 * axis * (colour["luma"] < 0)
    cross = np.zeros((4, 4))
    cross[:3, :3] = np.cross(v[:3], np.eye(3)).T
    plane = np.diag([1, 1, 1, 0]) - axis
    hue = axis + np.cos(colour["hue"]) * plane + np.sin(colour["hue"]) * cross
    hue[3, 3] = 1
    saturation = axis + (identity - axis) * colour["saturation"]
    saturation[3, 3] = 1
    return saturation @ hue @ luma @ contrast @ bright


def some_colours(count: int) -> Colour:
    return Colour(*(value.double() for value in draw_colour(chances(count), 0.9)))


def test_colours_against_homogeneous_matrices() -> None:
    images, colour = some_images(60, 3, 4, 5), some_colours(60)
    done = recolour(images, colour).numpy()
    for row in range(60):
        matrix = by_matrices({name: float(values[row]) for name, values in colour._asdict().items()})
        want = np.einsum("ij,jhw->ihw", matrix[:3, :3], images[row].numpy()) + matrix[:3, 3, None, None]
        np.testing.assert_allclose(done[row], want, atol=1e-12)


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_other_channels_are_grey_images_each(channels: int) -> None:
    """What the matrices make of grey is what happens to each channel: hue and saturation do nothing."""
    images, colour = some_images(40, channels, 3, 4), some_colours(40)
    done = recolour(images, colour)
    for channel in range(channels):
        grey = recolour(images[:, channel : channel + 1].expand(-1, 3, -1, -1), colour)
        torch.testing.assert_close(done[:, channel], grey[:, 1])


def test_cutout_is_a_box_of_half_the_size() -> None:
    """Against the published condition on the middle of each pixel."""
    chance = chances(200)
    done = ada(torch.ones(200, 2, 9, 12), chance, 0.7, Multipliers(**NOTHING | {"cutout": 1.0})).numpy()
    x, y = (np.arange(12) + 0.5) / 12, (np.arange(9) + 0.5) / 9
    for image, (coin, left, down) in zip(done, chance[:, [13, 29, 30]].numpy(), strict=True):
        inside = (np.abs(x - left) < 0.25)[None] & (np.abs(y - down) < 0.25)[:, None]
        np.testing.assert_array_equal(image, np.broadcast_to(~(inside & (coin < 0.7)), (2, 9, 12)))


# laws


LAWS = {
    "scale": (np.log2, stats.norm(scale=0.2)),
    "before": (np.asarray, stats.uniform(-np.pi, 2 * np.pi)),
    "stretch": (np.log2, stats.norm(scale=0.2)),
    "after": (np.asarray, stats.uniform(-np.pi, 2 * np.pi)),
    "fraction_x": (np.asarray, stats.norm(scale=0.125 * 40)),
    "fraction_y": (np.asarray, stats.norm(scale=0.125 * 24)),
    "brightness": (np.asarray, stats.norm(scale=0.2)),
    "contrast": (np.log2, stats.norm(scale=0.5)),
    "hue": (np.asarray, stats.uniform(-np.pi, 2 * np.pi)),
    "saturation": (np.log2, stats.norm()),
}


@pytest.mark.parametrize(("p", "multipliers"), [(0.3, BGC), (1.0, BGC), (0.8, R3GAN)], ids=["0.3", "1", "r3gan"])
def test_probabilities_and_distributions(p: float, multipliers: Multipliers) -> None:
    count = 20_000
    chance = chances(count)
    drawn = draw_geometry(chance, p, 24, 40, multipliers)._asdict() | draw_colour(chance, p, multipliers)._asdict()
    values = {name: value.double().numpy() for name, value in drawn.items()}
    rate = 0.5 if multipliers is R3GAN else 1.0

    def often(on: np.ndarray, probability: float) -> None:
        assert abs(on.mean() - probability) <= 4.5 * math.sqrt(max(probability * (1 - probability), 1e-9) / count)

    for name, (scaled, law) in LAWS.items():
        value = values[name]
        on = value != (1.0 if name in ("scale", "stretch", "contrast", "saturation") else 0.0)
        turned = name in ("before", "after")
        coloured = name in ("brightness", "contrast", "hue", "saturation")
        often(on, 1 - math.sqrt(1 - p) if turned else p * (rate if coloured else 1))
        assert stats.kstest(scaled(value[on]), law.cdf).pvalue > 1e-4, name
    often((values["before"] != 0) | (values["after"] != 0), p)
    often(values["mirror"] < 0, p / 2)
    often(values["luma"] < 0, p * rate / 2)
    for quarter in (1, 2, 3):
        often(values["quarter"] == quarter, p / 4)
    for name, size in ("shift_x", 40), ("shift_y", 24):
        most = size // 8
        for by in range(1, most + 1):  # the outermost have half the room to be rounded to
            often(values[name] == by, p * (0.5 if by == most else 1) / (2 * most))
            often(values[name] == -by, p * (0.5 if by == most else 1) / (2 * most))


def test_transforms_are_independent() -> None:
    drawn = draw_geometry(chances(20_000), 0.5, 64, 64), draw_colour(chances(20_000), 0.5)
    every = np.stack([value.double().numpy() for part in drawn for value in part[1:]])
    off = np.corrcoef(every) - np.eye(len(every))
    assert np.abs(off).max() < 4.5 / math.sqrt(20_000)


def test_the_largest_and_the_smallest_numbers_are_finite() -> None:
    for share in (0.0, float(np.nextafter(np.float32(1), np.float32(0)))):
        chance = torch.full((1, ADA_NUMBERS), share)
        chance[:, :14] = 0.0
        assert ada(torch.ones(1, 3, 8, 8), chance, 1.0).isfinite().all()


# the whole


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("p", [0.0, torch.zeros(())], ids=["float", "tensor"])
def test_without_a_chance_every_bit_stays(p: Tensor | float, dtype: torch.dtype) -> None:
    images = some_images(8, 3, 9, 7, dtype=dtype)
    assert torch.equal(ada(images, chances(8), p, R3GAN), images)
    lucky = chances(64, 1)
    still = (lucky[:, :14] >= 0.2).all(1)
    many = images[:1].expand(64, -1, -1, -1)
    done = ada(many, lucky, 0.2)
    assert 0 < still.sum() < 64
    assert torch.equal(done[still], many[still])
    assert done.dtype == dtype


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_an_image_is_augmented_alike_in_any_batch(channels: int) -> None:
    images, chance = some_images(10, channels, 12, 9, dtype=torch.float32), chances(10)
    whole = ada(images.contiguous(memory_format=torch.channels_last), chance, 0.6)
    parts = [ada(images[i : i + 1], chance[i : i + 1], torch.tensor(0.6)) for i in range(10)]
    torch.testing.assert_close(whole, torch.cat(parts), atol=1e-5, rtol=0)
    assert whole.is_contiguous(memory_format=torch.channels_last)


def test_mixed_precision_does_not_blur_it() -> None:
    images, chance = some_images(8, 3, 9, 7, dtype=torch.float32), chances(8)
    with torch.autocast("cpu", torch.bfloat16):
        done = ada(images, chance, 0.8, R3GAN)
    assert torch.equal(done, ada(images, chance, 0.8, R3GAN))


def test_what_is_left_out_changes_nothing_of_the_rest() -> None:
    """Numbers belong to their transform, whatever else is on."""
    images, chance = some_images(30, 3, 8, 8), chances(30)
    only = {name: ada(images, chance, 0.7, Multipliers(**NOTHING | {name: 1.0})) for name in NOTHING}
    both = Multipliers(**NOTHING | {"flip": 1.0, "brightness": 1.0})
    torch.testing.assert_close(ada(images, chance, 0.7, both) - only["flip"], only["brightness"] - images)
    for name, done in only.items():
        share = (done != images).flatten(1).any(1).double().mean()
        assert 0 < share < 1, name


@pytest.mark.parametrize("channels", [1, 3])
def test_derivatives(channels: int) -> None:
    images, chance = some_images(2, channels, 3, 4).requires_grad_(), chances(2)
    assert torch.autograd.gradcheck(lambda x: ada(x, chance, 0.7, R3GAN), images)
    assert torch.autograd.gradgradcheck(lambda x: ada(x, chance, 0.7, R3GAN).pow(3), images)


def test_members_of_an_ensemble_and_no_question_to_the_device() -> None:
    """Under vmap, which refuses to read a number, with a p for each."""
    images, chance = some_images(6, 3, 6, 5).view(2, 3, 3, 6, 5), chances(6).view(2, 3, -1)
    p = torch.tensor([0.2, 0.9])

    def slope(images: Tensor, chance: Tensor, p: Tensor) -> Tensor:
        return torch.func.grad(lambda x: ada(x, chance, p).pow(3).sum())(images)

    together = torch.func.vmap(slope)(images, chance, p)
    alone = torch.stack([slope(*each) for each in zip(images, chance, p, strict=True)])
    torch.testing.assert_close(together, alone)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(UsageError, match=r"images \(N, C, H, W\)"):
        ada(torch.zeros(4, 2), chances(4), 0.5)
    with pytest.raises(UsageError, match=f"{ADA_NUMBERS} random numbers"):
        ada(torch.zeros(4, 1, 8, 8), torch.zeros(4, 3), 0.5)
    with pytest.raises(UsageError, match="from 0 to 1"):
        ada(torch.zeros(4, 1, 8, 8), chances(4), 1.5)
    with pytest.raises(UsageError, match="multiplier hue is 2"):
        Multipliers(hue=2.0)


# leaks: section 2.2 and appendix C of the paper


ORBIT = [(mirror, quarter) for mirror, quarter in product((False, True), range(4))]
BLITS = Multipliers(**NOTHING | {"flip": 1.0, "rotate90": 1.0})


def orbit_pictures() -> Tensor:
    """One picture without symmetry in its eight attitudes."""
    picture = smooth(8, 8)
    seen = [np.rot90(picture[:, ::-1] if mirror else picture, quarter) for mirror, quarter in ORBIT]
    return torch.from_numpy(np.stack(seen).astype(np.float32))[:, None]


def seen_rates(rates: np.ndarray, p: float, count: int, seed: int) -> np.ndarray:
    """How often each attitude is met among augmented samples of attitudes that come with `rates`."""
    pictures = orbit_pictures()
    first = torch.from_numpy(np.random.default_rng(seed).choice(8, count, p=rates))
    done = ada(pictures[first], chances(count, seed + 1), p, BLITS)
    distance = torch.cdist(done.flatten(1), pictures.flatten(1))
    assert distance.min(1).values.max() < 0.01  # of at least 1.3 between two attitudes
    return np.bincount(distance.argmin(1).numpy(), minlength=8) / count


def transition(p: float) -> np.ndarray:
    """T[j, i]: the probability that attitude i is shown as j, of the published law, by group table."""
    pictures = orbit_pictures()[:, 0].numpy()
    table = np.zeros((8, 8))
    for i, (mirror, quarter) in product(range(8), ORBIT):
        shown = np.rot90(pictures[i][:, ::-1] if mirror else pictures[i], quarter)
        (j,) = (k for k in range(8) if np.array_equal(shown, pictures[k]))
        table[j, i] += (p / 2 if mirror else 1 - p / 2) * (p / 4 if quarter else 1 - 3 * p / 4)
    return table


@pytest.mark.parametrize("p", [0.2, 0.5, 0.75])
def test_below_eight_tenths_nothing_leaks(p: float) -> None:
    """What is seen, with the known law undone, is what there was: upright 70%, lying 25%, mirrored 5%."""
    rates = np.array([0.7, 0.25, 0, 0, 0.05, 0, 0, 0])
    count = 20_000
    seen = seen_rates(rates, p, count, seed=5)
    undone = np.linalg.inv(transition(p))
    error = np.sqrt((undone**2 @ (seen * (1 - seen))) / count)  # of each rate, its deviation
    assert np.abs(undone @ seen - rates).max() < 4.5 * error.max()
    assert error.max() < 0.03
    assert np.abs(seen - rates).max() > 0.1  # it was hidden


def test_turns_that_always_come_leak() -> None:
    """At p = 1 upright and lying pictures look alike, whatever there was: the law cannot be undone."""
    assert np.linalg.matrix_rank(transition(0.75)) == 8
    assert np.linalg.matrix_rank(transition(1.0), tol=1e-9) == 1
    upright, lying = np.eye(8)[0], np.eye(8)[5]
    seen = [seen_rates(rates, 1.0, 8_000, seed) for seed, rates in ((1, upright), (3, lying))]
    assert np.abs(seen[0] - seen[1]).max() < 4.5 * math.sqrt(2 * 0.125 / 8_000)
    np.testing.assert_allclose(seen[0], 0.125, atol=0.02)
