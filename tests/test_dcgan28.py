"""The networks of dcgan-28: TensorFlow's "same" padding, weights and statistics, written out in NumPy."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
import torch
from scipy.signal import convolve, correlate
from torch import nn

from zerosum.networks import build
from zerosum.networks.dcgan28 import down_same, mirrored, up_same

# "same", written out: zeros, at stride 2 one before and two after, at stride 1 two and two


def same(x: np.ndarray, kernels: np.ndarray, stride: int) -> np.ndarray:
    """Maps (C, H, W), kernels (C_out, C, 5, 5): the convolution."""
    before, after = (1, 2) if stride == 2 else (2, 2)
    padded = np.pad(x, ((0, 0), (before, after), (before, after)))
    return np.stack([correlate(padded, kernel, "valid", "direct")[0, ::stride, ::stride] for kernel in kernels])


def same_transposed(y: np.ndarray, kernels: np.ndarray, stride: int) -> np.ndarray:
    """Maps (C, H, W), kernels (C, C_out, 5, 5): the transpose, each pixel spread, what lay on padding cut."""
    spread = np.zeros((len(y), stride * (y.shape[1] - 1) + 1, stride * (y.shape[2] - 1) + 1))
    spread[:, ::stride, ::stride] = y
    full = sum(
        np.stack([convolve(row, kernel, "full", "direct") for kernel in kernels[i]]) for i, row in enumerate(spread)
    )
    before = 1 if stride == 2 else 2
    return full[:, before : before + stride * y.shape[1], before : before + stride * y.shape[2]]


def turned(weights: torch.Tensor) -> np.ndarray:
    return weights.detach().flip(2, 3).double().numpy()


def test_same_padding_by_hand() -> None:
    layer = down_same(1, 1, 2)
    nn.init.zeros_(layer.bias)
    kernel = torch.zeros(1, 1, 5, 5)
    kernel[0, 0, 1] = torch.tensor([1.0, 10.0, 100.0, 1000.0, 10000.0])
    layer.weight.data = kernel.flip(2, 3)
    x = torch.tensor([[1.0, 2.0, 3.0, 4.0], [0, 0, 0, 0], [5.0, 6.0, 7.0, 8.0], [9.0, 9.0, 9.0, 9.0]])
    out = mirrored(layer(mirrored(x[None, None])))[0, 0]
    # rows -1..3 and 1..5, of which the kernel's row 1 meets 0 and 2; columns _ 1 2 3 4 and 2 3 4 _ _
    assert out.tolist() == [[43210, 432], [87650, 876]]


@pytest.mark.parametrize("stride", [1, 2])
def test_same_padding_is_tensorflows_and_its_exact_transpose(stride: int) -> None:
    torch.manual_seed(stride)
    down, up = down_same(3, 2, stride).double(), up_same(2, 3, stride).double()
    x = torch.randn(1, 3, 8, 12, dtype=torch.float64)
    y = torch.randn(1, 2, 8 // stride, 12 // stride, dtype=torch.float64)
    nn.init.zeros_(down.bias)
    made = mirrored(down(mirrored(x)))
    np.testing.assert_allclose(made[0].detach(), same(x[0].numpy(), turned(down.weight), stride), atol=1e-12)
    spread = mirrored(up(mirrored(y)))
    expected = same_transposed(y[0].numpy(), turned(up.weight), stride)
    np.testing.assert_allclose(spread[0].detach(), expected, atol=1e-12)
    up.weight.data = down.weight.data
    transposed = mirrored(up(mirrored(y)))
    assert torch.sum(made * y).item() == pytest.approx(torch.sum(x * transposed).item(), rel=1e-12)


def leaky(values: np.ndarray) -> np.ndarray:
    return np.where(values > 0, values, 0.3 * values)


def test_whole_dcgan_28_is_tensorflows() -> None:
    """Both networks in evaluation mode, statistics 0 and 1, against NumPy with kernels turned back."""
    torch.manual_seed(0)
    norm = 1 / sqrt(1 + 1e-3)
    generator = build("dcgan-28-generator", latent=5, shape=(2, 8, 12)).double().eval()
    z = torch.randn(1, 5, dtype=torch.float64)
    first = next(layer for layer in generator.modules() if isinstance(layer, nn.Linear))
    maps = leaky(norm * (first.weight.detach().numpy() @ z[0].numpy())).reshape(2, 3, 128)
    maps = maps.transpose(2, 0, 1)[:, ::-1, ::-1]
    ups = [layer for layer in generator.modules() if isinstance(layer, nn.ConvTranspose2d)]
    for layer in ups:
        maps = same_transposed(maps, turned(layer.weight), layer.stride[0])
        maps = np.tanh(maps) if layer is ups[-1] else leaky(norm * maps)
    np.testing.assert_allclose(generator(z)[0].detach(), maps, atol=1e-12)

    discriminator = build("dcgan-28-discriminator", shape=(2, 8, 12)).double().eval()
    x = torch.rand(1, 2, 8, 12, dtype=torch.float64) * 2 - 1
    maps = x[0].numpy()
    for layer in (layer for layer in discriminator.modules() if isinstance(layer, nn.Conv2d)):
        maps = leaky(norm * same(maps, turned(layer.weight), layer.stride[0]))
    last = next(layer for layer in discriminator.modules() if isinstance(layer, nn.Linear))
    valid = last.weight.detach().numpy().reshape(2, 3, 256)[::-1, ::-1].transpose(2, 0, 1)
    assert discriminator(x).item() == pytest.approx((maps * valid).sum(), rel=1e-10)


def test_dcgan_28_weights_and_statistics_are_kerass() -> None:
    torch.manual_seed(0)
    for network in (
        build("dcgan-28-generator", latent=20, shape=(1, 28, 28)),
        build("dcgan-28-discriminator", shape=(1, 28, 28)),
    ):
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                bound = sqrt(6 / (25 * (layer.in_channels + layer.out_channels)))
                assert 0.97 * bound < layer.weight.abs().max().item() <= bound
                assert layer.bias is None or not layer.bias.any()
            if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                layer(torch.ones(2, layer.num_features, *[1] * isinstance(layer, nn.BatchNorm2d) * 2) * 5)
                torch.testing.assert_close(layer.running_mean, torch.full((layer.num_features,), 0.05))
    assert network.head.weight.abs().max().item() <= sqrt(6 / (49 * 256 + 49))
