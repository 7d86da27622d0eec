"""Networks: published sizes, the contracts of all, and mistakes named."""

from __future__ import annotations

import json
from itertools import pairwise
from math import prod
from typing import Any

import pytest
import torch
from torch import nn

from light import LIGHT, awake
from zerosum.errors import UsageError
from zerosum.networks import Discriminator, build, entry, is_convolutional, mixes_samples, names, options

PLAYERS = [*names("discriminator"), *names("generator")]  # translators have tests of their own
UNBOUNDED = ("stylegan2-generator",)  # what they make in training, as published
SHAPES = [(1, 28, 28), (3, 64, 64), (4, 32, 48), (1, 8, 8), (3, 37, 21), (2, 4, 5), (2,)]


def takes(name: str, shape: tuple[int, ...]) -> bool:
    """What each network promises to take."""
    if name.startswith(("mlp", "style-mlp")):
        return True
    if len(shape) == 1:
        return False
    if name.startswith("patch"):
        return min(shape[1:]) >= 24
    if name.startswith(("dcgan-28", "dcgan-dense", "infogan", "style-28")):
        return shape[1] % 4 == shape[2] % 4 == 0
    return min(shape[1:]) >= (4 if name.startswith(("quick", "r3gan", "stylegan2")) else 8)


def given(name: str, shape: tuple[int, ...]) -> dict[str, Any]:
    arguments: dict[str, Any] = {"shape": list(shape)}
    more = {"generator": {"latent": latent_of(name, shape)}, "translator": {"source": list(shape)}}
    return more.get(entry(name).role, {}) | arguments | LIGHT.get(name, {})


def latent_of(name: str, shape: tuple[int, ...]) -> int:
    return prod(shape) if getattr(entry(name).network, "takes_images", False) else 6


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
    assert features.shape[:2] == (3, network.width)
    assert network.head(features).shape[:2] == (3, 1)
    assert torch.equal(network(x), network.head(features)[:, 0])
    logits, averaged = network(x, features=True)
    assert torch.equal(logits, network(x))
    assert averaged.shape == (3, network.width)
    assert {name.split(".")[0] for name, _ in network.named_parameters()} <= {"body", "head"}
    network.train()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", PLAYERS)
def test_contract_of_every_network(name: str, shape: tuple[int, ...]) -> None:
    arguments = given(name, shape)
    if not takes(name, shape):
        with pytest.raises(UsageError, match=r"mlp-generator|--data\.size"):
            build(name, **arguments)
        return
    torch.manual_seed(0)
    network = awake(build(name, **arguments))
    if entry(name).role == "generator":
        if name in UNBOUNDED:
            assert network(torch.randn(4, latent_of(name, shape))).abs().max() > 1
            network.eval()
        out = network(torch.randn(4, latent_of(name, shape)))
        assert out.shape == (4, *shape)
        assert -1 <= out.min() < out.max() <= 1
    else:
        out = network(torch.rand(4, *shape) * 2 - 1)
        maps = isinstance(network, Discriminator) and network.maps
        assert (out.shape[0], out.dim()) == (4, 3 if maps else 1)
        check_parts(network, shape)
    assert out.dtype == torch.float32
    assert len(out.flatten(1).unique(dim=0) if out.dim() > 1 else out.unique()) == 4  # it listens to its input
    (out * torch.randn_like(out)).sum().backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        assert parameter.grad.any(), key
    again = build(name, **json.loads(json.dumps(options(name) | arguments)))
    assert [(key, value.shape) for key, value in again.state_dict().items()] == [
        (key, value.shape) for key, value in network.state_dict().items()
    ]


@pytest.mark.parametrize("name", names("discriminator"))
def test_mixes_samples_says_what_happens(name: str) -> None:
    network = build(name, shape=(1, 24, 24), **LIGHT.get(name, {}))
    x = torch.rand(4, 1, 24, 24)
    changed = x.clone()
    changed[0] = -changed[0]

    def judge(images: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(0)  # the same units dropped
        return network(images)

    moved = (judge(x) - judge(changed)).abs()
    assert moved[0].max() > 0
    assert bool(moved[1:].any()) is mixes_samples(network)
    assert is_convolutional(network) is not name.startswith("mlp")


def test_a_layer_may_say_that_it_mixes() -> None:
    layer = nn.Linear(2, 2)
    assert not mixes_samples(nn.Sequential(layer))
    layer.mixes_samples = True
    assert mixes_samples(nn.Sequential(layer))


@pytest.mark.parametrize(
    ("name", "chosen"),
    [(name, {"field": 16} if name.startswith("patch") else {}) for name in names() if "mlp" not in name]
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
    latents = torch.randn(2, latent_of(name, (1, 16, 24)))
    network(latents if entry(name).role == "generator" else torch.randn(2, 1, 16, 24))
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


def test_options_are_copies() -> None:
    options("mlp-generator")["hidden"].append(3)
    assert options("mlp-generator")["hidden"] == [100]
    assert options("dcgan-generator") == {"width": 64}
    assert set(PLAYERS) | set(names("translator")) == set(names())
    assert all(a < b for a, b in pairwise(names()))
