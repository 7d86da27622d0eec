"""Layers over a batch, against the papers' sums written as loops."""

from __future__ import annotations

from math import e, erfc
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from light import LIGHT
from zerosum.errors import UsageError
from zerosum.networks import MinibatchDeviation, MinibatchDiscrimination, add_minibatch, build, mixes_samples, names
from zerosum.penalties import r1, spectral_normalise


def closeness_by_hand(features: np.ndarray, kernels: np.ndarray) -> np.ndarray:
    count, many = len(features), kernels.shape[1]
    made = np.zeros((count, many))
    for i in range(count):
        for j in range(count):
            for b in range(many):
                if i != j:
                    made[i, b] += np.exp(-np.abs((features[i] - features[j]) @ kernels[:, b]).sum())
    return made


@pytest.mark.parametrize("count", [1, 2, 5])
def test_minibatch_discrimination_by_hand(count: int) -> None:
    torch.manual_seed(0)
    layer = MinibatchDiscrimination(4, kernels=3, size=2).double()
    x = torch.randn(count, 4, dtype=torch.float64)
    out = layer(x)
    assert torch.equal(out[:, :4], x)
    expected = closeness_by_hand(x.numpy(), layer.kernels.detach().numpy())
    np.testing.assert_allclose(out[:, 4:].detach(), expected, atol=1e-12)


def test_minibatch_discrimination_starts_alive() -> None:
    """The docstring's mean closeness, (e·erfc(1))^size: E exp(−|d|) for d ~ N(0, 2) is e·erfc(1)."""
    torch.manual_seed(0)
    layer = MinibatchDiscrimination(300)
    made = layer(torch.randn(100, 300))[:, 300:]
    assert made.mean().item() / 99 == pytest.approx((e * erfc(1)) ** 5, rel=0.1)


@pytest.mark.parametrize(
    ("count", "group", "members"),
    [
        (8, 4, [[0, 2, 4, 6], [1, 3, 5, 7]]),
        (6, 4, [[0, 2, 4], [1, 3, 5]]),
        (5, 4, [[i] for i in range(5)]),
        (1, 4, [[0]]),
        (3, 8, [[0, 1, 2]]),
    ],
)
def test_minibatch_deviation_by_hand(count: int, group: int, members: list[list[int]]) -> None:
    torch.manual_seed(0)
    x = torch.randn(count, 3, dtype=torch.float64)
    out = MinibatchDeviation(3, group=group)(x)
    assert torch.equal(out[:, :3], x)
    for rows in members:
        expected = np.sqrt(x[rows].numpy().std(0) ** 2 + 1e-8).mean()
        np.testing.assert_allclose(out[rows, 3], expected, rtol=1e-12)


@pytest.mark.parametrize("make", [lambda: MinibatchDiscrimination(3, 2, 2), lambda: MinibatchDeviation(3, 2)])
def test_gradients_of_minibatch_layers(make: Any) -> None:
    torch.manual_seed(0)
    layer = make().double()
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, x)
    assert torch.autograd.gradgradcheck(layer, x)


def test_twins_are_noticed() -> None:
    torch.manual_seed(0)
    x = torch.randn(8, 20)
    twins = x.clone()
    twins[4] = twins[0]  # of one group of four, for there are two of them
    closeness, deviation = MinibatchDiscrimination(20), MinibatchDeviation(20)
    assert (closeness(twins)[[0, 4], 20:].mean(1) > closeness(x)[[0, 4], 20:].mean(1) + 0.5).all()
    assert deviation(twins)[0, 20] < deviation(x)[0, 20]
    assert deviation(twins)[1, 20] == deviation(x)[1, 20]


REFUSED = {"patch-discriminator": "map of logits", "stylegan2-discriminator": "no longer its first linear layer"}


@pytest.mark.parametrize("name", REFUSED)
def test_who_takes_no_minibatch_layer_says_so(name: str) -> None:
    """One judges places; the other has its deviation already, and a head that is no plain linear layer."""
    with pytest.raises(UsageError, match=REFUSED[name]):
        add_minibatch(build(name, shape=(1, 32, 32), **LIGHT.get(name, {})), "deviation")


@pytest.mark.parametrize("kind", ["discrimination", "deviation"])
@pytest.mark.parametrize("name", sorted(set(names("discriminator")) - set(REFUSED)))
def test_any_discriminator_takes_a_minibatch_layer(name: str, kind: str) -> None:
    torch.manual_seed(0)
    network = build(name, shape=(1, 16, 16), **LIGHT.get(name, {}))
    old, bias = network.head.weight.clone(), network.head.bias
    assert add_minibatch(network, kind) is network
    layer, head = network.head
    assert mixes_samples(network)
    assert (head.in_features, layer.extra) == (network.width + layer.extra, 50 if kind == "discrimination" else 1)
    assert torch.equal(head.weight[:, : network.width], old)
    assert (head.bias is None) if bias is None else torch.equal(head.bias, bias)
    if kind == "discrimination":
        assert head.weight[:, network.width :].square().mean().sqrt().item() == pytest.approx(
            old.square().mean().sqrt().item(), rel=0.35
        )
    x = torch.rand(8, 1, 16, 16)
    network.eval()  # the same units dropped: none
    with torch.autocast("cpu", torch.bfloat16):
        features = network.body(x)
        made = network.head[0](features)
        rough = network(x)
    assert made.dtype == torch.float32
    torch.testing.assert_close(made, layer(features.float()), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(rough.float(), network(x), rtol=0.1, atol=0.1 * made.abs().max().item())
    (network(x).square().sum() + r1(network, x)).backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
    assert head.weight.grad[:, network.width :].any()


def test_a_minibatch_layer_comes_before_spectral_normalisation() -> None:
    network = spectral_normalise(add_minibatch(build("quick-discriminator", shape=(1, 8, 8)), "deviation"))
    assert network(torch.rand(4, 1, 8, 8)).shape == (4,)
    with pytest.raises(UsageError, match="add one minibatch layer, and before"):
        add_minibatch(network, "deviation")
    with pytest.raises(UsageError, match="before spectral"):
        add_minibatch(spectral_normalise(build("mlp-discriminator", shape=(2,))), "discrimination")


@pytest.mark.parametrize(
    ("kind", "chosen", "message"),
    [
        ("discriminaton", {}, "did you mean 'discrimination'"),
        ("deviation", {"kernels": 3}, r"deviation has no option 'kernels': known: group"),
        ("discrimination", {"kernals": 3}, "did you mean 'kernels'"),
        ("discrimination", {"features": 3}, "no option 'features'"),
        ("discrimination", {"kernels": "50"}, "kernels is '50'"),
        ("discrimination", {"size": 0}, "size is 0"),
        ("deviation", {"group": True}, "group is True"),
        ("deviation", {"group": 1}, "at least 2"),
    ],
)
def test_mistakes_with_minibatch_layers_are_named(kind: str, chosen: dict[str, Any], message: str) -> None:
    network = build("mlp-discriminator", shape=(2,))
    with pytest.raises(UsageError, match=message):
        add_minibatch(network, kind, **chosen)
    assert type(network.head) is nn.Linear
    with pytest.raises(UsageError, match=r"build it on zerosum\.networks\.Discriminator"):
        add_minibatch(nn.Linear(2, 1), "deviation")
