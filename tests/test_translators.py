"""Networks that make images of images: contracts of all, published layers and sizes, what a pixel depends on."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zerosum.errors import UsageError
from zerosum.networks import Blueprint, ImageToImage, KeepsKnown, build, mixes_samples, names
from zerosum.networks.layers import Dropout
from zerosum.networks.srgan import Slope
from zerosum.networks.translator import Residual, mirrored

SMALL: dict[str, dict[str, Any]] = {
    "unet-generator": {"width": 8},
    "resnet-generator": {"width": 8, "blocks": 2},
    "srgan-generator": {"width": 8, "blocks": 2},
}
KINDS = [(name, 1) for name in names("translator")] + [("srgan-generator", 2), ("srgan-generator", 4)]


def translator(
    name: str, source: tuple[int, int, int] = (2, 16, 16), channels: int = 3, scale: int = 1, **options: Any
) -> ImageToImage:
    torch.manual_seed(0)
    made = (channels, scale * source[1], scale * source[2])
    network = build(name, source=source, shape=made, **SMALL.get(name, {}) | options)
    assert isinstance(network, ImageToImage)
    return network


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def convolutions(network: nn.Module) -> list[nn.Conv2d | nn.ConvTranspose2d]:
    return [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)]


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("side", [(1, 1), (17, 33), (64, 48)], ids=str)
@pytest.mark.parametrize(("name", "scale"), KINDS)
def test_any_size_gives_an_image(name: str, scale: int, side: tuple[int, int], training: bool) -> None:
    network = translator(name, scale=scale).train(training)
    given = torch.rand(2, 2, *side) * 2 - 1
    for reduced in (False, True):
        torch.manual_seed(1)  # the same values dropped
        with torch.autocast("cpu", torch.bfloat16, enabled=reduced):
            made = network(given)
        assert made.shape == (2, 3, scale * side[0], scale * side[1])
        assert made.dtype == torch.float32
        assert -1 <= made.min() < made.max() <= 1
        assert training or not torch.equal(made, network(-given))
    alone = network(given[:1])  # whatever normalises has values enough
    assert alone.isfinite().all()


@pytest.mark.parametrize(("name", "scale"), KINDS)
def test_every_weight_learns_and_json_rebuilds(name: str, scale: int) -> None:
    made = [3, 33 * scale, 40 * scale]
    blueprint = Blueprint(name, {"source": [2, 33, 40], "shape": made, **SMALL.get(name, {})})
    network = blueprint.build()
    out = network(torch.rand(2, 2, 33, 40) * 2 - 1)
    (out * torch.randn_like(out)).sum().backward()
    for key, parameter in network.named_parameters():
        assert parameter.isfinite().all(), key
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        assert parameter.grad.any(), key
    again = Blueprint(**json.loads(json.dumps(blueprint.to_json()))).build()
    again.load_state_dict(network.state_dict())
    given = torch.rand(2, 2, 7, 5)
    assert torch.equal(again.eval()(given), network.eval()(given))


def normed(weights: int, outputs: int) -> int:
    """A convolution without biases, and the scale and the shift of each of its channels."""
    return weights + 2 * outputs


def unet_by_hand(depth: int, channels: int = 3) -> int:
    """Counted by the layers' names: C64-C128-C256-C512…, CD512-…-C64, each 4×4."""
    encoder = [64, 128, 256, 512, 512, 512, 512, 512][:depth]
    total = (16 * channels + 1) * 64 + (16 * encoder[-2] + 1) * encoder[-1]
    total += sum(normed(16 * encoder[at - 1] * encoder[at], encoder[at]) for at in range(1, depth - 1))
    reads = encoder[-1]
    for outputs in encoder[-2::-1]:
        total += normed(16 * reads * outputs, outputs)
        reads = 2 * outputs
    return total + (16 * reads + 1) * channels


def resnet_by_hand(blocks: int, channels: int = 3) -> int:
    ends = normed(49 * channels * 64, 64) + (49 * 64 + 1) * channels
    down = normed(9 * 64 * 128, 128) + normed(9 * 128 * 256, 256)
    up = normed(9 * 256 * 128, 128) + normed(9 * 128 * 64, 64)
    return ends + down + up + blocks * 2 * normed(9 * 256 * 256, 256)


def srgan_by_hand(doublings: int, blocks: int = 16, channels: int = 3) -> int:
    ends = (81 * channels + 1) * 64 + 1 + (81 * 64 + 1) * channels
    inner = blocks * (2 * normed(9 * 64 * 64, 64) + 1) + normed(9 * 64 * 64, 64)
    return ends + inner + doublings * ((9 * 64 + 1) * 256 + 1)


@pytest.mark.parametrize(
    ("name", "side", "scale", "by_hand", "millions", "exactly"),
    [
        ("unet-generator", 256, 1, unet_by_hand(8), 54.4, 54_413_955 + 64 + 512),  # the authors' code, and two biases
        ("unet-generator", 64, 1, unet_by_hand(6), 29.2, 29_244_611),
        ("resnet-generator", 256, 1, resnet_by_hand(9), 11.4, 11_378_179 + 5_248),  # scales and shifts for biases
        ("resnet-generator", 255, 1, resnet_by_hand(6), 7.8, 7_837_699 + 3_712),
        ("srgan-generator", 24, 4, srgan_by_hand(2), 1.5, 1_547_350),
        ("srgan-generator", 24, 1, srgan_by_hand(0), 1.3, 1_251_924),
    ],
)
def test_published_sizes(name: str, side: int, scale: int, by_hand: int, millions: float, exactly: int) -> None:
    with torch.device("meta"):
        network = build(name, source=(3, side, side), shape=(3, scale * side, scale * side))
    assert parameters(network) == by_hand == exactly
    assert round(parameters(network) / 1e6, 1) == millions


def test_layers_of_the_unet_are_the_papers() -> None:
    network = translator("unet-generator", (3, 256, 256), width=64)
    down = [layer for layer in convolutions(network) if type(layer) is nn.Conv2d]
    up = [layer for layer in convolutions(network) if type(layer) is nn.ConvTranspose2d]
    assert [layer.out_channels for layer in down] == [64, 128, 256, 512, 512, 512, 512, 512]
    assert [layer.out_channels for layer in up] == [512, 512, 512, 512, 256, 128, 64, 3]
    assert [layer.in_channels for layer in up] == [512, 1024, 1024, 1024, 1024, 512, 256, 128]
    assert {(*layer.kernel_size, *layer.stride, *layer.padding) for layer in down + up} == {(4, 4, 2, 2, 1, 1)}
    encoder, decoder = network.layers.encoder, network.layers.decoder
    assert [isinstance(stage[-1], nn.BatchNorm2d) for stage in encoder] == [False, *[True] * 6, False]
    assert [any(isinstance(layer, nn.BatchNorm2d) for layer in stage) for stage in decoder] == [*[True] * 7, False]
    assert [any(isinstance(layer, Dropout) for layer in stage) for stage in decoder] == [*[True] * 3, *[False] * 5]
    assert {layer.negative_slope for layer in network.modules() if isinstance(layer, nn.LeakyReLU)} == {0.2}
    for layer in down + up:
        assert layer.weight.std().item() == pytest.approx(0.02, rel=0.06)


@pytest.mark.parametrize(
    ("side", "depth", "drops"),
    [(1, 2, 0), (7, 2, 0), (8, 3, 1), (31, 4, 1), (32, 5, 2), (64, 6, 2), (128, 7, 3), (255, 7, 3), (2000, 8, 3)],
)
def test_depth_of_the_unet_follows_the_shorter_side(side: int, depth: int, drops: int) -> None:
    network = translator("unet-generator", (1, side, side + 9), width=1)
    assert (network.stride, network.reach) == (2**depth, 3 * (2**depth - 1))
    assert len(network.layers.encoder) == len(network.layers.decoder) == depth
    assert sum(isinstance(layer, Dropout) for layer in network.modules()) == drops
    chosen = translator("unet-generator", (1, side, side + 9), width=1, depth=3, dropout=0.0)
    assert (chosen.stride, sum(isinstance(layer, Dropout) for layer in chosen.modules())) == (8, 0)


def test_unet_by_hand() -> None:
    """As published: a map goes to the decoder before its leaky ReLU, and the ReLU is taken of both maps together."""
    network = translator("unet-generator", (2, 16, 16)).double().eval()
    down, up = (
        [layer for layer in convolutions(network) if type(layer) is kind] for kind in (nn.Conv2d, nn.ConvTranspose2d)
    )
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    for layer in down + up:
        layer.weight.data *= 5  # what comes from 1×1 must not drown
    for norm in norms:
        nn.init.uniform_(norm.running_mean)
    x = torch.randn(2, 2, 16, 16, dtype=torch.float64)

    def inner(x: Tensor, level: int) -> Tensor:
        """What comes back to a level from below, in as many channels as the one above has."""
        below = F.conv2d(x, down[level].weight, down[level].bias, 2, 1)
        if 0 < level < 3:
            below = norms[level - 1](below)
        if level < 3:
            below = torch.cat((inner(F.leaky_relu(below, 0.2), level + 1), below), 1)
        back = F.conv_transpose2d(below.relu(), up[3 - level].weight, up[3 - level].bias, 2, 1)
        return norms[5 - level](back) if level else back

    torch.testing.assert_close(network(x), inner(x, 0).float().tanh())


def test_the_unets_noise_is_dropout() -> None:
    network, x = translator("unet-generator"), torch.randn(4, 2, 16, 16)
    assert not torch.equal(network(x), network(x))
    assert torch.equal(network.eval()(x), network(x))
    silent = translator("unet-generator", dropout=0.0)
    assert torch.equal(silent(x), silent(x))


def test_layers_of_the_resnet_are_the_papers() -> None:
    network = translator("resnet-generator", (3, 256, 256), width=64, blocks=0)
    assert [
        (layer.out_channels, layer.kernel_size[0], layer.stride[0], layer.padding_mode)
        for layer in convolutions(network)
    ] == [
        (64, 7, 1, "reflect"),
        (128, 3, 2, "zeros"),
        (256, 3, 2, "zeros"),
        *[(256, 3, 1, "reflect")] * 18,
        (128, 3, 2, "zeros"),
        (64, 3, 2, "zeros"),
        (3, 7, 1, "reflect"),
    ]
    assert sum(isinstance(layer, nn.ReLU) for layer in network.modules()) == 5 + 9
    assert sum(isinstance(layer, nn.InstanceNorm2d) for layer in network.modules()) == 5 + 18
    assert [sum(isinstance(layer, Residual) for layer in translator("resnet-generator", (3, *side), blocks=0).modules())
            for side in ((256, 255), (128, 400), (256, 256))] == [6, 6, 9]  # fmt: skip


def test_layers_of_srgan_are_the_papers() -> None:
    network = translator("srgan-generator", (3, 24, 24), width=64, blocks=16, scale=4)
    shapes = [(layer.in_channels, layer.out_channels, layer.kernel_size[0]) for layer in convolutions(network)]
    assert shapes == [(3, 64, 9), *[(64, 64, 3)] * 33, *[(64, 256, 3)] * 2, (64, 3, 9)]
    assert [sum(isinstance(layer, kind) for layer in network.modules()) for kind in (nn.PReLU, nn.PixelShuffle)] == [
        1 + 16 + 2, 2,
    ]  # fmt: skip
    for layer in network.layers[2]:  # with the inner convolutions at zero only the outer ones, and the sums, are left
        nn.init.zeros_((layer[0] if isinstance(layer, Residual) else layer).weight)
    x = torch.rand(1, 3, 5, 6)
    first, *_, last = convolutions(network)
    maps = F.prelu(first(x), torch.tensor([0.25]))
    for up in (network.layers[3], network.layers[6]):
        maps = F.prelu(F.pixel_shuffle(up(maps), 2), torch.tensor([0.25]))
    torch.testing.assert_close(network.eval()(x), last(maps).tanh())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_slope_is_prelu(dtype: torch.dtype) -> None:
    ours, theirs = Slope(init=0.3).to(dtype), nn.PReLU(init=0.3).to(dtype)
    x = torch.randn(2, 3, 4, 5, dtype=dtype, requires_grad=True)
    assert torch.equal(ours(x), theirs(x))
    weights = torch.randn_like(x)
    for one, other in zip(
        *(torch.autograd.grad((layer(x) * weights).sum(), (x, layer.weight)) for layer in (ours, theirs)), strict=True
    ):
        torch.testing.assert_close(one, other, **({"rtol": 0.02, "atol": 0.02} if dtype == torch.bfloat16 else {}))


def plain(network: ImageToImage) -> ImageToImage:
    """In double precision, with weights above zero and small images: each path adds to the gradient, none is cut."""
    network.double().eval()
    for parameter in network.parameters():
        parameter.data.abs_()
    return network


def seen_from(network: ImageToImage, given: Tensor, row: int, column: int) -> tuple[int, int]:
    """The farthest source pixel, above or left and below or right, on which a made pixel depends; along both axes."""
    made = network(given)
    (slope,) = torch.autograd.grad(made[0, :, row, column].sum(), given)
    rows, columns = slope[0].sum(0).nonzero().unbind(1)
    before = max(row // network.scale - rows.min(), column // network.scale - columns.min())
    after = max(rows.max() - row // network.scale, columns.max() - column // network.scale)
    return int(before), int(after)


@pytest.mark.parametrize(
    ("name", "scale", "options", "reach"),
    [
        ("unet-generator", 1, {"depth": 2, "width": 2}, 9),
        ("unet-generator", 1, {"depth": 4, "width": 1}, 45),
        ("resnet-generator", 1, {"blocks": 1, "width": 2}, 20),
        ("resnet-generator", 1, {"blocks": 3, "width": 1}, 36),
        ("srgan-generator", 1, {"blocks": 2, "width": 2}, 13),
        ("srgan-generator", 2, {"blocks": 1, "width": 2}, 10),
        ("srgan-generator", 4, {"blocks": 3, "width": 1}, 14),
        ("srgan-generator", 8, {"blocks": 1, "width": 1}, 10),
    ],
)
def test_a_pixel_depends_on_its_reach(name: str, scale: int, options: dict[str, Any], reach: int) -> None:
    """Of all places within a stride, some depend on exactly as much, towards either end, and none on more."""
    network = plain(translator(name, scale=scale, norm="none", **options))
    assert network.reach == reach
    side = 2 * reach + 2 * network.stride + 3
    given = (torch.rand(1, 2, side, side, dtype=torch.float64) * 1e-9).requires_grad_()
    middle = -(-reach // network.stride) * network.stride * scale
    seen = [seen_from(network, given, middle + at, middle + at) for at in range(network.stride * scale)]
    assert (max(before for before, _ in seen), max(after for _, after in seen)) == (reach, reach)
    for corner in (0, side * scale - 1):
        assert max(seen_from(network, given, corner, corner)) <= reach


@pytest.mark.parametrize(("name", "scale"), KINDS)
def test_a_piece_cut_at_the_stride_is_the_whole_but_for_its_border(name: str, scale: int) -> None:
    more = {"unet-generator": {"depth": 3}, "resnet-generator": {"blocks": 1}}.get(name, {})
    network = translator(name, scale=scale, norm="none", **more).double().eval()
    for layer in convolutions(network):
        layer.weight.data *= 4  # without norms, small weights would leave nothing to compare
    reach, start = network.reach, 2 * network.stride
    whole = torch.rand(1, 2, start + 2 * reach + 9, start + 2 * reach + 11, dtype=torch.float64)
    made, piece = network(whole), network(whole[:, :, start:-4, start:-3])
    inside, border = slice(scale * reach, -scale * reach), scale * (start + reach)
    kept = piece[:, :, inside, inside]
    assert min(kept.shape[2:]) >= 3
    assert kept.std() > 1e-4
    theirs = made[:, :, border : border + kept.shape[2], border : border + kept.shape[3]]
    torch.testing.assert_close(kept, theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("given", "wanted"), [((1, 1), (8, 4)), ((3, 5), (16, 16)), ((17, 33), (20, 36)), ((4, 8),) * 2]
)
def test_images_are_continued_as_in_mirrors(given: tuple[int, int], wanted: tuple[int, int]) -> None:
    images = torch.randn(2, 3, *given)
    grown = [(0, after - before) for before, after in zip(given, wanted, strict=True)]
    by_numpy = np.pad(images.numpy(), [(0, 0), (0, 0), *grown], mode="symmetric")
    assert torch.equal(mirrored(images, *wanted), torch.from_numpy(by_numpy))


def test_what_is_known_is_kept() -> None:
    torch.manual_seed(0)
    arguments = {"source": [4, 20, 12], "shape": [3, 20, 12], **SMALL["unet-generator"]}
    network = Blueprint("unet-generator", arguments, keeps=True).build()
    assert isinstance(network, KeepsKnown)
    inner = network.network
    assert (network.stride, network.scale, network.reach) == (inner.stride, 1, inner.reach) == (8, 1, 21)
    assert (network.source, network.shape) == ((4, 20, 12), (3, 20, 12))
    picture, holes = torch.rand(2, 3, 20, 12) * 2 - 1, torch.rand(2, 1, 20, 12) < 0.3
    given = torch.cat((picture, holes * 2.0 - 1), 1)
    for reduced in (False, True):
        torch.manual_seed(1)
        with torch.autocast("cpu", torch.bfloat16, enabled=reduced):
            made = network(given)
            torch.manual_seed(1)
            theirs = inner(given)
        everywhere = holes.expand_as(made)
        assert made.dtype == torch.float32
        assert torch.equal(made[~everywhere], picture[~everywhere])
        assert torch.equal(made[everywhere], theirs[everywhere])
    made = network(given)
    (made * ~holes).sum().backward()
    assert not any(parameter.grad.any() for parameter in inner.parameters())


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (lambda: translator("unet-generator", (3, 16, 16)), r"\[3, 16, 16\] to \[3, 16, 16\].*a mask behind them"),
        (lambda: translator("srgan-generator", (4, 16, 16), scale=2), "all of one size"),
        (lambda: build("quick-discriminator", shape=(4, 16, 16)), "QuickDiscriminator makes no image of an image"),
    ],
)
def test_only_a_mask_more_is_kept(network: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        KeepsKnown(network())


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("unet-generator", {"shape": (3, 64, 64)}, "needs 'source'"),
        ("unet-generator", {"source": (3, 32, 32), "shape": (3, 64, 64)}, "32×32 for 64×64.*srgan-generator"),
        ("resnet-generator", {"source": (3, 64, 32), "shape": (3, 32, 64)}, "64×32 for 32×64.*--data.size"),
        ("unet-generator", {"source": (2,), "shape": (3, 64, 64)}, r"source \[2\].*\(channels, height, width\)"),
        ("srgan-generator", {"source": (3, 8, 8), "shape": (2,)}, r"shape \[2\]"),
        ("srgan-generator", {"source": (3, 8, 8), "shape": (3, 24, 24)}, "24×24 of 8×8.*--data.degrade downsample:4"),
        ("srgan-generator", {"source": (3, 8, 8), "shape": (3, 16, 32)}, "16×32 of 8×8"),
        ("srgan-generator", {"source": (3, 16, 16), "shape": (3, 8, 8)}, "8×8 of 16×16"),
        ("srgan-generator", {"source": (3, 8, 8), "shape": (3, 8, 8), "norm": "instance"}, "no norm 'instance'"),
        ("srgan-generator", {"source": (3, 8, 8), "shape": (3, 8, 8), "blocks": 0}, "blocks is 0"),
        ("unet-generator", {"source": (3, 8, 8), "shape": (3, 8, 8), "depth": 9}, "depth is 9: take 2 to 8"),
        ("unet-generator", {"source": (3, 8, 8), "shape": (3, 8, 8), "depth": 1}, "depth is 1: take 2 to 8"),
        ("unet-generator", {"source": (3, 8, 8), "shape": (3, 8, 8), "dropout": 1.0}, "dropout is 1.0"),
        ("unet-generator", {"source": (3, 8, 8), "shape": (3, 8, 8), "width": 0}, "width is 0"),
        ("unet-generator", {"source": (3, 8, 8), "shape": (3, 8, 8), "norm": "batsh"}, "did you mean 'batch'"),
        ("resnet-generator", {"source": (3, 8, 8), "shape": (3, 8, 8), "blocks": -1}, "blocks is -1"),
        ("srgan-discriminator", {"shape": (3, 16, 16), "norm": "instance"}, "single place.*take norm layer"),
        ("srgan-discriminator", {"shape": (3, 96, 96), "units": 0}, "units is 0"),
    ],
)
def test_mistakes_are_named(name: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build(name, **arguments)


@pytest.mark.parametrize("given", [(1, 3, 8, 8), (2, 8, 8), (1, 2, 0, 8)], ids=str)
def test_images_that_are_none_are_refused(given: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match=r"\(N, 2, h, w\).*is given \["):
        translator("unet-generator")(torch.zeros(given))


def test_the_discriminator_of_srgan_is_the_papers() -> None:
    network = build("srgan-discriminator", shape=(3, 96, 96))
    assert [(layer.out_channels, layer.stride[0]) for layer in convolutions(network)] == [
        (64, 1), (64, 2), (128, 1), (128, 2), (256, 1), (256, 2), (512, 1), (512, 2),
    ]  # fmt: skip
    assert [isinstance(layer, nn.BatchNorm2d) for layer in network.body[:4]] == [False, False, False, True]
    widths = [64, 64, 128, 128, 256, 256, 512, 512]
    by_hand = 28 * 64 + sum(normed(9 * one * two, two) for one, two in pairwise(widths))
    assert parameters(network) == by_hand + (6 * 6 * 512 + 1) * 1024 + 1025
    assert network.width == 1024
    for norm in ("layer", "instance", "none"):
        free = build("srgan-discriminator", shape=(1, 17, 9), width=4, units=5, norm=norm)
        assert not mixes_samples(free)
        assert free(torch.randn(3, 1, 17, 9)).shape == (3,)
