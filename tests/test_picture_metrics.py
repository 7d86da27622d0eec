"""PSNR and SSIM against hand-worked numbers, and against the paper's equations written with SciPy in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.signal import convolve2d
from sklearn.datasets import load_digits

from zerosum.errors import UsageError
from zerosum.metrics import pictures, psnr, ssim

Floats = NDArray[np.float64]
DIGITS = torch.from_numpy(load_digits().images[:40]).float()[:, None] / 8 - 1


def reference(x: Floats, y: Floats, span: float) -> float:
    """One channel, one image: a two-dimensional window of weights, deviations from the window's own mean."""
    side = min(11, x.shape[0], x.shape[1])
    side -= 1 - side % 2
    away = np.arange(side) - side // 2
    window = np.exp(-(away[:, None] ** 2 + away[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    values = []
    for row in range(x.shape[0] - side + 1):
        for column in range(x.shape[1] - side + 1):
            a, b = (z[row : row + side, column : column + side] for z in (x, y))
            mean_a, mean_b = (window * a).sum(), (window * b).sum()
            var_a, var_b = (window * (a - mean_a) ** 2).sum(), (window * (b - mean_b) ** 2).sum()
            cov = (window * (a - mean_a) * (b - mean_b)).sum()
            light = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
            values.append(light * (2 * cov + c2) / (var_a + var_b + c2))
    return float(np.mean(values))


def pair(shape: tuple[int, ...], seed: int, noise: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Smooth images in [-1, 1] and noisy copies."""
    rng = np.random.default_rng(seed)
    smooth = [convolve2d(rng.uniform(-2, 2, shape[2:]), np.ones((3, 3)) / 3, mode="same") for _ in range(shape[0])]
    wanted = np.clip(np.stack(smooth)[:, None] * rng.uniform(0.5, 1, (1, shape[1], 1, 1)), -1, 1)
    made = np.clip(wanted + rng.normal(0, noise, shape), -1, 1)
    return torch.from_numpy(made).float(), torch.from_numpy(wanted).float()


@pytest.mark.parametrize(
    "shape", [(2, 1, 28, 28), (2, 3, 20, 13), (1, 2, 11, 11), (2, 1, 8, 8), (2, 1, 5, 30), (1, 1, 1, 4)], ids=str
)
@pytest.mark.parametrize("noise", [0.02, 0.6])
def test_ssim_is_the_papers(shape: tuple[int, ...], noise: float) -> None:
    made, wanted = pair(shape, 3, noise)
    expected = [
        np.mean([reference(a + 1, b + 1, 2.0) for a, b in zip(one, other, strict=True)])
        for one, other in zip(made.double().numpy(), wanted.double().numpy(), strict=True)
    ]
    np.testing.assert_allclose(ssim(made, wanted).numpy(), expected, atol=1e-10)
    halves = ssim((made + 1) / 2, (wanted + 1) / 2, low=0.0, span=1.0)
    np.testing.assert_allclose(halves.numpy(), expected, atol=1e-5)


def test_ssim_by_hand() -> None:
    """Flat images, 0.5 and 0.25 above black: (2ab + C1) / (a² + b² + C1) is left, C1 = (0.01 · 2)² = 0.0004."""
    made, wanted = torch.full((1, 1, 16, 16), -0.5), torch.full((1, 1, 16, 16), -0.75)
    assert ssim(made, wanted).item() == pytest.approx((0.25 + 0.0004) / (0.3125 + 0.0004), rel=1e-12)


def test_equal_images_and_negatives() -> None:
    assert torch.equal(ssim(DIGITS, DIGITS), torch.ones(40, dtype=torch.float64))
    assert (ssim(-DIGITS, DIGITS) < 0).all()
    assert psnr(DIGITS, DIGITS).tolist() == [100.0] * 40


@pytest.mark.parametrize(
    ("shift", "span", "decibels"),
    [(0.2, 2.0, 20.0), (0.02, 2.0, 40.0), (0.1, 1.0, 20.0), (2.0, 2.0, 0.0), (1e-7, 2.0, 100.0)],
)
def test_psnr_of_a_shift(shift: float, span: float, decibels: float) -> None:
    """A shift of s everywhere has the squared error s²: 20 log10(span / s)."""
    wanted = torch.zeros(3, 2, 5, 7)
    assert psnr(wanted + shift, wanted, span=span).tolist() == pytest.approx([decibels] * 3, abs=1e-5)


def test_psnr_of_one_pixel() -> None:
    """One pixel of 64 is wrong by 1: an error of 1/64, 10 log10(4 · 64)."""
    made = DIGITS.clone()
    made[1, 0, 2, 2] += 1
    assert psnr(made, DIGITS)[1].item() == pytest.approx(10 * math.log10(256), rel=1e-6)
    assert psnr(made, DIGITS)[[0, 2]].tolist() == [100.0, 100.0]


@settings(max_examples=15, deadline=None)
@given(
    count=st.integers(0, 4), channels=st.integers(1, 4), height=st.integers(1, 16), width=st.integers(1, 16),
    seed=st.integers(0, 1000),
)  # fmt: skip
def test_each_image_is_judged_alone(count: int, channels: int, height: int, width: int, seed: int) -> None:
    """In either layout, however many come together; and neither side is the first."""
    generator = torch.Generator().manual_seed(seed)
    made, wanted = (torch.rand((count, channels, height, width), generator=generator) * 2 - 1 for _ in range(2))
    for measure in (psnr, ssim):
        found = measure(made.contiguous(memory_format=torch.channels_last), wanted)
        assert (found.shape, found.dtype) == ((count,), torch.float64)
        assert (found <= (1 if measure is ssim else 100)).all()
        torch.testing.assert_close(found, measure(wanted, made), rtol=1e-9, atol=1e-9)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pictures, "AT_ONCE", 1)
            torch.testing.assert_close(found, measure(made, wanted), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("made", "wanted", "span", "words"),
    [
        ((2, 1, 8, 8), (3, 1, 8, 8), 2.0, r"\(2, 1, 8, 8\) cannot be compared with images of shape \(3, 1, 8, 8\)"),
        ((2, 1, 8, 8), (2, 3, 8, 8), 2.0, "cannot be compared"),
        ((2, 64), (2, 64), 2.0, r"these are \(2, 64\)"),
        ((2, 1, 0, 8), (2, 1, 0, 8), 2.0, "these are"),
        ((2, 1, 8, 8), (2, 1, 8, 8), 0.0, "must be above 0"),
        ((2, 1, 8, 8), (2, 1, 8, 8), math.nan, "must be above 0"),
    ],
)
def test_what_does_not_fit(made: tuple[int, ...], wanted: tuple[int, ...], span: float, words: str) -> None:
    for measure in (psnr, ssim):
        with pytest.raises(UsageError, match=words):
            measure(torch.zeros(made), torch.zeros(wanted), span=span)


def test_what_is_no_number_stays_one() -> None:
    made = DIGITS.clone()
    made[0, 0, 4, 4] = math.nan
    for measure in (psnr, ssim):
        found = measure(made, DIGITS)
        assert math.isnan(found[0].item())
        assert found[1:].isfinite().all()
