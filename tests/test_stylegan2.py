"""StyleGAN2: against the papers' sums in NumPy and SciPy, its two formulations, published sizes, penalties."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
import pytest
import torch
from scipy.signal import convolve, correlate, upfirdn
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck

from zerosum.errors import UsageError
from zerosum.games import Draw, Latents, Randomness
from zerosum.games.labels import told
from zerosum.games.terms import Seen, make_penalty
from zerosum.model import Model
from zerosum.networks import LabelledGenerator, StyleGenerator, build, mixes_samples
from zerosum.networks.equalised import EqualisedConv, EqualisedLinear
from zerosum.networks.stylegan2 import SynthesisLayer, ToImage
from zerosum.penalties import path_length, r1

SHAPE = (2, 7, 12)  # from 4×6, cropped
SMALL: dict[str, Any] = {"shape": SHAPE, "style": 6, "mapping_layers": 2, "channel_base": 40, "channel_max": 6}
JUDGE: dict[str, Any] = {"shape": SHAPE, "channel_base": 40, "channel_max": 6, "group": 2}
TAPS = np.array([1.0, 3.0, 3.0, 1.0])


def generator(**options: Any) -> StyleGenerator:
    """Small, in float64, with strengths of noise and biases of about 1."""
    torch.manual_seed(0)
    network = build("stylegan2-generator", latent=3, **SMALL | options).double()
    assert isinstance(network, StyleGenerator)
    for name, values in network.named_parameters():
        if name.endswith(("strength", "bias")):
            nn.init.normal_(values)
    return network


def discriminator(**options: Any) -> nn.Module:
    torch.manual_seed(0)
    network = build("stylegan2-discriminator", **JUDGE | options).double()
    for name, values in network.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(values)
    return network


def of(values: Tensor) -> np.ndarray:
    return values.detach().numpy()


def leaky(values: np.ndarray) -> np.ndarray:
    return np.sqrt(2) * np.where(values > 0, values, 0.2 * values)


# The networks by hand


def affine(layer: EqualisedLinear, style: np.ndarray) -> np.ndarray:
    return of(layer.weight) @ style / sqrt(layer.in_features) + of(layer.bias)


def drawn(layer: SynthesisLayer, x: np.ndarray, style: np.ndarray) -> np.ndarray:
    weight = of(layer.convolution.weight) * affine(layer.affine, style)[None, :, None, None]
    weight = weight / np.sqrt((weight**2).sum((1, 2, 3), keepdims=True) + 1e-8)
    if layer.convolution.blur is not None:
        spread = np.zeros((len(x), *(2 * side - 1 for side in x.shape[1:])))
        spread[:, ::2, ::2] = x
        made = np.array([sum(map(convolve, spread, kernel)) for kernel in weight])
        blurred = [convolve(plane, np.outer(TAPS, TAPS) / 16)[2:-2, 2:-2] for plane in made]
        x = np.array(blurred)
    else:
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
        x = np.array([correlate(padded, kernel, "valid")[0] for kernel in weight])
    return leaky(x + of(layer.strength) * of(layer.noise)[0] + of(layer.bias)[:, None, None])


def shown(layer: ToImage, x: np.ndarray, style: np.ndarray) -> np.ndarray:
    weight = of(layer.convolution.weight)[:, :, 0, 0] * affine(layer.affine, style) / sqrt(len(x))
    return np.einsum("oc,chw->ohw", weight, x) + of(layer.bias)[:, None, None]


def test_whole_generator_by_hand() -> None:
    """In evaluation mode, one sample: mapping, three convolutions, two images, the sum, the crop, the clamp."""
    network = generator().eval()
    z = torch.randn(1, 3, dtype=torch.float64)
    style = of(z)[0] / np.sqrt((of(z) ** 2).mean())
    for layer in network.mapping.layers:
        if isinstance(layer, EqualisedLinear):
            style = leaky(0.01 * (of(layer.weight) @ style / sqrt(len(style)) + of(layer.bias)))
    first, second, third, fourth = network.layers
    x = drawn(first.layer, of(network.constant), style)
    image = upfirdn(TAPS / 4, shown(second.image, x, style), up=2, axis=1)[:, 1:-1]
    image = upfirdn(TAPS / 4, image, up=2, axis=2)[..., 1:-1]
    x = drawn(third.layer, drawn(second.layer, x, style), style)
    assert x.shape == (5, 8, 12)
    image = (image + shown(fourth.image, x, style))[:, :7]
    assert np.abs(image).max() > 1
    np.testing.assert_allclose(of(network(z))[0], image.clip(-1, 1), atol=1e-6)
    network.last.train()
    np.testing.assert_allclose(of(network(z))[0], image, atol=1e-6)


def convolved(layer: EqualisedConv, x: np.ndarray, stride: int = 1) -> np.ndarray:
    side = layer.padding[0]
    padded = np.pad(x, ((0, 0), (side, side), (side, side)))
    weight = of(layer.weight) / sqrt(layer.weight[0].numel())
    made = np.array([correlate(padded, kernel, "valid")[0] for kernel in weight])[:, ::stride, ::stride]
    return made if layer.bias is None else made + of(layer.bias)[:, None, None]


def blurred(x: np.ndarray, padding: int) -> np.ndarray:
    padded = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    return np.array([correlate(plane, np.outer(TAPS, TAPS) / 64, "valid") for plane in padded])


@pytest.mark.parametrize("residual", [False, True])
def test_whole_discriminator_by_hand(residual: bool) -> None:
    """Four samples, of which 0 and 2, and 1 and 3, are a group."""
    network = discriminator(residual=residual)
    images = torch.randn(4, *SHAPE, dtype=torch.float64)
    first, _, stage, _, after, *_, hidden, _ = network.body
    maps = []
    for image in of(images):
        x = leaky(convolved(first, image))
        made = blurred(leaky(convolved(stage.layers[0], x)), 2)
        made = leaky(convolved(stage.layers[3], made, 2))
        if residual:
            made = (made + convolved(stage.short[1], blurred(x, 1)[:, ::2, ::2])) / sqrt(2)
        maps.append(made)
    assert maps[0].shape == (6, 3, 6)
    logits = []
    for sample in range(4):
        deviation = np.sqrt(np.stack((maps[sample], maps[(sample + 2) % 4])).var(0) + 1e-8).mean()
        seen = leaky(convolved(after, np.concatenate((maps[sample], np.full((1, 3, 6), deviation)))))
        seen = leaky(affine(hidden, seen.transpose(1, 2, 0).flatten()))
        logits.append(affine(network.head, seen)[0])
    np.testing.assert_allclose(of(network(images)), logits, atol=1e-9)
    assert mixes_samples(network)


def test_the_formulation_that_is_taken_is_the_fast_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> Tensor:
        raise AssertionError("weights of each sample's own, on a CPU")

    monkeypatch.setattr("zerosum.networks.modulated.grouped_convolution", never)
    for network in (generator(), generator().eval()):
        network(torch.randn(2, 3, dtype=torch.float64))


# Published sizes


def linear(before: int, after: int) -> int:
    return before * after + after


def generator_size(side: int, mapping: int, base: int) -> int:
    """Mapping; constant; of each 3×3 weights, bias, affine and one strength; of each 1×1 weights, bias and affine."""
    count, level = mapping * linear(512, 512) + 16 * 512, 4
    before = 512
    while level <= side:
        width = min(512, base // level)
        for entering in (before, width) if level > 4 else (width,):
            count += 9 * entering * width + width + linear(512, entering) + 1
        count += linear(width, 3) + linear(512, width)
        before, level = width, 2 * level
    return count


def discriminator_size(side: int, base: int, residual: bool) -> int:
    width, count = min(512, base // side), linear(3, min(512, base // side))
    while side > 4:
        side //= 2
        after = min(512, base // side)
        count += linear(9 * width, width) + linear(9 * width, after) + residual * width * after
        width = after
    return count + linear(9 * 513, 512) + linear(16 * 512, 512) + 513


@pytest.mark.parametrize(
    ("side", "mapping", "base", "residual", "sizes"),
    [
        (1024, 8, 32768, True, (30_370_060, 29_012_513)),  # FFHQ, configuration F: 30.37 and 29.01 million
        (256, 8, 16384, True, (24_767_458, 24_001_089)),  # paper256
        (32, 2, 32768, False, (19_947_539, 20_720_641)),  # cifar, without labels
    ],
)
def test_published_sizes(side: int, mapping: int, base: int, residual: bool, sizes: tuple[int, int]) -> None:
    assert sizes == (generator_size(side, mapping, base), discriminator_size(side, base, residual))
    shape = (3, side, side)
    with torch.device("meta"):
        maker = build("stylegan2-generator", latent=512, shape=shape, mapping_layers=mapping, channel_base=base)
        judge = build("stylegan2-discriminator", shape=shape, channel_base=base, residual=residual)
    assert tuple(sum(values.numel() for values in network.parameters()) for network in (maker, judge)) == sizes
    assert len(maker.layers) == 2 * (side.bit_length() - 1) - 2  # 18 styles for 1024×1024


@pytest.mark.parametrize(
    ("shape", "start", "maps"),
    [
        ((1, 28, 28), (4, 4), [512, 512, 512, 512]),
        ((3, 256, 128), (8, 4), [512, 512, 512, 512, 512, 256]),
        ((1, 4, 9), (4, 9), [512]),
        ((1, 37, 21), (5, 3), [512, 512, 512, 512]),
    ],
)
def test_rule_of_sizes(shape: tuple[int, ...], start: tuple[int, int], maps: list[int]) -> None:
    with torch.device("meta"):
        network = build("stylegan2-generator", latent=4, shape=shape)
    assert network.constant.shape == (maps[0], *start)
    made = [step.image.convolution.in_channels for step in network.layers if step.image is not None]
    assert made == maps
    assert len(network.layers) == 2 * len(maps)


def test_first_weights() -> None:
    """All are N(0, 1), of the mapping N(0, 100²), but for biases: 1 of the styles' affine maps, else 0."""
    torch.manual_seed(0)
    for network in (
        build("stylegan2-generator", latent=16, shape=(3, 16, 16), channel_max=24, style=32, mapping_layers=3),
        build("stylegan2-discriminator", shape=(3, 16, 16), channel_max=24),
    ):
        for name, values in network.named_parameters():
            if name.endswith(("bias", "strength")):
                assert values.unique().tolist() == [1.0 if "affine" in name else 0.0]
            elif values.numel() > 500:
                assert values.std().item() == pytest.approx(100 if "mapping" in name else 1, rel=0.1)


def test_signals_keep_their_size() -> None:
    """At first: second moments of styles, maps and features are about 1, though enlarging takes a part."""
    torch.manual_seed(0)
    network = build("stylegan2-generator", latent=64, shape=(3, 32, 32), channel_max=64, style=64)
    judge = build("stylegan2-discriminator", shape=(3, 32, 32), channel_max=64)
    z = torch.randn(64, 64)
    assert network.styles(z).square().mean().item() == pytest.approx(1, rel=0.5)
    moments: list[float] = []
    for layer in network.modules():
        if isinstance(layer, SynthesisLayer):
            layer.register_forward_hook(lambda _, __, out: moments.append(out.square().mean().item()))
    images = network(z)
    assert len(moments) == 7
    assert all(0.1 < moment < 2 for moment in moments)
    assert 0.3 < judge(images, features=True)[1].square().mean().item() < 3


# What styles and noise do


def test_a_latent_always_makes_the_same_sample_and_in_training_it_does_not() -> None:
    network = generator(mixing=0.0).eval()
    z = torch.randn(5, 3, dtype=torch.float64)
    made = network(z)
    torch.testing.assert_close(network(z[3:4]), made[3:4])
    torch.testing.assert_close(network.synthesise(network.styles(z)), made)
    again = generator()
    again.load_state_dict(network.state_dict())
    assert torch.equal(again.eval()(z), made)
    assert not torch.allclose(network.train()(z), network(z))
    for name, values in network.named_parameters():
        if name.endswith("strength"):
            nn.init.zeros_(values)
    torch.testing.assert_close(network(z), network(z))


def test_styles_are_mixed_in_training_alone() -> None:
    network = generator(mixing=1.0)
    for name, values in network.named_parameters():
        if name.endswith("strength"):
            nn.init.zeros_(values)
    z = torch.randn(6, 3, dtype=torch.float64)
    plain = network.synthesise(network.styles(z))
    assert ((network(z) - plain).flatten(1).abs().amax(1) > 1e-6).all()
    network.eval()
    torch.testing.assert_close(network(z), plain.clamp(-1, 1))
    assert mixes_samples(network)
    assert not mixes_samples(generator(mixing=0.0))
    with pytest.raises(UsageError, match="one a layer"):
        network.synthesise(network.styles(z)[:, None].expand(-1, 3, -1))


def test_truncation_leads_to_the_mean_style() -> None:
    about = {"latent": {"size": 3, "distribution": "normal"}, "data": {"shape": SHAPE}}
    network = generator().float().eval()
    model = Model({"generator": network}, about)
    z = torch.randn(4, 3)
    many = Latents(3, "normal").rows(Randomness(0), "mean style", 0, 4096)
    mean = network.styles(many).mean(0, keepdim=True)
    torch.testing.assert_close(model.generate(z, truncation=0.0), network.synthesise(mean).expand(4, -1, -1, -1))
    between = network.synthesise(mean + 0.7 * (network.styles(z) - mean))
    torch.testing.assert_close(model.generate(z, truncation=0.7), between, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model.generate(z), network(z))
    assert model.styled


# Penalties


def test_first_and_second_derivatives() -> None:
    """By finite differences, in float64: of the generator by its styles, of the discriminator by its images."""
    network, judge = generator(mixing=0.0).eval(), discriminator()
    network.last.train()  # no clamp: its corners are no derivative
    styles = torch.randn(1, 6, dtype=torch.float64, requires_grad=True)
    images = torch.randn(2, *SHAPE, dtype=torch.float64, requires_grad=True)
    for function, given in ((network.synthesise, styles), (judge, images)):
        assert gradcheck(function, given, fast_mode=True)
        assert gradgradcheck(function, given, fast_mode=True)


def check_slope(network: nn.Module, value: Any, step: float = 1e-6) -> None:
    """The slope of `value()` along one direction of all parameters, against its difference."""
    parameters = list(network.parameters())
    directions = [torch.randn_like(each) for each in parameters]
    slopes = torch.autograd.grad(value(), parameters, allow_unused=True)
    slope = sum((a * b).sum() for a, b in zip(slopes, directions, strict=True) if a is not None)
    ends = []
    for sign in (1, -2):
        with torch.no_grad():
            for each, direction in zip(parameters, directions, strict=True):
                each.add_(direction, alpha=sign * step)
        ends.append(value().detach())
    assert slope.item() == pytest.approx(((ends[0] - ends[1]) / (2 * step)).item(), rel=1e-4)


def test_slope_of_r1() -> None:
    judge = discriminator()
    images = torch.randn(4, *SHAPE, dtype=torch.float64)
    check_slope(judge, lambda: r1(judge, images))


def test_slope_of_path_length() -> None:
    """Through the mapping network as well."""
    network = generator(mixing=0.0).eval()
    network.last.train()
    z, noise = torch.randn(3, 3, dtype=torch.float64), torch.randn(3, *SHAPE, dtype=torch.float64)
    mean = torch.tensor(0.1, dtype=torch.float64)

    def value() -> Tensor:
        styles = network.styles(z)[:, None].expand(-1, len(network.layers), -1)
        return path_length(network.synthesise, styles, noise, mean, decay=1.0)[0]

    check_slope(network, value)
    touched = torch.autograd.grad(value(), list(network.mapping.parameters()))
    assert all(slope.any() for slope in touched)


@pytest.mark.parametrize("labelled", [False, True])
def test_path_length_in_a_game_is_that_of_styles(labelled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """√ of the mean over layers of ‖∂(G·y)/∂w‖², on half a batch; the mean is remembered, and goes to checkpoints."""
    inner = generator(mixing=0.0)
    for name, values in inner.named_parameters():
        if name.endswith("strength"):
            nn.init.zeros_(values)
    network = LabelledGenerator(inner, 2) if labelled else inner
    z = torch.randn(6, 1 if labelled else 3, dtype=torch.float64)
    labels = torch.tensor([0, 1, 1, 0, 0, 1])
    joined = torch.cat((z, torch.eye(2, dtype=torch.float64)[labels]), 1) if labelled else z
    noise = torch.randn(3, *SHAPE, dtype=torch.float64)
    styles = inner.styles(joined[:3])[:, None].repeat(1, 4, 1).detach().requires_grad_()
    projected = (inner.synthesise(styles) * noise).sum() / sqrt(7 * 12)
    (slopes,) = torch.autograd.grad(projected, styles)
    lengths = slopes.square().sum(2).mean(1).sqrt()
    penalty = make_penalty("path_length", network, weight=None, every=4, options={}).double()
    monkeypatch.setattr(torch, "randn_like", lambda like: noise if like.shape == noise.shape else None)
    nothing = torch.empty(0)
    seen = Seen(nothing, nothing, nothing, nothing, labels=labels, latents=z)
    mean = 0.0
    for _ in range(2):
        value = penalty(told(network, labels if labelled else None), seen, Draw(Randomness(0), 0, 6, 0, 0.0))
        mean += 0.01 * (lengths.mean().item() - mean)
        assert value.item() == pytest.approx((lengths - mean).square().mean().item(), rel=1e-6)
    assert penalty.state_dict()["mean"].item() == pytest.approx(mean)
    assert penalty.factor(0.0) == 8  # weight 2, every 4
    value.backward()
    assert all(values.grad is not None for values in inner.mapping.parameters())


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("stylegan2-generator", {"shape": (1, 3, 8)}, "at least 4×4"),
        ("stylegan2-generator", {"shape": (2,)}, "mlp-generator"),
        ("stylegan2-generator", {"channel_base": 31}, "give 32 or more"),
        ("stylegan2-generator", {"mapping_layers": 0}, "mapping_layers is 0"),
        ("stylegan2-generator", {"mixing": -0.1}, "from 0 to 1"),
        ("stylegan2-discriminator", {"channel_max": 0}, "channel_max is 0"),
        ("stylegan2-discriminator", {"group": 1}, "at least 2"),
    ],
)
def test_mistakes_are_named(name: str, options: dict[str, Any], says: str) -> None:
    given = {"latent": 3} if name.endswith("generator") else {}
    with pytest.raises(UsageError, match=says):
        build(name, **given | {"shape": (1, 28, 28)} | options)


def test_maps_stay_channels_last_and_bfloat16_is_near() -> None:
    torch.manual_seed(0)
    network = build("stylegan2-generator", latent=8, shape=(3, 16, 16), channel_max=32, style=32, mapping_layers=2)
    judge = build("stylegan2-discriminator", shape=(3, 16, 16), channel_max=32)
    seen: list[bool] = []
    for player in (network.eval(), judge):
        player.to(memory_format=torch.channels_last)
        for layer in player.modules():
            layer.register_forward_hook(
                lambda _, __, out: (
                    seen.append(out.is_contiguous(memory_format=torch.channels_last))
                    if isinstance(out, Tensor) and out.dim() == 4
                    else None
                )
            )
    z = torch.randn(8, 8)
    made, said = network(z), judge(network(z))
    assert len(seen) > 30
    assert all(seen)
    with torch.autocast("cpu", torch.bfloat16):
        rough, roughly = network(z), judge(made)
    assert rough.dtype == torch.float32
    torch.testing.assert_close(rough, made, atol=0.15, rtol=0)
    torch.testing.assert_close(roughly.float(), said, atol=0.15, rtol=0.1)
