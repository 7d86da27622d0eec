"""What is taken from pictures: each against Pillow, SciPy or arithmetic, and every random one against its key."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter

from zerosum.data import Degradation
from zerosum.errors import UsageError

ALL = ["downsample:4", "mask:box", "mask:strokes", "gray", "blur:1.5", "noise:0.1", "jpeg:10"]


def pictures(count: int = 4, channels: int = 3, height: int = 32, width: int = 24, seed: int = 0) -> torch.Tensor:
    """Smooth and rough at once, in [-1, 1], of whole 8-bit levels."""
    rng = np.random.default_rng(seed)
    rough = rng.integers(0, 64, (count, channels, height, width))
    smooth = np.linspace(0, 191, width) * np.linspace(0.3, 1, height)[:, None]
    levels = np.rint(rough + smooth).astype(np.float32)
    return torch.from_numpy(levels / np.float32(127.5) - 1)


def apply(text: str, images: torch.Tensor, keys: list[int] | None = None) -> torch.Tensor:
    return Degradation.parse(text).apply(images, keys if keys is not None else list(range(len(images))))


def bytes_of(image: torch.Tensor) -> np.ndarray:
    """(C, H, W) in [-1, 1] as uint8 (H, W) or (H, W, 3)."""
    pixels = ((image + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy()
    return pixels[..., 0] if pixels.shape[-1] == 1 else pixels


@pytest.mark.parametrize("text", ALL)
def test_each_has_the_shape_it_says_and_leaves_its_input(text):
    images = pictures()
    before = images.clone()
    degradation = Degradation.parse(f" {text} ")
    made = degradation.apply(images, range(4))
    assert made.shape[1:] == degradation.source_shape([3, 32, 24])
    assert made.dtype == torch.float32
    assert made.is_contiguous(memory_format=torch.channels_last)
    assert made.abs().max() <= 1
    assert torch.equal(images, before)
    assert str(degradation) == text
    assert degradation.keeps == text.startswith("mask")


@pytest.mark.parametrize("text", ALL)
def test_a_picture_is_degraded_by_its_key_in_any_company(text):
    images = pictures(5)
    keys = [7, 0, -3, 2**63, 7]
    together = apply(text, images, keys)
    order = [3, 0, 4]
    apart = apply(text, images[order], [keys[place] for place in order])
    torch.testing.assert_close(apart, together[order], rtol=0, atol=1e-6)
    if text.startswith(("mask", "noise")):
        same = apply(text, images[:1].expand(5, -1, -1, -1), keys)
        assert torch.equal(same[0], same[4])
        assert len({picture.numpy().tobytes() for picture in same}) == 4
        assert torch.equal(same[2], apply(text, images[:1], [2**64 - 3])[0])


@pytest.mark.parametrize("factor", [2, 3, 8])
def test_downsample_is_pillows_bicubic(factor):
    images = pictures(2, 3, 48, 24)
    made = apply(f"downsample:{factor}", images)
    for image, small in zip(images, made, strict=True):
        for plane, shrunk in zip(image, small, strict=True):
            expected = Image.fromarray(plane.numpy()).resize((24 // factor, 48 // factor), Image.Resampling.BICUBIC)
            np.testing.assert_allclose(shrunk, np.clip(np.asarray(expected), -1, 1), atol=2e-6)


def test_downsample_of_what_is_constant_or_linear():
    constant = torch.full((1, 1, 16, 16), 0.3)
    torch.testing.assert_close(apply("downsample:4", constant), torch.full((1, 1, 4, 4), 0.3))
    ramp = torch.linspace(-0.9, 0.9, 64).expand(1, 1, 64, 64)
    means = ramp.reshape(1, 1, 64, 16, 4).mean(4)[:, :, :16]
    torch.testing.assert_close(apply("downsample:4", ramp)[..., 2:-2], means[..., 2:-2])


@pytest.mark.parametrize("sigma", [0.1, 0.7, 3.0, 20.0])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (13, 2), (32, 24)])
def test_blur_is_scipys(shape, sigma):
    images = pictures(2, 3, *shape)
    expected = gaussian_filter(images.numpy().astype(np.float64), (0, 0, sigma, sigma))
    np.testing.assert_allclose(apply(f"blur:{sigma}", images), expected, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_noise_has_its_deviation_and_stays_in_range(channels):
    grey = torch.zeros(8, channels, 64, 64)
    noise = apply("noise:0.2", grey)
    count = noise.numel()
    assert abs(float(noise.mean())) < 5 * 0.2 / count**0.5
    assert float(noise.std()) == pytest.approx(0.2, abs=5 * 0.2 / (2 * count) ** 0.5)
    pair = np.corrcoef(noise[0].flatten(), noise[1].flatten())[0, 1]
    assert abs(pair) < 5 / (count / 8) ** 0.5
    black = apply("noise:2", grey - 1)
    assert float(black.min()) == -1
    assert float((black == -1).float().mean()) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("quality", [1, 40, 95])
@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_pillows_round_trip(channels, quality):
    images = pictures(2, channels, 17, 30)
    for image, made in zip(images, apply(f"jpeg:{quality}", images), strict=True):
        file = BytesIO()
        Image.fromarray(bytes_of(image)).save(file, "JPEG", quality=quality)
        expected = np.asarray(Image.open(file)).astype(np.float32) / 127.5 - 1
        np.testing.assert_allclose(made.permute(1, 2, 0).squeeze(-1).numpy(), expected, atol=1e-6)


def test_gray_is_pillows_luma():
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    image = torch.from_numpy(pixels.astype(np.float32) / 127.5 - 1).permute(2, 0, 1)
    expected = np.asarray(Image.fromarray(pixels).convert("L")).astype(float)
    assert np.abs((apply("gray", image[None])[0, 0].numpy() + 1) * 127.5 - expected).max() < 0.51


@given(
    height=st.integers(8, 40),
    width=st.integers(8, 40),
    channels=st.integers(1, 4),
    key=st.integers(-(2**63), 2**64 - 1),
    kind=st.sampled_from(["box", "strokes"]),
)
@settings(max_examples=400, deadline=None)
def test_masks_hide_what_they_say_and_nothing_else(height, width, channels, key, kind):
    image = pictures(1, channels, height, width, key % 1000) * 0.9 + 0.05
    made = apply(f"mask:{kind}", image, [key])[0]
    mask = made[-1]
    assert set(mask.unique().tolist()) == {-1.0, 1.0}
    hole = mask > 0
    assert torch.equal(made[:-1], image[0] * ~hole)
    if kind == "strokes":
        assert 0.1 <= hole.double().mean() <= 1 / 3
    else:
        rows, columns = (hole.any(axis).sum().item() for axis in (1, 0))
        assert rows * columns == hole.sum()
        assert height / 4 <= rows <= height / 2
        assert width / 4 <= columns <= width / 2


def test_holes_may_be_anywhere():
    images = torch.zeros(3000, 1, 8, 9)
    for kind in ("box", "strokes"):
        often = (apply(f"mask:{kind}", images)[:, 1] > 0).float().mean(0)
        assert often.min() > 0.02  # a corner too
        assert often.max() < 0.5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("downsampel:4", "did you mean 'downsample'"),
        ("grey", "did you mean 'gray'"),
        ("", "known: blur, downsample"),
        ("downsample", "for example downsample:4"),
        ("downsample:1", "2 or more"),
        ("downsample:2.5", "whole number"),
        ("mask", "known: box, strokes"),
        ("mask:strok", "did you mean 'strokes'"),
        ("gray:3", "write gray"),
        ("blur:x", r"for example blur:1\.5"),
        ("blur:0", "over 0 and at most 100"),
        ("noise:nan", r"for example noise:0\.1"),
        ("noise:-1", "over 0"),
        ("noise:25", r"from -1 to 1.*write noise:0\.196"),
        ("jpeg:0", "from 1 to 95"),
        ("jpeg:96", "from 1 to 95"),
    ],
)
def test_what_is_none_is_refused_with_the_remedy(text, words):
    with pytest.raises(UsageError, match=rf"data\.degrade.*{words}"):
        Degradation.parse(text)


@pytest.mark.parametrize(
    ("text", "shape", "words"),
    [
        ("downsample:4", (3, 30, 32), "--data.size: 32x32"),
        ("downsample:16", (3, 3, 16), "--data.size: 16x16"),
        ("mask:box", (1, 7, 28), "--data.size 8x28"),
        ("gray", (1, 8, 8), "3 channels, not 1: --data.channels 3"),
        ("gray", (4, 8, 8), "3 channels, not 4"),
        ("jpeg:10", (2, 8, 8), "1 or 3 channels, not 2"),
    ],
)
def test_pictures_it_is_not_for(text, shape, words):
    degradation = Degradation.parse(text)
    with pytest.raises(UsageError, match=words):
        degradation.source_shape(shape)
    with pytest.raises(UsageError, match=words):
        degradation.apply(torch.zeros(1, *shape), [0])


def test_a_key_for_each_picture():
    with pytest.raises(ValueError, match="1 keys for 4 images"):
        apply("noise:0.1", pictures(), [0])
