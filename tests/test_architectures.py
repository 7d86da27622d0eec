"""How each network is built: rules of its sizes, its first weights, its layers."""

from __future__ import annotations

from math import sqrt

import pytest
import torch
from torch import nn

from zerosum.networks import build, mixes_samples
from zerosum.networks.layers import Dropout, ToRange
from zerosum.penalties import spectral_normalise


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


@pytest.mark.parametrize(("init", "biases"), [("normal", 0.02), ("normal-weights", 0.0)])
def test_normal_weights_with_biases_and_without(init: str, biases: float) -> None:
    torch.manual_seed(0)
    network = build("mlp-discriminator", shape=(100,), hidden=[200, 100], init=init)
    for name, parameter in network.named_parameters():
        if parameter.numel() > 50:
            deviation = biases if name.endswith("bias") else 0.02
            assert parameter.std().item() == pytest.approx(deviation, rel=0.25)


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


def test_normalised_generator_and_relu() -> None:
    torch.manual_seed(0)
    network = build(
        "mlp-generator", latent=3, shape=(2,), hidden=[50, 50], activation="relu", normalise=True, init="normal"
    )
    kinds = [type(layer) for layer in network.layers]
    assert kinds == [*[nn.Linear, nn.BatchNorm1d, nn.ReLU] * 2, nn.Linear, ToRange]
    assert torch.equal(network.layers[1].weight, torch.ones(50))
    hidden = network.layers[:5](torch.randn(200, 3))  # what meets the second ReLU
    torch.testing.assert_close(hidden.mean(0), torch.zeros(50), atol=1e-5, rtol=0)


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
