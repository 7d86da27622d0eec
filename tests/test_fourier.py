"""Fourier features, plain and damped by noise."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
import torch

from zerosum.networks import FourierFeatures


def test_fourier_features_are_their_closed_form() -> None:
    torch.manual_seed(0)
    layer = FourierFeatures(2, [1, 50], frequencies=3).double()
    omega = layer.frequencies.numpy()
    x = torch.randn(4, 2, dtype=torch.float64)
    phases = x.numpy() @ omega.T
    np.testing.assert_allclose(layer(x), np.hstack((x, np.cos(phases), np.sin(phases))), atol=1e-12)
    layer.noise_level.fill_(0.3)
    kept = np.exp(-0.5 * (omega**2).sum(1) * 0.09)
    np.testing.assert_allclose(layer(x), np.hstack((x, np.cos(phases) * kept, np.sin(phases) * kept)), atol=1e-12)
    assert layer.width == 2 + 12
    assert list(layer.state_dict()) == ["frequencies"]  # the level is the game's to set


def test_damped_fourier_features_are_the_expectation_over_noise() -> None:
    torch.manual_seed(0)
    layer = FourierFeatures(2, [1.0, 4.0]).double()
    x = torch.randn(1, 2, dtype=torch.float64)
    noisy = layer(x + 0.4 * torch.randn(200_000, 2, dtype=torch.float64)).mean(0, keepdim=True)
    layer.noise_level.fill_(0.4)
    torch.testing.assert_close(layer(x), noisy, rtol=0, atol=5 * sqrt(0.5 / 200_000))
    assert (layer(x)[0, 2:].abs() < 0.9).any()


def test_fourier_frequencies_have_their_scales_and_keep_float32() -> None:
    torch.manual_seed(0)
    layer = FourierFeatures(3, [1, 16], frequencies=2000)
    for rows, scale in ((layer.frequencies[:2000], 1), (layer.frequencies[2000:], 16)):
        assert rows.std().item() == pytest.approx(scale, rel=0.05)
    x = torch.rand(5, 3)
    with torch.autocast("cpu", torch.bfloat16):
        made = layer(x)
    assert torch.equal(made[:, 3:4003], torch.cos(x @ layer.frequencies.T))
