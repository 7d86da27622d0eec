"""R3GAN: the published numbers of parameters, first weights, and every part against SciPy and NumPy."""

from __future__ import annotations

from itertools import pairwise
from math import sqrt
from typing import Any

import numpy as np
import pytest
import torch
from scipy.signal import convolve2d, correlate2d
from torch import Tensor, nn
from torch.nn.functional import conv2d

from light import awake
from zerosum.errors import UsageError
from zerosum.networks import LabelledGenerator, ProjectionDiscriminator, build, mixes_samples
from zerosum.networks.r3gan import Resample, Start, block, widths
from zerosum.networks.translator import Residual
from zerosum.penalties import r1

Z, BLOCKS, EXPANSION = 64, 2, 2
# The authors' settings (train.py): widths and cardinalities from 4×4 on, classes; and what they come to.
PUBLISHED = {
    "CIFAR-10": ([768] * 4, [96] * 4, 10, 20_781_952, 21_280_512),
    "CIFAR-10 without labels": ([768] * 4, [96] * 4, 0, 20_732_160, 20_683_776),
    "FFHQ-64": ([768] * 4 + [384], [96] * 4 + [48], 0, 22_429_824, 22_381_440),
    "FFHQ-256": ([768] * 4 + [384, 192, 96], [96] * 4 + [48, 24, 12], 0, 23_057_952, 23_009_568),
    "ImageNet-32": ([1536] * 4, [96] * 4, 1000, 82_914_304, 86_548_992),
    "ImageNet-64": ([1536] * 5, [96] * 5, 1000, 103_570_432, 107_205_120),
}


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def of(values: Tensor) -> np.ndarray:
    return values.detach().numpy()


def leaky(values: np.ndarray) -> np.ndarray:
    return np.where(values > 0, values, 0.2 * values)


def counted(channels: list[int], cardinalities: list[int], classes: int) -> tuple[int, int]:
    """Parameters of the published generator and discriminator, term by term."""
    trunk = 3 * channels[-1]  # 1×1 to, or from, the image
    for width, cardinality in zip(channels, cardinalities, strict=True):
        inner = EXPANSION * width
        trunk += BLOCKS * (width * inner + 9 * inner * (inner // cardinality) + inner * width + 2 * inner)
    trunk += sum(before * after for before, after in pairwise(channels) if before != after)
    trunk += 16 * channels[0]  # basis, or depthwise 4×4
    embedding = Z if classes else 0
    generator = trunk + (Z + embedding) * channels[0] + classes * embedding
    discriminator = trunk + (channels[0] * channels[0] + classes * channels[0] if classes else channels[0])
    return generator, discriminator


@pytest.mark.parametrize("preset", PUBLISHED)
def test_published_sizes(preset: str) -> None:
    channels, cardinalities, classes, made, judged = PUBLISHED[preset]
    assert counted(channels, cardinalities, classes) == (made, judged)
    side, group = 4 << len(channels) - 1, EXPANSION * channels[0] // cardinalities[0]
    common: dict[str, Any] = {"shape": (3, side, side), "widths": channels, "group": group}
    with torch.device("meta"):
        generator = build(
            "r3gan-generator", latent=Z + classes, **common, embedding=Z if classes else 0, classes=classes
        )
        discriminator = build("r3gan-discriminator", **common, embedding=channels[0] if classes else 0)
        assert parameters(generator) == made
        if not classes:
            assert parameters(discriminator) == judged
            assert widths(side, side) == channels  # the default
            assert parameters(build("r3gan-generator", latent=Z, shape=(3, side, side))) == made
        else:  # the house's projection keeps the unconditional head beside it
            assert parameters(ProjectionDiscriminator(discriminator, classes)) == judged + channels[0]


@pytest.mark.parametrize(
    ("shape", "start", "channels"),
    [
        ((4, 4), (4, 4), [64]),
        ((7, 5), (7, 5), [64]),
        ((28, 28), (7, 7), [64, 64, 64]),
        ((37, 21), (10, 6), [64, 64, 64]),
        ((33, 64), (5, 8), [64, 64, 64, 32]),
        ((300, 280), (5, 5), [64, 64, 64, 32, 16, 8, 8]),  # 5, 9, 18, 35, 70, 140, 280 pixels
    ],
)
def test_rule_of_sizes(shape: tuple[int, int], start: tuple[int, int], channels: list[int]) -> None:
    assert widths(*shape, 64) == channels
    with torch.device("meta"):
        generator = build("r3gan-generator", latent=3, shape=(3, *shape), width=64)
    first = next(layer for layer in generator.modules() if isinstance(layer, Start))
    assert first.basis.shape == (*start, 64)
    assert sum(isinstance(layer, Residual) for layer in generator.modules()) == 2 * len(channels)


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 5, 31), (4, 33, 18), (1, 28, 28), (3, 6, 64)], ids=str)
@pytest.mark.parametrize("chosen", [{"width": 8}, {"widths": [16, 8, 24], "group": 8, "blocks": 1, "expansion": 3}])
def test_shapes(shape: tuple[int, int, int], chosen: dict[str, Any]) -> None:
    torch.manual_seed(0)
    generator = awake(build("r3gan-generator", latent=5, shape=shape, **chosen))
    discriminator = awake(build("r3gan-discriminator", shape=shape, **chosen))
    for precision in (torch.float32, torch.bfloat16):
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
            images = generator(torch.randn(2, 5))
            assert (images.shape, images.dtype) == ((2, *shape), torch.float32)
            assert discriminator(images).shape == (2,)
    assert not mixes_samples(discriminator)


def test_weights_are_the_papers() -> None:
    """Each weight over its published deviation is of one normal distribution; zero are biases and last convolutions."""
    torch.manual_seed(0)
    options: dict[str, Any] = {"shape": (3, 16, 16), "widths": [64, 48, 32], "blocks": 3}
    networks = build("r3gan-generator", latent=64, **options), build("r3gan-discriminator", **options, embedding=40)
    gain = sqrt(2 / 1.04) * (3 * 3) ** -0.25
    drawn = []
    for network in networks:
        for residual in (layer for layer in network.modules() if isinstance(layer, Residual)):
            first, second, third = (layer for layer in residual if isinstance(layer, nn.Conv2d))
            assert not third.weight.any()
            assert third.bias is None
            assert not first.bias.any()
            assert not second.bias.any()
            drawn += [first.weight / gain * sqrt(first.in_channels), second.weight / gain * sqrt(9 * 16)]
        drawn += [layer.weight * sqrt(layer.in_features) for layer in network.modules() if isinstance(layer, nn.Linear)]
        drawn += [
            weight * (1 if network is networks[0] else 4)
            for key, weight in network.named_parameters()
            if key.endswith("basis")
        ]
    for values in drawn:
        assert values.square().mean().sqrt().item() == pytest.approx(1, abs=5 / sqrt(2 * values.numel()))
    whole = torch.cat([values.flatten() for values in drawn])
    assert whole.mean().item() == pytest.approx(0, abs=5 / sqrt(len(whole)))
    assert whole.square().mean().item() == pytest.approx(1, abs=0.01)
    assert whole.pow(4).mean().item() == pytest.approx(3, abs=0.06)  # a uniform distribution has 1.8


def test_blocks_begin_as_the_identity() -> None:
    """So that the whole discriminator is linear at first; not so once a block is awake."""
    torch.manual_seed(0)
    network = build("r3gan-discriminator", shape=(2, 21, 12), width=16)
    x, y = torch.randn(2, 3, 2, 21, 12)
    torch.testing.assert_close(network(x - 2 * y), network(x) - 2 * network(y), rtol=1e-4, atol=1e-5)
    awake(network)
    assert (network(x - 2 * y) - network(x) + 2 * network(y)).abs().min() > 1e-2


@pytest.mark.parametrize("sides", [(6, 9), (7, 4), (1, 5)])
def test_resampling_is_scipys(sides: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    maps = rng.standard_normal((2, 3, *sides))
    taps = np.convolve([1, 2, 1], [1, 1])
    kernel = np.outer(taps, taps) / 64
    halved = Resample(enlarge=False).double()(torch.from_numpy(maps)) if min(sides) > 1 else None
    doubled = Resample(enlarge=True).double()(torch.from_numpy(maps))
    assert doubled.shape == (2, 3, 2 * sides[0], 2 * sides[1])
    for image in np.ndindex(2, 3):
        stuffed = np.zeros([2 * side - 1 for side in sides])
        stuffed[::2, ::2] = maps[image]
        np.testing.assert_allclose(of(doubled[image]), convolve2d(stuffed, 4 * kernel)[1:-1, 1:-1], atol=1e-12)
        if halved is not None:
            full = correlate2d(np.pad(maps[image], 1), kernel, "valid")[::2, ::2]
            np.testing.assert_allclose(of(halved[image]), full, atol=1e-12)


@pytest.mark.parametrize("enlarge", [True, False])
def test_resampling_in_16_bits(enlarge: bool) -> None:
    torch.manual_seed(0)
    layer, x = (
        Resample(enlarge=enlarge),
        torch.randn(2, 3, 8, 6).bfloat16().contiguous(memory_format=torch.channels_last),
    )
    with torch.autocast("cpu", torch.bfloat16):
        made = layer(x)
    assert made.dtype == torch.bfloat16
    assert made.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(made, layer(x.float()).bfloat16())  # summed in float32, rounded once


def test_block_by_hand() -> None:
    """1×1, bias, leaky ReLU, 3×3 in groups, bias, leaky ReLU, 1×1, and what came in."""
    torch.manual_seed(0)
    layers = awake(block(6, expansion=2, group=4, gain=1.0)).double()
    for key, values in layers.named_parameters():
        if key.endswith("bias"):
            nn.init.normal_(values)
    first, second, third = (layer for layer in layers if isinstance(layer, nn.Conv2d))
    x = np.random.default_rng(0).standard_normal((6, 5, 7))
    y = leaky(np.einsum("oc,chw->ohw", of(first.weight)[:, :, 0, 0], x) + of(first.bias)[:, None, None])
    z = np.zeros_like(y)
    for out in range(12):
        for place in range(4):
            z[out] += correlate2d(y[4 * (out // 4) + place], of(second.weight)[out, place], "same")
    z = leaky(z + of(second.bias)[:, None, None])
    expected = x + np.einsum("oc,chw->ohw", of(third.weight)[:, :, 0, 0], z)
    np.testing.assert_allclose(of(layers(torch.from_numpy(x)[None]))[0], expected, atol=1e-12)


def test_ends_by_hand() -> None:
    """Without awake blocks: z through Linear, times the basis, enlarged, to the image; and back."""
    torch.manual_seed(0)
    options: dict[str, Any] = {"shape": (2, 8, 12), "widths": [16, 8]}
    generator = build("r3gan-generator", latent=5, **options, output="linear").double()
    discriminator = build("r3gan-discriminator", **options).double()
    start, to_fewer, to_image = (generator.layers[place] for place in (0, 3, 7))
    z = torch.randn(3, 5, dtype=torch.float64)
    maps = torch.einsum("nz,cz,hwc->nchw", z, start.linear.weight, start.basis)
    maps = Resample(enlarge=True).double()(conv2d(maps, to_fewer.weight[:, :, None, None]))
    torch.testing.assert_close(generator.train()(z), conv2d(maps, to_image.weight[:, :, None, None]).float())
    x = torch.randn(3, 2, 8, 12, dtype=torch.float64)
    from_image, to_more, end = (discriminator.body[place] for place in (0, 4, 7))
    maps = Resample(enlarge=False).double()(conv2d(x, from_image.weight[:, :, None, None]))
    maps = conv2d(maps, to_more.weight[:, :, None, None])
    features = conv2d(maps, end.basis.permute(2, 0, 1)[:, None], groups=16).flatten(1)
    torch.testing.assert_close(discriminator(x, features=True)[1], features)
    torch.testing.assert_close(discriminator(x), (features @ discriminator.head.weight.T)[:, 0])


def test_linear_output_is_clamped_in_evaluation_alone() -> None:
    torch.manual_seed(0)
    network = build("r3gan-generator", latent=5, shape=(3, 8, 8), width=8, output="linear")
    z = torch.randn(64, 5)
    free = network(z)
    assert free.abs().max() > 1
    assert torch.equal(network.eval()(z), free.clamp(-1, 1))
    bounded = build("r3gan-generator", latent=5, shape=(3, 8, 8), width=8)
    bounded.load_state_dict(network.state_dict())
    torch.testing.assert_close(bounded(z), free.tanh())


def test_gradients_of_gradients() -> None:
    """R1's gradient by each parameter, through the layers that write in place, against differences."""
    torch.manual_seed(0)
    network = awake(build("r3gan-discriminator", shape=(2, 9, 8), width=8, blocks=1)).double()
    for key, values in network.named_parameters():
        if key.endswith("bias"):
            nn.init.normal_(values, 0.0, 0.1)
    x = torch.randn(3, 2, 9, 8, dtype=torch.float64)
    weights = list(network.parameters())
    slopes = torch.autograd.grad(r1(network, x), weights, allow_unused=True)
    for weight, slope in zip(weights, slopes, strict=True):
        way, step = torch.randn_like(weight), 1e-6
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                weight.add_(way, alpha=sign * step)
            values.append(r1(network, x).item())
            with torch.no_grad():
                weight.sub_(way, alpha=sign * step)
        along = 0.0 if slope is None else (slope * way).sum().item()
        assert along == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-5, abs=1e-7)


def test_labels_enter_as_published() -> None:
    """Generator: an embedding behind z. Discriminator: linear features times another; here its own head is silenced."""
    torch.manual_seed(0)
    labels = torch.tensor([2, 0, 1, 2])
    inner = build("r3gan-generator", latent=5 + 3, shape=(1, 8, 8), width=8, embedding=4, classes=3)
    z, embed = torch.randn(4, 5), inner.layers[0].linear.weight
    assert embed.shape == (4, 3)
    plain = build("r3gan-generator", latent=5 + 4, shape=(1, 8, 8), width=8)
    plain.layers = nn.Sequential(*list(inner.layers)[1:])
    expected = plain(torch.cat((z, embed.T[labels]), 1))
    torch.testing.assert_close(LabelledGenerator(inner, 3)(z, labels), expected)
    judge = build("r3gan-discriminator", shape=(1, 8, 8), width=16, embedding=6)
    network, x = ProjectionDiscriminator(judge, 3), torch.randn(4, 1, 8, 8)
    nn.init.zeros_(judge.head.weight)
    features = judge.body[:-1](x) @ judge.body[-1].weight.T
    torch.testing.assert_close(network(x, labels), (features * network.embedding.weight.T[labels]).sum(1))


@pytest.mark.parametrize(
    ("role", "arguments", "message"),
    [
        ("discriminator", {"shape": (1, 3, 9)}, "at least 4×4, these are 3×9: enlarge"),
        ("discriminator", {"shape": (2,)}, "choose mlp-generator"),
        ("discriminator", {"widths": [16, 12]}, "12 channels, 2 times as many .* multiples of 8"),
        ("generator", {"width": 100, "group": 32}, "100 channels"),
        ("generator", {"widths": [16, 0]}, "widths is 0"),
        ("generator", {"widths": [16.0]}, r"widths is 16\.0"),
        ("generator", {"widths": [8] * 5}, "nothing is left after 4 halvings: give 4 widths"),
        ("generator", {"blocks": 0}, "blocks is 0"),
        ("generator", {"group": -1}, "group is -1"),
        ("generator", {"embedding": 4}, "classes is 0"),
        ("generator", {"classes": 4}, "embedding is 0"),
        ("generator", {"classes": 5, "embedding": 4}, "latents have 5 numbers"),
        ("generator", {"output": "line"}, "did you mean 'linear'"),
        ("discriminator", {"embedding": -1}, "embedding is -1"),
    ],
)
def test_mistakes_are_named(role: str, arguments: dict[str, Any], message: str) -> None:
    given = {"shape": (1, 8, 8)} | ({"latent": 5} if role == "generator" else {}) | arguments
    with pytest.raises(UsageError, match=message):
        build(f"r3gan-{role}", **given)
