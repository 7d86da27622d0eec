"""Networks: published sizes, the contracts of all, TensorFlow's padding, layers over a batch, Fourier features."""

from __future__ import annotations

import json
from itertools import pairwise
from math import e, erfc, sqrt
from typing import Any

import numpy as np
import pytest
import torch
from scipy.signal import convolve, correlate
from torch import nn

from zerosum.errors import UsageError
from zerosum.networks import (
    Discriminator,
    FourierFeatures,
    MinibatchDeviation,
    MinibatchDiscrimination,
    add_minibatch,
    build,
    entry,
    is_convolutional,
    mixes_samples,
    names,
    options,
)
from zerosum.networks.dcgan28 import down_same, mirrored, up_same
from zerosum.networks.layers import Dropout
from zerosum.penalties import r1, spectral_normalise

SHAPES = [(1, 28, 28), (3, 64, 64), (4, 32, 48), (1, 8, 8), (3, 37, 21), (2, 4, 5), (2,)]


def takes(name: str, shape: tuple[int, ...]) -> bool:
    """What each network promises to take."""
    if name.startswith("mlp"):
        return True
    if len(shape) == 1:
        return False
    if name.startswith(("dcgan-28", "dcgan-dense", "infogan")):
        return shape[1] % 4 == shape[2] % 4 == 0
    return min(shape[1:]) >= (4 if name.startswith("quick") else 8)


def given(name: str, shape: tuple[int, ...]) -> dict[str, Any]:
    arguments: dict[str, Any] = {"shape": list(shape)}
    return {"latent": 6, **arguments} if entry(name).role == "generator" else arguments


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def statistics(network: nn.Module) -> int:
    return sum(values.numel() for name, values in network.named_buffers() if "running" in name)


@pytest.mark.parametrize(
    ("name", "arguments", "learned", "running"),
    [
        ("mlp-generator", {"latent": 20, "shape": (1, 28, 28)}, 81_184, 0),
        ("mlp-discriminator", {"shape": (1, 28, 28)}, 78_601, 0),
        ("mlp-generator", {"latent": 2, "shape": (2,), "hidden": [], "output": "linear"}, 6, 0),
        ("mlp-discriminator", {"shape": (2,), "hidden": [5, 3], "activation": "tanh"}, 15 + 18 + 4, 0),
        ("dcgan-28-generator", {"latent": 20, "shape": (1, 28, 28)}, 817_824 - 12_992, 12_992),
        ("dcgan-28-discriminator", {"shape": (1, 28, 28)}, 1_040_385 - 896, 896),
        ("dcgan-generator", {"latent": 100, "shape": (3, 64, 64)}, 3_576_704, 2 * (512 + 256 + 128 + 64)),
        ("dcgan-discriminator", {"shape": (3, 64, 64)}, 2_765_568, 2 * (128 + 256 + 512)),
        # by hand: linear, BatchNorm, 4×4, BatchNorm, 3×3, BatchNorm, 4×4 with its bias
        (
            "quick-generator",
            {"latent": 64, "shape": (1, 28, 28)},
            64 * 3136 + 128 + 16 * 64 * 32 + 64 + 9 * 32 * 32 + 64 + 16 * 32 + 1,
            2 * (64 + 32 + 32),
        ),
        (
            "quick-discriminator",
            {"shape": (1, 28, 28)},
            (16 + 1) * 32 + (9 * 32 + 1) * 32 + (16 * 32 + 1) * 64 + (9 * 64 + 1) * 64 + 3136 + 1,
            0,
        ),
        (
            "dcgan-dense-generator",
            {"latent": 100, "shape": (1, 28, 28)},
            101 * 49 * 256 + (16 * 256 + 0) * 128 + 128 + 16 * 128 + 1,
            0,
        ),
        ("dcgan-discriminator", {"shape": (3, 64, 64), "norm": "layer"}, 2_765_568, 0),
        ("dcgan-discriminator", {"shape": (3, 64, 64), "norm": "instance"}, 2_765_568, 0),
        # without BatchNorm's scale and shift, with four biases
        ("dcgan-discriminator", {"shape": (3, 64, 64), "norm": "none"}, 2_765_568 - 2 * 896 + 64 + 896, 0),
        ("mlp-generator", {"latent": 2, "shape": (2,), "hidden": [5], "normalise": True}, 10 + 10 + 12, 10),
        ("mlp-discriminator", {"shape": (2,), "hidden": [5], "fourier": [1, 4.5]}, (2 + 64 + 1) * 5 + 6, 0),
        # PacGAN's pair for the plane, a pack of two points
        (
            "mlp-generator",
            {"latent": 2, "shape": (2,), "hidden": [400] * 4, "activation": "relu", "normalise": True},
            2 * 400 + 3 * 400**2 + 4 * 800 + 802,
            4 * 800,
        ),
        (
            "mlp-discriminator",
            {"shape": (4,), "hidden": [200] * 3, "activation": "maxout", "pieces": 5},
            5 * 1000 + 2 * 201 * 1000 + 201,
            0,
        ),
        # by hand from the papers' tables; no biases before BatchNorm
        (
            "infogan-generator",
            {"latent": 74, "shape": (1, 28, 28)},
            76 * 1024 + 1024 * 6272 + 256 + (16 * 128 + 2) * 64 + 16 * 64 + 1,
            2 * (1024 + 128 + 64),
        ),
        (
            "infogan-discriminator",
            {"shape": (1, 28, 28)},
            17 * 64 + (16 * 64 + 2) * 128 + (6272 + 2) * 1024 + 1025,
            2 * (128 + 1024),
        ),
        (
            "sndcgan-generator",
            {"latent": 128, "shape": (3, 32, 32)},
            130 * 8192 + (16 * 512 + 2) * 256 + (16 * 256 + 2) * 128 + (16 * 128 + 2) * 64 + (9 * 64 + 1) * 3,
            2 * (8192 + 256 + 128 + 64),
        ),
        (
            "sndcgan-discriminator",
            {"shape": (3, 48, 48)},
            (27 + 16 * 64 + 2) * 64
            + (9 * 64 + 16 * 128 + 2) * 128
            + (9 * 128 + 16 * 256 + 2) * 256
            + (9 * 256 + 1) * 512
            + 6 * 6 * 512
            + 1,
            0,
        ),
    ],
)
def test_published_sizes(name: str, arguments: dict[str, Any], learned: int, running: int) -> None:
    network = build(name, **arguments)
    assert parameters(network) == learned
    assert statistics(network) == running


def check_parts(network: nn.Module, shape: tuple[int, ...]) -> None:
    """Every registered discriminator is a body that makes features and a head that makes one number of them."""
    assert isinstance(network, Discriminator)
    network.eval()
    x = torch.rand(3, *shape)
    features = network.body(x)
    assert features.shape == (3, network.width)
    assert network.head(features).shape == (3, 1)
    assert torch.equal(network(x), network.head(features)[:, 0])
    assert {name.split(".")[0] for name, _ in network.named_parameters()} <= {"body", "head"}
    network.train()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", names())
def test_contract_of_every_network(name: str, shape: tuple[int, ...]) -> None:
    arguments = given(name, shape)
    if not takes(name, shape):
        with pytest.raises(UsageError, match=r"mlp-generator|--data\.size"):
            build(name, **arguments)
        return
    torch.manual_seed(0)
    network = build(name, **arguments)
    if entry(name).role == "generator":
        out = network(torch.randn(4, 6))
        assert out.shape == (4, *shape)
        assert -1 <= out.min() < out.max() <= 1
    else:
        out = network(torch.rand(4, *shape) * 2 - 1)
        assert out.shape == (4,)
        check_parts(network, shape)
    assert out.dtype == torch.float32
    assert len(out.flatten(1).unique(dim=0) if out.dim() > 1 else out.unique()) == 4  # it listens to its input
    (out * torch.randn_like(out)).sum().backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        assert parameter.grad.any(), key
    again = build(name, **json.loads(json.dumps(arguments | options(name))))
    assert [(key, value.shape) for key, value in again.state_dict().items()] == [
        (key, value.shape) for key, value in network.state_dict().items()
    ]


@pytest.mark.parametrize(
    ("shape", "start", "maps"),
    [
        ((1, 28, 28), (7, 7), [64, 32]),
        ((3, 64, 64), (8, 8), [128, 64, 32]),
        ((3, 256, 128), (16, 8), [256, 128, 64, 32]),
        ((1, 8, 8), (4, 4), [32]),
        ((1, 9, 17), (5, 9), [32]),
        ((1, 300, 300), (5, 5), [256, 256, 256, 128, 64, 32]),
    ],
)
def test_rule_of_quick(shape: tuple[int, ...], start: tuple[int, int], maps: list[int]) -> None:
    generator = build("quick-generator", latent=3, shape=shape)
    ups = [layer for layer in generator.modules() if isinstance(layer, nn.ConvTranspose2d)]
    assert [layer.in_channels for layer in ups] == maps
    first = next(layer for layer in generator.modules() if isinstance(layer, nn.Linear))
    assert first.out_features == maps[0] * start[0] * start[1]
    downs = [
        layer
        for layer in build("quick-discriminator", shape=shape).modules()
        if isinstance(layer, nn.Conv2d) and layer.stride == (2, 2)
    ]
    assert [layer.out_channels for layer in downs] == maps[::-1]


@pytest.mark.parametrize(("side", "start", "maps"), [(64, 4, 512), (32, 4, 256), (28, 7, 128), (128, 4, 512)])
def test_rule_of_dcgan(side: int, start: int, maps: int) -> None:
    generator = build("dcgan-generator", latent=3, shape=(1, side, side))
    first = next(layer for layer in generator.modules() if isinstance(layer, nn.Linear))
    assert first.out_features == start * start * maps


# TensorFlow's "same", written out: zeros, at stride 2 one before and two after, at stride 1 two and two.


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


def test_dcgan_weights_are_radfords() -> None:
    torch.manual_seed(0)
    network = build("dcgan-generator", latent=100, shape=(3, 64, 64))
    weights = {
        kind: torch.cat([layer.weight.flatten() for layer in network.modules() if isinstance(layer, kind)])
        for kind in (nn.Linear, nn.ConvTranspose2d, nn.BatchNorm2d)
    }
    for kind, values in weights.items():
        assert values.std().item() == pytest.approx(0.02, rel=0.06)
        assert values.mean().item() == pytest.approx(float(kind is nn.BatchNorm2d), abs=2e-3)


@pytest.mark.parametrize(("init", "biases"), [("normal", 0.02), ("normal-weights", 0.0)])
def test_normal_weights_with_biases_and_without(init: str, biases: float) -> None:
    torch.manual_seed(0)
    network = build("mlp-discriminator", shape=(100,), hidden=[200, 100], init=init)
    for name, parameter in network.named_parameters():
        if parameter.numel() > 50:
            deviation = biases if name.endswith("bias") else 0.02
            assert parameter.std().item() == pytest.approx(deviation, rel=0.25)


def test_a_maxout_unit_is_the_greatest_of_its_pieces() -> None:
    """|x| and max(0, x), of two linear functions each, by hand; then a whole layer against a loop over units."""
    network = build("mlp-discriminator", shape=(1,), hidden=[2], activation="maxout", pieces=2, dropout=0.0)
    with torch.no_grad():
        network.body[1].weight[:] = torch.tensor([[1.0], [1.0], [-1.0], [0.0]])  # piece after piece
    x = torch.tensor([[-3.0], [2.0]])
    assert network.body(x).tolist() == [[3.0, 0.0], [2.0, 2.0]]
    network = build("mlp-discriminator", shape=(7,), hidden=[4, 3], activation="maxout", pieces=5, dropout=0.0)
    x = torch.randn(6, 7)
    rows = network.body[1](x)
    units = [[max(row[piece * 4 + unit] for piece in range(5)) for unit in range(4)] for row in rows.tolist()]
    torch.testing.assert_close(network.body[2](rows), torch.tensor(units))


def test_infogan_weights_are_its_authors() -> None:
    torch.manual_seed(0)
    for network in (
        build("infogan-generator", latent=74, shape=(1, 28, 28)),
        build("infogan-discriminator", shape=(1, 28, 28)),
    ):
        slopes = {layer.negative_slope for layer in network.modules() if isinstance(layer, nn.LeakyReLU)}
        assert slopes <= {0.1}
        for layer in network.modules():
            normalises = isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)
            if normalises or isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
                assert layer.weight.std().item() == pytest.approx(0.02, rel=0.25)
                assert layer.weight.mean().item() == pytest.approx(float(normalises), abs=5e-3)
                assert layer.bias is None or not layer.bias.any()


@pytest.mark.parametrize("name", names("discriminator"))
def test_mixes_samples_says_what_happens(name: str) -> None:
    network = build(name, shape=(1, 16, 16))
    x = torch.rand(4, 1, 16, 16)
    changed = x.clone()
    changed[0] = -changed[0]

    def judge(images: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(0)  # the same units dropped
        return network(images)

    moved = (judge(x) - judge(changed)).abs()
    assert moved[0] > 0
    assert bool(moved[1:].any()) is mixes_samples(network)
    assert is_convolutional(network) is not name.startswith("mlp")


@pytest.mark.parametrize(("norm", "mixes"), [("batch", True), ("layer", False), ("instance", False), ("none", False)])
def test_norms_of_dcgan(norm: str, mixes: bool) -> None:
    """Which of them mix samples, and over what each normalises: written out in float64."""
    torch.manual_seed(0)
    network = build("dcgan-discriminator", shape=(1, 16, 24), width=4, norm=norm).double()
    assert mixes_samples(network) is mixes
    network.to(memory_format=torch.channels_last)
    first, second = network.body[:2], network.body[2]
    rest = network.body[-2:]
    x = torch.randn(3, 1, 16, 24, dtype=torch.float64)
    maps = second(first(x))
    dims = {"batch": (0, 2, 3), "layer": (1, 2, 3), "instance": (2, 3)}.get(norm)
    if dims is not None:
        centred = maps - maps.mean(dims, keepdim=True)
        maps = centred / (centred.square().mean(dims, keepdim=True) + 1e-5).sqrt()
        assert second.bias is None
        scale = network.body[3].weight.view(1, -1, 1, 1)
        assert scale.numel() == 8
        maps = maps * scale
    else:
        assert not second.bias.any()
    torch.testing.assert_close(network.body(x), rest(maps))
    assert torch.autograd.gradgradcheck(network, x.requires_grad_())


def test_a_layer_may_say_that_it_mixes() -> None:
    layer = nn.Linear(2, 2)
    assert not mixes_samples(nn.Sequential(layer))
    layer.mixes_samples = True
    assert mixes_samples(nn.Sequential(layer))


@pytest.mark.parametrize(
    ("name", "chosen"),
    [(name, {}) for name in names() if not name.startswith("mlp")]
    + [("dcgan-discriminator", {"norm": norm}) for norm in ("layer", "instance", "none")],
    ids=str,
)
def test_maps_stay_channels_last(name: str, chosen: dict[str, Any]) -> None:
    network = build(name, **given(name, (1, 16, 24)), **chosen).to(memory_format=torch.channels_last)
    seen: list[bool] = []

    def look(_: nn.Module, __: Any, out: torch.Tensor) -> None:
        if out.dim() == 4:
            seen.append(out.is_contiguous(memory_format=torch.channels_last))

    for layer in network.modules():
        if not list(layer.children()):
            layer.register_forward_hook(look)
    network(torch.randn(2, 6) if entry(name).role == "generator" else torch.randn(2, 1, 16, 24))
    assert len(seen) > 3
    assert all(seen)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("quik-generator", {}, "did you mean 'quick-generator'"),
        ("quick-generator", {"latent": 3, "shape": (1, 8, 8), "wdth": 3}, "no option 'wdth'"),
        ("dcgan-generator", {"latent": 3, "shape": (1, 8, 8), "widht": 3}, "did you mean 'width'"),
        ("quick-generator", {"shape": (1, 8, 8)}, "needs 'latent'"),
        ("quick-discriminator", {}, "needs 'shape'"),
        ("quick-generator", {"latent": 0, "shape": (1, 8, 8)}, "latent is 0"),
        ("quick-generator", {"latent": 3, "shape": (8, 8)}, r"\[8, 8\]"),
        ("quick-generator", {"latent": 3, "shape": (2,)}, "mlp-generator"),
        ("dcgan-28-generator", {"latent": 3, "shape": (1, 30, 28)}, "--data.size 32x28"),
        ("dcgan-dense-discriminator", {"shape": (1, 28, 27)}, "--data.size 28x28"),
        ("dcgan-generator", {"latent": 3, "shape": (1, 8, 8), "width": "64"}, "width is '64'"),
        ("dcgan-generator", {"latent": 3, "shape": (1, 8, 8), "width": True}, "width is True"),
        ("mlp-generator", {"latent": 3, "shape": (2,), "hidden": [5, 0]}, "hidden is 0"),
        ("mlp-generator", {"latent": 3, "shape": (2,), "hidden": 5}, "hidden is 5"),
        ("mlp-generator", {"latent": 3, "shape": (2,), "activation": "tan"}, "did you mean 'tanh'"),
        ("mlp-generator", {"latent": 3, "shape": (2,), "activation": "maxout"}, "no activation 'maxout'"),
        ("mlp-discriminator", {"shape": (2,), "activation": "maxout", "pieces": 0}, "pieces is 0"),
        ("mlp-discriminator", {"shape": (2,), "init": "normal-weight"}, "did you mean 'normal-weights'"),
        ("infogan-generator", {"latent": 74, "shape": (1, 28, 30)}, "--data.size 28x32"),
        ("mlp-discriminator", {"shape": (2,), "dropout": 1.0}, "dropout is 1.0"),
        ("mlp-discriminator", {"shape": (2,), "fourier": ["1"]}, "fourier is"),
        ("mlp-discriminator", {"shape": (2,), "fourier": 4}, "fourier is 4"),
        ("mlp-discriminator", {"shape": (2,), "fourier": [1, 0]}, "numbers above zero"),
        ("mlp-discriminator", {"shape": (1, 8, 8), "fourier": [1]}, "these are images: leave it out"),
        ("dcgan-discriminator", {"shape": (1, 8, 8), "norm": "instanse"}, "did you mean 'instance'"),
    ],
)
def test_mistakes_are_named(name: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build(name, **arguments)


@pytest.mark.parametrize("p", [0.0, 0.3, 0.5])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_dropout_is_torchs(p: float, dtype: torch.dtype, layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    layer = Dropout(p)
    x = torch.ones(50, 21, 13, 11, dtype=dtype).contiguous(memory_format=layout).requires_grad_()
    out = layer(x)
    assert out.stride() == x.stride()
    assert out.dtype == dtype
    kept = out != 0
    assert out[kept].unique().tolist() == pytest.approx([nn.Dropout(p)(x).max().item()], rel=1e-5)
    for dims in ((0,), (1,), (2, 3)):  # every sample, channel and place alike: within five standard deviations
        share = kept.float().mean([dim for dim in range(4) if dim not in dims])
        spread = 5 * sqrt(p * (1 - p) * share.numel() / x.numel())
        assert ((share - (1 - p)).abs() <= spread).all()
    out.sum().backward()
    assert torch.equal(x.grad, out.detach())
    assert not torch.equal(out, layer(x)) or p == 0
    torch.manual_seed(0)
    assert torch.equal(out, layer(x))
    assert layer.eval()(x) is x or torch.equal(layer(x), x)


def test_options_are_copies() -> None:
    options("mlp-generator")["hidden"].append(3)
    assert options("mlp-generator")["hidden"] == [100]
    assert options("dcgan-generator") == {"width": 64}
    assert set(names("generator")) | set(names("discriminator")) == set(names())
    assert all(a < b for a, b in pairwise(names()))


@pytest.mark.parametrize("side", [32, 48, 28, 8])
def test_rule_of_sndcgan(side: int) -> None:
    generator = build("sndcgan-generator", latent=3, shape=(1, side, side))
    assert generator.layers[0].out_features == (-(-side // 8)) ** 2 * 512
    assert build("sndcgan-discriminator", shape=(1, side, side)).width == (side // 8) ** 2 * 512


def test_sndcgan_is_the_published_table() -> None:
    network = build("sndcgan-discriminator", shape=(3, 32, 32))
    downs = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    assert [layer.out_channels for layer in downs] == [64, 64, 128, 128, 256, 256, 512]
    assert [layer.kernel_size[0] for layer in downs] == [3, 4, 3, 4, 3, 4, 3]
    assert {layer.negative_slope for layer in network.modules() if isinstance(layer, nn.LeakyReLU)} == {0.1}
    for layer in (*downs, network.head):
        assert layer.weight.std().item() == pytest.approx(0.02, rel=0.06)
    assert not mixes_samples(spectral_normalise(network))
    assert network(torch.rand(2, 3, 32, 32)).shape == (2,)


def test_normalised_generator_and_relu() -> None:
    torch.manual_seed(0)
    network = build(
        "mlp-generator", latent=3, shape=(2,), hidden=[50, 50], activation="relu", normalise=True, init="normal"
    )
    kinds = [type(layer) for layer in network.layers]
    assert kinds == [*[nn.Linear, nn.BatchNorm1d, nn.ReLU] * 2, nn.Linear, nn.Tanh]
    assert torch.equal(network.layers[1].weight, torch.ones(50))
    hidden = network.layers[:5](torch.randn(200, 3))  # what meets the second ReLU
    torch.testing.assert_close(hidden.mean(0), torch.zeros(50), atol=1e-5, rtol=0)


# Layers over a batch: against the papers' sums, written as loops.


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


@pytest.mark.parametrize("kind", ["discrimination", "deviation"])
@pytest.mark.parametrize("name", names("discriminator"))
def test_any_discriminator_takes_a_minibatch_layer(name: str, kind: str) -> None:
    torch.manual_seed(0)
    network = build(name, shape=(1, 16, 16))
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
