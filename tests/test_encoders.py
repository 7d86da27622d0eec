"""Encoders, the generator that is one, and discriminators of pairs: sizes, contracts, formulas by hand."""

from __future__ import annotations

from copy import deepcopy
from math import prod
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from light import LIGHT, awake
from zerosum import penalties
from zerosum.errors import UsageError
from zerosum.games.game import frozen
from zerosum.networks import (
    Discriminator,
    Encoder,
    Given,
    JointDiscriminator,
    add_minibatch,
    build,
    build_encoder,
    is_convolutional,
    mixes_samples,
    names,
)

SHAPE = (1, 32, 32)


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("name", names("discriminator"))
def test_an_encoder_is_a_discriminators_body(name: str) -> None:
    torch.manual_seed(0)
    network = build_encoder(name, shape=SHAPE, code=5, **LIGHT.get(name, {}))
    torch.manual_seed(0)
    discriminator = build(name, shape=SHAPE, **LIGHT.get(name, {}))
    assert isinstance(discriminator, Discriminator)
    assert network.width == discriminator.width
    ours, theirs = network.body.state_dict(), discriminator.body.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(value, theirs[key]) for key, value in ours.items())
    x = torch.rand(4, *SHAPE)
    features = discriminator.eval()(x, features=True)[1]
    codes = network.eval()(x)
    torch.testing.assert_close(codes, features @ network.head.weight.T + network.head.bias)
    assert codes.shape == (4, 5)
    assert is_convolutional(network) is is_convolutional(discriminator)
    assert mixes_samples(network) is mixes_samples(discriminator)
    awake(network).train()(x).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in network.parameters())


def test_encoders_of_points_and_by_their_options() -> None:
    network = build_encoder("mlp-discriminator", shape=(2,), code=3, hidden=[7], dropout=0.0)
    assert parameters(network) == 2 * 7 + 7 + 7 * 3 + 3
    x = torch.randn(4, 2)
    assert torch.equal(network(x), network(x))  # nothing dropped in training
    assert network(x).shape == (4, 3)


@pytest.mark.parametrize("name", ["dcgan-discriminator", "quick-discriminator", "dcgan-28-discriminator"])
def test_codes_begin_at_the_scale_of_the_features(name: str) -> None:
    """Whatever the body's weights: 1/√3 = 0.58 of their root mean square, as the docstring says."""
    torch.manual_seed(0)
    network = build_encoder(name, shape=(3, 64, 64), code=400).eval()
    x = torch.rand(8, 3, 64, 64) * 2 - 1
    scale = network.body(x).square().mean().sqrt()
    codes = network(x) - network.head.bias
    assert (codes.square().mean().sqrt() / scale).item() == pytest.approx(0.58, abs=0.1)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("quick-generator", {}, "quick-generator is a generator: .*'quick-discriminator'"),
        ("quick-discriminatr", {}, "did you mean 'quick-discriminator'"),
        ("quick-discriminator", {"code": 0}, "code is 0"),
        ("quick-discriminator", {"dropout": 0.0}, "no option 'dropout'"),
    ],
)
def test_mistakes_with_encoders_are_named(name: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build_encoder(name, **{"shape": SHAPE, "code": 2} | arguments)


def encoder_generator(shape: tuple[int, int, int]) -> nn.Module:
    return build("encoder-generator", latent=prod(shape), shape=shape)


def test_size_of_the_encoder_generator() -> None:
    """By hand: convolutions down, one bias; the code's two layers; BatchNorm; convolutions up, one bias."""
    network = encoder_generator((1, 28, 28))
    down = 9 * 64 + 64 + 9 * 64 * 128 + 9 * 128 * 256
    up = 9 * 256 * 128 + 9 * 128 * 64 + 9 * 64 + 1
    code = 4 * 4 * 256 * 128 * 2 + 128
    assert parameters(network) == down + code + up + 2 * (128 + 256 + 256 + 128 + 64) == 1_788_865
    assert sum(values.numel() for key, values in network.named_buffers() if "running" in key) == 2 * (832 + 128)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 64, 64), (3, 37, 21), (4, 8, 8)], ids=str)
def test_encoder_generator_of_any_size(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    network = encoder_generator(shape).to(memory_format=torch.channels_last)
    sizes: list[tuple[int, ...]] = []
    formats: list[bool] = []

    def look(layer: nn.Module, _: Any, out: Tensor) -> None:
        if out.dim() == 4:
            formats.append(out.is_contiguous(memory_format=torch.channels_last))
        if isinstance(layer, nn.Conv2d):
            sizes.append(tuple(out.shape[1:]))

    for layer in network.modules():
        if not list(layer.children()):
            layer.register_forward_hook(look)
    images = torch.rand(2, *shape) * 2 - 1
    made = network(images.flatten(1))
    assert made.shape == images.shape
    assert made.abs().max() <= 1
    assert all(formats) or shape[1:] == (8, 8)  # a map of 1×1 has no format to keep
    (channels, height, width), third = shape, lambda side, times: -(-side // 2**times)
    halves = [(third(height, times), third(width, times)) for times in range(4)]
    widths = [(64, 1), (128, 2), (256, 3), (128, 2), (64, 1), (channels, 0)]
    assert sizes == [(count, *halves[times]) for count, times in widths]
    made.square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in network.parameters())


def test_the_latent_is_an_image_in_the_order_of_flatten() -> None:
    """The first convolution sees the image; behind the code every place of what is made depends on every pixel."""
    torch.manual_seed(0)
    network = encoder_generator((3, 64, 64)).eval()
    images, seen = torch.rand(1, 3, 64, 64), []
    first = network.encoder[0]
    first.register_forward_hook(lambda _, given, out: seen.append(out))
    made = network(images.flatten(1))
    torch.testing.assert_close(seen[0], F.conv2d(images, first.weight, first.bias, 2, 1))
    changed = images.clone()
    changed[0, 1, 2, 60] += 1
    assert bool(((made - network(changed.flatten(1))).abs().sum(1) > 0).all())


def test_encoder_generator_learns_to_copy_digits() -> None:
    """It is an autoencoder: real digits come back with less than half the error of their mean image."""
    from sklearn.datasets import load_digits

    torch.manual_seed(0)
    digits = torch.tensor(load_digits().images[:32], dtype=torch.float32)[:, None] / 8 - 1
    network = encoder_generator((1, 8, 8))
    rule = torch.optim.Adam(network.parameters(), 2e-3)
    for _ in range(50):
        rule.zero_grad()
        error = (network(digits.flatten(1)) - digits).square().mean()
        error.backward()
        rule.step()
    assert error < (digits - digits.mean(0)).square().mean() / 2


def test_encoder_generator_in_bfloat16_and_twice_differentiated() -> None:
    torch.manual_seed(0)
    network = encoder_generator((1, 28, 28))
    z = torch.randn(4, 784)
    with torch.autocast("cpu", torch.bfloat16):
        half = network(z)
    torch.testing.assert_close(half.float(), network(z), rtol=0, atol=0.05)
    value, _ = penalties.path_length(network, z, torch.randn(4, 1, 28, 28), torch.zeros(()))
    value.backward()
    assert network.encoder[0].weight.grad.any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"latent": 64, "shape": (1, 28, 28)}, "--latent.size 784, for 1×28×28"),
        ({"latent": 49, "shape": (1, 7, 7)}, "at least 8×8"),
        ({"latent": 2, "shape": (2,)}, "mlp-generator"),
    ],
)
def test_mistakes_with_the_encoder_generator_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build("encoder-generator", **arguments)


@pytest.mark.parametrize("name", names("discriminator"))
def test_joint_discriminator_by_hand(name: str) -> None:
    torch.manual_seed(0)
    inner = build(name, shape=SHAPE, **LIGHT.get(name, {}))
    assert isinstance(inner, Discriminator)
    network = JointDiscriminator(inner, 5, 24).eval()
    x, z = torch.rand(4, *SHAPE), torch.randn(4, 5)
    (code,), (both,) = ([part[0]] for part in (network.body.codes, network.body.both))
    of_x = inner.eval()(x, features=True)[1]
    of_z = F.leaky_relu(z @ code.weight.T + code.bias, 0.2)
    seen = F.leaky_relu(torch.cat((of_x, of_z), 1) @ both.weight.T + both.bias, 0.2)
    logits, features = network(x, z, features=True)
    torch.testing.assert_close(features, seen)
    torch.testing.assert_close(logits, (seen @ network.head.weight.T + network.head.bias)[:, 0])
    assert torch.equal(network(x, z), logits)
    assert (network.width, network.maps, features.shape) == (24, False, (4, 24))
    assert parameters(network) == parameters(inner.body) + 24 * 6 + 24 * (inner.width + 24 + 1) + 24 + 1
    assert mixes_samples(network) is mixes_samples(inner)


def test_what_callers_do_with_a_joint_discriminator() -> None:
    torch.manual_seed(0)
    inner = build("quick-discriminator", shape=(1, 16, 16))
    assert isinstance(inner, Discriminator)
    network = JointDiscriminator(inner, 5, 24)
    x, z = torch.rand(4, 1, 16, 16), torch.randn(4, 5, requires_grad=True)
    judge = Given(network, z)
    logits, _ = frozen(judge, x, features=True)
    logits.sum().backward()
    assert z.grad is not None
    assert all(row.any() for row in z.grad)  # the encoder learns through the codes
    assert all(parameter.grad is None for parameter in network.parameters())
    alone = torch.stack([penalties.r1(Given(network, z[i : i + 1]), x[i : i + 1]) for i in range(4)])
    torch.testing.assert_close(penalties.r1(judge, x), alone.mean())
    assert torch.equal(deepcopy(network)(x, z), network(x, z))
    assert add_minibatch(network, "deviation") is network
    assert mixes_samples(network)
    penalties.spectral_normalise(network)
    assert network(x, z).isfinite().all()
    assert network.body.samples is inner.body
    for bad in ({"code": 0, "hidden": 3}, {"code": 3, "hidden": 0}):
        with pytest.raises(UsageError, match="is 0"):
            JointDiscriminator(inner, **bad)


def test_an_encoder_of_ones_own() -> None:
    network = Encoder(nn.Flatten(), 6, 2)
    assert network(torch.rand(3, 1, 2, 3)).shape == (3, 2)
    averaging = Encoder(nn.Identity(), 4, 2)
    maps = torch.rand(3, 4, 5, 6)
    torch.testing.assert_close(averaging(maps), averaging.head(maps.mean((2, 3))))
    with pytest.raises(UsageError, match="width is 0"):
        Encoder(nn.Flatten(), 0, 2)
