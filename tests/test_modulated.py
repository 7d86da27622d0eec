"""Modulated convolutions, in both formulations, and resampling by [1, 3, 3, 1]: against loops and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.signal import convolve, correlate, upfirdn
from torch import Tensor
from torch.nn.functional import conv2d

from zerosum.networks.blur import Blur, enlarged
from zerosum.networks.modulated import ModulatedConv, demodulation, grouped_convolution, scaled_convolution

TAPS = np.array([1.0, 3.0, 3.0, 1.0])


def of(values: Tensor) -> np.ndarray:
    return values.detach().numpy()


def modulated(weight: Tensor, styles: Tensor, demodulate: bool) -> Tensor:
    """Equations 1 and 3 in loops: the weights (N, out, in, k, k) of each sample."""
    own = torch.stack([weight * style[None, :, None, None] for style in styles])
    if demodulate:
        for sample in own:
            for kernel in sample:
                kernel /= (kernel.square().sum() + 1e-8).sqrt()
    return own


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("demodulate", [False, True])
def test_formulations_are_equal_and_are_the_equations(demodulate: bool, up: bool) -> None:
    """Values, and gradients by what enters, weights and styles."""
    torch.manual_seed(0)
    x, weight, styles = (torch.randn(size, dtype=torch.float64) for size in [(3, 4, 5, 6), (7, 4, 3, 3), (3, 4)])
    slopes, made = [], []
    for convolution in (scaled_convolution, grouped_convolution):
        given = [values.clone().requires_grad_() for values in (x, weight, styles)]
        gains = demodulation(given[1], given[2]) if demodulate else None
        made.append(convolution(*given, gains, up=up))
        slopes.append(torch.autograd.grad(made[-1].sin().sum(), given))
    torch.testing.assert_close(made[0], made[1])
    for one, other in zip(*slopes, strict=True):
        torch.testing.assert_close(one, other)
    own = modulated(weight, styles, demodulate)
    if up:  # the transposed convolution is the whole convolution of what has zeros between
        spread = torch.zeros(3, 4, 9, 11, dtype=torch.float64)
        spread[:, :, ::2, ::2] = x
        expected = [[sum(convolve(spread[i, c], own[i, o, c]) for c in range(4)) for o in range(7)] for i in range(3)]
        np.testing.assert_allclose(of(made[0]), np.array(expected), atol=1e-12)
    else:
        expected = torch.cat([conv2d(x[i : i + 1], own[i], padding=1) for i in range(3)])
        torch.testing.assert_close(made[0], expected)


def test_demodulation_makes_unit_variance() -> None:
    """Of inputs that are independent and of unit variance, whatever the style; without it the style shows."""
    torch.manual_seed(0)
    x, styles = torch.randn(4, 32, 24, 24), 5 * torch.randn(4, 32)
    for demodulate in (True, False):
        layer = ModulatedConv(32, 64, 3, demodulate=demodulate)
        spread = layer(x, styles)[:, :, 1:-1, 1:-1].std((1, 2, 3))
        expected = torch.ones(4) if demodulate else styles.square().mean(1).sqrt()
        torch.testing.assert_close(spread, expected, rtol=0.06, atol=0)


@pytest.mark.parametrize(("padding", "stride", "size"), [(1, 1, (9, 8)), (2, 1, (8, 5)), (1, 2, (8, 7))])
def test_blur_is_the_filter(padding: int, stride: int, size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    kernel = np.outer(TAPS, TAPS) / 64
    padded = np.pad(of(x), ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    expected = np.array([[correlate(plane, kernel, "valid") for plane in sample] for sample in padded])
    layer = Blur(padding, stride)
    np.testing.assert_allclose(of(layer.double()(x)), expected[:, :, ::stride, ::stride], atol=1e-12)
    assert not layer.state_dict()
    rough = layer.float()(x.bfloat16())
    assert rough.dtype == torch.bfloat16
    torch.testing.assert_close(rough.double(), layer.double()(x), atol=0.03, rtol=0)


def test_enlarged_is_the_filter_between_zeros() -> None:
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    once = upfirdn(TAPS / 4, of(x), up=2, axis=2)[:, :, 1:-1]
    np.testing.assert_allclose(of(enlarged(x)), upfirdn(TAPS / 4, once, up=2, axis=3)[..., 1:-1], atol=1e-12)
