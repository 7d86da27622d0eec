"""Mapping network and styled generators: against the papers' sums in NumPy, and what mixing and noise do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.signal import correlate
from torch import Tensor, nn
from torch.func import functional_call, vmap

from zerosum.errors import UsageError
from zerosum.model import Model
from zerosum.networks import Blueprint, build, mixes_samples
from zerosum.networks.mapping import MappingNetwork
from zerosum.networks.style import StyledLayer, StyleGenerator, adaptive_instance_norm
from zerosum.penalties import path_length

SMALL: dict[str, dict[str, Any]] = {
    "style-28-generator": {"shape": (2, 8, 12), "style": 6, "mapping": [7], "width": 8},
    "style-mlp-generator": {"shape": (2,), "style": 6, "mapping": [7], "hidden": [5, 8, 9, 4]},
}


def small(name: str, **options: Any) -> StyleGenerator:
    """A small generator whose noise has strengths of about 1."""
    torch.manual_seed(0)
    network = build(name, latent=3, **SMALL[name] | options)
    assert isinstance(network, StyleGenerator)
    for key, values in network.named_parameters():
        if key.endswith("strength"):
            assert not values.any()  # they begin at 0
            nn.init.normal_(values)
    return network


def of(values: Tensor) -> np.ndarray:
    return values.detach().numpy()


def leaky(values: np.ndarray) -> np.ndarray:
    return np.where(values > 0, values, 0.2 * values)


def mapped(network: MappingNetwork, z: np.ndarray, *, normalise: bool) -> np.ndarray:
    if normalise:
        z = z / np.sqrt((z**2).mean(1, keepdims=True))
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            z = leaky(0.01 * (z @ of(layer.weight).T + of(layer.bias)))
    return z


@pytest.mark.parametrize("normalise", [True, False])
def test_mapping_by_hand(normalise: bool) -> None:
    torch.manual_seed(0)
    network = MappingNetwork(4, [5, 6, 3], normalise=normalise).double()
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            assert not layer.bias.any()
            nn.init.normal_(layer.bias, std=100)
    z = torch.randn(7, 4, dtype=torch.float64)
    np.testing.assert_allclose(of(network(z)), mapped(network, z.numpy(), normalise=normalise), rtol=1e-6)
    assert network.style == 3
    assert torch.allclose(network(3 * z), network(z), rtol=1e-6) is normalise


def test_styles_begin_with_the_latents_second_moment() -> None:
    torch.manual_seed(0)
    network = MappingNetwork(512, [512, 512, 1024, 1024, 512])
    sizes = [(layer.in_features, layer.out_features) for layer in network.layers if isinstance(layer, nn.Linear)]
    assert sizes == [(512, 512), (512, 512), (512, 1024), (1024, 1024), (1024, 512)]
    assert network(5 * torch.randn(200, 512)).square().mean().item() == pytest.approx(1, rel=0.2)


def test_mapping_learns_a_hundred_times_slower() -> None:
    """One step of Adam, ±lr in each parameter, changes a layer's output by lr / 100 times its inputs' absolute sum."""
    torch.manual_seed(0)
    network = MappingNetwork(40, [1], normalise=False)
    linear, z = network.layers[0], torch.randn(1, 40)
    before = linear(z)
    before.sum().backward()
    torch.optim.Adam(network.parameters(), 0.1).step()
    assert (before - linear(z)).item() == pytest.approx(0.001 * (z.abs().sum().item() + 1), rel=1e-3)


@pytest.mark.parametrize(
    ("name", "arguments", "learned"),
    [
        # mapping; constant; affine maps and strengths of each layer; convolutions; the image's
        (
            "style-28-generator",
            {"latent": 64, "shape": (1, 28, 28)},
            (65 * 512 + 513 * 512 + 513 * 1024 + 1025 * 1024 + 1025 * 128)
            + 49 * 128
            + (129 * 2 + 1) * (128 + 128 + 64 + 32)
            + (9 * 128 + 1) * 128
            + (9 * 128 + 1) * 64
            + (9 * 64 + 1) * 32
            + 33,
        ),
        (
            "style-mlp-generator",
            {"latent": 64, "shape": (2,), "mapping": []},
            65 * 128 + 256 + (129 * 2 + 1) * 3 * 256 + 2 * 257 * 256 + 257 * 2,
        ),
    ],
)
def test_sizes_by_hand(name: str, arguments: dict[str, Any], learned: int) -> None:
    assert sum(parameter.numel() for parameter in build(name, **arguments).parameters()) == learned


@pytest.mark.parametrize("size", [(3, 4, 5), (40,)])
def test_adaptive_instance_norm_is_equation_1(size: tuple[int, ...]) -> None:
    """Each channel over its places, features over each other: the mean is then the shift, the deviation the scale."""
    torch.manual_seed(0)
    x = 10 * torch.randn(2, *size, dtype=torch.float64) + 5
    scale, shift = torch.randn(2, 2, size[0], dtype=torch.float64)
    if len(size) == 1:
        scale, shift = scale[:, :1].expand_as(x), shift[:, :1].expand_as(x)
    made = of(adaptive_instance_norm(x, scale, shift))
    channels = 3 if len(size) == 3 else 1
    for sample in range(2):
        for channel, values in enumerate(made[sample].reshape(channels, -1)):
            assert values.mean() == pytest.approx(shift[sample, channel].item(), abs=1e-9)
            assert values.std() == pytest.approx(abs(scale[sample, channel].item()), rel=1e-6)
    turned = np.corrcoef(made[0].flatten()[:20], of(x)[0].flatten()[:20])[0, 1]
    assert turned == pytest.approx(np.sign(scale[0, 0].item()))


def normalised(x: np.ndarray) -> np.ndarray:
    """(…, n) over n."""
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)


def enlarged(maps: np.ndarray) -> np.ndarray:
    """Twice as many rows and columns: each new pixel ¾ of its own and ¼ of the neighbour it is nearer to."""
    for axis in (1, 2):
        there = np.moveaxis(maps, axis, 0)
        before = np.concatenate((there[:1], there[:-1]))
        after = np.concatenate((there[1:], there[-1:]))
        both = np.stack((0.75 * there + 0.25 * before, 0.75 * there + 0.25 * after), 1)
        maps = np.moveaxis(both.reshape(-1, *there.shape[1:]), 0, axis)
    return maps


def convolved(maps: np.ndarray, layer: nn.Conv2d) -> np.ndarray:
    wide = layer.padding[0]
    padded = np.pad(maps, ((0, 0), (wide, wide), (wide, wide)))
    made = [correlate(padded, kernel, "valid", "direct")[0] for kernel in of(layer.weight)]
    return np.stack(made) + of(layer.bias)[:, None, None]


def styled(layer: StyledLayer, made: np.ndarray, style: np.ndarray) -> np.ndarray:
    noisy = leaky(made + of(layer.strength) * of(layer.noise)[0])
    scale, shift = np.split(of(layer.affine.weight) @ style + of(layer.affine.bias), 2)
    if made.ndim == 1:
        return scale * normalised(noisy) + shift
    plain = normalised(noisy.reshape(len(noisy), -1)).reshape(noisy.shape)
    return scale[:, None, None] * plain + shift[:, None, None]


@pytest.mark.parametrize("name", SMALL)
def test_whole_synthesis_by_hand(name: str) -> None:
    """In evaluation mode, one sample in float64 against NumPy and SciPy."""
    network = small(name).double().eval()
    z = torch.randn(1, 3, dtype=torch.float64)
    style = mapped(network.mapping, z.numpy(), normalise=True)[0]
    x = of(network.constant)
    for number, layer in enumerate(network.layers):
        own = next((part for part in layer.layer.modules() if isinstance(part, nn.Conv2d | nn.Linear)), None)
        if isinstance(own, nn.Conv2d):
            x = convolved(enlarged(x) if number > 1 else x, own)
        elif own is not None:
            x = of(own.weight) @ x + of(own.bias)
        x = styled(layer, x, style)
    last = network.last[0]
    x = convolved(x, last) if isinstance(last, nn.Conv2d) else of(last.weight) @ x + of(last.bias)
    np.testing.assert_allclose(of(network(z))[0], np.tanh(x), atol=1e-6)


def test_scale_begins_at_one_and_shift_at_none() -> None:
    torch.manual_seed(0)
    layer = StyledLayer(nn.Identity(), (50,), 400)
    scale, shift = layer.affine(torch.randn(300, 400)).chunk(2, 1)
    for made, mean in ((scale, 1), (shift, 0)):
        assert made.mean().item() == pytest.approx(mean, abs=0.05)
        assert made.std().item() == pytest.approx(1, rel=0.05)  # as of its style, of unit second moment


@pytest.mark.parametrize("name", SMALL)
def test_a_latent_always_makes_the_same_sample(name: str) -> None:
    """In evaluation mode, in any batch, and in a network that is built again; in training only by the same seed."""
    network = small(name, mixing=0.0).eval()
    z = torch.randn(5, 3)
    made = network(z)
    torch.testing.assert_close(network(z[3:4]), made[3:4])
    torch.testing.assert_close(network(z.flip(0)), made.flip(0))
    again = build(name, latent=3, **SMALL[name]).eval()
    again.load_state_dict(network.state_dict())
    assert torch.equal(again(z), made)
    torch.testing.assert_close(network.synthesise(network.styles(z)), made)
    network.train()
    torch.manual_seed(1)
    first, second = network(z), network(z)
    assert not torch.allclose(first, second)
    torch.manual_seed(1)
    assert torch.equal(network(z), first)


def test_noise_is_for_each_sample_and_pixel_and_of_unit_deviation() -> None:
    torch.manual_seed(0)
    layer = StyledLayer(nn.Identity(), (2, 40, 50), 3)
    layer.strength.data = torch.tensor([1.0, 3.0])[:, None, None]
    seen: list[Tensor] = []
    layer.layer.register_forward_hook(lambda *_: seen.append(torch.zeros(4, 2, 40, 50)) or seen[-1])
    layer.affine.weight.data.zero_()
    made = layer(torch.empty(0), torch.zeros(4, 3))  # leaky ReLU of the noise, normalised: its rank is the noise's
    assert made.shape == (4, 2, 40, 50)
    torch.testing.assert_close(made[:, 0], made[:, 1], atol=1e-3, rtol=0)  # one noise for all channels
    flat = made[:, 0].flatten(1)
    assert np.abs(np.corrcoef(flat.detach()) - np.eye(4)).max() < 0.1
    assert len(flat.unique()) > 0.99 * flat.numel()
    assert layer.noise.shape == (1, 1, 40, 50)
    assert layer.noise.std().item() == pytest.approx(1, rel=0.05)


def shown(network: StyleGenerator, z: Tensor) -> Tensor:
    """The styles that each layer is given in training: (N, layers, style)."""
    seen: list[Tensor] = []
    hooks = [
        layer.register_forward_pre_hook(lambda _, given: seen.append(given[1].detach())) for layer in network.layers
    ]
    network.train()(z)
    for hook in hooks:
        hook.remove()
    return torch.stack(seen, 1)


@pytest.mark.parametrize("mixing", [0.0, 0.3, 0.9, 1.0])
def test_share_and_places_of_mixed_styles(mixing: float) -> None:
    network, count = small("style-mlp-generator", mixing=mixing), 4000
    z = torch.randn(count, 3)
    own = network.styles(z)[:, None]
    styles = shown(network, z)
    mine = (styles == own).all(2)  # (N, layers)
    assert mine[:, 0].all()
    assert (mine.long().diff(dim=1) <= 0).all()  # no way back
    theirs = (styles == own.roll(1, 0)).all(2)
    assert torch.equal(theirs, ~mine)
    places = mine.sum(1)
    share = (places < 4).float().mean().item()
    assert share == pytest.approx(mixing, abs=5 * (mixing * (1 - mixing) / count) ** 0.5)
    for place in (1, 2, 3):
        assert (places == place).float().mean().item() == pytest.approx(mixing / 3, abs=0.04)
    assert mixes_samples(network) is (mixing > 0)


@pytest.mark.parametrize("name", SMALL)
def test_mixing_by_hand_is_mixing_in_training(name: str) -> None:
    """With mixing 1, without noise: each sample is what the styles that its layers were given make of it."""
    network = small(name, mixing=1.0).double()
    for layer in network.layers:
        nn.init.zeros_(layer.strength)
    z = torch.randn(6, 3, dtype=torch.float64)
    torch.manual_seed(3)
    styles = shown(network, z)
    torch.manual_seed(3)
    made = network(z)
    torch.testing.assert_close(network.eval().synthesise(styles), made)
    assert (network(z) - made).flatten(1).abs().amax(1).min() > 1e-4  # all are mixed, and each layer has its say
    with pytest.raises(UsageError, match="one a layer"):
        network.synthesise(styles[:, 1:])


def test_path_length_goes_through_styles() -> None:
    network = small("style-28-generator", mixing=0.0)
    value, mean = path_length(network, torch.randn(4, 3), torch.randn(4, 2, 8, 12), torch.zeros(()))
    value.backward()
    assert mean > 0
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in network.parameters()
               if parameter is not network.last[0].bias)  # fmt: skip
    styles = network.styles(torch.randn(4, 3)).detach()
    direct, _ = path_length(network.synthesise, styles, torch.randn(4, 2, 8, 12), torch.zeros(()))
    assert direct.isfinite()


def test_several_members_at_once() -> None:
    """Mapped over members, each has its own noise and mixing: trainers of ensembles do so."""
    network = small("style-mlp-generator").train()
    state = {key: torch.stack((value, value)) for key, value in network.state_dict().items()}
    z = torch.randn(1, 6, 3).expand(2, -1, -1)
    made = vmap(lambda own, z: functional_call(network, own, (z,)), randomness="different")(state, z)
    assert made.shape == (2, 6, 2)
    assert not torch.allclose(made[0], made[1])


def test_maps_stay_channels_last_and_bfloat16_is_near() -> None:
    network = small("style-28-generator").to(memory_format=torch.channels_last).eval()
    seen: list[bool] = []
    for layer in network.modules():
        layer.register_forward_hook(
            lambda _, __, out: seen.append(out.is_contiguous(memory_format=torch.channels_last) or out.dim() < 4)
        )
    z = torch.randn(4, 3)
    made = network(z)
    assert len(seen) > 10
    assert all(seen)
    with torch.autocast("cpu", torch.bfloat16):
        rough = network(z)
    torch.testing.assert_close(rough.float(), made, atol=0.15, rtol=0)


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("style-28-generator", {"shape": (1, 30, 28)}, "--data.size 32x28"),
        ("style-28-generator", {"shape": (2,)}, "mlp-generator"),
        ("style-28-generator", {"width": 6}, "multiple of 4"),
        ("style-28-generator", {"mixing": 1.5}, "from 0 to 1"),
        ("style-28-generator", {"mapping": [512, 0]}, "width is 0"),
        ("style-28-generator", {"style": 0}, "style is 0"),
        ("style-mlp-generator", {"hidden": [256]}, "two layers or more"),
        ("style-mlp-generator", {"hidden": [256, -1]}, "hidden is -1"),
        ("style-mlp-generator", {"output": "tan"}, "did you mean 'tanh'"),
    ],
)
def test_mistakes_are_named(name: str, options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        build(name, **{"latent": 3, "shape": (1, 28, 28)} | options)
    with pytest.raises(UsageError, match="without layers"):
        MappingNetwork(3, [])


def test_a_labelled_generator_of_styles_is_not_truncated_in_silence() -> None:
    plan = Blueprint(
        "style-mlp-generator", {"latent": 4, "shape": [2], "mapping": [5]}, labels="concatenate", classes=3
    )
    data = {"shape": [2], "dtype": "float32", "low": -1.0, "high": 1.0}
    model = Model({"generator": plan.build()}, {"latent": {"size": 4}, "data": data, "classes": ["a", "b", "c"]})
    assert model.sample(2, label="b").shape == (2, 2)
    with pytest.raises(UsageError, match="cannot be truncated"):
        model.sample(2, truncation=0.5)
